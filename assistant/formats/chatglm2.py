"""ChatGLM2: rounds of question and answer, numbered from 1, as text behind [gMASK] sop.

Roles are words here, not tokens, and nothing in the file tells CodeGeeX2 apart, which shares
ChatGLM2's layout. What it does not cover: somebody who types a round's heading is believed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from assistant.errors import CallsNotTaught
from assistant.formats.base import ChatFormat, split_system
from assistant.formats.plain_parser import PlainParser
from assistant.messages import Message, Role
from assistant.parse import Offer, Parser
from assistant.toolspec import ToolSpec
from engine import Tokenizer

_WIDEST = 999  # a round's number where its message is only measured


class ChatGLM2(ChatFormat):
    name: ClassVar[str] = "ChatGLM2"
    tokens: ClassVar[tuple[str, ...]] = ("[gMASK]", "sop", "</s>")

    def __init__(self, tokenizer: Tokenizer, metadata: Mapping[str, object]) -> None:
        super().__init__(tokenizer, metadata)
        self._newline = tokenizer.encode("\n")
        self.stop_ids = frozenset({self._ids["</s>"]})

    def encode_prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> list[int]:
        if tools:
            raise CallsNotTaught(format=self.name)
        prefix = [self._ids[name] for name in self.tokens[:2]]
        ids, text = list(prefix), ""
        for part in _parts(messages):
            if isinstance(part, str):
                text += part
            else:
                ids += [*self._encode(text, first=ids == prefix), *part]
                text = ""
        return ids + self._encode(text, first=ids == prefix)

    def encode_message(self, message: Message) -> list[int]:
        if message.ids:
            return list(message.ids)
        answer = message.role is Role.ASSISTANT
        return self._encode(
            message.content if answer else f"\n\n{_round(_WIDEST, message.content)}", first=False
        )

    def parser(self, offer: Offer) -> Parser:
        if offer:
            raise CallsNotTaught(format=self.name)
        return PlainParser()

    def _encode(self, text: str, *, first: bool) -> list[int]:
        """Text as it is encoded within a text, without a word boundary of its own, or at first."""
        if first:
            return self._tokenizer.encode(text)
        return self._tokenizer.encode("\n" + text)[len(self._newline) :]


def _parts(messages: Sequence[Message]) -> Iterator[str | tuple[int, ...]]:
    """The prompt as text, and as ids where the model wrote them itself.

    It knows no system prompt, so that stands above the first question, as in its own API.
    """
    system_prompt, rest = split_system(messages)
    above = f"{system_prompt}\n" if system_prompt else ""
    n_rounds = 0
    for message in rest:
        if message.role is Role.ASSISTANT:
            yield message.ids or message.content
            continue
        n_rounds += 1
        yield ("\n\n" if n_rounds > 1 else "") + _round(n_rounds, above + message.content)
        above = ""
    yield above.rstrip("\n")


def _round(number: int, question: str) -> str:
    return f"[Round {number}]\n\n问：{question}\n\n答："
