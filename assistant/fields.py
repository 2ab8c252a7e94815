"""A question's arguments as fields of a form, from the tool's schema, and back again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from assistant.approval import Question
from assistant.errors import BadArguments
from assistant.literals import Value

LINE = 60  # characters; longer text gets a box
MAX_INTEGER = 2**53 - 1  # of what a browser counts with


class FieldKind(StrEnum):
    LINE = "line"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    CHOICE = "choice"
    JSON = "json"


@dataclass(frozen=True)
class Field:
    """`value` is None where the model gave none. `unsaid`: nobody in the conversation said it."""

    name: str
    kind: FieldKind
    value: Value
    description: str = ""
    required: bool = False
    unsaid: bool = False
    choices: tuple[Value, ...] = ()


def form_fields(question: Question) -> tuple[Field, ...]:
    """One for each parameter, in the schema's order."""
    schema = question.tool.spec.parameters
    properties = _mapping(schema.get("properties"))
    required = _list(schema.get("required"))
    names = [*properties, *(name for name in question.arguments if name not in properties)]
    return tuple(
        _field(name, _mapping(properties.get(name)), question, name in required) for name in names
    )


def read_fields(fields: Sequence[Field], typed: Mapping[str, object]) -> dict[str, Value]:
    """The arguments that a person left in the form. What is empty and may be is left out."""
    arguments: dict[str, Value] = {}
    for field in fields:
        value = typed.get(field.name)
        may_be_empty = field.required and field.kind in (FieldKind.LINE, FieldKind.TEXT)
        if value is not None and (may_be_empty or str(value).strip()):
            arguments[field.name] = _read(field, value)
        elif field.required:
            raise BadArguments(reason=f"{field.name} is missing")
    return arguments


def _field(name: str, schema: Mapping[str, object], question: Question, required: bool) -> Field:
    schema = _without_null(schema)
    value = question.arguments.get(name)
    kind, choices = _kind(schema, value)
    if kind is FieldKind.JSON and value is not None:
        value = json.dumps(value, ensure_ascii=False, indent=2)
    description = schema.get("description")
    return Field(
        name,
        kind,
        value,
        description if isinstance(description, str) else "",
        required,
        name in question.unsaid,
        choices,
    )


def _kind(schema: Mapping[str, object], value: Value) -> tuple[FieldKind, tuple[Value, ...]]:
    """How a value is typed in. What does not fit its own kind is shown as JSON."""
    choices = tuple(_list(schema.get("enum")))
    if choices and (value is None or value in choices):
        return FieldKind.CHOICE, choices
    kind = schema.get("type")
    if kind == "boolean" and (value is None or isinstance(value, bool)):
        return FieldKind.CHOICE, (True, False)
    if kind == "string" and (value is None or isinstance(value, str)):
        long = isinstance(value, str) and (len(value) > LINE or "\n" in value)
        return (FieldKind.TEXT if long else FieldKind.LINE), ()
    number = isinstance(value, int | float) and not isinstance(value, bool)
    small = isinstance(value, int | float) and abs(value) <= MAX_INTEGER
    if kind == "integer" and (value is None or (isinstance(value, int) and number and small)):
        return FieldKind.INTEGER, ()
    if kind == "number" and (value is None or (number and small)):
        return FieldKind.NUMBER, ()
    return FieldKind.JSON, ()


def _read(field: Field, typed: object) -> Value:
    if field.kind is FieldKind.JSON:
        try:
            value: Value = json.loads(str(typed))
        except (ValueError, RecursionError) as error:
            raise BadArguments(reason=f"{field.name} is not JSON: {error}") from error
        return value
    if field.kind is FieldKind.NUMBER and isinstance(typed, float) and typed.is_integer():
        return int(typed)
    assert isinstance(typed, str | int | float | bool)  # what such fields give
    return typed


def _without_null(schema: Mapping[str, object]) -> Mapping[str, object]:
    """The one kind that a parameter has besides null, as `str | None` is written."""
    kinds = [_mapping(kind) for kind in _list(schema.get("anyOf"))]
    real = [kind for kind in kinds if kind.get("type") != "null"]
    return {**schema, **real[0]} if len(real) == 1 else schema


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Value]:
    return value if isinstance(value, list) else []
