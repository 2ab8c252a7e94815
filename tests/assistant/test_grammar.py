"""Calls under a grammar: a writer that chooses at random among what is allowed cannot go wrong.

The writer stands for a model at its worst: in the middle of a string every token is as likely.
"""

import gc
import logging
import random
import weakref
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from chatglm_tokenizer import NANO, chatglm3_tokenizer
from constrained_calls import TOOLS, problems, tool
from gguf_tokenizers import TokenizerMetadata, chatglm_bpe, chatml_bpe

from assistant.calls import ToolCall
from assistant.formats import ChatFormat
from assistant.formats.chatglm2 import ChatGLM2
from assistant.formats.chatglm3 import ChatGLM3
from assistant.formats.chatml import ChatML
from assistant.formats.glm4 import GLM4
from assistant.grammar import CallConstraint, constraint_for
from assistant.grammar_vocabulary import Mask
from assistant.parse import Offer, ParseEvent
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolspec import ToolSpec
from engine import Constraint, Finished, FinishReason, GenerationStats, Tokenizer
from engine.tokenizer_bpe import ByteLevelBPE
from engine.vocabulary import Vocabulary

AUTO, REQUIRED = ToolChoice(), ToolChoice(ChoiceMode.REQUIRED)
BY_NAME = {each.name: each for each in TOOLS}
STATS = GenerationStats(0, 0, 0, 0.0, 0.0, 0.0)
WEATHER = BY_NAME["get_weather"]
MERGES = (
    *("n a", "m e", "na me", '" :', '" ,', '" }', "Ġ {", '{ "', "` `", "`` `", "' ,"),
    *('", Ċ', "{ Ċ", "Ġ {Ċ", '"} Ċ', '"} }', '"}} Ċ', '": "', '": {"', "> Ċ", '> {"'),
)


def bpe(metadata: TokenizerMetadata, *stops: str) -> Tokenizer:
    vocabulary = Vocabulary(
        size=len(metadata.tokens),
        tokens=list(metadata.tokens),
        kinds=np.array(metadata.kinds, np.int32),
        bos_id=None,
        eos_id=metadata.eos_id,
        add_bos=False,
        stop_ids=frozenset(map(metadata.id, stops)),
    )
    merges = [cast(tuple[str, str], tuple(line.split(" "))) for line in metadata.merges or ()]
    return Tokenizer(vocabulary, ByteLevelBPE(vocabulary, merges, metadata.pre or ""))


CHATGLM3_TOKENIZER = chatglm3_tokenizer(NANO.read_bytes())
CHATML_TOKENIZER = bpe(chatml_bpe("qwen2", 300, MERGES))
GLM4_TOKENIZER = bpe(chatglm_bpe(300))
FORMATS: dict[str, tuple[ChatFormat, Tokenizer]] = {
    "ChatGLM3": (ChatGLM3(CHATGLM3_TOKENIZER, {}), CHATGLM3_TOKENIZER),
    "ChatML": (ChatML(CHATML_TOKENIZER, {}), CHATML_TOKENIZER),
    "GLM-4": (GLM4(GLM4_TOKENIZER, {}), GLM4_TOKENIZER),
}
EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS)


def constraint(name: str, choice: ToolChoice, tools: Sequence[ToolSpec] = TOOLS) -> Constraint:
    made = constraint_for(*FORMATS[name], tools, choice)
    assert made is not None
    return made


def control_ids(tokenizer: Tokenizer) -> set[int]:
    return {i for i in range(tokenizer.vocab_size) if not tokenizer.token_bytes(i)}


def write(
    rule: Constraint, tokenizer: Tokenizer, seed: int, begin: Sequence[int] = (), most: int = 400
) -> tuple[list[int], int | None]:
    """What the random writer makes of it: its tokens, and the one that ends them."""
    rng, output, controls = random.Random(seed), list(begin), control_ids(tokenizer)
    while len(output) < most:
        mask = rule.allowed(output, most - len(output))
        if mask is None:
            return output, None
        token = rng.choice(np.flatnonzero(mask).tolist())
        if token in controls:
            return output, token
        output.append(token)
    return output, None


def read(name: str, output: Sequence[int], stop_id: int | None) -> list[ParseEvent]:
    chat_format, tokenizer = FORMATS[name]
    parser, stream = chat_format.parser(Offer(frozenset(BY_NAME))), tokenizer.stream()
    events: list[ParseEvent] = []
    for token in output:
        events += parser.feed(token, stream.feed(token))
    return events + parser.finish(stop_id, stream.flush())


