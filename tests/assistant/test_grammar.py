"""Calls under a grammar: a writer that chooses at random among what is allowed cannot go wrong."""

import gc
import logging
import weakref
from typing import cast

import numpy as np
import pytest
from constrained_calls import TOOLS, problems, tool
from gguf_tokenizers import chatml_bpe
from grammar_writer import (
    BY_NAME,
    CHATGLM3_TOKENIZER,
    CHATML_TOKENIZER,
    EVERY_FORMAT,
    FORMATS,
    REQUIRED,
    bpe,
    calls,
    constraint,
    control_ids,
    read,
    write,
)

from assistant.formats.chatglm2 import ChatGLM2
from assistant.formats.chatml import ChatML
from assistant.grammar import CallConstraint, constraint_for
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolspec import ToolSpec
from engine import Finished, FinishReason, GenerationStats

STATS = GenerationStats(0, 0, 0, 0.0, 0.0, 0.0)
WEATHER = BY_NAME["get_weather"]


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
