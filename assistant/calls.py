"""What a model asks for, read from the text it wrote: a tool call, or code to be run.

A call that cannot be read is a value too, a CallError. It is the model's mistake and not ours,
so it goes back to the model as an observation.
"""

import json
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assistant.literals import (
    MAX_LENGTH,
    MAX_NUMBER,
    Key,
    NotLiteral,
    Value,
    as_literal,
    read_arguments,
    read_literal,
)

CALLEE = "tool_call"  # ChatGLM3 writes every call as one to this, and the tool's name before it

_FENCE = re.compile(
    r"^(?P<indent>[ \t]*)```[ \t]*(?P<language>(?:python3?|py)\b)?[ \t]*\n?", re.I | re.M
)
_CLOSING_FENCE = re.compile(r"^[ \t]*```|```\s*\Z", re.M)
_OBJECT = re.compile(r"\s*(?:```\w*\s*)?\{")
_ANY_CALL = re.compile(r"^[ \t]*(?:```\w*[ \t]*)?(?P<name>[^\W\d]\w*)[ \t]*[(（]", re.M)


@dataclass(frozen=True)
class ToolCall:
    """`raw` is the text it was read from."""

    name: str
    arguments: Mapping[str, Value]
    raw: str


@dataclass(frozen=True)
class CodeCall:
    """Python to be run."""

    code: str
    raw: str


@dataclass(frozen=True)
class CallError:
    """A call that could not be read, and why."""

    reason: str
    raw: str
    name: str = ""  # of the tool, if that much was clear

    @property
    def observation(self) -> str:
        """What the model is told."""
        what = f"The call of {self.name}" if self.name else "The call"
        return f"Error: {what} could not be read and nothing was run: {self.reason}."


Call = ToolCall | CodeCall | CallError


def read_call(name: str, raw: str) -> ToolCall | CallError:
    """A call in Python's spelling, `tool_call(city_name='北京')`, fenced or not.

    `name` is the tool's, from the message's metadata. Without one, the call's own is taken.
    """
    found = _find_call(name, raw)
    if found is None:
        opening = _OBJECT.match(raw)
        if name and opening:
            return _call_of_object(name, raw, opening.end() - 1)
        return CallError(f"no call was found; write {CALLEE}(name=value)", raw, name)
    if not name and found["name"] == CALLEE:
        return CallError("the tool's name is missing; write it on the line before", raw)
    name = name or found["name"]
    try:
        return ToolCall(name, read_arguments(raw[found.end() :]), raw)
    except NotLiteral as error:
        return CallError(str(error), raw, name)


def read_json_calls(raw: str) -> list[ToolCall | CallError]:
    """The calls in JSON's spelling, `{"name": …, "arguments": {…}}`, that stand in `raw`.

    Reading ends at the first that is wrong.
    """
    calls: list[ToolCall | CallError] = []
    at = raw.find("{")
    try:
        while at >= 0:
            item, end = _read_object(raw, at)
            calls.append(_json_call(item, raw))
            at = raw.find("{", end)
    except NotLiteral as error:
        calls.append(CallError(str(error), raw))
    return calls or [CallError('no call was found; write {"name": …, "arguments": {…}}', raw)]


def end_of_object(raw: str) -> int | None:
    """Where the object that `raw` begins with ends, if it is whole."""
    try:
        return _JSON.raw_decode(raw, raw.index("{"))[1]
    except (NotLiteral, ValueError, RecursionError):
        return None


def read_code(raw: str) -> CodeCall | CallError:
    """Python, between fences or not; what stands outside them is no code."""
    opening = _FENCE.search(raw)
    if opening and _only_closes(opening):
        opening = None
    code = raw[opening.end() :] if opening else raw
    closing = _CLOSING_FENCE.search(code)
    code = code[: closing.start()] if closing else code
    if opening and opening["indent"]:
        code = textwrap.dedent(code)
    code = code.strip("\n").rstrip()
    if not code:
        return CallError("there is no code", raw)
    return CodeCall(code, raw)


def _only_closes(fence: re.Match[str]) -> bool:
    """Whether the opening fence is missing: a bare one, with code before and no other behind."""
    before, behind = fence.string[: fence.start()], fence.string[fence.end() :]
    return not fence["language"] and bool(before.strip()) and "```" not in behind


def _find_call(name: str, raw: str) -> re.Match[str] | None:
    for callee in filter(None, (CALLEE, name)):
        found = re.search(rf"(?<!\w)(?P<name>{re.escape(callee)})\s*[(（]", raw)
        if found:
            return found
    return None if name else _ANY_CALL.search(raw)


def _call_of_object(name: str, raw: str, at: int) -> ToolCall | CallError:
    """A call whose arguments alone are written, as an object."""
    try:
        return ToolCall(name, _named(_read_object(raw, at)[0]), raw)
    except NotLiteral as error:
        return CallError(str(error), raw, name)


def _json_call(item: dict[Key, Value], raw: str) -> ToolCall:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise NotLiteral('"name" must be the name of the tool')
    arguments = item.get("arguments", item.get("parameters", {}))
    if isinstance(arguments, str):  # some write the object as text
        arguments = _read_object(arguments, 0)[0] if arguments.strip() else {}
    if not isinstance(arguments, dict):
        raise NotLiteral('"arguments" must be an object, as in {"city": "北京"}')
    return ToolCall(name, _named(arguments), raw)


def _read_object(raw: str, at: int) -> tuple[dict[Key, Value], int]:
    """The object that begins at `at`, in JSON's spelling or in Python's, and where it ends."""
    if len(raw) > MAX_LENGTH:
        raise NotLiteral(f"the call has {len(raw)} characters; at most {MAX_LENGTH} are read")
    try:
        found, end = _JSON.raw_decode(raw, at)
        item = as_literal(found)
    except (ValueError, RecursionError):
        item, end = read_literal(raw[at:]), len(raw)
    if not isinstance(item, dict):
        raise NotLiteral("arguments must be an object")
    return item, end


def _named(arguments: dict[Key, Value]) -> dict[str, Value]:
    if not all(isinstance(key, str) for key in arguments):
        raise NotLiteral("the names of arguments must be text")
    return {str(key): value for key, value in arguments.items()}


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    item = dict(pairs)
    if len(item) < len(pairs):
        raise NotLiteral("a key is given twice")
    return item


def _refuse(constant: str) -> object:
    raise NotLiteral(f"{constant} is not a number")


def _number(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def read(text: str) -> int | float:
        if len(text) > MAX_NUMBER:
            raise NotLiteral(f"a number has {len(text)} characters; at most {MAX_NUMBER} are read")
        return kind(text)

    return read


_JSON = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_number(int),
    parse_float=_number(float),
    parse_constant=_refuse,
    strict=False,  # a line break within a string
)
