"""Files of the conversation's folder, which is where a tool runs. Nothing outside can be named."""

import os
import stat
from pathlib import PurePosixPath
from typing import Annotated

from tools import ToolError, tool

MAX_BYTES = 5_000_000
MAX_NAMES = 50
_ENCODINGS = ("utf-8-sig", "gb18030")


@tool(effects="read", time_limit=10, result_limit=8000)
def read_file(
    path: Annotated[str, "The name of a file of this conversation, such as notes.txt"],
    first_line: Annotated[int, "Where to begin, from 1"] = 1,
    n_lines: Annotated[int, "How many lines to read"] = 200,
) -> str:
    """Reads lines of a text file of this conversation. 读取对话文件夹里的文本文件。"""
    text = _decoded(_read(path))
    first = max(first_line, 1) - 1
    lines = text.splitlines()
    chosen = lines[first : first + max(n_lines, 1)]
    rest = len(lines) - first - len(chosen)
    return "\n".join(chosen) + (f"\n[{rest} more lines of {len(lines)}]" if rest > 0 else "")


def _read(path: str) -> bytes:
    """The file's bytes. Each folder on the way is opened in turn, and no link is followed."""
    *folders, name = PurePosixPath(path).parts or ("",)
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in folders:
            _refuse_escape(part)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        _refuse_escape(name)
        # Not blocking: opening a pipe would wait for whoever writes to it.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise ToolError(f"{path!r} cannot be opened: {error.strerror}. {_names()}") from error
    finally:
        os.close(folder)
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise ToolError(f"{path!r} is no ordinary file. {_names()}")
        if facts.st_size > MAX_BYTES:
            raise ToolError(f"{path!r} has {facts.st_size} bytes; at most {MAX_BYTES} are read.")
        with os.fdopen(file, "rb", closefd=False) as opened:
            return opened.read(MAX_BYTES)
    finally:
        os.close(file)


def _refuse_escape(part: str) -> None:
    if part in ("", "/", "//", "..") or "\0" in part:
        raise ToolError(f"Only files of this conversation can be read, by name. {_names()}")


def _names() -> str:
    names = sorted(each.name for each in os.scandir(".") if not each.name.startswith("."))
    return f"There are: {', '.join(names[:MAX_NAMES]) or 'no files yet'}."


def _decoded(data: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ToolError("This is no text file.")
