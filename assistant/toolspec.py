"""A tool as a model is told of it: a name, a description and a JSON schema of its arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PYTHON = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "object": "dict",
}


@dataclass(frozen=True)
class ToolSpec:
    """`parameters` is the schema of an object, as JSON Schema and OpenAI's API have it."""

    name: str
    description: str
    parameters: Mapping[str, object]


def chatglm3_tool(spec: ToolSpec) -> dict[str, object]:
    """The form that ChatGLM3 was taught: parameters in a list, types as Python spells them."""
    required = _sequence(spec.parameters.get("required"))
    params = [
        {
            "name": name,
            "description": _mapping(schema).get("description", ""),
            "type": python_type(_mapping(schema)),
            "required": name in required,
        }
        for name, schema in _mapping(spec.parameters.get("properties")).items()
    ]
    return {"name": spec.name, "description": spec.description, "params": params}


def openai_tool(spec: ToolSpec) -> dict[str, object]:
    """The form of OpenAI's API, which ChatML models were taught."""
    function = {
        "name": spec.name,
        "description": spec.description,
        "parameters": dict(spec.parameters),
    }
    return {"type": "function", "function": function}


def python_type(schema: Mapping[str, object]) -> str:
    """A JSON schema as a Python annotation, as far as the two agree."""
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, _sequence(schema['enum'])))}]"
    if "anyOf" in schema:
        return " | ".join(python_type(_mapping(kind)) for kind in _sequence(schema["anyOf"]))
    kind = schema.get("type")
    if kind == "array":
        return _array_type(schema)
    if isinstance(kind, str):
        return _PYTHON.get(kind, "Any")
    return " | ".join(python_type({"type": one}) for one in _sequence(kind)) or "Any"


def _array_type(schema: Mapping[str, object]) -> str:
    if "prefixItems" in schema:
        items = [python_type(_mapping(item)) for item in _sequence(schema["prefixItems"])]
        return f"tuple[{', '.join(items)}]"
    return f"list[{python_type(_mapping(schema['items']))}]" if "items" in schema else "list"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()
