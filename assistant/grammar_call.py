"""One call in the making: which tokens may come next in it."""

from collections.abc import Sequence

import numpy as np
from llguidance import LLMatcher, LLParserLimits

from assistant.grammar_scan import CallScan
from assistant.grammar_vocabulary import Mask, Vocabulary

MAX_STRING = 4000  # bytes; from there on a string ends as soon as it may

# A step that needs more than this fails, and so leaves the call to the model: some 20 ms.
LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=200_000,
    verbose_errors=False,
)


class OpenCall:
    """Follows a grammar. `reserve` is how many tokens are kept to bring the call to its end."""

    def __init__(self, vocabulary: Vocabulary, grammar: str, reserve: int) -> None:
        self._vocabulary = vocabulary
        self._matcher = LLMatcher(vocabulary.library, grammar, log_level=0, limits=LIMITS)
        self._reserve = reserve
        self._scan = CallScan()

    @property
    def error(self) -> str:
        """Why the grammar can no longer be followed, empty if it can."""
        return self._matcher.get_error()

    @property
    def complete(self) -> bool:
        return not self.error and self._matcher.is_accepting()

    def read_bytes(self, data: bytes) -> None:
        """What came as the rest of a token that began before the grammar does."""
        self.read(self._vocabulary.library.tokenize_bytes(data))

    def read(self, tokens: Sequence[int]) -> None:
        self._matcher.consume_tokens(list(tokens))
        for token in tokens:
            if token not in self._vocabulary.markers:
                self._scan.feed(self._vocabulary.pieces[token])

    def allowed(self, left: int) -> Mask | None:
        """What may come next; None if the grammar could not say."""
        bits = self._matcher.compute_bitmask()
        if self.error:
            return None
        unpacked = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")
        mask = self._new_keys(unpacked[: self._vocabulary.size].view(np.bool_))
        if left <= self._reserve or len(self._scan.string) > MAX_STRING:
            return self._ending(mask)
        return mask

    def _new_keys(self, mask: Mask) -> Mask:
        """Without what would write a key twice: no grammar can know that."""
        scan, words = self._scan, self._vocabulary
        if not scan.earlier_keys:
            return mask
        if not scan.quote:
            return _if_any(mask & ~words.whole_strings(), mask)
        new = mask & ~words.quoting_later(scan.quote)
        if bytes(scan.string) in scan.earlier_keys:
            new &= ~words.going_on(scan.quote)
        return _if_any(new, mask)

    def _ending(self, mask: Mask) -> Mask:
        """What brings the call nearer to its end, as far as the grammar lets it."""
        scan, words = self._scan, self._vocabulary
        if scan.escaped:
            return mask
        going_on = _if_any(mask & words.going_on(scan.quote), mask)
        return _if_any(mask & words.closing(scan.quote), going_on)


def _if_any(mask: Mask, otherwise: Mask) -> Mask:
    return mask if mask.any() else otherwise
