"""ChatGLM3's tokenizer over any SentencePiece model: the real one where it lies beside us."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from chatglm_folder import sentencepiece_model

from engine.tokenizer import Tokenizer
from engine.tokenizer_chatglm import (
    CONTROLS_3,
    SentencePiece,
    open_sentencepiece,
    sentencepiece_kinds,
)
from engine.vocabulary import TokenKind, Vocabulary

SHARED = Path(__file__).parents[2] / "shared" / "data"
NANO = Path(__file__).parent / "nano" / "chatglm3-nano" / "tokenizer.model"


def tokenizer_models() -> dict[str, bytes]:
    """A small model always, and ChatGLM3's own if it is there (it is not ours to copy)."""
    models = {"nano": NANO.read_bytes() if NANO.exists() else sentencepiece_model()}
    if (SHARED / "tokenizer.model").exists():
        models["real"] = (SHARED / "tokenizer.model").read_bytes()
    return models


def chatglm3_tokenizer(model: bytes) -> Tokenizer:
    return chatglm_tokenizer(model, CONTROLS_3)


def chatglm_tokenizer(model: bytes, controls: Sequence[str]) -> Tokenizer:
    """With the control tokens of its generation behind the pieces."""
    processor = open_sentencepiece(model)
    assert processor is not None
    pieces = [processor.id_to_piece(at) for at in range(processor.get_piece_size())]
    kinds = sentencepiece_kinds(processor) + [TokenKind.CONTROL] * len(controls)
    vocabulary = Vocabulary(
        size=len(kinds),
        tokens=[*pieces, *controls],
        kinds=np.array(kinds, np.int32),
        bos_id=None,
        eos_id=2,
        add_bos=False,
        stop_ids=frozenset({2}),
    )
    return Tokenizer(vocabulary, SentencePiece(processor))
