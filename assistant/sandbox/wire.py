"""Outputs between the supervisor and the app: as JSON, and only what has changed since."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from assistant.outputs import (
    ChartOutput,
    ErrorOutput,
    ImageOutput,
    NoteOutput,
    Output,
    TableOutput,
    TextOutput,
)

STREAMS = ("result", "stdout", "stderr")


def changes(before: Sequence[Output], after: Sequence[Output]) -> list[dict[str, object]]:
    """What makes `before` into `after`: entries that are new, texts that have grown, the length."""
    edits: list[dict[str, object]] = []
    for index, output in enumerate(after):
        old = before[index] if index < len(before) else None
        if output is old:
            continue
        if _has_grown(old, output):
            assert isinstance(old, TextOutput)
            assert isinstance(output, TextOutput)
            edits.append({"at": index, "more": output.text[len(old.text) :]})
        else:
            edits.append({"at": index, "output": pack(output)})
    if len(after) < len(before):
        edits.append({"length": len(after)})
    return edits


def apply(edits: object, outputs: list[Output]) -> None:
    """Makes those changes. Raises ValueError on what is none."""
    if not isinstance(edits, list):
        raise ValueError("no list of changes")
    for edit in edits:
        try:
            _apply(edit, outputs)
        except (KeyError, TypeError, IndexError, binascii.Error) as error:
            raise ValueError(f"not a change: {error}") from error


def _apply(edit: Mapping[str, Any], outputs: list[Output]) -> None:
    if "length" in edit:
        del outputs[edit["length"] :]
    elif "more" in edit:
        old = outputs[edit["at"]]
        if not isinstance(old, TextOutput):
            raise TypeError("only text grows")
        outputs[edit["at"]] = TextOutput(old.text + str(edit["more"]), old.stream)
    else:
        outputs[edit["at"] : edit["at"] + 1] = [unpack(edit["output"])]


def _has_grown(old: Output | None, output: Output) -> bool:
    return (
        isinstance(old, TextOutput)
        and isinstance(output, TextOutput)
        and old.stream == output.stream
        and output.text.startswith(old.text)
    )


def pack(output: Output) -> dict[str, object]:
    match output:
        case TextOutput(text, stream):
            return {"kind": "text", "text": text, "stream": stream}
        case NoteOutput(text):
            return {"kind": "note", "text": text}
        case TableOutput(columns, rows, n_rows):
            return {"kind": "table", "columns": columns, "rows": rows, "n_rows": n_rows}
        case ImageOutput(data, width, height, title):
            encoded = base64.b64encode(data).decode("ascii")
            size = {"width": width, "height": height}
            return {"kind": "image", "data": encoded, **size, "title": title}
        case ChartOutput(library, spec):
            return {"kind": "chart", "library": library, "spec": spec}
        case ErrorOutput(name, message, traceback):
            return {"kind": "error", "name": name, "message": message, "traceback": traceback}
    raise TypeError(f"a kernel gives no {type(output).__name__}")


def unpack(value: Mapping[str, Any]) -> Output:
    match value["kind"]:
        case "text" if value["stream"] in STREAMS:
            return TextOutput(str(value["text"]), value["stream"])
        case "note":
            return NoteOutput(str(value["text"]))
        case "table":
            columns, rows = tuple(map(str, value["columns"])), tuple(map(tuple, value["rows"]))
            return TableOutput(columns, rows, int(value["n_rows"]))
        case "image":
            data = base64.b64decode(value["data"], validate=True)
            size = int(value["width"]), int(value["height"])
            return ImageOutput(data, *size, str(value["title"]))
        case "chart" if value["library"] in ("plotly", "vega-lite"):
            return ChartOutput(value["library"], dict(value["spec"]))
        case "error":
            return ErrorOutput(*(str(value[key]) for key in ("name", "message", "traceback")))
    raise KeyError(value["kind"])
