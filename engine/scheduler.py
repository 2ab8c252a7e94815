"""Who takes part in the next step, and with how many tokens. Pure decisions, no threads.

Every running request that has read its prompt gets its one token in each step, and guesses of the
next as far as one tile of the kernels has room for them. What room is left
goes to the oldest request that is still reading, in pieces small enough that the others' next
token is not late.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from engine.cache import pages_for
from engine.kernels.dot import TILE
from engine.request import Request

PATIENCE = 0.22  # seconds by which reading may delay the tokens of running answers
_LEAST_PIECE = 8


@dataclass(frozen=True)
class Share:
    """A request's part of a step: so many of its pending tokens, and guesses of what follows."""

    request: Request
    tokens: Sequence[int]
    guesses: Sequence[int] = ()

    @property
    def wants_logits(self) -> int:
        """How many of the last tokens choose new ones."""
        if len(self.tokens) < len(self.request.pending):
            return 0
        return 1 + len(self.guesses)

    @property
    def many(self) -> bool:
        """Whether it is part of a prompt that is long enough to be read by tiles."""
        return self.request.reading and self.request.is_long


class Scheduler:
    """Requests in line and running; `pages` is the cache's capacity."""

    def __init__(self, max_sequences: int, prefill_chunk: int, pages: int, context: int) -> None:
        self._max_sequences = max_sequences
        self._prefill_chunk = prefill_chunk
        self._pages = pages
        self._context = context
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []

    def admit(self) -> list[Request]:
        """Move requests from the line to the running, as long as their pages are sure to be had."""
        admitted = []
        reserved = sum(self._reservation(request) for request in self.running)
        while self.waiting and len(self.running) < self._max_sequences:
            reserved += self._reservation(self.waiting[0])
            if self.running and reserved > self._pages:
                break
            request = self.waiting.popleft()
            self.running.append(request)
            admitted.append(request)
        return admitted

    def plan(self, reading_rate: float) -> list[Share]:
        """The next step's shares; `reading_rate` is the measured speed of reading, tokens/s."""
        answering = [request for request in self.running if not request.reading]
        most = max(0, TILE - len(answering)) // max(1, len(answering))
        sure = len(answering) > 1
        shares = [
            Share(request, request.pending, request.guess(most, self._context, sure=sure))
            for request in answering
        ]
        room = self._prefill_chunk
        if answering:
            room = min(room, max(_LEAST_PIECE, int(reading_rate * PATIENCE)))
        for request in self.running:
            if request.reading and room > 0:
                tokens = request.pending[:room]
                shares.append(Share(request, tokens))
                room -= len(tokens)
        return sorted(shares, key=lambda share: share.many)  # as the model wants them

    def remove(self, request: Request) -> None:
        if request in self.running:
            self.running.remove(request)
        else:
            self.waiting.remove(request)

    def _reservation(self, request: Request) -> int:
        return pages_for(request.most_tokens(self._context))
