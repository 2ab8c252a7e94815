"""Guessing what comes next by looking up where the same tokens stood before.

An answer that quotes its prompt, or edits code, repeats long runs of it. The tokens that followed
the last ones at their latest earlier occurrence are guessed, computed in one step with the newest,
and kept as far as the sampler chooses the same ("prompt lookup decoding", A. Saxena, 2023). A
token costs a step no more than the weights' reading does, so right guesses are nearly free; wrong
ones are not, so a guesser that fails falls silent for a while.
"""

from collections.abc import Iterable

_MATCH = 3  # tokens that must have stood together before
_CAREFUL = 3  # tokens guessed until a whole guess was right
_LONGEST_REST = 64  # tokens without a guess after many failures


class Guesser:
    """Guesses for one sequence; `extend` is told every token of it."""

    def __init__(self, tokens: Iterable[int]) -> None:
        self._tokens: list[int] = []
        self._following: dict[tuple[int, ...], int] = {}  # where the token after these stands
        self._failures = 0
        self._rest = 0
        self._confident = False
        self.extend(tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            if len(self._tokens) >= _MATCH:
                self._following[tuple(self._tokens[-_MATCH:])] = len(self._tokens)
            self._tokens.append(token)

    def guess(self, most: int) -> list[int]:
        """At most so many next tokens; none if there is nothing to go by."""
        if self._rest > 0:
            self._rest -= 1
            return []
        at = self._following.get(tuple(self._tokens[-_MATCH:]))
        if at is None:
            return []
        count = most if self._confident else min(most, _CAREFUL)
        return self._tokens[at : at + max(0, count)]

    def judge(self, guessed: int, right: int) -> None:
        """Learn how much of the last guess was right."""
        self._confident = right == guessed
        self._failures = 0 if right else self._failures + 1
        self._rest = 0 if right else min(2**self._failures, _LONGEST_REST)