def calls(events: Sequence[ParseEvent]) -> list[ToolCall]:
    return [event for event in events if isinstance(event, ToolCall)]


def masks(name: str, output: Sequence[int]) -> list[tuple[int, Mask]]:
    """Where an answer is held to something, and to what."""
    rule = constraint(name, AUTO)
    found = ((n, rule.allowed(output[:n], 400 - n)) for n in range(len(output) + 1))
    return [(n, mask) for n, mask in found if mask is not None]


@EVERY_FORMAT
@pytest.mark.parametrize("spec", TOOLS, ids=lambda spec: spec.name)
def test_whatever_is_drawn_is_a_valid_call_that_ends_in_time(name: str, spec: ToolSpec) -> None:
    choice = ToolChoice(ChoiceMode.NAMED, spec.name)
    for seed in range(4):
        output, stop_id = write(constraint(name, choice), FORMATS[name][1], seed)
        events = read(name, output, stop_id)
        reason = FinishReason.LENGTH if stop_id is None else FinishReason.STOP
        finished = Finished(reason, STATS)
        text = FORMATS[name][1].decode(output)
        assert list(problems(events, finished, {spec.name: spec})) == [], text


@EVERY_FORMAT
def test_a_required_call_is_of_an_offered_tool_and_ends_the_answer(name: str) -> None:
    chat_format, tokenizer = FORMATS[name]
    syntax = chat_format.call_syntax()
    assert syntax is not None
    drawn = set()
    for seed in range(12):
        output, stop_id = write(constraint(name, REQUIRED), tokenizer, seed)
        assert stop_id in syntax.end_ids
        (call,) = calls(read(name, output, stop_id))
        drawn.add(call.name)
    assert len(drawn) > 2


@EVERY_FORMAT
def test_no_control_token_can_come_within_a_call(name: str) -> None:
    tokenizer = FORMATS[name][1]
    rule = constraint(name, ToolChoice(ChoiceMode.NAMED, "get_weather"))
    output, _ = write(rule, tokenizer, 1)
    again = constraint(name, ToolChoice(ChoiceMode.NAMED, "get_weather"))
    controls = sorted(control_ids(tokenizer))
    for n in range(len(output)):
        mask = again.allowed(output[:n], 400 - n)
        assert mask is not None
        assert not mask[controls].any()


FREE = [
    "\nget_weather\n is a tool",
    "今天北京的天气怎么样？",
    'Use get_weather: {"name": "Alice", "arguments": 1}',
    '```json\n{"name": "Bob"}\n```\n',
    'It is {"name": "get_weather", though not at a line\'s start',
    "My plans\nof tomorrow\n",
    "\n get_weather\t is no first line\nHello\n",
    "\ntool_call(x=1)\n<tool_cal\n",
]


@EVERY_FORMAT
@pytest.mark.parametrize("text", FREE)
def test_an_ordinary_answer_is_never_touched(name: str, text: str) -> None:
    assert masks(name, FORMATS[name][1].encode(text)) == []


NEARLY = [
    '{"name": "plan B"}',
    '{"name": "get_weatherman"}\n',
    '```json\n{\n "name": "now or never"}\n```',
    "a <tool_call for you",
]


@pytest.mark.parametrize("text", NEARLY)
def test_an_answer_that_is_nearly_a_call_can_go_on_as_it_does(text: str) -> None:
    output = CHATML_TOKENIZER.encode(text)
    held = masks("ChatML", output)
    assert held
    assert all(mask[output[n]] for n, mask in held if n < len(output))


def test_a_call_goes_on_behind_the_tokens_that_models_begin_it_with() -> None:
    """As Qwen2.5-Coder writes it, its name's quote in one token with a comma and a line's end."""
    text = '```json\n{\n  "name": "get_weather",\n  "arguments":'
    begin = CHATML_TOKENIZER.encode(text)
    assert b'",\n' in map(CHATML_TOKENIZER.token_bytes, begin)
    assert all(mask[begin[n]] for n, mask in masks("ChatML", begin) if n < len(begin))
    output, stop_id = write(constraint("ChatML", AUTO), CHATML_TOKENIZER, 7, begin)
    (call,) = calls(read("ChatML", output, 0 if stop_id is None else stop_id))
    assert call.name == "get_weather"
    assert CHATML_TOKENIZER.decode(output).endswith("\n```")


