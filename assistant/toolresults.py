"""What a tool's process says, taken into our own values. None of it is believed."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

from assistant.outputs import (
    ErrorOutput,
    FileOutput,
    ImageOutput,
    JsonOutput,
    Output,
    TableOutput,
    TextOutput,
)
from assistant.pictures import BadPicture, clean_picture
from assistant.toolsource import Effects, ToolInfo, ToolResult
from assistant.toolspec import ToolSpec

MAX_NAME = 100  # characters of a file's name
MAX_SECONDS, MAX_CHARACTERS = 600.0, 100_000  # of a tool's own limits

_UNSAFE = re.compile(r"[^\w .()+-]+")


class Garbled(Exception):
    """The process did not say what it should; the message says what was found."""


def failure(name: str, message: str, detail: str = "") -> ToolResult:
    """The result of a call that failed. A traceback ends with what it led to, as Python's do."""
    traceback = f"{detail}\n{name}: {message}" if detail else ""
    return ToolResult((ErrorOutput(name, message, traceback),), is_error=True)


def read_result(message: Mapping[str, object]) -> ToolResult:
    outputs = [_output(_mapping(each)) for each in _sequence(message.get("outputs"))]
    return ToolResult(tuple(outputs), is_error=message.get("is_error") is not False)


def read_info(message: Mapping[str, object], source: str) -> ToolInfo:
    effects = message.get("effects")
    if effects not in [*Effects]:
        raise Garbled(f"effects is {effects!r}")
    spec = ToolSpec(
        _string(message.get("name")),
        _string(message.get("description")),
        _mapping(message.get("parameters")),
    )
    time_limit = _number(message.get("time_limit"), MAX_SECONDS)
    result_limit = int(_number(message.get("result_limit"), MAX_CHARACTERS))
    return ToolInfo(spec, source, Effects(_string(effects)), time_limit, result_limit)


def safe_name(name: str) -> str:
    """A file's name without folders, marks of control and leading dots."""
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = _UNSAFE.sub("_", last).strip(" .")
    return clean[-MAX_NAME:] or "file"


def _output(wire: Mapping[str, object]) -> Output:
    match wire.get("kind"):
        case "text":
            return TextOutput(_string(wire.get("text")))
        case "json":
            return JsonOutput(wire.get("value"))
        case "table":
            return _table(wire)
        case "image":
            return _image(_bytes(wire.get("data")))
        case "file":
            return FileOutput(safe_name(_string(wire.get("name"))), _bytes(wire.get("data")))
        case "error":
            fields = [_string(wire.get(key)) for key in ("name", "message", "traceback")]
            return ErrorOutput(*fields)
        case kind:
            raise Garbled(f"an output of the kind {kind!r}")


def _image(data: bytes) -> ImageOutput:
    try:
        return clean_picture(data)
    except BadPicture as error:
        raise Garbled(str(error)) from error


def _table(wire: Mapping[str, object]) -> TableOutput:
    columns = tuple(_string(name) for name in _sequence(wire.get("columns")))
    rows = tuple(tuple(_sequence(row)) for row in _sequence(wire.get("rows")))
    n_rows = wire.get("n_rows")
    if not isinstance(n_rows, int) or n_rows < len(rows):
        raise Garbled(f"a table of {n_rows!r} rows")
    if any(len(row) != len(columns) for row in rows):
        raise Garbled("a table whose rows are not as long as its head")
    return TableOutput(columns, rows, n_rows)


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_string(value), validate=True)
    except binascii.Error as error:
        raise Garbled("bytes that cannot be read") from error


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise Garbled(f"{type(value).__name__} where text should be")
    return value


def _number(value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise Garbled(f"a limit of {value!r}")
    return float(value)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Garbled(f"{type(value).__name__} where an object should be")
    return value


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise Garbled(f"{type(value).__name__} where a list should be")
    return value
