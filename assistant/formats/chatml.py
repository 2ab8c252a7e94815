"""ChatML: <|im_start|>role, newline, text, <|im_end|>, newline. Qwen, SmolLM and many others."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from assistant.formats.base import AnswerReader, ChatFormat
from assistant.messages import Message, Role
from engine import Tokenizer

# A template that speaks for a silent user has the sentence as a literal after the system role.
DEFAULT_SYSTEM = re.compile(r"<\|im_start\|>system(?:\\n|\n)([^{}<>'\"]+)<\|im_end\|>")


class ChatML(ChatFormat):
    name: ClassVar[str] = "ChatML"
    tokens: ClassVar[tuple[str, ...]] = ("<|im_start|>", "<|im_end|>")

    def __init__(self, tokenizer: Tokenizer, metadata: Mapping[str, object]) -> None:
        super().__init__(tokenizer, metadata)
        self._start, self._end = (self._ids[name] for name in self.tokens)
        self._newline = tokenizer.encode("\n")
        self._default = default_system(metadata)
        self.stop_ids = frozenset({self._end})

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        if self._default and not (messages and messages[0].role is Role.SYSTEM):
            messages = (Message(Role.SYSTEM, self._default), *messages)
        ids: list[int] = []
        for message in messages:
            ids += [*self._encode(message), self._end, *self._newline]
        if messages and messages[-1].role is Role.ASSISTANT:
            return ids[: -1 - len(self._newline)]
        return ids + self._open(Role.ASSISTANT)

    def reader(self) -> AnswerReader:
        return PlainReader()

    def _encode(self, message: Message) -> list[int]:
        if message.ids:
            return [*self._open(message.role), *message.ids]
        text = f"{message.role.value}\n{message.content}"
        return [self._start, *self._tokenizer.encode(text)]

    def _open(self, role: Role) -> list[int]:
        return [self._start, *self._tokenizer.encode(f"{role.value}\n")]


class PlainReader(AnswerReader):
    """ChatML puts nothing around an answer."""

    def feed(self, text: str) -> str:
        return text

    def flush(self) -> str:
        return ""


def default_system(metadata: Mapping[str, object]) -> str:
    """What the file's own template says as the system when nobody else does, or nothing."""
    found = DEFAULT_SYSTEM.search(str(metadata.get("tokenizer.chat_template", "")))
    return found[1].replace("\\n", "\n") if found else ""