@pytest.mark.parametrize("text", ['{"name": "get_weather', "<tool_call"])
def test_no_token_can_begin_a_call_and_break_it_at_once(text: str) -> None:
    output = CHATML_TOKENIZER.encode(text)
    mask = constraint("ChatML", AUTO).allowed(output, 400)
    assert mask is not None
    pieces = [CHATML_TOKENIZER.token_bytes(token) for token in np.flatnonzero(~mask)]
    broken = {b'"}', b'":', b'"}\n', b'"}}', b'"}}\n', b'":"', b'":{"'}
    assert set(pieces) == (broken if '"' in text else {b'>{"'})


@pytest.mark.parametrize("name", ["ChatGLM3", "GLM-4"])
@pytest.mark.parametrize("code", [True, False])
def test_a_header_that_begins_as_a_name_becomes_one(name: str, code: bool) -> None:
    tokenizer = FORMATS[name][1]
    bad = ToolSpec("get_time", "", {"type": "array"})
    begun: dict[str, set[str]] = {}
    for begin in ("get_", "inter"):
        for seed in range(12):
            rule = constraint_for(*FORMATS[name], [*TOOLS, bad], AUTO, code=code)
            assert rule is not None
            output, _ = write(rule, tokenizer, seed, tokenizer.encode(begin), most=40)
            begun.setdefault(begin, set()).add(tokenizer.decode(output).partition("\n")[0])
    assert begun["get_"] == {"get_weather", "get_time"}
    assert begun["inter"] == {"interpreter" if code else "inter"}


OPENINGS = [
    ("ChatML", "Let me see.\n<tool_call>"),
    ("ChatML", '{"name": "get_weather"'),
    ("ChatML", '\n{ "name" :\n "get_weather"'),
    ("ChatML", 'So:\n```json\n{"name": "get_weather"'),
    ("ChatML", '```\n{"name": "get_weather", "arg'),
    ("ChatGLM3", "get_weather\n"),
    ("GLM-4", "get_weather\n"),
]


@pytest.mark.parametrize(("name", "text"), OPENINGS)
def test_a_call_that_has_begun_for_certain_can_only_become_a_valid_one(
    name: str, text: str
) -> None:
    tokenizer = FORMATS[name][1]
    begin = tokenizer.encode(text)
    output, stop_id = write(constraint(name, AUTO), tokenizer, 7, begin)
    assert len(output) > len(begin)
    (call,) = calls(read(name, output, stop_id if stop_id is not None else 0))
    assert call.name in BY_NAME
    assert "<tool_call>" in text or call.name == "get_weather"


def test_a_chatml_answer_is_free_again_behind_a_call_and_held_in_the_next() -> None:
    rule = constraint("ChatML", AUTO)
    opening = CHATML_TOKENIZER.special("<tool_call>")
    assert opening is not None
    first, _ = write(rule, CHATML_TOKENIZER, 1, [opening])
    assert rule.allowed(first, 400) is None
    second, _ = write(rule, CHATML_TOKENIZER, 2, [*first, *CHATML_TOKENIZER.encode("\n"), opening])
    assert len(calls(read("ChatML", second, 0))) == 2


def test_a_chatglm3_call_is_followed_by_the_token_that_asks_for_its_result() -> None:
    begin = CHATGLM3_TOKENIZER.encode("get_weather\n")
    _, stop_id = write(constraint("ChatGLM3", AUTO), CHATGLM3_TOKENIZER, 3, begin)
    assert stop_id == CHATGLM3_TOKENIZER.special("<|observation|>")


def test_where_no_call_may_be_made_its_opening_is_the_only_token_out() -> None:
    rule = constraint("ChatML", ToolChoice(ChoiceMode.NONE), ())
    mask = rule.allowed([], 10)
    assert mask is not None
    markers = [CHATML_TOKENIZER.special(name) for name in ("<tool_call>", "</tool_call>")]
    assert np.flatnonzero(~mask).tolist() == sorted(filter(None, markers))


def test_there_is_no_rule_where_there_is_nothing_to_hold_to() -> None:
    none = ToolChoice(ChoiceMode.NONE)
    assert constraint_for(*FORMATS["ChatGLM3"], TOOLS, none) is None
    assert constraint_for(*FORMATS["ChatGLM3"], (), REQUIRED) is None
    assert ChatGLM2.call_syntax(cast(ChatGLM2, FORMATS["ChatGLM3"][0])) is None


