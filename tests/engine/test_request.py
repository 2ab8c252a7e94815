"""A request's record: what is still to be computed, when it ends, what its caller is told."""

from collections.abc import Sequence

import pytest
from pieces import pieces_tokenizer

from engine.config import SamplingParams
from engine.errors import EngineError
from engine.events import Finished, FinishReason, PromptProgress, Token
from engine.request import Generation, Request
from engine.sampling import make_sampler
from engine.textstream import TextStream

PIECES = [b"a", b"b", "你".encode()[:2], "你".encode()[2:], b"STOP", b"end"]
CONTEXT = 100


def request(
    prompt: Sequence[int] = (0, 1, 0), *, stop: tuple[str, ...] = (), max_new_tokens: int = 1024
) -> Request:
    params = SamplingParams(stop=stop, max_new_tokens=max_new_tokens)
    text = TextStream(pieces_tokenizer(PIECES), stop)
    sampler = make_sampler(params, len(PIECES))
    return Request(list(prompt), params, frozenset([5]), sampler, text)


def events(request: Request) -> list[object]:
    """All events up to the last."""
    return list(request.handle)


def last(request: Request) -> Finished:
    event = events(request)[-1]
    assert isinstance(event, Finished)
    return event


def test_the_prompt_is_pending_until_it_is_read_and_then_the_newest_token() -> None:
    record = request([0, 1, 0, 1])
    assert record.pending == [0, 1, 0, 1]
    record.prefix.tokens += [0, 1]
    assert record.pending == [0, 1]
    assert record.reading
    record.prefix.tokens += [0, 1]
    assert not record.reading
    record.accept(3, CONTEXT)
    assert record.pending == [3]
    record.prefix.tokens += [3]
    record.accept(1, CONTEXT)
    assert record.pending == [1]


def test_a_token_is_told_with_the_text_it_makes_showable() -> None:
    record = request()
    assert not any(record.accept(token, CONTEXT) for token in (0, 2, 3, 1))
    record.finish(FinishReason.CANCELLED)
    assert events(record)[:-1] == [Token(0, "a"), Token(2, ""), Token(3, "你"), Token(1, "b")]


def test_a_stop_id_ends_it_and_is_not_told_as_a_token() -> None:
    record = request()
    record.accept(0, CONTEXT)
    assert record.accept(5, CONTEXT)
    token, finished = events(record)
    assert token == Token(0, "a")
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.stop_id, finished.text) == (FinishReason.STOP, 5, "")
    assert finished.stats.output_tokens == 1


def test_a_stop_string_ends_it_before_its_text() -> None:
    record = request(stop=("STOP",))
    record.accept(0, CONTEXT)
    assert record.accept(4, CONTEXT)
    *tokens, finished = events(record)
    assert tokens == [Token(0, "a"), Token(4, "")]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.stop_id, finished.text) == (FinishReason.STOP, None, "")


def test_it_ends_for_length_at_the_most_tokens_asked_for() -> None:
    record = request(max_new_tokens=2)
    assert [record.accept(0, CONTEXT), record.accept(1, CONTEXT)] == [False, True]
    assert last(record).reason is FinishReason.LENGTH


def test_it_ends_for_length_when_the_context_is_full() -> None:
    record = request([0] * 97)
    assert [record.accept(0, CONTEXT) for _ in range(3)] == [False, False, True]
    assert last(record).reason is FinishReason.LENGTH


def test_text_that_was_held_back_comes_with_the_end() -> None:
    record = request(stop=("bSTOP",), max_new_tokens=1)
    record.accept(1, CONTEXT)
    assert last(record).text == "b"


def test_it_may_need_the_prompt_and_its_answer_in_the_cache_but_no_more_than_the_context() -> None:
    record = request([0] * 10, max_new_tokens=20)
    assert record.most_tokens(CONTEXT) == 30
    assert record.most_tokens(25) == 25


def test_progress_says_how_much_is_read_and_how_long_the_rest_takes() -> None:
    record = request([0] * 10)
    record.prefix.tokens += [0] * 4
    record.report_progress(0.0)
    record.report_progress(3.0)
    record.finish(FinishReason.CANCELLED)
    assert events(record)[:2] == [PromptProgress(4, 10, None), PromptProgress(4, 10, 2.0)]


def test_statistics_count_from_the_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([103.0, 103.5, 104.0])
    monkeypatch.setattr("engine.request.time.monotonic", lambda: next(clock))
    record = request([0] * 10, max_new_tokens=3)
    record.submitted, record.cached, record.prefill_seconds = 100.0, 4, 2.5
    for token in (0, 1, 0):
        record.accept(token, CONTEXT)
    stats = last(record).stats
    assert (stats.prompt_tokens, stats.cached_tokens, stats.output_tokens) == (10, 4, 3)
    assert stats.time_to_first_token == 3.0
    assert stats.tokens_per_second == 2.0
    assert stats.prefill_seconds == 2.5


def test_an_error_comes_as_the_last_event() -> None:
    record, error = request(), EngineError(message="oh")
    record.finish(FinishReason.ERROR, error=error)
    assert last(record).error is error


def test_cancelling_wakes_the_engine_and_does_no_harm_twice() -> None:
    handle, woken = Generation(), []
    handle.on_cancel(lambda: woken.append(True))
    assert not handle.cancelled
    handle.cancel()
    handle.cancel()
    assert handle.cancelled
    assert len(woken) == 2


def test_a_generation_that_has_ended_wakes_nobody() -> None:
    """And its handle, which a page may keep, does not keep the engine."""
    record, woken = request(), []
    record.handle.on_cancel(lambda: woken.append(True))
    record.finish(FinishReason.LENGTH)
    record.handle.cancel()
    assert not woken


def test_a_generation_can_be_read_to_its_end_only_once() -> None:
    record = request()
    record.accept(0, CONTEXT)
    record.finish(FinishReason.CANCELLED)
    assert next(iter(record.handle)) == Token(0, "a")
    assert len(events(record)) == 1
    assert events(record) == []
