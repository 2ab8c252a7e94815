"""Guessed tokens change no answer, only how many steps it takes."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generations import read
from gguf_files import write_qwen2

from engine import Engine, EngineOptions, SamplingParams, Token
from engine.model import Model, Segment
from engine.quants import QuantType

PASSAGE = [int(i) for i in np.random.default_rng(4).integers(0, 250, 12)]
PROMPT = PASSAGE * 4
GREEDY = SamplingParams(temperature=0, max_new_tokens=60, ignore_eos=True)
# Close to greedy, so that guesses are often right, and drawn all the same.
DRAWN = replace(GREEDY, temperature=0.3, top_p=1.0, seed=5)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen2(tmp_path_factory.mktemp("model") / "m.gguf", QuantType.Q4_0).path


def load(path: Path, *, speculation: bool = True) -> Engine:
    return Engine.load(path, EngineOptions(speculation=speculation, max_sequences=4))


@pytest.fixture(scope="module")
def plain(path: Path) -> Iterator[Engine]:
    with closing(load(path, speculation=False)) as engine:
        yield engine


@pytest.fixture
def guessing(path: Path) -> Iterator[Engine]:
    with closing(load(path)) as engine:
        yield engine


class Steps:
    """How many tokens each step of any model had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.widths: list[int] = []
        step = Model.step

        def counted(model: Model, segments: Sequence[Segment]) -> Any:
            self.widths.append(sum(len(segment.tokens) for segment in segments))
            return step(model, segments)

        monkeypatch.setattr(Model, "step", counted)


@pytest.mark.parametrize("params", [GREEDY, DRAWN, replace(DRAWN, repetition_penalty=1.1)])
def test_an_answer_is_the_same_with_guesses_and_without(
    plain: Engine, guessing: Engine, params: SamplingParams
) -> None:
    for start in range(3):
        prompt = PROMPT[start:]
        expected = read(plain.generate(prompt, params))[0]
        assert read(guessing.generate(prompt, params))[0] == expected


def test_an_answer_that_repeats_takes_fewer_steps_than_tokens(
    guessing: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch)
    ids, finished = read(guessing.generate(PROMPT, replace(GREEDY, max_new_tokens=200)))
    assert finished.stats.output_tokens == len(ids) == 200
    assert len(steps.widths) < 190
    assert max(steps.widths[1:]) <= 8


def test_answers_that_run_together_are_guessed_without_being_mixed(
    plain: Engine, guessing: Engine
) -> None:
    prompts = [PROMPT, PASSAGE * 3, PROMPT[5:], PASSAGE[:9] * 5]
    expected = [read(plain.generate(prompt, GREEDY))[0] for prompt in prompts]
    together = [guessing.generate(prompt, GREEDY) for prompt in prompts]
    assert [read(generation)[0] for generation in together] == expected


@pytest.mark.parametrize("most", [1, 2, 3, 5, 9])
def test_guesses_do_not_carry_an_answer_past_its_end(guessing: Engine, most: int) -> None:
    whole = read(guessing.generate(PROMPT, GREEDY))[0]
    ids, _ = read(guessing.generate(PROMPT, replace(GREEDY, max_new_tokens=most)))
    assert ids == whole[:most]


def test_a_wrong_guess_leaves_nothing_in_the_cache(plain: Engine, guessing: Engine) -> None:
    answer, _ = read(guessing.generate(PROMPT, DRAWN))
    turn = [*PROMPT, *answer, *PASSAGE[:5]]
    again, finished = read(guessing.generate(turn, GREEDY))
    assert finished.stats.cached_tokens == len(PROMPT) + len(answer) - 1
    read(plain.generate(PROMPT, DRAWN))
    assert again == read(plain.generate(turn, GREEDY))[0]


def test_an_answer_that_is_stopped_keeps_only_what_was_chosen(path: Path, guessing: Engine) -> None:
    generation = guessing.generate(PROMPT, replace(GREEDY, max_new_tokens=400))
    ids: list[int] = []
    for event in generation:
        if isinstance(event, Token):
            ids.append(event.id)
            if len(ids) == 20:
                generation.cancel()
    turn = [*PROMPT, *ids, *PASSAGE[:5]]
    again, finished = read(guessing.generate(turn, GREEDY))
    cached = finished.stats.cached_tokens
    assert len(PROMPT) < cached <= len(PROMPT) + len(ids)
    # With as many of them cached: written tokens and read ones are rounded differently by tiles.
    with closing(load(path, speculation=False)) as plain:
        read(plain.generate(PROMPT, replace(GREEDY, max_new_tokens=cached - len(PROMPT) + 1)))
        expected, finished = read(plain.generate(turn, GREEDY))
    assert finished.stats.cached_tokens == cached
    assert again == expected


def test_an_answer_that_does_not_repeat_is_hardly_ever_guessed_wrong(
    guessing: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch)
    params = replace(DRAWN, temperature=50.0, max_new_tokens=300)
    read(guessing.generate(PROMPT, params))
    extra = sum(width - 1 for width in steps.widths[1:])
    assert extra <= 15
