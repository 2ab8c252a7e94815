"""One turn: from a question to the end of its answer, over as many rounds as it takes.

generate → parse → run the calls → observations → the next round. Chat, tools and code are this
same loop; they differ in what a turn is given to use.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from assistant.approval import Desk
from assistant.calls import Call
from assistant.errors import AssistantError
from assistant.events import Event, RoundStarted, TurnFinished
from assistant.execute import Executor, Means, interrupted
from assistant.grammar import constraint_for
from assistant.messages import Ended, Message, Role
from assistant.outputs import shortened
from assistant.parse import Offer
from assistant.round import Model, Round
from assistant.statistics import joined
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolspec import ToolSpec
from assistant.window import fit, without_repeats
from engine import Constraint, EngineError, Finished, FinishReason, GenerationStats

MAX_ROUNDS = 8  # with calls; after them the model answers with what it has
MAX_REPEATS = 2  # of a call that has been answered, which small models fall into
OBSERVATION_SHARE = 1 / 4  # of the context, for what a model reads of one call

Report = Callable[[Event], None]
NO_MEANS = Means()


class Turn:
    """Starts the engine when made, so that what it refuses is refused before anything changes.

    When `messages` end with the assistant's own message, that answer is carried on.
    """

    def __init__(self, model: Model, messages: Sequence[Message], means: Means = NO_MEANS) -> None:
        self.desk = Desk()
        self._model = model
        self._prompt = tuple(without_repeats(messages))
        self._means = means
        self._done: list[Message] = []
        self._unanswered: list[Call] = []
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._executor = Executor(means, self.desk, self._cancelled)
        self._number = 0
        self._rounds_used_up = False
        self.dropped_turns = 0
        last = messages[-1]
        earlier = last if last.role is Role.ASSISTANT else None
        self._stats: GenerationStats | None = (
            earlier.ended.stats if earlier and earlier.ended else None
        )
        self._round: Round | None = self._begin(earlier)
        self.earlier_text = self._round.earlier_text

    def cancel(self) -> None:
        """Stops the engine, the tool, the code, or the wait for a person."""
        with self._lock:
            self._cancelled.set()
            running = self._round
        if running is not None:
            running.cancel()
        self.desk.close()

    def run(self, report: Report) -> None:
        """Reports every event, the end last."""
        ended = None
        while ended is None:
            assert self._round is not None
            finished = self._round.run(report)
            self._stats = joined(self._stats, finished.stats)
            if self._round.calls and finished.reason is FinishReason.STOP:
                self._run_calls(report)
                ended = self._next_round(report)
            else:
                ended = self._ended(finished)
        report(TurnFinished(ended))

    def broken(self, error: EngineError | AssistantError) -> Ended:
        """The end, when something failed between the engine's own events."""
        return Ended(FinishReason.ERROR, self._stats, error=error, dropped_turns=self.dropped_turns)

    def messages(self, ended: Ended) -> tuple[Message, ...]:
        """The answer as far as it came: calls, observations, and the assistant's last message."""
        last = self._round.message(ended) if self._round else Message(Role.ASSISTANT, "")
        lost = map(interrupted, self._unanswered)
        return (*self._done, *lost, replace(last, ended=ended))

    def _run_calls(self, report: Report) -> None:
        assert self._round is not None
        with self._lock:
            self._done.append(self._round.message(None))
            self._unanswered, self._round = self._round.calls, None
        said = [
            message.content
            for message in (*self._prompt, *self._done)
            if message.role in (Role.USER, Role.OBSERVATION)
        ]
        for observation in self._executor.run_all(tuple(self._unanswered), said, report):
            content = self._cut(observation.content)
            self._done.append(replace(observation, content=content))
            del self._unanswered[0]

    def _cut(self, text: str) -> str:
        """An observation that leaves room for others, whatever a tool's own limit is."""
        room = int(self._model.engine.context_length * OBSERVATION_SHARE)
        n_tokens = len(self._model.engine.tokenizer.encode(text))
        return text if n_tokens <= room else shortened(text, len(text) * room // n_tokens)

    def _next_round(self, report: Report) -> Ended | None:
        """Starts it, unless the turn was stopped meanwhile: then that is the end."""
        with self._lock:
            if self._cancelled.is_set():
                return replace(self._base(), reason=FinishReason.CANCELLED)
            self._round = self._begin(None)
        report(RoundStarted(self._number))
        return None

    def _begin(self, earlier: Message | None) -> Round:
        self._number += 1
        tools, choice = self._offered()
        engine, params = self._model.engine, self._model.params
        may_call = choice.mode is not ChoiceMode.NONE
        done = self._done if may_call else without_repeats(self._done)
        messages = (*self._prompt, *done)
        window = fit(
            self._model.format, messages, tools, engine.context_length, params.max_new_tokens
        )
        self.dropped_turns = window.dropped_turns
        names = frozenset(tool.name for tool in tools)
        offer = Offer(names, code=may_call and self._means.code is not None)
        constraint = None if earlier else self._constraint(tools, choice)
        return Round(self._model, window.prompt, offer, earlier, constraint)

    def _offered(self) -> tuple[Sequence[ToolSpec], ToolChoice]:
        """The tools of this round: none when the model has called for long enough."""
        self._rounds_used_up = self._number > MAX_ROUNDS
        choice = self._means.choice if self._number == 1 else ToolChoice()
        withheld = self._rounds_used_up or self._executor.n_repeats >= MAX_REPEATS
        if withheld or self._means.choice.mode is ChoiceMode.NONE:
            return (), ToolChoice(ChoiceMode.NONE)
        return [tool.spec for tool in self._means.offered()], choice

    def _constraint(self, tools: Sequence[ToolSpec], choice: ToolChoice) -> Constraint | None:
        """A call that is required, or forbidden, can only be had by constraining."""
        withheld = choice.mode is ChoiceMode.NONE and self._number > 1
        if (tools and (self._means.constrain or choice.must_call)) or withheld:
            model = self._model
            code = self._means.code is not None
            return constraint_for(model.format, model.engine.tokenizer, tools, choice, code=code)
        return None

    def _ended(self, finished: Finished) -> Ended:
        n_used = finished.stats.prompt_tokens + finished.stats.output_tokens
        return replace(
            self._base(),
            reason=finished.reason,
            context_full=n_used >= self._model.engine.context_length,
            error=finished.error,
        )

    def _base(self) -> Ended:
        return Ended(
            FinishReason.STOP,
            self._stats,
            dropped_turns=self.dropped_turns,
            rounds_used_up=self._rounds_used_up,
        )
