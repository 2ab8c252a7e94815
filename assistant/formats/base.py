"""The few names that every chat format has.

Prompts are assembled from ids. A role token is an integer that the format puts there; what a
person or a tool wrote is encoded as ordinary text, so nobody can type a role. The ids of a
message depend on that message alone: a prompt only ever grows at its end, and the engine finds
the rest in its cache.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from assistant.callform import CallSyntax
from assistant.messages import Message, Role
from assistant.parse import Offer, Parser
from assistant.toolspec import ToolSpec
from engine import Tokenizer


class ChatFormat(ABC):
    """One way of writing a conversation as token ids, and of reading an answer."""

    name: ClassVar[str]
    tokens: ClassVar[tuple[str, ...]]  # the tokenizer must have them all
    code_prompt: ClassVar[str] = ""  # the system prompt where its Python is run
    stop_ids: frozenset[int]

    def __init__(self, tokenizer: Tokenizer, metadata: Mapping[str, object]) -> None:
        self._tokenizer = tokenizer
        self._ids = {name: self._special(name) for name in self.tokens}

    @abstractmethod
    def encode_prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> list[int]:
        """Ids up to where the model is to write.

        That is after a new assistant's role token, or, when the last message is the
        assistant's own, right behind that message's last id.
        """

    @abstractmethod
    def encode_message(self, message: Message) -> list[int]:
        """The ids of one message, as it stands before others."""

    @abstractmethod
    def parser(self, offer: Offer) -> Parser:
        """A parser for one answer, from its first id."""

    def call_syntax(self) -> CallSyntax | None:
        """How its models write calls; None if they were never taught to."""
        return None

    def _special(self, name: str) -> int:
        token = self._tokenizer.special(name)
        assert token is not None, name  # format_for has asked
        return token


def split_system(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    """The system prompt, empty if there is none, and the messages behind it."""
    if messages and messages[0].role is Role.SYSTEM:
        return messages[0].content, messages[1:]
    return "", messages
