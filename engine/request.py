"""One request to the engine, seen from both sides: the caller's handle and the engine's record."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.cache import Prefix
from engine.config import SamplingParams
from engine.constraint import Constraint, constrain
from engine.errors import EngineError
from engine.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationStats,
    PromptProgress,
    Token,
)
from engine.lookup import Guesser
from engine.sampling import Logits, Sampler
from engine.textstream import TextStream


class Generation:
    """The caller's handle: iterate it for events, from one thread; `cancel` from any.

    Closing the iterator early, or dropping it, does not cancel; say so with `cancel`.
    """

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[GenerationEvent] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._notice: Callable[[], None] = _nobody
        self._ended = False

    def __iter__(self) -> Iterator[GenerationEvent]:
        """Events as they come, `Finished` last."""
        while not self._ended:
            event = self._events.get()
            self._ended = isinstance(event, Finished)
            yield event

    def cancel(self) -> None:
        """End the generation before its next token; harmless when it has ended."""
        self._cancelled.set()
        self._notice()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def emit(self, event: GenerationEvent) -> None:
        """The engine's side of the handle."""
        self._events.put(event)

    def on_cancel(self, notice: Callable[[], None]) -> None:
        """The engine asks to be woken by `cancel`."""
        self._notice = notice


_LONG = 32  # tokens; fewer are read faster by vectors, which need not widen the weights


def _nobody() -> None:
    """Whom an ended generation wakes."""


@dataclass(eq=False)
class Request:
    """The engine's record of a generation. Only the engine's thread touches it once submitted."""

    prompt: Sequence[int]
    params: SamplingParams
    stop_ids: frozenset[int]
    sampler: Sampler
    text: TextStream
    constraint: Constraint | None = None
    guesser: Guesser | None = None
    handle: Generation = field(default_factory=Generation)
    prefix: Prefix = field(default_factory=Prefix)
    output: list[int] = field(default_factory=list)
    cached: int = 0
    submitted: float = field(default_factory=time.monotonic)
    first_token: float | None = None  # when it was chosen
    last_token: float = 0.0
    prefill_seconds: float = 0.0

    @property
    def pending(self) -> Sequence[int]:
        """Ids whose keys and values are still to be computed; the last gives the next token."""
        done = len(self.prefix.tokens)
        if done < len(self.prompt):
            return self.prompt[done:]
        return self.output[done - len(self.prompt) :]

    @property
    def is_long(self) -> bool:
        """Whether to read the prompt as a long one. By its length alone: what is known of it
        already must not change how the rest is computed, nor so the answer.
        """
        return len(self.prompt) >= _LONG

    @property
    def reading(self) -> bool:
        """Whether more than the newest token is still to be read."""
        return len(self.prefix.tokens) < len(self.prompt)

    def most_tokens(self, context: int) -> int:
        """Positions it may come to need in the cache."""
        return min(context, len(self.prompt) + self.params.max_new_tokens)

    def report_progress(self, tokens_per_second: float) -> None:
        done, total = len(self.prefix.tokens), len(self.prompt)
        left = (total - done) / tokens_per_second if tokens_per_second > 0 else None
        self.handle.emit(PromptProgress(done, total, left))

    def guess(self, most: int, context: int, *, sure: bool) -> Sequence[int]:
        """Tokens that may follow the newest, fewer than the answer may still have.

        `sure`: see Guesser.guess.
        """
        if self.guesser is None or self.reading:
            return ()
        left = self._length_limit(context) - len(self.output) - 1
        return self.guesser.guess(min(most, left), sure=sure)

    def judge(self, guessed: int, right: int) -> None:
        if self.guesser is not None and guessed > 0:
            self.guesser.judge(guessed, right)

    def choose(self, logits: Logits, context: int) -> int:
        """The next token. What may not come goes first, so that no filter can leave only that."""
        if self.constraint is not None:
            left = self._length_limit(context) - len(self.output)
            logits = constrain(logits, self.constraint, self.output, left)
        return self.sampler(logits, self.prompt, self.output)

    def accept(self, token: int, context: int) -> bool:
        """Take the next token, tell the caller, and say whether the generation has ended."""
        self.last_token = time.monotonic()
        if self.first_token is None:
            self.first_token = self.last_token
        if token in self.stop_ids:
            self.finish(FinishReason.STOP, stop_id=token)
            return True
        self.output.append(token)
        if self.guesser is not None:
            self.guesser.extend((token,))
        self.handle.emit(Token(token, self.text.feed(token)))
        if self.text.stopped:
            self.finish(FinishReason.STOP)
        elif len(self.output) >= self._length_limit(context):
            self.finish(FinishReason.LENGTH)
        else:
            return False
        return True

    def _length_limit(self, context: int) -> int:
        return min(self.params.max_new_tokens, context - len(self.prompt))

    def finish(
        self, reason: FinishReason, stop_id: int | None = None, error: EngineError | None = None
    ) -> None:
        rest = "" if self.text.stopped else self.text.flush()
        self.handle.on_cancel(_nobody)  # a handle that is kept must not keep the engine
        self.handle.emit(Finished(reason, self._stats(), error, rest, stop_id))

    def _stats(self) -> GenerationStats:
        first = self.first_token if self.first_token is not None else time.monotonic()
        count = len(self.output)
        seconds = self.last_token - first
        return GenerationStats(
            prompt_tokens=len(self.prompt),
            cached_tokens=self.cached,
            output_tokens=count,
            time_to_first_token=first - self.submitted,
            tokens_per_second=(count - 1) / seconds if count > 1 and seconds > 0 else 0.0,
            prefill_seconds=self.prefill_seconds,
        )
