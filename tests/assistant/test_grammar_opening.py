"""Where a call begins in a free answer: from there on it cannot go wrong, before it is free."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from constrained_calls import TOOLS
from grammar_writer import (
    AUTO,
    BY_NAME,
    CHATGLM3_TOKENIZER,
    CHATML_TOKENIZER,
    EVERY_FORMAT,
    FORMATS,
    calls,
    constraint,
    read,
    write,
)

from assistant.calls import ToolCall, read_json_calls
from assistant.formats.chatml import ChatML
from assistant.grammar import constraint_for
from assistant.grammar_vocabulary import Mask
from assistant.toolspec import ToolSpec
from engine import Tokenizer
from engine.open import open_model_file
from engine.tokenizer import load_tokenizer


def masks(name: str, output: Sequence[int]) -> list[tuple[int, Mask]]:
    """Where an answer is held to something, and to what."""
    rule = constraint(name, AUTO)
    found = ((n, rule.allowed(output[:n], 400 - n)) for n in range(len(output) + 1))
    return [(n, mask) for n, mask in found if mask is not None]


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


def as_the_starter_writes(tokenizer: Tokenizer) -> None:
    text = '```json\n{\n  "name": "get_weather",\n  "arguments":'
    begin = tokenizer.encode(text)
    assert b'",\n' in map(tokenizer.token_bytes, begin)
    rule = constraint_for(ChatML(tokenizer, {}), tokenizer, TOOLS, AUTO)
    assert rule is not None
    held = [rule.allowed(begin[:n], 400 - n) for n in range(len(begin) + 1)]
    assert all(mask[id_] for mask, id_ in zip(held, begin, strict=False) if mask is not None)
    output, _ = write(rule, tokenizer, 7, begin)
    text = tokenizer.decode(output)
    (call,) = read_json_calls(text)
    assert isinstance(call, ToolCall)
    assert call.name == "get_weather"
    assert text.endswith("\n```")


def test_a_call_goes_on_behind_a_token_with_a_quote_a_comma_and_a_lines_end() -> None:
    as_the_starter_writes(CHATML_TOKENIZER)


@pytest.mark.starter
def test_a_call_goes_on_behind_the_very_tokens_of_the_starter(starter: Path) -> None:
    as_the_starter_writes(load_tokenizer(open_model_file(starter)))


@pytest.mark.parametrize("text", ['{"name": "get_weather', "<tool_call"])
def test_no_token_can_begin_a_call_and_break_it_at_once(text: str) -> None:
    output = CHATML_TOKENIZER.encode(text)
    mask = constraint("ChatML", AUTO).allowed(output, 400)
    assert mask is not None
    pieces = [CHATML_TOKENIZER.token_bytes(token) for token in np.flatnonzero(~mask).tolist()]
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
    same_line = [*first, *CHATML_TOKENIZER.encode('{"name": "get_weather"')]
    assert constraint("ChatML", AUTO).allowed(same_line, 400) is None
    second, _ = write(rule, CHATML_TOKENIZER, 2, [*first, *CHATML_TOKENIZER.encode("\n"), opening])
    assert len(calls(read("ChatML", second, 0))) == 2


def test_a_chatglm3_call_is_followed_by_the_token_that_asks_for_its_result() -> None:
    begin = CHATGLM3_TOKENIZER.encode("get_weather\n")
    _, stop_id = write(constraint("ChatGLM3", AUTO), CHATGLM3_TOKENIZER, 3, begin)
    assert stop_id == CHATGLM3_TOKENIZER.special("<|observation|>")
