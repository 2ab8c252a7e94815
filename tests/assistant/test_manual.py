"""Definitions of tools that are typed on a page."""

import threading
from pathlib import Path

import pytest

from assistant.errors import BadDocument
from assistant.manual import MANUAL, MAX_TOOLS, ManualTools, parse_definitions
from assistant.texts import Language, say
from assistant.toolsource import Effects
from assistant.toolspec import ToolSpec

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHATGLM3 = """\
- name: weather
  description: The weather now.
  parameters:
    type: object
    properties:
      city:
        type: string
    required:
      - city
"""
OPENAI = """\
[{"type": "function", "function": {"name": "weather", "description": "The weather now.",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                 "required": ["city"]}}}]
"""
PARAMS = """\
name: weather
description: The weather now.
params:
  - {name: city, description: "", type: str, required: true}
"""


@pytest.mark.parametrize("text", [CHATGLM3, OPENAI, PARAMS])
def test_every_way_of_writing_gives_the_same_tool(text: str) -> None:
    assert parse_definitions(text) == (ToolSpec("weather", "The weather now.", CITY),)


def test_params_have_pythons_types_or_jsons() -> None:
    names = ["str", "int", "float", "bool", "dict", "list", "integer", "list[int]"]
    params = "".join(f"  - {{name: p{i}, type: '{kind}'}}\n" for i, kind in enumerate(names))
    (spec,) = parse_definitions(f"name: a\ndescription: b\nparams:\n{params}")
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "p0": {"type": "string"},
            "p1": {"type": "integer"},
            "p2": {"type": "number"},
            "p3": {"type": "boolean"},
            "p4": {"type": "object"},
            "p5": {"type": "array"},
            "p6": {"type": "integer"},
            "p7": {"type": "array", "items": {"type": "integer"}},
        },
        "required": [],
    }


def test_a_tool_without_parameters_takes_none() -> None:
    (spec,) = parse_definitions("name: now\ndescription: The time.")
    assert spec.parameters == {"type": "object", "properties": {}}


def tools(*names: str) -> str:
    return "".join(f"- name: {name}\n  description: b\n" for name in names)


@pytest.mark.parametrize(
    ("text", "line", "found", "expected"),
    [
        ("- 7", 1, "7", "an object"),
        ("[]", 1, "0 tools", f"1 to {MAX_TOOLS}"),
        (tools(*[f"t{i}" for i in range(65)]), 1, "65 tools", f"1 to {MAX_TOOLS}"),
        (tools("a", "a"), 3, "a again", "each name once"),
        (tools("a", "b-c"), 3, '"b-c"', "a name of letters"),
        (tools("a" * 65), 1, '"a', "a name of letters"),
        ("- name: a", 1, "nothing", "text"),
        ("- name: a\n  description: no", 2, "false", "text"),
        ("- name: a\n  description: b\n  returns: c", 3, '"returns"', "one of name"),
        ("- name: a\n  description: b\n  params: x", 3, '"x"', "a list"),
        ("- name: a\n  description: b\n  params:\n  - name: c", 4, "nothing", "text"),
        (
            "- name: a\n  description: b\n  params:\n  - name: c\n    type: set",
            5,
            '"set"',
            "str, int",
        ),
        (
            "- name: a\n  description: b\n  params:\n  - name: c\n    type: 'list[set]'",
            5,
            '"list[set]"',
            "str, int",
        ),
        (
            "- name: a\n  description: b\n  params:\n  - {name: c, type: str}\n"
            "  - {name: c, type: str}",
            5,
            "c again",
            "each name once",
        ),
        (
            "- name: a\n  description: b\n  params:\n  - {name: c, type: str, required: 1}",
            4,
            "1",
            "true or false",
        ),
        ("- name: a\n  description: b\n  params: []\n  parameters: {}", 1, '"params"', "one of"),
        ("- name: a\n  description: b\n  parameters: x", 3, '"x"', "an object"),
        (
            "- name: a\n  description: b\n  parameters:\n    properties:\n      c:\n"
            "        type: strin",
            6,
            "'strin' is not valid",
            "a JSON schema",
        ),
        (
            "- name: a\n  description: b\n  parameters:\n    type: array",
            3,
            "the schema of the arguments",
            "a JSON schema",
        ),
        ("- type: function\n  function: 7", 2, "7", "an object"),
        ("- &a {name: b, description: c}", 1, "an anchor", "none"),
    ],
)
def test_a_wrong_definition_is_refused_with_its_line(
    text: str, line: int, found: str, expected: str
) -> None:
    with pytest.raises(BadDocument) as caught:
        parse_definitions(text)
    fields = caught.value.fields
    assert fields["line"] == line
    assert str(fields["found"]).startswith(found)
    assert str(fields["expected"]).startswith(expected)


def test_an_error_is_said_in_chinese_too() -> None:
    with pytest.raises(BadDocument) as caught:
        parse_definitions("- name: a")
    assert say(caught.value, Language.CHINESE).startswith("tools 第 1 行，0.description：")


def test_a_persons_tools_are_offered_and_never_run() -> None:
    source = ManualTools(parse_definitions(CHATGLM3))
    (info,) = source.tools()
    assert (info.name, info.source, info.effects) == ("weather", MANUAL, Effects.NONE)
    assert source.call("weather", {}, Path(), threading.Event()).is_error
    assert source.troubles() == ()
