"""Every dialogue the nano model learns from: chat, tools and code in one stream."""

from __future__ import annotations

from .chat import chat_dialogue
from .coding import code_dialogue
from .dialogue import Message
from .tooling import tool_dialogue
from .values import Values

KINDS = (chat_dialogue, tool_dialogue, code_dialogue)
SHARES = (0.3, 0.5, 0.2)


def dialogue(values: Values) -> list[Message]:
    return values.rng.choices(KINDS, SHARES)[0](values)
