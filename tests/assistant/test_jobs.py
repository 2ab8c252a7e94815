"""A job and its readers."""

import threading
from collections.abc import Callable
from itertools import islice

import pytest
from fake_engine import FakeEngine, as_engine

from assistant import ChatSettings, FinishReason, Job
from assistant.errors import InternalError
from assistant.events import Event, Progress, TextDelta, TurnFinished
from assistant.formats import format_for
from assistant.messages import Message, Role
from assistant.round import Model
from assistant.turn import Turn


class Bench:
    """A job on a scripted engine, and what it committed."""

    def __init__(self, turn_kind: type[Turn] = Turn) -> None:
        self.fake = FakeEngine()
        engine = as_engine(self.fake)
        chat_format = format_for(engine)
        params = ChatSettings().sampling(chat_format.stop_ids)
        self.committed: list[Message] = []
        turn = turn_kind(Model(engine, chat_format, params), [Message(Role.USER, "Hi")])
        self.job = Job(turn, lambda job, messages: self.committed.extend(messages))
        self.generation = self.fake.generations[0]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.job.start()
    return bench


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_every_reader_gets_every_event(bench: Bench) -> None:
    heard: list[list[Event]] = [[], [], []]
    threads = [
        threading.Thread(target=lambda events=events: events.extend(bench.job.events()))
        for events in heard
    ]
    for thread in threads:
        thread.start()
    bench.generation.read(1, 2)
    bench.generation.say("Hello")
    bench.generation.finish()
    for thread in threads:
        thread.join()
    late = list(bench.job.events())
    assert heard == [late, late, late]
    assert isinstance(late[0], Progress)
    assert isinstance(late[-1], TurnFinished)
    assert text_of(late) == "Hello"


def test_a_reader_that_comes_back_misses_nothing(bench: Bench) -> None:
    bench.generation.say("one ")
    heard = list(islice(bench.job.events(), 4))
    bench.generation.say("two")
    bench.generation.finish()
    heard += bench.job.events(after=len(heard))
    assert text_of(heard) == "one two"


def test_a_snapshot_shows_the_prompt_being_read_then_the_answer(bench: Bench) -> None:
    events = bench.job.events()
    assert bench.job.snapshot().progress is None
    bench.generation.read(310, 820, 9.0)
    next(events)
    assert bench.job.snapshot().progress == Progress(310, 820, 9.0)
    bench.generation.say("H")
    next(events)
    now = bench.job.snapshot()
    assert (now.text, now.progress, now.ended) == ("H", None, None)
    bench.generation.finish(text="i")
    bench.job.wait()
    now = bench.job.snapshot()
    assert now.text == "Hi"
    assert now.ended is not None
    assert now.ended.reason is FinishReason.STOP


def test_the_answer_is_committed_before_any_reader_hears_of_the_end(bench: Bench) -> None:
    bench.generation.say("Hi")
    bench.generation.finish()
    for event in bench.job.events():
        if isinstance(event, TurnFinished):
            assert [message.content for message in bench.committed] == ["Hi"]


class BrokenTurn(Turn):
    def run(self, report: Callable[[Event], None]) -> None:
        super().run(lambda event: report(event) if isinstance(event, TextDelta) else fail())


def fail() -> None:
    raise ZeroDivisionError


def test_a_mistake_of_ours_ends_the_answer_instead_of_hanging_its_readers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(BrokenTurn)
    bench.generation.say("Hal")
    bench.generation.finish()
    bench.job.start()
    last = list(bench.job.events())[-1]
    assert isinstance(last, TurnFinished)
    assert isinstance(last.ended.error, InternalError)
    assert bench.committed[0].content == "Hal"
    assert "ZeroDivisionError" in caplog.text
