"""Signatures and docstrings as models are told of them, and arguments held against them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from tools._declaration import AuthorError
from tools._interface import BadArguments, Interface


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    title: str = ""


class Tree(BaseModel):
    point: Point
    children: list["Tree"] = []


def takes(kind: Any) -> Callable[..., object]:
    def f(a: Any) -> None: ...

    f.__annotations__["a"] = kind
    return f


def schema_of(kind: Any) -> object:
    properties = Interface(takes(kind)).schema["properties"]
    assert isinstance(properties, dict)
    return properties["a"]


INTEGER, STRING = {"type": "integer"}, {"type": "string"}
POINT = {
    "type": "object",
    "properties": {"x": INTEGER, "title": {"type": "string", "default": ""}},
    "required": ["x"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, STRING),
        (int, INTEGER),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (date, {"type": "string", "format": "date"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Color, {"type": "string", "enum": ["red", "blue"]}),
        (Optional[int], {"anyOf": [INTEGER, {"type": "null"}]}),  # noqa: UP045
        (int | None, {"anyOf": [INTEGER, {"type": "null"}]}),
        (list[str], {"type": "array", "items": STRING}),
        (dict[str, int], {"type": "object", "additionalProperties": INTEGER}),
        (
            tuple[int, str],
            {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 2, "maxItems": 2},
        ),
        (Point, POINT),
        (list[Point], {"type": "array", "items": POINT}),
        (
            Annotated[int, Field(ge=1), "a count"],
            INTEGER | {"minimum": 1, "description": "a count"},
        ),
    ],
)
def test_every_kind_of_hint_becomes_a_schema(kind: Any, schema: object) -> None:
    assert schema_of(kind) == schema


def test_a_type_within_itself_ends_after_one_round() -> None:
    children = {"type": "array", "items": {"type": "object"}, "default": []}
    point = {key: value for key, value in POINT.items() if key != "additionalProperties"}
    tree = {"type": "object", "properties": {"point": point, "children": children}}
    assert schema_of(Tree) == tree | {"required": ["point"]}


def test_chatglm3s_own_annotations_work_as_they_stand() -> None:
    def weather(
        city: Annotated[str, "城市", True], days: Annotated[int, "天数", False]
    ) -> tuple[str, object]:
        """查询天气"""
        return city, days

    interface = Interface(weather)
    assert interface.description == "查询天气"
    assert interface.schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "城市"},
            "days": {"type": "integer", "description": "天数"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert weather(**interface.bind({"city": "北京"})) == ("北京", None)  # type: ignore[arg-type]
    assert interface.bind({"city": "北京", "days": None}) == {"city": "北京", "days": None}
    assert interface.bind({"city": "北京", "days": "3"}) == {"city": "北京", "days": 3}


GOOGLE = """Adds.

    More of it.

    Args:
        a: the first
        b (int): the second

    Returns:
        int: the sum
    """
NUMPY = """Adds.

    More of it.

    Parameters
    ----------
    a : int
        the first
    b : int
        the second
    """
SPHINX = """Adds.

    More of it.

    :param a: the first
    :param int b: the second
    :return: the sum
    """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX])
def test_every_style_of_docstring_describes_parameters(docstring: str) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    add.__doc__ = docstring
    interface = Interface(add)
    assert interface.description == "Adds.\n\nMore of it."
    described = {"a": INTEGER | {"description": "the first"}}
    described["b"] = INTEGER | {"description": "the second"}
    assert interface.schema["properties"] == described


def test_what_annotated_says_goes_before_the_docstring() -> None:
    def f(a: Annotated[int, "by the hint"]) -> None:
        """:param a: by the docstring"""

    assert Interface(f).schema["properties"] == {"a": INTEGER | {"description": "by the hint"}}


def test_defaults_are_told_and_left_to_the_function() -> None:
    def f(a: int = 3, b: Color = Color.BLUE, c: str | None = None, d: object = object) -> None: ...

    interface = Interface(f)
    assert "required" not in interface.schema
    properties = interface.schema["properties"]
    assert isinstance(properties, dict)
    defaults = {name: each.get("default", "-") for name, each in properties.items()}
    assert defaults == {"a": 3, "b": "blue", "c": "-", "d": "-"}
    assert interface.bind({}) == {}
    assert interface.bind({"c": None}) == {"c": None}


def test_a_parameter_may_have_any_name() -> None:
    def f(json: int, copy: int, model_dump: int, _hidden: int, title: int, self: int) -> None: ...

    names = dict.fromkeys(["json", "copy", "model_dump", "_hidden", "title", "self"], 1)
    interface = Interface(f)
    properties = interface.schema["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == list(names)
    assert interface.bind(names) == names


def test_arguments_are_converted_to_the_types_of_the_signature() -> None:
    def f(a: int, b: tuple[int, int], c: Color, d: Point, e: str, g: Tree) -> None: ...

    given = {"a": "3", "b": [1, 2], "c": "red", "d": {"x": 1}, "e": 10001}
    bound = Interface(f).bind(given | {"g": {"point": {"x": 2}}})
    converted = {"a": 3, "b": (1, 2), "c": Color.RED, "d": Point(1), "e": "10001"}
    assert bound == converted | {"g": Tree(point=Point(2))}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "f was not run. a is missing."),
        ({"a": 1, "c": 2}, "f was not run. c is no parameter (there are: a, b)."),
        ({"a": "many"}, "a is 'many' (str), expected a valid integer"),
        ({"a": 1.5}, "a is 1.5 (float), expected a valid integer"),
        ({"a": None}, "a is None (NoneType), expected a valid integer"),
        ({"a": 1, "b": ["x", 3]}, "b.1 is 3 (int), expected 'x' or 'y'"),
        ({"b": 1}, "a is missing; b is 1 (int), expected a valid list"),
        ({"a": 1} | dict.fromkeys("cdefgh", 0), "; and 2 more."),
    ],
)
def test_wrong_arguments_are_told_by_name_with_what_was_found_and_expected(
    given: dict[str, object], said: str
) -> None:
    def f(a: int, b: list[Literal["x", "y"]] = ["x"]) -> None: ...  # noqa: B006

    with pytest.raises(BadArguments) as wrong:
        Interface(f).bind(given)
    assert said in str(wrong.value)


def test_a_long_wrong_value_is_shown_in_short() -> None:
    with pytest.raises(BadArguments) as wrong:
        Interface(takes(int)).bind({"a": "9x" * 10_000, "b" * 10_000: 1})
    assert len(str(wrong.value)) < 400


def star(*a: int) -> None: ...
def stars(**a: int) -> None: ...
def nameless(a: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (star, "star: the parameter a takes any number of values"),
        (stars, "stars: the parameter a takes any number of values"),
        (nameless, "nameless: the parameter a has no name for a caller"),
        (takes("Missing"), "f: a type hint is unknown: name 'Missing' is not defined"),
        (takes(object()), "f: "),
        (takes(Interface), "f: "),
    ],
)
def test_a_signature_that_cannot_be_offered_says_what_to_change(
    function: Callable[..., object], said: str
) -> None:
    with pytest.raises(AuthorError) as wrong:
        Interface(function)
    assert said in str(wrong.value)


def test_a_parameter_without_a_hint_is_the_authors_mistake() -> None:
    function = takes(int)
    del function.__annotations__["a"]
    with pytest.raises(AuthorError, match="the parameter a has no type hint; write a: str"):
        Interface(function)
