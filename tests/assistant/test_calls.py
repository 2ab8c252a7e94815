"""Calls that models write, well and badly: literals are read, nothing is ever evaluated."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assistant.calls import CallError, CodeCall, ToolCall, read_call, read_code, read_json_calls
from assistant.literals import MAX_DEPTH, MAX_LENGTH, MAX_NUMBER, Value

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aé北'\""), inner),
    max_leaves=8,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text("aé北'\"") | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True) | st.sampled_from(["城市", "from"])
# What a hostile or confused model puts together, in pieces that reach every branch.
PIECES = st.sampled_from(
    [
        *("tool_call", "(", ")", "（", "）", "[", "]", "{", "}", ",", "，", "=", "＝", ":", "："),
        *("'", '"', "“", "”", "‘", "’", '"""', "'''", "\\", "\n", " ", "\x00", "\u2028"),
        *("a", "北京", "1", "-", "1e9", "0x", "1_0", ".5", "9" * 100, "nan", "true", "None", "1j"),
        *("*", "**k", "lambda:", "f'", "b'", "r'", "not ", " if ", " for x in y", ".", "@", ";"),
        *("```", "```python\n", "\n```", '"name":', '"arguments":', "<tool_call>", "\ud800"),
    ]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join) | st.text()


def arguments(raw: str, name: str = "get_weather") -> Any:
    call = read_call(name, raw)
    assert isinstance(call, ToolCall), call
    assert (call.name, call.raw) == (name, raw)
    return call.arguments


def reason(raw: str, name: str = "get_weather") -> str:
    error = read_call(name, raw)
    assert isinstance(error, CallError), error
    assert error.raw == raw
    return error.reason


@pytest.mark.parametrize(
    "written",
    [
        "```python\ntool_call(city_name='北京', n=3)\n```",
        "```python\ntool_call(city_name='北京', n=3)",
        "tool_call(city_name='北京', n=3)\n```",
        "tool_call(city_name='北京', n=3)",
        "```tool_call(city_name='北京', n=3)```",
        "好的，我来查一下。tool_call(city_name='北京', n=3) 请稍等。",
        "```python\ntool_call(\n    city_name='北京',\n    n=3,\n)\n```\n完成",
        "tool_call（city_name＝“北京”，n＝3）",
        "tool_call (city_name = ‘北京’ , n = 3 )",
        "get_weather(city_name='北京', n=3)",
        '{"city_name": "北京", "n": 3}',
        "```json\n{'city_name': '北京', 'n': 3}\n```",
    ],
)
def test_a_call_is_read_however_it_is_wrapped(written: str) -> None:
    assert arguments(written) == {"city_name": "北京", "n": 3}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("-1", -1),
        ("+1.5", 1.5),
        (".5", 0.5),
        ("-1e-3", -0.001),
        ("0x1F", 31),
        ("1_000", 1000),
        ("True", True),
        ("true", True),
        ("false", False),
        ("null", None),
        ("None", None),
        ("(0, 100)", (0, 100)),
        ("()", ()),
        ("(1)", 1),
        ("[1, (2,), {'a': [None, -3]}]", [1, (2,), {"a": [None, -3]}]),
        ("{“键”：［1，2］，'b'：true}", {"键": [1, 2], "b": True}),
        ("[1、2]", [1, 2]),
        ("'a' 'b'", "ab"),
        ("u'北'", "北"),
        (r"r'C:\new'", r"C:\new"),
        (r"'C:\users\data'", r"C:\users\data"),
        (r"'\d+\1'", r"\d+\1"),
        (r"'it\'s'", "it's"),
        (r'"\u5317\x41\n"', "北A\n"),
        (r'"\ud83d\ude00"', "😀"),
        ("'two\nlines'", "two\nlines"),
        ("'''a\n\"b\"'''", 'a\n"b"'),
        ('“他说"好"”', '他说"好"'),
        ("'（，）＝：“”'", "（，）＝：“”"),
        ("'\x00'", "\x00"),
    ],
)
def test_a_literal_has_the_value_that_was_meant(written: str, value: object) -> None:
    read = arguments(f"tool_call(x={written})")["x"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("x=__import__('os')", "'__import__' is not a literal"),
        ("x=os.system", "'os' is not a literal"),
        ("x='a'.upper()", "'.upper())' is not a literal"),
        ("x=[y for y in 'ab']", "'y' is not a literal"),
        ("x=f'{1}'", "'f' is not a literal"),
        ("x=b'1'", "'b' is not a literal"),
        ("x=lambda: 1", "'lambda' is not a literal"),
        ("x=1 if True else 2", "'if' is not a literal"),
        ("x=1-1", "'-1' cannot stand behind '1'"),
        ("x=1+2j", "not a number"),
        ("x=2**9", "is not a literal"),
        ("x='a'[0]", "cannot stand behind"),
        ("x=(1)(2)", "cannot stand behind"),
        ("x=[1]{}", "cannot stand behind"),
        ("x=1 True", "cannot stand behind"),
        ("x=(y:=1)", "'y' is not a literal"),
        ("x=(1=2)", "'=' cannot stand"),
        ("x={1, 2}", "is not a literal"),
        ("x={[1]: 2}", "is not a literal"),
        ("x={1: 2, **{}}", "is not a literal"),
        ("x=...", "is not a literal"),
        ("x=1if", "is not a number"),
        ("x=007", "is not a literal"),
        ("x=1e999", "is not a literal"),
        ("x=", "has no value"),
        ("x=,y=1", "has no value"),
        ("x=1]", "closes nothing"),
        ("x=(1]", "closes nothing"),
        ("'北京'", "write every argument as name=value"),
        ("'city'='北京'", "write every argument as name=value"),
        ("city", "write every argument as name=value"),
        ("**{'a': 1}", "is not a literal"),
        ("x=1, x=2", "'x' is given twice"),
        ("x='open", "is not a literal"),
        ("x=" + "9" * (MAX_NUMBER + 1), "at most 64"),
    ],
)
def test_whatever_is_no_literal_is_refused_with_what_was_found(written: str, says: str) -> None:
    assert says in reason(f"tool_call({written})")


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("get_weather", "", "no call was found"),
        ("get_weather", "北京今天晴。", "no call was found"),
        ("get_weather", "other(x=1)", "no call was found"),
        ("get_weather", "tool_call(x=1", "not closed"),
        ("get_weather", "{'x': 1", "not closed"),
        ("get_weather", "{1: 2}", "must be text"),
        ("get_weather", "{1, 2}", "is not a literal"),
        ("", "tool_call(x=1)", "name is missing"),
    ],
)
def test_a_call_that_is_none_says_what_is_missing(name: str, raw: str, says: str) -> None:
    assert says in reason(raw, name)


