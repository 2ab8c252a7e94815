"""A writer that chooses at random among what a grammar allows, for each format.

It stands for a model at its worst: in the middle of a string every token is as likely.
"""

import random
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from chatglm_tokenizer import NANO, chatglm3_tokenizer
from constrained_calls import TOOLS
from gguf_tokenizers import TokenizerMetadata, chatglm_bpe, chatml_bpe

from assistant.calls import ToolCall
from assistant.formats import ChatFormat
from assistant.formats.chatglm3 import ChatGLM3
from assistant.formats.chatml import ChatML
from assistant.formats.glm4 import GLM4
from assistant.grammar import constraint_for
from assistant.parse import Offer, ParseEvent
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolspec import ToolSpec
from engine import Constraint, Tokenizer
from engine.tokenizer_bpe import ByteLevelBPE
from engine.vocabulary import Vocabulary

AUTO, REQUIRED = ToolChoice(), ToolChoice(ChoiceMode.REQUIRED)
BY_NAME = {each.name: each for each in TOOLS}
MERGES = (
    *("n a", "m e", "na me", '" :', '" ,', '" }', "Ġ {", '{ "', "` `", "`` `", "' ,"),
    *('", Ċ', "{ Ċ", "Ġ {Ċ", '"} Ċ', '"} }', '"}} Ċ', '": "', '": {"', "> Ċ", '> {"'),
)


def bpe(metadata: TokenizerMetadata, *stops: str) -> Tokenizer:
    vocabulary = Vocabulary(
        size=len(metadata.tokens),
        tokens=list(metadata.tokens),
        kinds=np.array(metadata.kinds, np.int32),
        bos_id=None,
        eos_id=metadata.eos_id,
        add_bos=False,
        stop_ids=frozenset(map(metadata.id, stops)),
    )
    merges = [cast(tuple[str, str], tuple(line.split(" "))) for line in metadata.merges or ()]
    return Tokenizer(vocabulary, ByteLevelBPE(vocabulary, merges, metadata.pre or ""))


CHATGLM3_TOKENIZER = chatglm3_tokenizer(NANO.read_bytes())
CHATML_TOKENIZER = bpe(chatml_bpe("qwen2", 300, MERGES))
GLM4_TOKENIZER = bpe(chatglm_bpe(300))
FORMATS: dict[str, tuple[ChatFormat, Tokenizer]] = {
    "ChatGLM3": (ChatGLM3(CHATGLM3_TOKENIZER, {}), CHATGLM3_TOKENIZER),
    "ChatML": (ChatML(CHATML_TOKENIZER, {}), CHATML_TOKENIZER),
    "GLM-4": (GLM4(GLM4_TOKENIZER, {}), GLM4_TOKENIZER),
}
EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS)


def constraint(name: str, choice: ToolChoice, tools: Sequence[ToolSpec] = TOOLS) -> Constraint:
    made = constraint_for(*FORMATS[name], tools, choice)
    assert made is not None
    return made


def control_ids(tokenizer: Tokenizer) -> set[int]:
    return {i for i in range(tokenizer.vocab_size) if not tokenizer.token_bytes(i)}


def write(
    rule: Constraint, tokenizer: Tokenizer, seed: int, begin: Sequence[int] = (), most: int = 400
) -> tuple[list[int], int | None]:
    """What the random writer makes of it: its tokens, and the one that ends them."""
    rng, output, controls = random.Random(seed), list(begin), control_ids(tokenizer)
    while len(output) < most:
        mask = rule.allowed(output, most - len(output))
        if mask is None:
            return output, None
        token = rng.choice(np.flatnonzero(mask).tolist())
        if token in controls:
            return output, token
        output.append(token)
    return output, None


def read(name: str, output: Sequence[int], stop_id: int | None) -> list[ParseEvent]:
    chat_format, tokenizer = FORMATS[name]
    parser, stream = chat_format.parser(Offer(frozenset(BY_NAME))), tokenizer.stream()
    events: list[ParseEvent] = []
    for token in output:
        events += parser.feed(token, stream.feed(token))
    return events + parser.finish(stop_id, stream.flush())


def calls(events: Sequence[ParseEvent]) -> list[ToolCall]:
    return [event for event in events if isinstance(event, ToolCall)]
