"""Tools that a person defines on the page, and whose results the same person types.

Two ways of writing them are read: ChatGLM3's list of `name`, `description` and `parameters` (or
`params`, a list), and OpenAI's, with `type: function` around each.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.foreign_schema import BadSchema, harmless
from assistant.marked import Marked, Where, describe, read_marked
from assistant.outputs import ErrorOutput
from assistant.toolsource import Effects, ToolInfo, ToolResult, Trouble
from assistant.toolspec import ToolSpec

MANUAL = "manual"
MAX_TOOLS = 64
MAX_NAME = 64

_TYPES = {
    "str": "string",
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "boolean": "boolean",
    "list": "array",
    "array": "array",
    "dict": "object",
    "object": "object",
}


def parse_definitions(text: str) -> tuple[ToolSpec, ...]:
    """The tools that a text in YAML or JSON defines, or a BadDocument with its line."""
    document = read_marked(text, "tools")
    value = document.value
    items = value if isinstance(value, list) else [value]
    if not items or len(items) > MAX_TOOLS:
        raise document.wrong((), f"{len(items)} tools", f"1 to {MAX_TOOLS}")
    specs: dict[str, ToolSpec] = {}
    for i, item in enumerate(items):
        where: Where = (i,) if isinstance(value, list) else ()
        spec = _tool(document, item, where)
        if spec.name in specs:
            raise document.wrong((*where, "name"), f"{spec.name} again", "each name once")
        specs[spec.name] = spec
    return tuple(specs.values())


@dataclass(frozen=True)
class ManualTools:
    """A source of tools that no machine runs: the turn waits for what the person types."""

    specs: tuple[ToolSpec, ...]

    def tools(self) -> Sequence[ToolInfo]:
        return [ToolInfo(spec, MANUAL, Effects.NONE) for spec in self.specs]

    def troubles(self) -> Sequence[Trouble]:
        return ()

    def call(
        self, name: str, arguments: Mapping[str, object], folder: Path, cancelled: threading.Event
    ) -> ToolResult:
        refusal = f"a person answers for {name}; nothing can run it"
        return ToolResult((ErrorOutput("ManualTool", refusal),), is_error=True)

    def close(self) -> None:
        pass


def _tool(document: Marked, item: object, where: Where) -> ToolSpec:
    tool = document.object_at(item, where)
    if "function" in tool or tool.get("type") == "function":
        document.only(tool, where, ("type", "function"))
        where = (*where, "function")
        tool = document.object_at(tool.get("function"), where)
    document.only(tool, where, ("name", "description", "parameters", "params", "strict"))
    name = _text(document, tool, where, "name")
    if not name.isidentifier() or len(name) > MAX_NAME:
        expected = f"a name of letters, digits and _, at most {MAX_NAME}"
        raise document.wrong((*where, "name"), describe(name), expected)
    return ToolSpec(
        name, _text(document, tool, where, "description"), _parameters(document, tool, where)
    )


def _parameters(document: Marked, tool: dict[str, object], where: Where) -> dict[str, object]:
    if "params" in tool:
        if "parameters" in tool:
            raise document.wrong(where, '"params" and "parameters"', "one of them")
        return _of_params(document, tool["params"], (*where, "params"))
    where = (*where, "parameters")
    schema = document.object_at(tool.get("parameters", {}), where)
    try:
        return harmless(schema)
    except BadSchema as error:
        raise document.wrong((*where, *error.where), str(error), "a JSON schema") from error


def _of_params(document: Marked, params: object, where: Where) -> dict[str, object]:
    """ChatGLM3's own list of parameters as a schema."""
    if not isinstance(params, list):
        raise document.wrong(where, describe(params), "a list")
    properties: dict[str, object] = {}
    required = []
    for i, each in enumerate(params):
        at = (*where, i)
        param = document.object_at(each, at)
        document.only(param, at, ("name", "description", "type", "required"))
        name = _text(document, param, at, "name")
        if name in properties:
            raise document.wrong((*at, "name"), f"{name} again", "each name once")
        properties[name] = _param(document, param, at)
        if _flag(document, param, at, "required"):
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def _param(document: Marked, param: dict[str, object], where: Where) -> dict[str, object]:
    written = _text(document, param, where, "type")
    outer, bracket, inner = written.partition("[")
    schema: dict[str, object] = {"type": _TYPES.get(outer.strip())}
    if bracket and schema["type"] == "array" and inner.endswith("]"):
        schema["items"] = {"type": _TYPES.get(inner[:-1].strip())}
    elif bracket or schema["type"] is None:
        schema["type"] = None
    if schema["type"] is None or schema.get("items") == {"type": None}:
        expected = "str, int, float, bool, dict, list or list[str]"
        raise document.wrong((*where, "type"), describe(written), expected)
    if param.get("description"):
        schema["description"] = _text(document, param, where, "description")
    return schema


def _text(document: Marked, item: Mapping[str, object], where: Where, key: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value.strip():
        found = describe(value) if key in item else "nothing"
        raise document.wrong((*where, key), found, "text")
    return value


def _flag(document: Marked, item: Mapping[str, object], where: Where, key: str) -> bool:
    value = item.get(key, False)
    if not isinstance(value, bool):
        raise document.wrong((*where, key), describe(value), "true or false")
    return value
