"""Opening a model file of either kind, told apart by its first bytes."""

from pathlib import Path

from engine import ggml
from engine.errors import BadModelFile
from engine.ggml import read_ggml
from engine.gguf import read_gguf
from engine.modelfile import ModelFile

# llama.cpp before GGUF, and whisper.cpp still, write their magics as little-endian numbers.
_OTHER_PROGRAMS = (b"lmgg", b"fmgg", b"tjgg", b"algg")


def open_model_file(path: Path) -> ModelFile:
    """A GGUF file, or a GGML file of chatglm.cpp; raises an EngineError for anything else."""
    first = _first_bytes(path)
    if first == ggml.MAGIC:
        return read_ggml(path)
    if first in _OTHER_PROGRAMS:
        raise BadModelFile(
            path=path,
            where="its first bytes",
            found=f"{first!r}, a GGML file of another program (an old llama.cpp, or whisper.cpp)",
            expected="GGUF, or chatglm.cpp's GGML",
        )
    return read_gguf(path)


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError:
        return b""  # the reader says what is wrong with opening it
