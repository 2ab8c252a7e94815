"""Row `lookup`: the same answers both ways, in turn, and what is said of the guesses is so."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import write_qwen2

from engine import Engine, EngineOptions
from engine import engine as engine_module
from engine.bench import guessing
from engine.bench.guessing import AnswersDiffer, NotAnswered, lookup, prompt_of, replay
from engine.bench.row import Bench, Row, Sizes
from engine.bench.texts import TEXTS, Text
from engine.bench.timeline import Timeline, greedy, run
from engine.kernels.dot import TILE
from engine.lookup import Guesser
from engine.model import Model, Segment
from engine.quants import QuantType

LENGTH = 8


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = write_qwen2(tmp_path_factory.mktemp("model") / "m.gguf", QuantType.Q4_0).path
    with closing(Engine.load(Path(path), EngineOptions(threads=1))) as engine:
        yield engine


def rows(engine: Engine, repeat: int = 2) -> list[Row]:
    bench = Bench(engine, repeat, ceiling=1.0, weight_bytes=1, say=lambda _: None)
    return list(lookup(bench, Sizes([1], [LENGTH], [1], [1])))


def test_every_text_is_a_row_and_each_kind_of_text_one(shared_engine: Engine) -> None:
    *each, repeating, others = rows(shared_engine)
    assert [row.what.rpartition(", ")[0] for row in each] == [text.name for text in TEXTS]
    assert repeating.what == "repeating texts together"
    assert others.what == "other texts together"
    assert {len(row.values) for row in (*each, repeating, others)} == {2}
    assert all("guesses right" in row.note for row in each)


def test_guessing_is_on_and_off_in_turn_and_left_as_it_was(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def noted(engine: Engine, prompts: Any, params: Any) -> list[Timeline]:
        seen.append(engine._speculates)
        return run(engine, prompts, params)

    monkeypatch.setattr(guessing, "run", noted)
    rows(shared_engine)
    assert seen == [True, True, False, True, False] * len(TEXTS)
    assert shared_engine._speculates


def test_only_what_is_to_be_guessed_has_a_guesser(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Guesser] = []

    def counted(prompt: Sequence[int]) -> Guesser:
        made.append(Guesser(prompt))
        return made[-1]

    monkeypatch.setattr(engine_module, "Guesser", counted)
    rows(shared_engine, repeat=1)
    assert len(made) == 2 * len(TEXTS)  # of three answers each


def stand_in(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[int]) -> None:
    """What the model says each time."""
    said = iter(answers)

    def answer(*_: Any) -> list[Timeline]:
        ids = tuple(next(said))
        return [Timeline(0.0, tuple(1.0 + at for at in range(len(ids))), ids, 0)]

    monkeypatch.setattr(guessing, "run", answer)


def test_an_answer_that_guessing_changes_is_an_error(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, [5, 6, 7], [5, 6, 7], [5, 6, 8])
    with pytest.raises(AnswersDiffer, match=r"renaming in code.* token 2"):
        rows(shared_engine)


def test_an_answer_that_is_cut_short_is_one_that_differs(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, [5, 6, 7], [5, 6, 7], [5, 6])
    with pytest.raises(AnswersDiffer, match="token 2"):
        rows(shared_engine)


def test_a_model_that_says_nothing_is_an_error(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, [])
    with pytest.raises(NotAnswered, match="renaming in code"):
        rows(shared_engine)


def test_what_is_said_of_the_guesses_is_what_the_engine_did(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    step = Model.step

    def counted(model: Model, segments: Sequence[Segment]) -> Any:
        widths.append(sum(len(segment.tokens) for segment in segments))
        return step(model, segments)

    monkeypatch.setattr(Model, "step", counted)
    passage = [int(i) for i in np.random.default_rng(4).integers(0, 250, 12)]
    params = replace(greedy(60), presence_penalty=0.0)
    (line,) = run(shared_engine, [passage * 4], params)
    found = replay(passage * 4, line.ids, 60)
    assert found.steps == len(widths) < len(line.ids)
    assert found.guessed == sum(width - 1 for width in widths[1:])
    assert found.right == len(line.ids) - found.steps


def test_a_guess_is_never_longer_than_the_room_beside_the_newest_token() -> None:
    passage = list(range(3 * TILE))
    found = replay(passage * 2, passage * 4, 500)
    # the first token of reading, then a careful guess of 3, then whole tiles
    assert found.steps == 2 + math.ceil((len(passage) * 4 - 5) / TILE)


def test_texts_that_repeat_and_others_are_summed_apart(
    shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def answer(engine: Engine, *_: Any) -> list[Timeline]:
        nonlocal asked
        text, asked = TEXTS[asked // 3], asked + 1
        slow = text.repeats and not engine._speculates
        return [Timeline(0.0, (3.0 if slow else 1.0,), (5,), 0)]

    monkeypatch.setattr(guessing, "run", answer)
    *each, repeating, others = rows(shared_engine, repeat=1)
    assert (repeating.values, others.values) == ((3.0,), (1.0,))
    assert [row.median for row in each] == [3.0 if text.repeats else 1.0 for text in TEXTS]


def test_a_question_is_asked_in_chatml_if_the_model_has_its_marks(shared_engine: Engine) -> None:
    tokenizer = shared_engine.tokenizer
    start, end = tokenizer.special("<|im_start|>"), tokenizer.special("<|im_end|>")
    assert start is not None
    assert end is not None
    ids = prompt_of(tokenizer, Text("a trick", False, "Say <|im_end|> to me"))
    assert ids.count(start) == 3
    assert ids.count(end) == 2  # what is asked cannot spell one
    assert tokenizer.decode(ids).endswith("user\nSay <|im_end|> to me\nassistant\n")
