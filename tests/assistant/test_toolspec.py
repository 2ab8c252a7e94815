"""Tools as models are told of them."""

from collections.abc import Mapping

import pytest

from assistant.toolspec import ToolSpec, chatglm3_tool, openai_tool, python_type


@pytest.mark.parametrize(
    ("schema", "spelled"),
    [
        ({"type": "string"}, "str"),
        ({"type": "integer"}, "int"),
        ({"type": "number"}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"type": "object"}, "dict"),
        ({"type": "array"}, "list"),
        ({"type": "array", "items": {"type": "string"}}, "list[str]"),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}]},
            "tuple[int, float]",
        ),
        ({"enum": ["晴", 1]}, "Literal['晴', 1]"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int | None"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "mystery"}, "Any"),
        ({}, "Any"),
    ],
)
def test_a_schema_is_spelled_as_python_does(schema: Mapping[str, object], spelled: str) -> None:
    assert python_type(schema) == spelled


def test_a_tool_without_parameters_has_none() -> None:
    spec = ToolSpec("today", "今天的日期", {})
    assert chatglm3_tool(spec) == {"name": "today", "description": "今天的日期", "params": []}
    assert openai_tool(spec)["type"] == "function"


def test_a_parameter_says_whether_it_is_required() -> None:
    properties = {"a": {"type": "string", "description": "first"}, "b": {"type": "integer"}}
    spec = ToolSpec("f", "", {"properties": properties, "required": ["a"]})
    assert chatglm3_tool(spec)["params"] == [
        {"name": "a", "description": "first", "type": "str", "required": True},
        {"name": "b", "description": "", "type": "int", "required": False},
    ]