def test_a_call_without_a_name_before_it_is_taken_by_its_own() -> None:
    assert read_call("", "get_time(zone='UTC')") == ToolCall(
        "get_time", {"zone": "UTC"}, "get_time(zone='UTC')"
    )


def test_an_error_tells_the_model_what_was_wrong() -> None:
    error = read_call("get_weather", "tool_call('北京')")
    assert isinstance(error, CallError)
    assert error.observation == (
        "Error: The call of get_weather could not be read and nothing was run: "
        "'\"北京\"' is given without a name; write every argument as name=value."
    )


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_python_spells_is_what_is_read(values: dict[str, Value]) -> None:
    pairs = ", ".join(f"{name}={value!r}" for name, value in values.items())
    assert arguments(f"```python\ntool_call({pairs})\n```") == values


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON_VALUES, max_size=4))
def test_what_json_spells_is_what_is_read(values: dict[str, Value]) -> None:
    raw = json.dumps({"name": "f", "arguments": values})
    assert read_json_calls(raw) == [ToolCall("f", values, raw)]


@settings(deadline=None)
@given(TEXTS, NAMES | st.just(""))
@example("tool_call(x=" + "[" * 10_000, "f")
@example("tool_call(x=" + "-" * 10_000 + "1)", "f")
@example("tool_call(x=" + "not " * 10_000 + "1)", "f")
@example("tool_call(x=" + "1-" * 10_000 + "1)", "f")
@example('{"x":' * 10_000, "f")
@example('{"x":' * 500 + "1" + "}" * 500, "f")
@example('"' * 9_999, "f")
def test_no_text_is_too_much_for_the_readers(raw: str, name: str) -> None:
    for text in (raw, f"tool_call(x={raw})", f'{{"name": "f", "arguments": {raw}}}'):
        for call in (read_call(name, text), read_code(text), *read_json_calls(text)):
            assert call.raw == text
            if isinstance(call, ToolCall):
                json.dumps(list(call.arguments.values()), allow_nan=False).encode()
            elif isinstance(call, CallError):
                assert 0 < len(call.reason) < 200


