"""What a tool's process says is held against what it should say."""

import base64

import pytest

from assistant.outputs import (
    ErrorOutput,
    FileOutput,
    JsonOutput,
    TableOutput,
    TextOutput,
    observation,
)
from assistant.toolresults import Garbled, failure, read_info, read_result, safe_name
from assistant.toolsource import Effects

INFO = {
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object"},
    "effects": "read",
    "time_limit": 5,
    "result_limit": 100,
}


def test_every_kind_of_output_is_taken() -> None:
    table = {"kind": "table", "columns": ["a"], "rows": [[1]], "n_rows": 7}
    data = base64.b64encode(b"x").decode()
    result = read_result(
        {
            "is_error": False,
            "outputs": [
                {"kind": "text", "text": "words"},
                {"kind": "json", "value": [1]},
                table,
                {"kind": "file", "name": "../../a b.txt", "data": data},
                {"kind": "error", "name": "E", "message": "m", "traceback": ""},
            ],
        }
    )
    assert result.outputs == (
        TextOutput("words"),
        JsonOutput([1]),
        TableOutput(("a",), ((1,),), 7),
        FileOutput("a b.txt", b"x"),
        ErrorOutput("E", "m"),
    )
    assert not result.is_error


@pytest.mark.parametrize(
    "output",
    [
        7,
        {"kind": "film"},
        {"kind": "text", "text": 7},
        {"kind": "table", "columns": ["a"], "rows": [[1]], "n_rows": 0},
        {"kind": "table", "columns": ["a"], "rows": [[1, 2]], "n_rows": 1},
        {"kind": "table", "columns": ["a"], "rows": "x", "n_rows": 1},
        {"kind": "image", "data": base64.b64encode(b"no picture").decode()},
        {"kind": "file", "name": "a", "data": "***"},
        {"kind": "error", "name": "E"},
    ],
)
def test_an_output_that_is_none_is_garbled(output: object) -> None:
    with pytest.raises(Garbled):
        read_result({"outputs": [output], "is_error": False})


@pytest.mark.parametrize("message", [{}, {"outputs": {}}, {"outputs": None}])
def test_an_answer_without_outputs_is_garbled(message: dict[str, object]) -> None:
    with pytest.raises(Garbled):
        read_result(message)


def test_what_does_not_say_that_it_is_well_is_an_error() -> None:
    assert read_result({"outputs": []}).is_error


def test_a_tool_is_read_with_its_limits() -> None:
    info = read_info(INFO, "add.py")
    assert (info.name, info.source, info.effects) == ("add", "add.py", Effects.READ)
    assert (info.time_limit, info.result_limit) == (5, 100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None},
        {"effects": "all"},
        {"effects": []},
        {"time_limit": 0},
        {"time_limit": 1e9},
        {"time_limit": float("nan")},
        {"time_limit": True},
        {"result_limit": -1},
        {"result_limit": 10**9},
        {"parameters": []},
    ],
)
def test_a_tool_that_says_nonsense_of_itself_is_garbled(wrong: dict[str, object]) -> None:
    with pytest.raises(Garbled):
        read_info({**INFO, **wrong}, "add.py")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("报告 (1).pdf", "报告 (1).pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\a.dll", "a.dll"),
        (".bashrc", "bashrc"),
        ("a\r\nSet-Cookie: x", "a_Set-Cookie_ x"),
        ("", "file"),
        ("..", "file"),
        ("x" * 300 + ".txt", "x" * 96 + ".txt"),
    ],
)
def test_a_files_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_failure_tells_the_model_where_and_what() -> None:
    assert observation(failure("E", "it broke").outputs, 100) == "E: it broke"
    assert observation(failure("E", "it broke", "File x").outputs, 100) == "File x\nE: it broke"
