"""What it costs to offer a tool: tokens of every prompt."""

from collections.abc import Mapping, Sequence

from assistant.errors import CallsNotTaught
from assistant.formats import ChatFormat
from assistant.messages import Message, Role
from assistant.toolspec import ToolSpec

_ANY = (Message(Role.USER, "?"),)


def tool_costs(chat_format: ChatFormat, tools: Sequence[ToolSpec]) -> Mapping[str, int]:
    """By each tool's name: how much shorter the prompt is without it.

    What a tool adds does not depend on how many others there are, so each is looked at beside one
    other: with all of them, forty tools would take a page a second to count.
    """

    def length(*some: ToolSpec) -> int:
        return len(chat_format.encode_prompt(_ANY, some))

    try:
        alone = [length(tool) for tool in tools[:2]]
    except CallsNotTaught:
        return {}
    if len(tools) < 2:
        return {tool.name: alone[0] - length() for tool in tools}
    first, second = tools[:2]
    together = length(first, second)
    costs = {first.name: together - alone[1], second.name: together - alone[0]}
    return costs | {tool.name: length(first, tool) - alone[0] for tool in tools[2:]}