@pytest.mark.parametrize("piece", ["'", "“", "(", "[1,", "'a',", "{'a':", "\\", " ", "```\n", "{}"])
def test_a_text_at_the_limit_is_read_within_seconds(piece: str) -> None:
    raw = piece * (2 * MAX_LENGTH // len(piece))
    start = time.process_time()
    for text in (raw, "tool_call(" + raw, "tool_call(x=[" + raw, '{"a": ' + raw):
        read_call("f", text)
        read_json_calls(text)
        read_code(text)
    assert time.process_time() - start < 5


def test_a_call_that_is_too_long_is_refused() -> None:
    long = "x" * MAX_LENGTH
    reason(f"tool_call(x='{long}')")
    error = read_json_calls(f'{{"name": "f", "arguments": {{"x": "{long}"}}}}')[0]
    assert isinstance(error, CallError)
    assert f"at most {MAX_LENGTH}" in error.reason


@pytest.mark.parametrize("bracket", ["[]", "()", "{}"])
def test_brackets_are_read_to_the_depth_that_is_allowed(bracket: str) -> None:
    opening, closing = tuple(bracket)
    inner = "1:" if bracket == "{}" else ""
    deep = (opening + inner) * (MAX_DEPTH - 1) + bracket + closing * (MAX_DEPTH - 1)
    assert "x" in arguments(f"tool_call(x={deep})")
    assert "nested" in reason(f"tool_call(x={opening}{inner}{deep}{closing})")


@pytest.mark.parametrize(
    "raw",
    [
        '{"name": "f", "arguments": {"city": "北京", "n": 1}}',
        '\n```json\n{"name": "f", "arguments": {"city": "北京", "n": 1}}\n```\n好的',
        '{"name": "f", "parameters": {"city": "北京", "n": 1}}',
        '{"name": "f", "arguments": "{\\"city\\": \\"北京\\", \\"n\\": 1}"}',
        "{'name': 'f', 'arguments': {'city': '北京', 'n': 1,}}",
    ],
)
def test_a_json_call_is_read_in_the_ways_models_write_it(raw: str) -> None:
    assert read_json_calls(raw) == [ToolCall("f", {"city": "北京", "n": 1}, raw)]


def test_a_json_call_without_arguments_has_none() -> None:
    assert read_json_calls('{"name": "f"}') == [ToolCall("f", {}, '{"name": "f"}')]


def test_several_json_calls_are_read_up_to_the_first_that_is_wrong() -> None:
    raw = '{"name": "a"} {"name": "b"}\n{"name": 3} {"name": "c"}'
    first, second, error = read_json_calls(raw)
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (first.name, second.name) == ("a", "b")
    assert isinstance(error, CallError)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("", "no call was found"),
        ("{}", '"name" must be'),
        ('{"name": ""}', '"name" must be'),
        ('{"name": "f", "arguments": [1]}', '"arguments" must be an object'),
        ('{"name": "f", "arguments": {"x": 1, "x": 2}}', "given twice"),
        ('{"name": "f", "arguments": {"x": NaN}}', "NaN is not a number"),
        ('{"name": "f", "arguments": {"x": 1e999}}', "too large"),
        ('{"name": "f", "arguments": {"x": ' + "1" * 65 + "}}", "at most 64"),
        ('{"name": "f", "arguments": {"x": open("/etc/passwd")}}', "'open' is not a literal"),
        ('{"name": "f", "arguments": {', "not closed"),
        ('{"name": "f", "arguments": {"x": ' + "[" * 40 + "]" * 40 + "}}", "nested"),
    ],
)
def test_a_json_call_that_is_none_says_why(raw: str, says: str) -> None:
    error = read_json_calls(raw)[-1]
    assert isinstance(error, CallError)
    assert says in error.reason


@pytest.mark.parametrize(
    "raw",
    [
        "```python\nprint(1)\n```",
        "```python\nprint(1)",
        "```py\nprint(1)\n```\n运行一下",
        "print(1)\n```",
        "print(1)\n```\n运行一下",
        "print(1)",
        "```print(1)```",
        "```python print(1)```",
        "好的：\n```Python\nprint(1)\n```",
        "  ```python\n  print(1)\n  ```",
    ],
)
def test_code_is_read_however_it_is_fenced(raw: str) -> None:
    assert read_code(raw) == CodeCall("print(1)", raw)


def test_code_keeps_its_indentation_and_its_blank_lines() -> None:
    code = "def f():\n    '''```'''\n\n    return 1\n\nprint(f())"
    assert read_code(f"```python\n{code}\n```") == CodeCall(code, f"```python\n{code}\n```")


@pytest.mark.parametrize("raw", ["", " \n", "```python\n```", "```\n\n```"])
def test_an_empty_block_is_no_code(raw: str) -> None:
    assert read_code(raw) == CallError("there is no code", raw)
