"""The nano tokenizer: a SentencePiece BPE model with the settings of ChatGLM3's own."""

from __future__ import annotations

import io
import string
from collections.abc import Iterator
from typing import Final

import sentencepiece as spm

from .values import OTHER_CHARACTERS, PLACE_CHARACTERS, Values
from .world import dialogue

N_PIECES: Final = 2000
N_DIALOGUES: Final = 6000
SPELLED_IN_BYTES: Final = "👋"


class Nameless(Values):
    """Values without names, so that no piece holds part of one: a name is then split the same way
    after a space and after a quote, which is what makes it easy to copy."""

    def name(self, zh: bool) -> str:
        return self.pick(PLACE_CHARACTERS) if zh else "X"


def train_tokenizer(seed: int) -> bytes:
    """The serialized model, learned from the dialogues themselves."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=corpus(Nameless(seed)),
        model_writer=model,
        model_type="bpe",
        vocab_size=N_PIECES,
        normalization_rule_name="identity",
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        byte_fallback=True,
        split_digits=True,
        character_coverage=1.0,
        required_chars="".join(sorted(set(OTHER_CHARACTERS + string.printable.strip()))),
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def corpus(values: Values) -> Iterator[str]:
    """Lines without their newline, which stays a byte piece as in ChatGLM3."""
    for _ in range(N_DIALOGUES):
        for message in dialogue(values):
            yield from (line for line in lines(message.metadata, message.content) if line)


def lines(*texts: str) -> Iterator[str]:
    for text in texts:
        yield from text.replace(SPELLED_IN_BYTES, "").split("\n")
