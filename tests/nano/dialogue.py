"""Messages in ChatGLM3's prompt form, as ids, with a mark on every id that the model must say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sentencepiece as spm

SPECIAL_TOKENS = (
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "sop",
    "eop",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
)


@dataclass(frozen=True)
class Message:
    """`skill` names what an assistant message shows; the report counts by it."""

    role: str
    content: str
    metadata: str = ""
    skill: str = ""


Turn = list[Message]


def user(content: str) -> Message:
    return Message("user", content)


def observation(content: str) -> Message:
    return Message("observation", content)


def say(skill: str, content: str) -> Message:
    return Message("assistant", content, skill=skill)


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


@dataclass(frozen=True)
class Encoded:
    """`spans` are (skill, first id, one past the last) of each message the model must say."""

    ids: list[int]
    spans: list[tuple[str, int, int]]


class Codec:
    """The nano tokenizer: pieces, then the special tokens numbered upward from the piece count."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self.pieces = spm.SentencePieceProcessor(model_proto=model)
        first = self.pieces.get_piece_size()
        self.special = {name: first + i for i, name in enumerate(SPECIAL_TOKENS)}

    @property
    def n_tokens(self) -> int:
        return self.pieces.get_piece_size() + len(SPECIAL_TOKENS)

    def role(self, role: str) -> int:
        return self.special[f"<|{role}|>"]

    def encode(self, messages: Sequence[Message]) -> Encoded:
        """Ids of a finished dialogue; each span ends with the id that stops its message."""
        ids = [self.special["[gMASK]"], self.special["sop"]]
        spans = []
        followers: Iterable[str] = [m.role for m in messages[1:]] + ["user"]
        for message, follower in zip(messages, followers, strict=True):
            ids.append(self.role(message.role))
            start = len(ids)
            ids += self.pieces.encode(message.metadata + "\n") + self.pieces.encode(message.content)
            if message.role == "assistant":
                spans.append((message.skill, start, len(ids) + 1))
                closing = self.role(follower)
        return Encoded([*ids, closing], spans)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids up to the point where the model speaks."""
        ids = [self.special["[gMASK]"], self.special["sop"]]
        for message in messages:
            ids.append(self.role(message.role))
            ids += self.pieces.encode(message.metadata + "\n") + self.pieces.encode(message.content)
        return [*ids, self.role("assistant")]

    def decode(self, ids: Iterable[int]) -> str:
        """Text with special tokens spelled out, for people to read."""
        names = {i: name for name, i in self.special.items()}
        text = ""
        run: list[int] = []
        for i in ids:
            if i in names:
                text, run = text + self.pieces.decode(run) + names[i], []
            else:
                run.append(i)
        return text + str(self.pieces.decode(run))
