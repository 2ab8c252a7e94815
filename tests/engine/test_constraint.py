"""Constraints: what may come next is applied before all else, and touches its request only."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from gguf_files import VOCAB, write_qwen2

from engine import (
    Constraint,
    ConstraintFailed,
    Engine,
    EngineOptions,
    Finished,
    FinishReason,
    Generation,
    NothingAllowed,
    SamplingParams,
    Token,
)
from engine.constraint import Mask, constrain
from engine.sampling import make_sampler

PROMPT = [int(i) for i in np.random.default_rng(3).integers(0, 250, 40)]
GREEDY = SamplingParams(temperature=0, max_new_tokens=12, ignore_eos=True)
EVEN = np.arange(VOCAB) % 2 == 0


class Only:
    """Allows the same ids always; remembers what it was asked."""

    def __init__(self, mask: Mask | None) -> None:
        self._mask = mask
        self.asked: list[tuple[list[int], int]] = []

    def allowed(self, output: Sequence[int], left: int) -> Mask | None:
        self.asked.append((list(output), left))
        return self._mask


class Broken:
    def allowed(self, output: Sequence[int], left: int) -> Mask | None:
        raise ZeroDivisionError


class Waiting(Only):
    """Holds the engine in its second question until the test lets it go."""

    def __init__(self) -> None:
        super().__init__(EVEN)
        self.reached, self.go = threading.Event(), threading.Event()

    def allowed(self, output: Sequence[int], left: int) -> Mask | None:
        if output:
            self.reached.set()
            assert self.go.wait(300)
        return super().allowed(output, left)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    written = write_qwen2(tmp_path_factory.mktemp("model") / "model.gguf")
    with closing(Engine.load(Path(written.path), EngineOptions(max_sequences=2))) as engine:
        yield engine


def ids(generation: Generation) -> list[int]:
    return [event.id for event in generation if isinstance(event, Token)]


def last(generation: Generation) -> Finished:
    *_, event = generation
    assert isinstance(event, Finished)
    return event


def test_a_rule_that_allows_everything_changes_no_token(engine: Engine) -> None:
    free = ids(engine.generate(PROMPT, GREEDY))
    assert len(free) == GREEDY.max_new_tokens
    assert ids(engine.generate(PROMPT, GREEDY, Only(None))) == free
    assert ids(engine.generate(PROMPT, GREEDY, Only(np.ones(VOCAB, np.bool_)))) == free


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_only_what_is_allowed_is_chosen(engine: Engine, temperature: float) -> None:
    params = SamplingParams(temperature=temperature, seed=1, max_new_tokens=30, ignore_eos=True)
    chosen = ids(engine.generate(PROMPT, params, Only(EVEN)))
    assert len(chosen) == 30
    assert all(EVEN[chosen])


def test_a_rule_is_told_the_output_and_how_many_tokens_are_left(engine: Engine) -> None:
    rule = Only(EVEN)
    output = ids(engine.generate(PROMPT, GREEDY, rule))
    assert rule.asked == [(output[:n], 12 - n) for n in range(12)]


def test_a_request_beside_a_constrained_one_is_computed_as_if_alone(engine: Engine) -> None:
    params = SamplingParams(temperature=1.0, seed=4, max_new_tokens=40, ignore_eos=True)
    alone = ids(engine.generate(PROMPT, params))
    other = Waiting()
    constrained = engine.generate(PROMPT[::-1], params, other)
    assert other.reached.wait(300)
    beside = engine.generate(PROMPT, params)
    other.go.set()
    assert ids(beside) == alone
    assert all(EVEN[ids(constrained)])


def test_a_rule_that_forbids_everything_ends_its_request_by_a_named_error(engine: Engine) -> None:
    finished = last(engine.generate(PROMPT, GREEDY, Only(np.zeros(VOCAB, np.bool_))))
    assert finished.reason is FinishReason.ERROR
    assert isinstance(finished.error, NothingAllowed)
    assert "0 tokens" in str(finished.error)
    assert ids(engine.generate(PROMPT, GREEDY))


def test_a_rule_that_raises_ends_its_own_request_only(engine: Engine) -> None:
    other = Waiting()
    running = engine.generate(PROMPT[::-1], GREEDY, other)
    assert other.reached.wait(300)
    broken = engine.generate(PROMPT, GREEDY, Broken())
    other.go.set()
    error = last(broken).error
    assert isinstance(error, ConstraintFailed)
    assert "ZeroDivisionError" in str(error)
    assert last(running).reason is FinishReason.LENGTH


def test_a_constrained_request_can_be_cancelled(engine: Engine) -> None:
    rule = Waiting()
    params = SamplingParams(temperature=0, max_new_tokens=2000, ignore_eos=True)
    generation = engine.generate(PROMPT, params, rule)
    assert rule.reached.wait(300)
    generation.cancel()
    rule.go.set()
    assert last(generation).reason is FinishReason.CANCELLED


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=1.5, top_k=1, seed=0),
        SamplingParams(temperature=1.5, top_p=0.01, seed=0),
        SamplingParams(temperature=1.5, min_p=1.0, seed=0),
        SamplingParams(temperature=0, repetition_penalty=1.9, frequency_penalty=2.0),
    ],
)
def test_filters_and_penalties_choose_among_what_is_allowed(params: SamplingParams) -> None:
    """The one allowed id is the least likely, and was generated before."""
    logits = np.linspace(5, -5, 8, dtype=np.float32)
    rule: Constraint = Only(np.arange(8) == 7)
    masked = constrain(logits, rule, [7, 7], 10)
    assert make_sampler(params, 8)(masked, [7], [7, 7]) == 7
    assert math.isfinite(masked[7])
    assert logits[0] == 5
