"""Arguments as fields of a form, and back."""

from collections.abc import Mapping

import pytest

from assistant.approval import Question
from assistant.errors import BadArguments
from assistant.fields import MAX_INTEGER, Field, FieldKind, form_fields, read_fields
from assistant.literals import Value
from assistant.toolsource import Effects, ToolInfo
from assistant.toolspec import ToolSpec

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Which one"},
        "days": {"type": "integer"},
        "share": {"type": "number"},
        "unit": {"enum": ["c", "f"]},
        "daily": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["city"],
}


def fields_of(
    arguments: Mapping[str, Value], schema: Mapping[str, object] = SCHEMA
) -> dict[str, Field]:
    tool = ToolInfo(ToolSpec("f", "", schema), "f.py", Effects.WRITE)
    question = Question("1", tool, arguments, frozenset({"city"}))
    return {field.name: field for field in form_fields(question)}


def test_every_parameter_has_a_field_of_its_kind() -> None:
    kinds = {name: field.kind for name, field in fields_of({"city": "Oslo"}).items()}
    assert kinds == {
        "city": FieldKind.LINE,
        "days": FieldKind.INTEGER,
        "share": FieldKind.NUMBER,
        "unit": FieldKind.CHOICE,
        "daily": FieldKind.CHOICE,
        "tags": FieldKind.JSON,
        "note": FieldKind.LINE,
    }


def test_a_field_says_what_it_is_for_and_whether_somebody_said_it() -> None:
    city = fields_of({"city": "Oslo"})["city"]
    assert (city.description, city.required, city.unsaid) == ("Which one", True, True)


@pytest.mark.parametrize("text", ["x" * 100, "two\nlines"])
def test_long_text_gets_a_box(text: str) -> None:
    assert fields_of({"city": text})["city"].kind is FieldKind.TEXT


@pytest.mark.parametrize(
    ("name", "value"), [("days", MAX_INTEGER + 1), ("unit", "k"), ("city", 3), ("daily", "yes")]
)
def test_what_its_own_field_cannot_show_is_shown_as_json(name: str, value: Value) -> None:
    field = fields_of({"city": "Oslo", name: value})[name]
    assert field.kind is FieldKind.JSON
    assert read_fields([field], {name: field.value}) == {name: value}


def test_an_argument_outside_the_schema_has_a_field_too() -> None:
    assert fields_of({"city": "Oslo", "more": [1]})["more"].kind is FieldKind.JSON


def test_what_is_not_touched_comes_back_as_it_was() -> None:
    arguments: dict[str, Value] = {
        "city": "Oslo",
        "days": 3,
        "share": 0.5,
        "unit": "f",
        "daily": False,
        "tags": ["a", "b"],
    }
    fields = fields_of(arguments)
    typed = {name: field.value for name, field in fields.items()}
    assert read_fields(tuple(fields.values()), typed) == arguments


def test_a_whole_number_stays_one() -> None:
    (number,) = read_fields([fields_of({"share": 2})["share"]], {"share": 2.0}).values()
    assert isinstance(number, int)


def test_what_is_left_empty_and_may_be_is_left_out() -> None:
    fields = tuple(fields_of({"city": "Oslo", "note": "x"}).values())
    assert read_fields(fields, {"city": "Oslo", "note": "", "days": None, "tags": " "}) == {
        "city": "Oslo"
    }


def test_a_required_text_may_be_empty_and_nothing_else_that_is_required() -> None:
    city = fields_of({"city": "Oslo"})["city"]
    assert read_fields([city], {"city": ""}) == {"city": ""}
    with pytest.raises(BadArguments, match="city is missing"):
        read_fields([city], {"city": None})


@pytest.mark.parametrize("typed", ["[1,", "[" * 100_000])
def test_json_that_is_none_is_refused(typed: str) -> None:
    field = fields_of({"tags": []})["tags"]
    with pytest.raises(BadArguments, match="tags is not JSON"):
        read_fields([field], {"tags": typed})
