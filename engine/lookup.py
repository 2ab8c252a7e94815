"""Guessing what comes next by looking up where the same tokens stood before.

An answer that quotes its prompt, or edits code, repeats long runs of it. The tokens that followed
the last ones at their latest earlier occurrence are guessed, computed in one step with the newest,
and kept as far as the sampler chooses the same ("prompt lookup decoding", A. Saxena, 2023). A
token costs a step no more than the weights' reading does, so right guesses are nearly free; wrong
ones are not, so a guesser that fails falls silent for a while. Looking on costs nothing: beside
other answers, where a step has little room left, only what has just come true is guessed further.
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
        self._foreseen = False  # whether the newest token is what would have been guessed
        self.extend(tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            newest = tuple(self._tokens[-_MATCH:])
            at = self._following.get(newest)
            self._foreseen = at is not None and self._tokens[at] == token
            if len(newest) == _MATCH:
                self._following[newest] = len(self._tokens)
            self._tokens.append(token)

    def guess(self, most: int, *, sure: bool = False) -> list[int]:
        """At most so many next tokens; none if there is nothing to go by.

        `sure`: nor if the newest token would not have been guessed.
        """
        if self._rest > 0:
            self._rest -= 1
            return []
        if sure and not self._foreseen:
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
