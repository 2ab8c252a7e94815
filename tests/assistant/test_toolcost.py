"""What offering a tool costs: what the prompt would be shorter without it, counted quickly."""

from collections.abc import Sequence

import pytest
from fake_engine import CHATGLM2, CHATGLM3, CHATML, FakeTokenizer, as_tokenizer

from assistant.formats import ChatFormat
from assistant.formats.chatglm2 import ChatGLM2
from assistant.formats.chatglm3 import ChatGLM3
from assistant.formats.chatml import ChatML
from assistant.messages import Message, Role
from assistant.toolcost import tool_costs
from assistant.toolspec import ToolSpec

TOKENIZER = as_tokenizer(FakeTokenizer([*CHATML, *CHATGLM3, *CHATGLM2]))
FORMATS = [ChatML(TOKENIZER, {}), ChatGLM3(TOKENIZER, {})]
TOOLS = [
    ToolSpec(f"tool_{number}", "Does it. " * number, {"type": "object", "properties": {}})
    for number in range(1, 41)
]


def length(chat_format: ChatFormat, tools: Sequence[ToolSpec]) -> int:
    return len(chat_format.encode_prompt([Message(Role.USER, "?")], tools))


@pytest.mark.parametrize("chat_format", FORMATS, ids=lambda each: each.name)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_tool_costs_what_the_prompt_is_shorter_without_it(
    chat_format: ChatFormat, count: int
) -> None:
    tools = TOOLS[:count]
    whole = length(chat_format, tools)
    assert tool_costs(chat_format, tools) == {
        tool.name: whole - length(chat_format, [each for each in tools if each is not tool])
        for tool in tools
    }


def test_forty_tools_are_not_written_out_forty_times(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[ToolSpec] = []
    chat_format = FORMATS[0]
    encode = chat_format.encode_prompt

    def counted(messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        written.extend(tools)
        return encode(messages, tools)

    monkeypatch.setattr(chat_format, "encode_prompt", counted)
    tool_costs(chat_format, TOOLS)
    assert len(written) <= 3 * len(TOOLS)


def test_a_format_without_calls_has_no_costs() -> None:
    assert tool_costs(ChatGLM2(TOKENIZER, {}), TOOLS) == {}
