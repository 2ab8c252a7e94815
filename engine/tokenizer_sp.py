"""SentencePiece's BPE (`llama` in GGUF): join the neighbours whose piece scores best.

What it does not cover: SentencePiece's normalizers (Llama's and ChatGLM's files use none) and
pieces marked unused, which are never produced.
"""

import heapq

from engine.modelfile import ModelFile
from engine.vocabulary import TokenKind, UserDefined, Vocabulary, read_scores, read_vocabulary

_SPACE = "▁"  # U+2581: how pieces spell a space
_UNKNOWN_SHOWN = " ⁇ ".encode()


class SentencePieceBPE:
    """Text to the ids of scored pieces, and back to bytes."""

    def __init__(
        self, vocabulary: Vocabulary, scores: list[float], *, add_space_prefix: bool
    ) -> None:
        self._prefix = _SPACE if add_space_prefix else ""
        self._tokens, self._kinds = vocabulary.tokens, vocabulary.kinds
        self._user_defined = UserDefined(vocabulary)
        self._ids = vocabulary.of_kind(TokenKind.NORMAL)
        self._scores = {piece: scores[token_id] for piece, token_id in self._ids.items()}
        spelled = vocabulary.of_kind(TokenKind.BYTE)
        names = [(byte, f"<0x{byte:02X}>") for byte in range(256)]
        self._byte_ids = {byte: spelled[name] for byte, name in names if name in spelled}
        self._bytes = {token_id: bytes([byte]) for byte, token_id in self._byte_ids.items()}
        self._unknown = list(vocabulary.of_kind(TokenKind.UNKNOWN).values())[:1]

    def encode(self, text: str) -> list[int]:
        if not text:
            return []
        ids: list[int] = []
        for part in self._user_defined.split(self._prefix + text.replace(" ", _SPACE)):
            ids += [part] if isinstance(part, int) else self._encode_part(part)
        return ids

    def piece(self, token_id: int) -> bytes:
        if self._kinds[token_id] == TokenKind.UNKNOWN:
            return _UNKNOWN_SHOWN
        if token_id in self._bytes:
            return self._bytes[token_id]
        return self._tokens[token_id].replace(_SPACE, " ").encode()

    def first_piece(self, token_id: int) -> bytes:
        token = self._tokens[token_id]
        if self._prefix and token.startswith(_SPACE):
            return token[1:].replace(_SPACE, " ").encode()
        return self.piece(token_id)

    def _encode_part(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in self._join(list(text)):
            if piece in self._ids:
                ids.append(self._ids[piece])
            elif self._byte_ids:
                ids += [self._byte_ids[byte] for byte in piece.encode()]
            else:
                ids += self._unknown
        return ids

    def _join(self, pieces: list[str]) -> list[str]:
        """Join neighbours, best score first and leftmost on ties, until none makes a piece.

        A joined piece stays at its left place and leaves "" at its right one; `before` and
        `after` skip those. Offers that a later join made stale are dropped when they come up.
        """
        end = len(pieces)
        before, after = list(range(-1, end)), list(range(1, end + 1))
        offers: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 and right < end:
                joined = pieces[left] + pieces[right]
                if joined in self._scores:
                    heapq.heappush(offers, (-self._scores[joined], left, right, joined))

        for left in range(end - 1):
            offer(left, left + 1)
        while offers:
            _, left, right, joined = heapq.heappop(offers)
            if not pieces[right] or pieces[left] + pieces[right] != joined:
                continue
            pieces[left], pieces[right] = joined, ""
            after[left] = after[right]
            before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        return [piece for piece in pieces if piece]


def load_sentencepiece(file: ModelFile) -> tuple[Vocabulary, SentencePieceBPE]:
    """The tokenizer of a file whose `tokenizer.ggml.model` is `llama`."""
    vocabulary = read_vocabulary(file, add_bos=True)
    scores = read_scores(file, len(vocabulary.tokens))
    prefix = file.metadata.get("tokenizer.ggml.add_space_prefix", True) is True
    return vocabulary, SentencePieceBPE(vocabulary, scores, add_space_prefix=prefix)
