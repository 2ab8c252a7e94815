"""Schemas from outside, made harmless."""

import pytest

from assistant.foreign_schema import BadSchema, harmless, mistake

TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}},
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        }
    },
}


def test_what_is_plain_stays_as_it_is() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "description": "x", "enum": ["p", "q"]},
            "b": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
            "c": {"type": "array", "prefixItems": [{"type": "string"}], "items": {}},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
    assert harmless(schema) == schema


def test_references_are_put_in_their_places() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/city", "description": "where"}},
        "$defs": {"city": {"type": "string", "description": "a city"}},
    }
    expected = {"a": {"type": "string", "description": "where"}}
    assert harmless(schema) == {"type": "object", "properties": expected}


def test_a_schema_within_itself_ends_after_one_round() -> None:
    inner = {"children": {"type": "array", "items": {}}}
    expected = {"root": {"type": "object", "properties": inner}}
    assert harmless(TREE)["properties"] == expected


@pytest.mark.parametrize(
    "keyword",
    [
        {"pattern": "(a+)+$"},
        {"patternProperties": {"(a+)+$": {}}},
        {"$dynamicRef": "#x"},
        {"$schema": "http://127.0.0.1:9/"},
        {"$id": "http://127.0.0.1:9/"},
    ],
)
def test_what_could_run_for_ever_or_reach_out_is_dropped(keyword: dict[str, object]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", **keyword}}}
    assert harmless(schema)["properties"] == {"a": {"type": "string"}}


def nested(depth: int) -> dict[str, object]:
    schema: dict[str, object] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return {"properties": {"a": schema}}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ([], "must be one of"),
        ({"type": "array"}, "must be one of"),
        ({"properties": []}, '"properties" is list'),
        ({"properties": {"a": 7}}, "a schema must be an object, not int"),
        ({"properties": {"a": {"type": "strin"}}}, "'strin' is not valid"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/"}}}, "a reference out of"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "leads nowhere"),
        ({"required": "a"}, "'a' is not of type 'array'"),
        ({"description": "x" * 20_000}, "at most 16000"),
        (nested(40), "too deep"),
        ({"properties": {f"p{i}": {} for i in range(1_001)}}, "more than 1000 parts"),
    ],
)
def test_what_is_no_schema_of_arguments_is_refused(schema: object, said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        harmless(schema)


def test_references_cannot_multiply() -> None:
    steps = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i - 1}"}] * 8} for i in range(1, 12)}
    schema = {"properties": {"a": {"$ref": "#/$defs/d11"}}, "$defs": {"d0": {}, **steps}}
    with pytest.raises(BadSchema, match="more than 1000 parts"):
        harmless(schema)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"city": "北京"}, None),
        ({}, "'city' is a required property"),
        ({"city": 1}, "city: 1 is not of type 'string'"),
        ({"city": "x", "more": 1}, "Additional properties are not allowed"),
    ],
)
def test_a_mistake_is_said_so_that_a_model_can_mend_it(
    arguments: dict[str, object], said: str | None
) -> None:
    city = {"city": {"type": "string"}}
    schema = harmless({"properties": city, "required": ["city"], "additionalProperties": False})
    found = mistake(schema, arguments)
    assert found is None if said is None else said in (found or "")
