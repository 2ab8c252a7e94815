"""Turn a checkpoint into a quantized model file.

`python -m engine.convert -i THUDM/chatglm3-6b -t q4_0 -o chatglm3-6b-q4_0.bin`
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from engine.bar import byte_bar
from engine.conversion import TYPES, Conversion, convert
from engine.download import DownloadProgress
from engine.errors import EngineError
from engine.home import model_home
from engine.memory import format_bytes
from engine.repository import fetch_repository, named_repository

_INTERRUPTED = 130  # as shells report a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        folder = _folder(args.input, args.source, console)
        started = time.monotonic()
        with byte_bar(console, "Converting") as update:
            done = convert(
                folder,
                args.output,
                TYPES[args.type],
                lora=args.lora,
                force=args.force,
                listener=update,
            )
        _report(Console(), done, time.monotonic() - started, args.verbose)
    except EngineError as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was left half written")
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine.convert",
        description="Quantize a checkpoint of the ChatGLM family, Llama or Qwen2.",
    )
    parser.add_argument(
        "-i", "--input", required=True, help="a Hugging Face folder, or a model's name"
    )
    parser.add_argument("-t", "--type", choices=TYPES, default="q4_0", help="default: q4_0")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="FILE.bin (chatglm.cpp) or FILE.gguf"
    )
    parser.add_argument("-l", "--lora", type=Path, help="a peft adapter's folder, merged first")
    parser.add_argument(
        "--source", choices=("hf", "modelscope"), default="hf", help="where names are looked up"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing output")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the tensors written")
    return parser


def _folder(name: str, source: str, console: Console) -> Path:
    """The folder of that name, or the model's, downloaded."""
    path = Path(name)
    looks_like_name = name.count("/") == 1 and not path.is_absolute() and not name.startswith(".")
    if path.exists() or not looks_like_name:
        return path
    with byte_bar(console, f"Fetching {name}") as update:

        def listen(progress: DownloadProgress) -> None:
            update(progress.done, progress.total)

        return fetch_repository(named_repository(name, source), model_home(), listen)


def _report(console: Console, done: Conversion, seconds: float, verbose: bool) -> None:
    if verbose:
        table = Table(Column("tensor", overflow="fold"), "shape", "type", "size")
        for record in done.records:
            shape = " x ".join(map(str, record.weight.shape))
            table.add_row(record.name, shape, record.type.name.lower(), format_bytes(record.size))
        console.print(table)
    speed = format_bytes(int(done.source_bytes / max(seconds, 1e-9)))
    console.print(
        f"{done.path}: {format_bytes(done.size)} in {seconds:.0f} s ({speed} read each second)",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    sys.exit(main())