def test_text_cannot_close_the_call_it_stands_in() -> None:
    rule = constraint("ChatML", ToolChoice(ChoiceMode.NAMED, "get_weather"))
    opening = CHATML_TOKENIZER.special("<tool_call>")
    assert opening is not None
    begin = '\n{"name": "get_weather", "arguments": {"city_name": "a </tool_call'
    output = [opening, *CHATML_TOKENIZER.encode(begin)]
    mask = rule.allowed(output, 400)
    assert mask is not None
    assert mask[CHATML_TOKENIZER.encode("<")].all()
    assert not mask[CHATML_TOKENIZER.encode(">")].any()


@pytest.mark.parametrize("name", ["ChatML", "GLM-4"])
def test_a_key_is_not_written_twice(name: str) -> None:
    """Which no grammar could know, and the parser refuses."""
    spec = tool("tag", {"labels": {"type": "object", "additionalProperties": {"type": "null"}}})
    rule = constraint(name, ToolChoice(ChoiceMode.NAMED, "tag"), [spec])
    tokenizer = FORMATS[name][1]
    before = '<tool_call>\n{"name": "tag", "arguments": ' if name == "ChatML" else "tag\n"
    output = tokenizer.encode(before + '{"labels": {"a": null, "b": null, "a')
    (quote,), (other,) = tokenizer.encode('"'), tokenizer.encode("x")
    mask = rule.allowed(output, 400)
    assert mask is not None
    assert mask[other]
    assert not mask[quote]
    mask = rule.allowed([*output, other], 399)
    assert mask is not None
    assert mask[quote]


@EVERY_FORMAT
def test_a_parameter_that_no_rule_stands_for_takes_any_value(name: str) -> None:
    spec = tool("odd", {"value": {"not": {"type": "string"}}, "n": {"type": "integer"}})
    rule = constraint(name, ToolChoice(ChoiceMode.NAMED, "odd"), [spec])
    output, stop_id = write(rule, FORMATS[name][1], 5)
    text = FORMATS[name][1].decode(output)
    assert stop_id is not None
    assert "odd" in text
    assert "value" in text


BAD_SCHEMAS: list[dict[str, object]] = [
    {"type": "array"},
    {"type": "object", "properties": {"a b": {"type": "string"}, "c": {}}, "required": ["d"]},
    {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)b"}}},
    {"$ref": "#/$defs/Missing"},
]


@EVERY_FORMAT
@pytest.mark.parametrize("schema", BAD_SCHEMAS)
def test_a_tool_whose_schema_cannot_be_followed_stays_unconstrained_and_is_logged(
    name: str, schema: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    bad = ToolSpec("bad", "", schema)
    assert constraint_for(*FORMATS[name], [bad], REQUIRED) is None
    assert "calls of bad are not constrained" in caplog.text
    output, stop_id = write(constraint(name, REQUIRED, [bad, WEATHER]), FORMATS[name][1], 1)
    assert [call.name for call in calls(read(name, output, stop_id))] == ["get_weather"]


def test_a_fault_of_the_grammar_leaves_the_answer_unconstrained(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.grammar.vocabulary_of", lambda *_: 1 / 0)
    assert constraint_for(*FORMATS["ChatML"], TOOLS, REQUIRED) is None
    assert "ZeroDivisionError" in caplog.text


def test_a_step_that_the_grammar_cannot_follow_frees_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rule = constraint("ChatML", REQUIRED)
    assert isinstance(rule, CallConstraint)
    with caplog.at_level(logging.WARNING):
        assert rule.allowed(CHATML_TOKENIZER.encode("x"), 400) is None
    assert "a call goes on unconstrained" in caplog.text


def test_vocabularies_do_not_keep_an_unloaded_models_tokenizer() -> None:
    tokenizer = bpe(chatml_bpe("qwen2", 300))
    assert constraint_for(ChatML(tokenizer, {}), tokenizer, TOOLS, REQUIRED) is not None
    seen = weakref.ref(tokenizer)
    del tokenizer
    gc.collect()
    assert seen() is None


def test_trained_tokens_are_what_a_forced_text_is_made_of() -> None:
    """SentencePiece's blank at the start of a text is not taken for a part of it."""
    rule = constraint("ChatGLM3", ToolChoice(ChoiceMode.NAMED, "get_weather"))
    trained = [
        *CHATGLM3_TOKENIZER.encode("get_weather\n"),
        *CHATGLM3_TOKENIZER.encode("```python\ntool_call(city_name='北京')\n```"),
    ]
    for n, token in enumerate(trained):
        mask = rule.allowed(trained[:n], 400 - n)
        assert mask is not None
        assert mask[token], (n, CHATGLM3_TOKENIZER.token_bytes(token))
