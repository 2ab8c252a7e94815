"""A model's tokens as the grammar library sees them, and what each may do within a call."""

import re
import threading
import weakref
from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

import numpy as np
from llguidance import LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from assistant.callform import CallSyntax
from engine import Tokenizer

Mask = NDArray[np.bool_]

_MARK = re.compile(rb"[\])},'\"]")
_CLOSERS = rb"[\])}]*"
_WHOLE_STRING = re.compile(rb"([\"'])[^\"',:]+\1")


class Vocabulary:
    """The tokens of one model, with those that end its answers."""

    def __init__(self, tokenizer: Tokenizer, syntax: CallSyntax) -> None:
        self.size = tokenizer.vocab_size
        self.pieces = [tokenizer.token_bytes(token) for token in range(self.size)]
        self.ends = only(self.size, syntax.end_ids)
        self.markers = {token: name for name, token in syntax.markers.items()}
        special = [i for i, piece in enumerate(self.pieces) if not piece or i in self.markers]
        source = _Source(tokenizer, self.pieces, special, min(syntax.end_ids))
        self.library = LLTokenizer(TokenizerWrapper(source), n_vocab=self.size)
        self._marks = [i for i, piece in enumerate(self.pieces) if _MARK.search(piece)]
        self._matching: dict[bytes, Mask] = {}
        self._spelled: dict[bytes, list[int]] = {}
        for token, piece in enumerate(self.pieces):
            self._spelled.setdefault(piece, []).append(token)
        self._badly: dict[tuple[str, str], dict[bytes, list[int]]] = {}
        for form in syntax.forms:
            self._badly_joined(form.last, form.joined)

    def spelling(self, texts: Iterable[bytes]) -> Mask:
        """Tokens that one of the texts begins with."""
        begins = {text[:n] for text in texts for n in range(1, len(text) + 1)}
        return only(self.size, (i for begin in begins for i in self._spelled.get(begin, ())))

    def well_joined(self, rests: Iterable[bytes], last: str, joined: str) -> Mask | None:
        """All tokens but those that have one of `rests`, `last`, and then what is not `joined`."""
        bad = self._badly_joined(last, joined)
        tokens = [token for rest in rests for token in bad.get(rest, ())]
        return ~only(self.size, tokens) if tokens else None

    def _badly_joined(self, last: str, joined: str) -> dict[bytes, list[int]]:
        """Tokens that have `last` before what is not `joined`, by what stands before it."""
        if (last, joined) not in self._badly:
            found = self._badly[last, joined] = {}
            mark, may_follow = last.encode(), re.compile(joined.encode())
            for token, piece in enumerate(self.pieces):
                before, _, behind = piece.partition(mark)
                if behind and not may_follow.fullmatch(behind):
                    found.setdefault(before, []).append(token)
        return self._badly[last, joined]

    def closing(self, quote: bytes) -> Mask:
        """Tokens that end a string of this quote, or brackets without one, and open nothing."""
        return self._all_matching(quote + _CLOSERS if quote else rb"[\])}]+")

    def going_on(self, quote: bytes) -> Mask:
        """Tokens that end a string or a number, though more has to follow."""
        return self._all_matching((quote or b",") + b"(?s:.*)")

    def quoting_later(self, quote: bytes) -> Mask:
        """Tokens that have this quote behind other text."""
        return self._all_matching(b"(?s:.+)" + quote + b"(?s:.*)")

    def whole_strings(self) -> Mask:
        """Tokens that begin and end a string of some text."""
        return self._all_matching(b"(?s:.*)" + _WHOLE_STRING.pattern + b"(?s:.*)")

    def _all_matching(self, pattern: bytes) -> Mask:
        if pattern not in self._matching:
            expression = re.compile(pattern)
            found = (i for i in self._marks if expression.fullmatch(self.pieces[i]))
            self._matching[pattern] = only(self.size, found)
        return self._matching[pattern]


class _Source:
    """What llguidance asks of a tokenizer."""

    def __init__(
        self, tokenizer: Tokenizer, pieces: Sequence[bytes], special: Sequence[int], end: int
    ) -> None:
        self.eos_token_id = end
        self.bos_token_id = None
        self.special_token_ids = special
        self.tokens = list(pieces)
        for token in special:
            self.tokens[token] = b"<|%d|>" % token
        self._tokenizer = weakref.ref(tokenizer)  # the cache of vocabularies must not keep it
        self._pieces = pieces
        self._bytes = {piece[0]: i for i, piece in enumerate(pieces) if len(piece) == 1}

    def __call__(self, text: bytes | str) -> list[int]:
        """The ids of a text within another: SentencePiece begins every text with a blank."""
        data = text if isinstance(text, bytes) else text.encode()
        tokenizer = self._tokenizer()
        if tokenizer is not None:
            ids = tokenizer.encode(data.decode(errors="replace"))
            if self._spell(ids) == data:
                return ids
            ids = tokenizer.encode("\n" + data.decode(errors="replace"))
            end = next((n for n in range(len(ids)) if self._spell(ids[:n]).endswith(b"\n")), 0)
            if self._spell(ids[end:]) == data:
                return ids[end:]
        return [self._bytes[byte] for byte in data if byte in self._bytes]

    def _spell(self, ids: Sequence[int]) -> bytes:
        return b"".join(self._pieces[token] for token in ids)


def only(size: int, tokens: Iterable[int]) -> Mask:
    """The mask of a vocabulary that lets just these through."""
    mask = np.zeros(size, np.bool_)
    mask[list(tokens)] = True
    return mask


_known: WeakKeyDictionary[Tokenizer, Vocabulary] = WeakKeyDictionary()
_lock = threading.Lock()


def vocabulary_of(tokenizer: Tokenizer, syntax: CallSyntax) -> Vocabulary:
    """Made once for a tokenizer: it takes about a second."""
    with _lock:
        if tokenizer not in _known:
            _known[tokenizer] = Vocabulary(tokenizer, syntax)
        return _known[tokenizer]
