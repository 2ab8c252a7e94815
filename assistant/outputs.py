"""What a tool or a piece of code gives back: a person sees it whole, the model as short text."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# An observation that is cut keeps more of its end: errors and totals come last.
HEAD_SHARE = 0.4
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


@dataclass(frozen=True)
class TextOutput:
    """Plain text, never markup, perhaps with ANSI colours; `stream` says where it was written."""

    text: str
    stream: Literal["result", "stdout", "stderr"] = "result"


@dataclass(frozen=True)
class NoteOutput:
    """What we have to say beside what code gave, in English; `faults` has the Chinese."""

    text: str


@dataclass(frozen=True)
class JsonOutput:
    """A value of JSON's kinds, shown as a tree."""

    value: object


@dataclass(frozen=True)
class TableOutput:
    """The first rows of a table of `n_rows`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    n_rows: int


@dataclass(frozen=True)
class ImageOutput:
    """A picture, encoded by us: PNG or JPEG bytes; `width` and `height` in pixels.

    `title` says what a figure shows, by the code's word, for people who cannot see it.
    """

    data: bytes
    width: int
    height: int
    title: str = ""


@dataclass(frozen=True)
class ChartOutput:
    """A figure's specification: known keys only, and no address in it. Not for changing."""

    library: Literal["plotly", "vega-lite"]
    spec: Mapping[str, object]


@dataclass(frozen=True)
class FileOutput:
    """A file to download. `name` has been made safe."""

    name: str
    data: bytes


@dataclass(frozen=True)
class ErrorOutput:
    """What went wrong: a name, a message, and the way there as text, perhaps with ANSI colours."""

    name: str
    message: str
    traceback: str = ""


Output = (
    TextOutput
    | NoteOutput
    | JsonOutput
    | TableOutput
    | ImageOutput
    | ChartOutput
    | FileOutput
    | ErrorOutput
)


def observation(outputs: Sequence[Output], limit: int) -> str:
    """The outputs as the model reads them, in at most `limit` characters and a mark of the cut."""
    return shortened("\n".join(filter(None, map(_as_text, outputs))), limit)


def shortened(text: str, limit: int) -> str:
    """Head and tail of a text that is too long, and between them how much was left out."""
    if len(text) <= limit:
        return text
    n_head = int(limit * HEAD_SHARE)
    n_tail = limit - n_head
    mark = f"\n[… {len(text) - limit} characters left out …]\n"
    return text[:n_head] + mark + text[len(text) - n_tail :]


def without_colours(text: str) -> str:
    """A text without ANSI's colours."""
    return _COLOURS.sub("", text)


def _as_text(output: Output) -> str:
    match output:
        case TextOutput(text):
            return without_colours(text).strip("\n")
        case NoteOutput(text):
            return f"[{text}]"
        case JsonOutput(value):
            return json.dumps(value, ensure_ascii=False)
        case TableOutput():
            return _table(output)
        case ImageOutput(width=width, height=height):
            return f"[Image] {width} x {height} pixels"
        case ChartOutput(library, _):
            return f"[Chart] {library}"
        case FileOutput(name, data):
            return f"[File] {name}, {len(data)} bytes"
        case ErrorOutput(name, message, traceback):
            return without_colours(traceback) or f"{name}: {message}"


def _table(table: TableOutput) -> str:
    lines = [" | ".join(table.columns)]
    lines += [" | ".join(map(str, row)) for row in table.rows]
    if table.n_rows > len(table.rows):
        lines.append(f"[{table.n_rows} rows, the first {len(table.rows)} are shown]")
    return "\n".join(lines)
