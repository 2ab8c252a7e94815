"""What a model writes, as events: the same however it comes, and nothing of it lost."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assistant.calls import CallError, CodeCall, ToolCall
from assistant.events import TextDelta
from assistant.formats.chatglm3_parser import ChatGLM3Parser
from assistant.formats.chatml_parser import ChatMLParser
from assistant.messages import Role
from assistant.parse import AnswerEnd, CallDelta, Metadata, Offer, ParseEvent, Parser

ROLES = {64794: Role.SYSTEM, 64795: Role.USER, 64796: Role.ASSISTANT, 64797: Role.OBSERVATION}
USER, ASSISTANT, OBSERVATION, EOS, CUT = 64795, 64796, 64797, 2, None
IM_END, TOOL_CALL, END_TOOL_CALL = 151645, 151657, 151658

NOTHING = Offer()
TOOLS = Offer(frozenset({"get_weather", "get_time"}))
ONE_TOOL = Offer(frozenset({"查询天气"}))
CODE = Offer(code=True)
BOTH = Offer(frozenset({"get_weather"}), code=True)

Piece = tuple[int, str]


def pieces(*parts: str | int, size: int = 1) -> list[Piece]:
    """Texts in parts of `size` characters, ids as control tokens."""
    made: list[Piece] = []
    for part in parts:
        if isinstance(part, int):
            made.append((part, ""))
        else:
            made += [(7, part[i : i + size]) for i in range(0, len(part), size)]
    return made


def events(parser: Parser, fed: Sequence[Piece], stop: int | None) -> list[ParseEvent]:
    """What comes out, with neighbouring deltas joined."""
    joined: list[ParseEvent] = []
    for event in [e for p in fed for e in parser.feed(*p)] + parser.finish(stop):
        match joined[-1:], event:
            case [TextDelta(before)], TextDelta(text):
                joined[-1] = TextDelta(before + text)
            case [CallDelta(before)], CallDelta(text):
                joined[-1] = CallDelta(before + text)
            case _:
                joined.append(event)
    return joined


def chatglm3(*parts: str | int, stop: int | None, offer: Offer = NOTHING) -> list[ParseEvent]:
    return events(ChatGLM3Parser(ROLES, offer), pieces(*parts), stop)


def chatml(*parts: str | int, stop: int | None = IM_END, offer: Offer) -> list[ParseEvent]:
    markers = {TOOL_CALL: "<tool_call>", END_TOOL_CALL: "</tool_call>"}
    return events(ChatMLParser(markers, offer), pieces(*parts), stop)


def called(call: ToolCall | CodeCall) -> list[ParseEvent]:
    return [CallDelta(call.raw), call]


def weather(raw: str) -> ToolCall:
    return ToolCall("get_weather", {"city_name": "北京"}, raw)


# ChatGLM3


@pytest.mark.parametrize("offer", [NOTHING, TOOLS, CODE, BOTH])
@pytest.mark.parametrize("stop", [USER, EOS, CUT])
def test_chatglm3_text_comes_without_its_header_and_its_blank(
    offer: Offer, stop: int | None
) -> None:
    assert chatglm3("\n 你好。\n再见 ", stop=stop, offer=offer) == [
        Metadata(""),
        TextDelta("你好。\n再见 "),
        AnswerEnd(False),
    ]


def test_chatglm3_text_is_shown_as_it_comes() -> None:
    parser = ChatGLM3Parser(ROLES, TOOLS)
    assert parser.feed(13, "\n") == [Metadata("")]
    assert parser.feed(36474, "你") == [TextDelta("你")]
    assert parser.feed(54591, "好") == [TextDelta("好")]


@pytest.mark.parametrize(
    "written", ["你好！\n我是助手。", "Hello, I am here.\nYes.", "get_weather it"]
)
@pytest.mark.parametrize("offer", [NOTHING, TOOLS])
def test_chatglm3_an_answer_without_a_header_is_all_text(written: str, offer: Offer) -> None:
    assert chatglm3(written, stop=USER, offer=offer) == [
        Metadata(""),
        TextDelta(written),
        AnswerEnd(False),
    ]


def test_chatglm3_an_answer_that_ends_within_its_first_line_is_shown() -> None:
    assert chatglm3(" Hello", stop=USER, offer=TOOLS)[1:] == [TextDelta("Hello"), AnswerEnd(False)]


RAW = "```python\ntool_call(city_name='北京')\n```"


@pytest.mark.parametrize("stop", [OBSERVATION, USER, EOS])
@pytest.mark.parametrize("header", ["get_weather\n", " get_weather \n ", "get_weather"])
def test_chatglm3_a_tool_call_has_the_name_of_its_header(header: str, stop: int) -> None:
    assert chatglm3(header, RAW, stop=stop, offer=TOOLS) == [
        Metadata("get_weather"),
        *called(weather(RAW)),
        AnswerEnd(True),
    ]


@pytest.mark.parametrize(
    ("written", "raw"),
    [
        ("get_weather tool_call(city_name='北京')", "tool_call(city_name='北京')"),
        ("get_weather(city_name='北京')", "get_weather(city_name='北京')"),
        ("get_weather（city_name＝“北京”）", "get_weather（city_name＝“北京”）"),
        ('get_weather{"city_name": "北京"}', '{"city_name": "北京"}'),
        ('get_weather\n{"city_name": "北京"}', '{"city_name": "北京"}'),
    ],
)
def test_chatglm3_a_name_may_share_its_line_with_the_call(written: str, raw: str) -> None:
    assert chatglm3(written, stop=OBSERVATION, offer=TOOLS) == [
        Metadata("get_weather"),
        *called(weather(raw)),
        AnswerEnd(True),
    ]


def test_chatglm3_text_may_come_before_a_call() -> None:
    code = "```python\nprint(1)\n```"
    written = ("\n 我来算一下：", ASSISTANT, " interpreter\n ", code)
    assert chatglm3(*written, stop=OBSERVATION, offer=BOTH) == [
        Metadata(""),
        TextDelta("我来算一下："),
        Metadata("interpreter"),
        *called(CodeCall("print(1)", code)),
        AnswerEnd(True),
    ]


def test_chatglm3_two_calls_may_come_in_one_answer() -> None:
    time_raw = "tool_call(zone='UTC')"
    answer = ("get_weather\n", RAW, ASSISTANT, "get_time\n", time_raw)
    assert chatglm3(*answer, stop=OBSERVATION, offer=TOOLS) == [
        Metadata("get_weather"),
        *called(weather(RAW)),
        Metadata("get_time"),
        *called(ToolCall("get_time", {"zone": "UTC"}, time_raw)),
        AnswerEnd(True),
    ]


def test_chatglm3_code_without_a_fence_is_code_if_the_model_waits() -> None:
    answer = "interpreter\nprint(1)"
    assert chatglm3(answer, stop=OBSERVATION, offer=CODE)[-2] == CodeCall("print(1)", "print(1)")
    assert chatglm3(answer, stop=USER, offer=CODE)[-2] == TextDelta("interpreter\nprint(1)")


@pytest.mark.parametrize(
    ("header", "raw"), [("get_weather", RAW), ("interpreter", "```python\nrm()\n```")]
)
def test_chatglm3_a_call_that_was_cut_off_is_text_and_an_error(header: str, raw: str) -> None:
    *_, text, error, end = chatglm3(header, "\n", raw, stop=CUT, offer=BOTH)
    assert text == TextDelta(raw)
    assert error == CallError("it was cut off before its end", raw, header)
    assert end == AnswerEnd(True)


def test_chatglm3_a_call_that_cannot_be_read_is_text_and_an_error() -> None:
    raw = "tool_call('北京')"
    metadata, delta, text, error, end = chatglm3(
        "get_weather\n", raw, stop=OBSERVATION, offer=TOOLS
    )
    assert [metadata, delta, text] == [Metadata("get_weather"), CallDelta(raw), TextDelta(raw)]
    assert isinstance(error, CallError)
    assert (error.raw, error.name) == (raw, "get_weather")
    assert end == AnswerEnd(True)


def test_chatglm3_a_name_alone_is_an_error_if_the_model_waits() -> None:
    metadata, error, end = chatglm3("get_weather", stop=OBSERVATION, offer=TOOLS)
    assert (metadata, end) == (Metadata("get_weather"), AnswerEnd(True))
    assert isinstance(error, CallError)
    assert error.name == "get_weather"


def test_chatglm3_a_first_line_that_only_looks_like_a_name_is_given_back() -> None:
    assert chatglm3("Hello\nHow are you?", stop=USER, offer=TOOLS)[-2:] == [
        TextDelta("Hello\nHow are you?"),
        AnswerEnd(False),
    ]


@pytest.mark.parametrize("name", ["other", "get_weather_now", "get"])
def test_chatglm3_a_call_of_an_unknown_tool_is_a_call(name: str) -> None:
    assert chatglm3(f"{name}\ntool_call()", stop=OBSERVATION, offer=TOOLS)[-2] == ToolCall(
        name, {}, "tool_call()"
    )


@pytest.mark.parametrize(
    ("body", "offer", "call"),
    [
        ("好的\ntool_call(城市='北京')", ONE_TOOL, ToolCall("查询天气", {"城市": "北京"}, "")),
        ("get_time(zone='UTC')", TOOLS, ToolCall("get_time", {"zone": "UTC"}, "")),
        ("看：\n```python\nprint(1)\n```", CODE, CodeCall("print(1)", "")),
        ("看：\n```python\n0\n```\n或\n```py\nprint(1)\n```", BOTH, CodeCall("print(1)", "")),
    ],
)
def test_chatglm3_a_call_without_a_header_is_found_if_the_model_waits(
    body: str, offer: Offer, call: ToolCall | CodeCall
) -> None:
    metadata, text, found, end = chatglm3("\n", body, stop=OBSERVATION, offer=offer)
    assert [metadata, text, end] == [Metadata(""), TextDelta(body), AnswerEnd(True)]
    assert isinstance(found, ToolCall | CodeCall)
    assert body.endswith(found.raw)
    match found, call:
        case ToolCall(name, arguments), ToolCall():
            assert (name, arguments) == (call.name, call.arguments)
        case CodeCall(code), CodeCall():
            assert code == call.code
        case _:
            pytest.fail(f"{found} is not {call}")
    assert chatglm3("\n", body, stop=USER, offer=offer)[-1] == AnswerEnd(False)


@pytest.mark.parametrize("offer", [TOOLS, CODE, BOTH])
def test_chatglm3_a_model_that_waits_without_a_call_is_told(offer: Offer) -> None:
    *_, error, end = chatglm3("\n请稍等。", stop=OBSERVATION, offer=offer)
    assert isinstance(error, CallError)
    assert end == AnswerEnd(True)


def test_chatglm3_a_tool_may_have_a_chinese_name() -> None:
    answer = "查询天气\ntool_call(城市='北京')"
    assert chatglm3(answer, stop=OBSERVATION, offer=ONE_TOOL)[-2] == ToolCall(
        "查询天气", {"城市": "北京"}, "tool_call(城市='北京')"
    )
    assert chatglm3("查询一下", stop=USER, offer=ONE_TOOL)[1] == TextDelta("查询一下")


@pytest.mark.parametrize("header", ["get_weather\n", "interpreter\n"])
def test_chatglm3_nothing_is_a_call_where_nothing_is_offered(header: str) -> None:
    assert chatglm3(header, RAW, stop=OBSERVATION) == [
        Metadata(header.strip()),
        TextDelta(RAW),
        AnswerEnd(False),
    ]


def test_chatglm3_no_name_shares_its_line_where_nothing_is_offered() -> None:
    answer = "interpreter ```python\n1\n```"
    for fed in (pieces(answer), [(7, answer)]):
        assert events(ChatGLM3Parser(ROLES, NOTHING), fed, OBSERVATION) == [
            Metadata(""),
            TextDelta(answer),
            AnswerEnd(False),
        ]


# ChatML


def call_of(city: str = "北京") -> str:
    call = {"name": "get_weather", "arguments": {"city_name": city}}
    return f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"


def test_chatml_calls_stand_between_their_markers() -> None:
    first, second = call_of("北京"), call_of("上海")
    assert chatml("查一下：\n", first, "\n", second, "\n完成", offer=TOOLS) == [
        TextDelta("查一下：\n"),
        *called(weather(first)),
        *called(ToolCall("get_weather", {"city_name": "上海"}, second)),
        TextDelta("完成"),
        AnswerEnd(True),
    ]


def test_chatml_markers_may_be_control_tokens() -> None:
    inner = '{"name": "get_weather", "arguments": {"city_name": "北京"}}'
    assert chatml(TOOL_CALL, inner, END_TOOL_CALL, offer=TOOLS) == [
        *called(weather(f"<tool_call>{inner}</tool_call>")),
        AnswerEnd(True),
    ]


def test_chatml_a_call_may_lack_its_closing_marker_and_its_lines() -> None:
    raw = call_of().replace("\n", "").removesuffix("</tool_call>")
    assert chatml(raw, offer=TOOLS) == [*called(weather(raw)), AnswerEnd(True)]


def test_chatml_a_second_call_may_open_before_the_first_is_closed() -> None:
    raw = call_of().removesuffix("</tool_call>") * 2
    assert chatml(raw, offer=TOOLS)[1:] == [weather(raw), weather(raw), AnswerEnd(True)]


@pytest.mark.parametrize(
    "raw", ["<tool_call>北京</tool_call>", '<tool_call>{"name": 1}</tool_call>']
)
def test_chatml_a_call_that_cannot_be_read_is_text_and_an_error(raw: str) -> None:
    delta, text, error, end = chatml(raw, offer=TOOLS)
    assert [delta, text] == [CallDelta(raw), TextDelta(raw)]
    assert isinstance(error, CallError)
    assert end == AnswerEnd(True)


@pytest.mark.parametrize(
    "raw",
    [call_of().removesuffix("</tool_call>"), "```python\nprint(1)", "```python\nprint(1)\n``"],
)
def test_chatml_a_call_that_was_cut_off_is_text_and_an_error(raw: str) -> None:
    assert chatml(raw, stop=CUT, offer=BOTH) == [
        CallDelta(raw),
        TextDelta(raw),
        CallError("it was cut off before its end", raw),
        AnswerEnd(True),
    ]


CALL = '{"name": "get_weather", "arguments": {"city_name": "北京"}}'


@pytest.mark.parametrize(
    "raw",
    [CALL, f"  {CALL}", f"```json\n{CALL}\n```", f"```\n{CALL}\n```", CALL.replace(" ", "\n")],
)
@pytest.mark.parametrize("stop", [IM_END, CUT])
def test_chatml_a_call_may_lack_its_markers(raw: str, stop: int | None) -> None:
    for offer in (TOOLS, BOTH):
        assert chatml("查：\n", raw, "\n好", stop=stop, offer=offer) == [
            TextDelta("查：\n"),
            *called(weather(raw)),
            TextDelta("好"),
            AnswerEnd(True),
        ]


def test_chatml_several_calls_may_lack_their_markers() -> None:
    assert chatml(CALL, "\n", CALL, offer=TOOLS) == [
        *called(weather(CALL)),
        *called(weather(CALL)),
        AnswerEnd(True),
    ]


@pytest.mark.parametrize(
    "written",
    [
        '{"name": "other", "arguments": {}}',
        '{"city": "北京"}',
        f"like {CALL}",
        '```json\n{"name": "Ann"}\n```\n{"na',
        '{"name":' + " " * 200 + '"get_weather"}',
    ],
)
def test_chatml_an_object_that_names_no_offered_tool_is_text(written: str) -> None:
    assert chatml(written, offer=BOTH) == [TextDelta(written), AnswerEnd(False)]


def test_chatml_an_object_that_cannot_be_read_is_text_and_an_error() -> None:
    raw = '{"name": "get_weather", "arguments": {"city": f("x")}}'
    delta, text, error, end = chatml(raw, offer=TOOLS)
    assert [delta, text, end] == [CallDelta(raw), TextDelta(raw), AnswerEnd(True)]
    assert isinstance(error, CallError)


@pytest.mark.parametrize("language", ["python", "Python", "py", "python3"])
@pytest.mark.parametrize("stop", [IM_END, CUT])
def test_chatml_fenced_python_is_code_where_code_is_offered(
    language: str, stop: int | None
) -> None:
    raw = f"```{language}\nprint('``` inside')\n```"
    assert chatml("算一下\n", raw, stop=stop, offer=CODE) == [
        TextDelta("算一下\n"),
        *called(CodeCall("print('``` inside')", raw)),
        AnswerEnd(True),
    ]


def test_chatml_code_is_ready_as_soon_as_its_fence_is_closed() -> None:
    parser = ChatMLParser({}, CODE)
    for piece in pieces("```python\nprint(1)\n```"):
        assert not any(isinstance(event, CodeCall) for event in parser.feed(*piece))
    assert parser.feed(198, "\n") == [CodeCall("print(1)", "```python\nprint(1)\n```")]


def test_chatml_code_may_stand_in_a_list() -> None:
    raw = "  ```python\n  if x:\n      y()\n  ```"
    assert chatml("- a\n", raw, "\n- b", offer=CODE) == [
        TextDelta("- a\n"),
        *called(CodeCall("if x:\n    y()", raw)),
        TextDelta("- b"),
        AnswerEnd(True),
    ]


@pytest.mark.parametrize(
    ("written", "offer"),
    [
        ("```python\nprint(1)\n```", TOOLS),
        ("```python\nprint(1)\n```", NOTHING),
        (call_of(), CODE),
        (call_of(), NOTHING),
        ("```\nx\n```\n```json\n{}\n```\n```python", BOTH),
        (CALL, CODE),
        ("see ```python\nx```", CODE),
        ("a <tool_ca <tool_call", TOOLS),
        ("  \n   `` \n```pyt", CODE),
    ],
)
@pytest.mark.parametrize("stop", [IM_END, CUT])
def test_chatml_all_else_is_text(written: str, offer: Offer, stop: int | None) -> None:
    assert chatml(written, stop=stop, offer=offer) == [TextDelta(written), AnswerEnd(False)]


def test_chatml_only_what_may_become_a_marker_is_held_back() -> None:
    parser = ChatMLParser({}, BOTH)
    assert parser.feed(1, "a < b <tool") == [TextDelta("a < b ")]
    assert parser.feed(2, "s") == [TextDelta("<tools")]
    assert parser.feed(3, "\n``") == [TextDelta("\n")]
    assert parser.feed(4, "`ru") == [TextDelta("```ru")]


# Both

WRITTEN = st.lists(
    st.sampled_from(
        [
            *("get_weather", "interpreter", "查询天气", "Hello", "你好", "\n", "\n\n", " ", "  "),
            *("```", "```python", "```py\n", "`", "\n```\n", "~~~"),
            *("tool_call(", "tool_call", "city='北京'", ")", "（", "）", "x=1", "=f(", "'"),
            *("<tool_call>", "</tool_call>", "<tool_", "call>", '{"name": "get_weather"}', "{}"),
            *('{"name": ', '"get_weather"', ', "arguments": {}}', "```json\n", '{"na', "}"),
            *(USER, ASSISTANT, OBSERVATION, 64794, 64790, TOOL_CALL, END_TOOL_CALL, IM_END),
        ]
    )
    | st.text(max_size=5),
    max_size=20,
)
OFFERS = st.sampled_from([NOTHING, TOOLS, ONE_TOOL, CODE, BOTH])
STOPS = st.sampled_from([USER, OBSERVATION, EOS, IM_END, CUT])
SIZES = st.integers(1, 60)


def make(name: str, offer: Offer) -> Parser:
    markers = {TOOL_CALL: "<tool_call>", END_TOOL_CALL: "</tool_call>"}
    return ChatGLM3Parser(ROLES, offer) if name == "glm" else ChatMLParser(markers, offer)


@pytest.mark.parametrize("name", ["glm", "ml"])
@settings(deadline=None)
@given(WRITTEN, OFFERS, STOPS, SIZES)
@example(["get_weather\n", "tool_call()"], TOOLS, OBSERVATION, 60)
@example(['<tool_call>{"name": "get_weather"}</tool_call>', "<tool_"], BOTH, IM_END, 60)
@example(["```python\n1\n```", "\n  ```py"], BOTH, CUT, 60)
@example(["Hello", "```py\n1"], CODE, IM_END, 60)
@example(["like ", '{"name": "get_weather"}'], TOOLS, IM_END, 60)
def test_the_events_are_the_same_however_the_text_is_cut(
    name: str, written: list[str | int], offer: Offer, stop: int | None, size: int
) -> None:
    singly = events(make(name, offer), pieces(*written), stop)
    assert events(make(name, offer), pieces(*written, size=size), stop) == singly
    text = "".join(part for part in written if isinstance(part, str))
    if all(isinstance(part, str) for part in written):
        assert events(make(name, offer), [(7, text)], stop) == singly


@pytest.mark.parametrize("name", ["glm", "ml"])
@settings(deadline=None)
@given(WRITTEN, OFFERS, STOPS)
@example(["get_weather", "\n"], TOOLS, USER)
def test_no_text_is_lost_and_none_is_made_up(
    name: str, written: list[str | int], offer: Offer, stop: int | None
) -> None:
    out = events(make(name, offer), pieces(*written), stop)
    spelled = {TOOL_CALL: "<tool_call>", END_TOOL_CALL: "</tool_call>"} if name == "ml" else {}
    given_text = "".join(spelled.get(p, "") if isinstance(p, int) else p for p in written)
    assert squeezed("".join(seen_in(out))) == squeezed(given_text)
    assert [event for event in out if isinstance(event, AnswerEnd)] == [out[-1]]


def seen_in(out: Sequence[ParseEvent]) -> list[str]:
    """All text of an answer, once: what came as a call's deltas may come again as text."""
    seen: list[str] = []
    raw = name = ""
    for event in out:
        match event:
            case Metadata(text):
                seen.append(text)
                name = text
            case CallDelta(text):
                seen.append(text)
                raw = text
            case TextDelta(text) if text in (raw, f"{name}\n{raw}"):
                raw = ""
            case TextDelta(text):
                seen.append(text)
            case ToolCall() | CodeCall() if raw:
                assert event.raw == raw
    return seen


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("name", ["glm", "ml"])
@settings(deadline=None)
@given(WRITTEN, STOPS)
def test_where_nothing_is_offered_nothing_is_called(
    name: str, written: list[str | int], stop: int | None
) -> None:
    out = events(make(name, NOTHING), pieces(*written), stop)
    assert all(isinstance(event, TextDelta | Metadata | AnswerEnd) for event in out)
    assert out[-1] == AnswerEnd(False)
