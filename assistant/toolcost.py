"""What it costs to offer a tool: tokens of every prompt."""

from collections.abc import Mapping, Sequence

from assistant.errors import CallsNotTaught
from assistant.formats import ChatFormat
from assistant.messages import Message, Role
from assistant.toolspec import ToolSpec

_ANY = (Message(Role.USER, "?"),)


def tool_costs(chat_format: ChatFormat, tools: Sequence[ToolSpec]) -> Mapping[str, int]:
    """By each tool's name: how much shorter the prompt is without it."""
    try:
        whole = len(chat_format.encode_prompt(_ANY, tools))
    except CallsNotTaught:
        return {}
    costs = {}
    for tool in tools:
        others = [other for other in tools if other is not tool]
        costs[tool.name] = whole - len(chat_format.encode_prompt(_ANY, others))
    return costs
