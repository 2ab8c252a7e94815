"""ChatGLM3: [gMASK] sop, then for each message its role token, a line of metadata, the text.

Nothing ends a message but the next role token. The model writes its own metadata line.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from assistant.formats.base import AnswerReader, ChatFormat
from assistant.messages import Message, Role
from engine import Tokenizer


class ChatGLM3(ChatFormat):
    name: ClassVar[str] = "ChatGLM3"
    tokens: ClassVar[tuple[str, ...]] = (
        "[gMASK]",
        "sop",
        *(f"<|{role.value}|>" for role in Role),
    )

    def __init__(self, tokenizer: Tokenizer, metadata: Mapping[str, object]) -> None:
        super().__init__(tokenizer, metadata)
        self._roles = {role: self._ids[f"<|{role.value}|>"] for role in Role}
        self.stop_ids = frozenset({self._roles[Role.USER], self._roles[Role.OBSERVATION]})

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        ids = [self._ids["[gMASK]"], self._ids["sop"]]
        for message in messages:
            ids += self._encode(message)
        if messages and messages[-1].role is Role.ASSISTANT:
            return ids
        return [*ids, self._roles[Role.ASSISTANT]]

    def reader(self) -> AnswerReader:
        return HeaderReader()

    def _encode(self, message: Message) -> list[int]:
        # Two encodings, each with its own word-boundary piece, as in training.
        written = list(message.ids) or [
            *self._tokenizer.encode(message.metadata + "\n"),
            *self._tokenizer.encode(message.content),
        ]
        return [self._roles[message.role], *written]


class HeaderReader(AnswerReader):
    """Takes the metadata line, and the blank before the text, off the front of an answer."""

    def __init__(self) -> None:
        self._header = ""
        self._in_header = True
        self._at_start = True

    def feed(self, text: str) -> str:
        if self._in_header:
            self._header += text
            head, newline, text = self._header.partition("\n")
            if not newline:
                return ""
            self._in_header = False
            self.metadata = head.strip()
        if self._at_start:
            text = text.lstrip()
            self._at_start = not text
        return text

    def flush(self) -> str:
        """An answer that ended within its first line is shown rather than lost."""
        return self._header.lstrip() if self._in_header else ""
