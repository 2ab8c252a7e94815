"""`python -m assistant interpreter run FILE.py`: a file in a fresh session, for scripts."""

import argparse
import contextlib
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from assistant.coderunner import CodeEnded, CodeResult
from assistant.errors import AssistantError
from assistant.outputs import ErrorOutput, Output, observation
from assistant.sandbox.environment import SetUp
from assistant.sandbox.level import Level
from assistant.sandbox.probe import UNSAFE_OPTION
from assistant.sandbox.sessions import Sessions
from assistant.sandbox.settings import SandboxSettings
from assistant.sandbox.wire import pack
from assistant.texts import text
from engine import EngineError, model_home

EXIT_CODES = (
    "Exit codes: 0 ok, 1 our error, 2 wrong usage, 3 error in the code, 4 timeout, 5 limit or "
    "crash, 6 refused by level, 130 Ctrl-C."
)
_CODES: dict[CodeEnded, int] = {
    "ok": 0,
    "error": 3,
    "timeout": 4,
    "limit": 5,
    "crashed": 5,
    "refused": 6,
    "cancelled": 130,
}
UNSAFE_HELP = "run code even where nothing isolates it; only what you trust"
_WHOLE = 10_000_000  # characters: nothing is cut here
LEVELS = [str(level) for level in Level if level not in (Level.UNSAFE, Level.NONE)]


def add_interpreter(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "interpreter", help="run Python code in the sandbox", epilog=EXIT_CODES
    )
    actions = command.add_subparsers(required=True, metavar="ACTION")
    action = actions.add_parser(
        "run",
        help="run a file in a fresh session",
        description="Run a file in a fresh session, and print every output and how it ended.",
        epilog=EXIT_CODES,
    )
    action.set_defaults(run=run)
    add = action.add_argument
    add("file", type=Path, metavar="FILE.py", help="the code; - reads it from stdin")
    held = action.add_mutually_exclusive_group().add_argument
    held("--level", choices=LEVELS, metavar="|".join(LEVELS), help="default: the strongest here")
    held(UNSAFE_OPTION, action="store_true", help=UNSAFE_HELP)
    add("--timeout", type=float, default=60.0, metavar="S", help="seconds for the run")
    add("--json", action="store_true", help="one JSON object, for programs")
    return action


def run(options: argparse.Namespace) -> int:
    try:
        code = _read(options.file)
        result = _run(code, options)
    except (OSError, AssistantError, EngineError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if result.level == Level.UNSAFE:
        sys.stderr.write(red(text(options.lang, "sandbox_unsafe"), sys.stderr) + "\n")
    _show_json(result) if options.json else _show(result)
    return _CODES[result.ended]


def _read(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    return path.read_text(encoding="utf-8", errors="replace")


def _run(code: str, options: argparse.Namespace) -> CodeResult:
    level = Level(options.level) if options.level else None
    settings = SandboxSettings(
        run_seconds=options.timeout,
        level=level,
        unsafe=options.unsafe_interpreter,
        pool=0,
        polite=False,
    )
    with _sessions(settings) as sessions:
        return sessions.session("run").run(code, threading.Event(), lambda _: None)


@contextlib.contextmanager
def _sessions(settings: SandboxSettings) -> Iterator[Sessions]:
    """A folder of its own, that goes with it."""
    with tempfile.TemporaryDirectory(prefix="interpreter-") as folder:
        Path(folder).chmod(0o711)  # a session's uid has to pass
        sessions = Sessions(Path(folder), settings, environment_home=model_home(), listener=_note)
        try:
            yield sessions
        finally:
            sessions.close()


def _note(set_up: SetUp) -> None:
    if set_up.what:
        words = f"Setting up the Python for code, once: {set_up.what} ({set_up.done + 1}"
        sys.stderr.write(f"{words} of {set_up.total})\n")


def _show(result: CodeResult) -> None:
    for output in result.outputs:
        outlet = sys.stderr if _is_trouble(output) else sys.stdout
        words = observation([output], _WHOLE)
        outlet.write(words + "\n" if words else "")
    files = f", files: {', '.join(result.new_files)}" if result.new_files else ""
    level = f"level {result.level}" if result.level else "no level"
    sys.stderr.write(f"[{result.ended}, {result.seconds:.2f} s, {level}{files}]\n")


def red(words: str, outlet: TextIO) -> str:
    """In red where somebody looks."""
    return f"\033[1;31m{words}\033[0m" if outlet.isatty() else words


def _show_json(result: CodeResult) -> None:
    outputs = [pack(output) for output in result.outputs]
    told = {
        "ended": result.ended,
        "seconds": round(result.seconds, 3),
        "level": result.level,
        "outputs": outputs,
        "new_files": result.new_files,
    }
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")


def _is_trouble(output: Output) -> bool:
    return isinstance(output, ErrorOutput) or getattr(output, "stream", "") == "stderr"
