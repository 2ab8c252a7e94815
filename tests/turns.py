"""A turn on the scripted engine, run at once in the test's own thread."""

from collections.abc import Callable, Sequence

from fake_engine import CHATML, FakeEngine, as_engine

from assistant import ChatSettings
from assistant.approval import Decision, Question
from assistant.events import ApprovalAsked, CallFinished, Event, TurnFinished
from assistant.execute import Means
from assistant.formats import format_for
from assistant.messages import CallStep, Ended, Message, Role
from assistant.round import Model
from assistant.turn import Turn

Answerer = Callable[[Question], Decision]


class Played:
    """What a turn did: its events, its messages, and what the engine was asked."""

    def __init__(
        self,
        means: Means,
        *script: str,
        question: str = "Weather in Oslo?",
        specials: Sequence[str] = CHATML,
        answer: Answerer | None = None,
    ) -> None:
        self.fake = FakeEngine(*script, specials=specials, context_length=40_000)
        engine = as_engine(self.fake)
        chat_format = format_for(engine)
        model = Model(engine, chat_format, ChatSettings().sampling(chat_format.stop_ids))
        self.asked: list[Question] = []
        self.events: list[Event] = []
        self._answer = answer
        self.turn = Turn(model, [Message(Role.USER, question)], means)
        self.turn.run(self._report)

    def _report(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ApprovalAsked):
            self.asked.append(event.question)
            assert self._answer is not None, "nobody answers"
            self.turn.desk.answer(event.question.id, self._answer(event.question))

    @property
    def ended(self) -> Ended:
        last = self.events[-1]
        assert isinstance(last, TurnFinished)
        return last.ended

    @property
    def messages(self) -> tuple[Message, ...]:
        return self.turn.messages(self.ended)

    @property
    def steps(self) -> list[CallStep]:
        return [event.step for event in self.events if isinstance(event, CallFinished)]

    @property
    def observations(self) -> list[str]:
        return [m.content for m in self.messages if m.role is Role.OBSERVATION]

    @property
    def answer(self) -> str:
        return self.messages[-1].content
