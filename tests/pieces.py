"""A tokenizer whose ids stand for pieces that the test chooses: any cut of any bytes."""

from collections.abc import Sequence

import numpy as np

from engine.tokenizer import Tokenizer
from engine.vocabulary import TokenKind, Vocabulary


class _Pieces:
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError("these tests begin with ids")

    def piece(self, token_id: int) -> bytes:
        return self._pieces[token_id]

    first_piece = piece


def pieces_tokenizer(pieces: Sequence[bytes], *, controls: Sequence[int] = ()) -> Tokenizer:
    """Id n is the nth piece; `controls` are ids without text."""
    kinds = np.full(len(pieces), TokenKind.NORMAL, np.int32)
    kinds[list(controls)] = TokenKind.CONTROL
    vocabulary = Vocabulary(
        size=len(pieces),
        tokens=[f"piece {index}" for index in range(len(pieces))],
        kinds=kinds,
        bos_id=None,
        eos_id=None,
        add_bos=False,
        stop_ids=frozenset(),
    )
    return Tokenizer(vocabulary, _Pieces(pieces))
