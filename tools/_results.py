"""What a tool returned, in the few kinds that the assistant can show. All of it is bounded."""

import inspect
import io
import json
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, runtime_checkable

from pydantic_core import PydanticSerializationError, to_json

from tools._declaration import ToolError

MAX_TEXT = 200_000  # characters; a longer text is cut
MAX_JSON = 1_000_000  # bytes
MAX_ROWS = 1000
MAX_BYTES = 20 * 10**6  # of an image or a file
MAX_OUTPUTS = 32

Wire = dict[str, object]  # JSON's kinds, and bytes
_ADVICE = "Return a str, dict, list, dataclass, Table, Image or File."


@dataclass(frozen=True)
class Image:
    """A picture to show: the bytes of a PNG or JPEG file."""

    data: bytes


@dataclass(frozen=True)
class File:
    """A file to download."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Table:
    """Rows under named columns; `Table.of` takes rows that are dicts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    @classmethod
    def of(cls, records: Sequence[Mapping[str, object]]) -> "Table":
        columns = list(records[0]) if records else []
        return cls(columns, [[record.get(name) for name in columns] for record in records])


@runtime_checkable
class _DataFrame(Protocol):
    """As much of pandas as is needed to show its tables without importing it."""

    columns: Any

    def __len__(self) -> int: ...
    def head(self, n: int, /) -> Any: ...
    def itertuples(self, index: bool = ..., name: None = ...) -> Iterable[Sequence[object]]: ...


def outputs_of(result: object) -> list[Wire]:
    """A result as one output, or as several if it is a list with pictures, files or tables."""
    if isinstance(result, list | tuple) and any(
        isinstance(each, Image | File | Table) for each in result
    ):
        if len(result) > MAX_OUTPUTS:
            raise ToolError(f"{len(result)} results; at most {MAX_OUTPUTS} can be shown.")
        return [_output(each) for each in result]
    return [_output(result)]


def error_output(error: BaseException) -> Wire:
    """What was raised, with the way there from the tool's own first line on."""
    wire: Wire = {"kind": "error", "name": type(error).__name__, "message": _cut(str(error))}
    if isinstance(error, ToolError):
        return {**wire, "traceback": ""}
    return {**wire, "traceback": _cut(traceback_of(error))}


def traceback_of(error: BaseException) -> str:
    """The traceback, without the lines of the machinery that called."""
    frame = error.__traceback__
    while frame is not None and _is_ours(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame)).strip()


def _is_ours(filename: str) -> bool:
    name = filename.replace("\\", "/")
    return name.startswith("<frozen importlib") or "/tools/_" in name or "/asyncio/" in name


def _output(value: object) -> Wire:
    match value:
        case str():
            return {"kind": "text", "text": _cut(value)}
        case None:
            return {"kind": "text", "text": "Done. The tool returned nothing."}
        case bool() | int() | float() | complex():
            return {"kind": "text", "text": _cut(str(value))}
        case bytes() | bytearray() | memoryview():
            raise ToolError(
                f"The tool returned {len(value)} bytes, which cannot be shown. Its author should "
                "return Image(data), File(name, data) or data.decode()."
            )
        case Image(data):
            return {"kind": "image", "data": _bounded(data)}
        case File(name, data):
            return {"kind": "file", "name": str(name), "data": _bounded(data)}
        case Table():
            return _table(value.columns, value.rows, len(value.rows))
        case _DataFrame():
            rows = value.head(MAX_ROWS).itertuples(index=False, name=None)
            return _table(value.columns, rows, len(value))
    if _are_records(value):
        return _output(Table.of(value))
    return {"kind": "json", "value": _plain(value)}


def _are_records(value: object) -> TypeGuard[list[dict[str, object]]]:
    """Whether these are dicts of plain values, all with the same keys: the rows of a table."""
    if not isinstance(value, list) or len(value) < 2 or not isinstance(value[0], dict):
        return False
    names = value[0].keys()
    flat = (str, int, float, bool, type(None))
    return bool(names) and all(
        isinstance(row, dict)
        and row.keys() == names
        and all(isinstance(cell, flat) for cell in row.values())
        for row in value
    )


def _table(columns: Iterable[object], rows: Iterable[Sequence[object]], n_rows: int) -> Wire:
    first = [list(row) for _, row in zip(range(MAX_ROWS), rows, strict=False)]
    names = [str(name) for name in columns]
    if any(len(row) != len(names) for row in first):
        raise ToolError(f"A row of the table has not as many cells as there are columns: {names}.")
    return {"kind": "table", "columns": names, "rows": _plain(first), "n_rows": n_rows}


def _plain(value: object) -> object:
    """The value in JSON's kinds."""
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise ToolError(f"The tool returned a generator. {_ADVICE}")
    try:
        data = to_json(value, inf_nan_mode="strings", fallback=_fallback)
        plain: object = json.loads(data) if len(data) <= MAX_JSON else None
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise ToolError(f"The tool returned what cannot be shown: {error}. {_ADVICE}") from None
    if len(data) > MAX_JSON:
        raise ToolError(
            f"The result has {len(data)} bytes; at most {MAX_JSON}. Return less, or File."
        )
    return plain


def _fallback(value: Any) -> object:
    """numpy's numbers and arrays; everything else has no plain form."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise ValueError(f"a {type(value).__name__} has no plain form")


def _bounded(data: object) -> bytes:
    if isinstance(data, io.BytesIO):
        data = data.getvalue()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ToolError(f"Image and File take bytes, not {type(data).__name__}.")
    if len(data) > MAX_BYTES:
        raise ToolError(f"The result has {len(data)} bytes; at most {MAX_BYTES}.")
    return bytes(data)


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return text[:MAX_TEXT] + f"\n[… {len(text) - MAX_TEXT} characters left out …]"
