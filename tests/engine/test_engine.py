"""The engine through its door: a small model file in, events out."""

import gc
import re
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import CONTEXT, VOCAB, WrittenModel, write_llama, write_qwen2
from gguf_tokenizers import chatml_bpe

from engine import (
    BadLogits,
    BadSetting,
    CacheNotWritable,
    Engine,
    EngineClosed,
    EngineError,
    EngineOptions,
    Finished,
    FinishReason,
    Generation,
    LoadProgress,
    LoadStage,
    NotEnoughMemory,
    PromptProgress,
    PromptTooLong,
    SamplingParams,
    Token,
)
from engine import engine as engine_module
from engine.gguf import read_gguf
from engine.model import Model, Segment
from engine.quants import QuantType

PROMPT = [int(i) for i in np.random.default_rng(11).integers(0, 250, 70)]
GREEDY = SamplingParams(temperature=0, max_new_tokens=12)
DRAWN = SamplingParams(temperature=1.5, top_p=1.0, seed=5, max_new_tokens=12)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenModel:
    return write_qwen2(tmp_path_factory.mktemp("model") / "model.gguf")


@pytest.fixture(scope="module")
def shared(written: WrittenModel) -> Iterator[Engine]:
    """One engine for the tests that leave it as they found it."""
    with closing(Engine.load(written.path, EngineOptions(kv_type="f32"))) as engine:
        yield engine


@pytest.fixture
def engine(written: WrittenModel) -> Iterator[Engine]:
    with closing(Engine.load(written.path, EngineOptions(max_sequences=2))) as engine:
        yield engine


class Gate:
    """Steps of the model wait until they are let through, so that tests need no clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self._passes = threading.Semaphore(0)
        step = Model.step

        def gated(model: Model, segments: Sequence[Segment]) -> Any:
            if not self._open.is_set():
                self._passes.acquire()
            return step(model, segments)

        monkeypatch.setattr(Model, "step", gated)

    def let(self, steps: int) -> None:
        self._passes.release(steps)

    def open(self) -> None:
        self._open.set()
        self._passes.release(1)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


def read(generation: Generation) -> tuple[list[int], str, Finished]:
    """Ids, text and end of a generation."""
    ids, text = [], ""
    for event in generation:
        if isinstance(event, Token):
            ids.append(event.id)
            text += event.text
        if isinstance(event, Finished):
            return ids, text + event.text, event
    raise AssertionError("a generation ended without Finished")


def next_tokens(events: Iterator[object], count: int) -> list[int]:
    ids: list[int] = []
    while len(ids) < count:
        event = next(events)
        assert not isinstance(event, Finished)
        if isinstance(event, Token):
            ids.append(event.id)
    return ids


# --- what is generated ----------------------------------------------------------------------------


def test_greedy_takes_what_torch_holds_most_likely_step_by_step(
    shared: Engine, written: WrittenModel
) -> None:
    ids, _, finished = read(shared.generate(PROMPT, replace(GREEDY, max_new_tokens=20)))
    assert finished.reason is FinishReason.LENGTH
    expected = list(PROMPT)
    for _ in range(20):
        expected.append(int(written.logits(expected)[-1].argmax()))
    assert ids == expected[len(PROMPT) :]


def test_the_same_seed_gives_the_same_text_and_another_seed_another(shared: Engine) -> None:
    first, text, _ = read(shared.generate(PROMPT, DRAWN))
    assert (first, text) == read(shared.generate(PROMPT, DRAWN))[:2]
    assert first != read(shared.generate(PROMPT, replace(DRAWN, seed=6)))[0]


def test_requests_that_run_together_equal_themselves_alone(shared: Engine) -> None:
    prompts = [PROMPT[:5], PROMPT[10:60], PROMPT[:64], PROMPT[20:21], PROMPT]
    params = [replace(DRAWN, seed=seed, max_new_tokens=10 + 3 * seed) for seed in range(5)]
    alone = [read(shared.generate(*both))[:2] for both in zip(prompts, params, strict=True)]
    together = [shared.generate(*both) for both in zip(prompts, params, strict=True)]
    assert [read(generation)[:2] for generation in together] == alone


def test_more_requests_than_run_at_once_wait_their_turn(engine: Engine) -> None:
    alone = read(engine.generate(PROMPT[:9], GREEDY))[0]
    waiting = [engine.generate(PROMPT[:9], GREEDY) for _ in range(7)]
    assert [read(generation)[0] for generation in waiting] == [alone] * 7


def test_eight_threads_each_get_their_own_answers(shared: Engine) -> None:
    def ask(thread: int) -> list[tuple[list[int], str]]:
        prompt, params = PROMPT[thread : thread + 20], replace(DRAWN, seed=thread)
        return [read(shared.generate(prompt, params))[:2] for _ in range(3)]

    expected = [ask(thread) for thread in range(8)]
    answers: dict[int, list[tuple[list[int], str]]] = {}
    threads = [
        threading.Thread(target=lambda index=index: answers.update({index: ask(index)}))
        for index in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[thread] for thread in range(8)] == expected


def test_ids_past_the_tokenizers_last_are_generated_without_text(tmp_path: Path) -> None:
    """Embeddings are often padded to a round number of rows."""
    tokenizer = chatml_bpe("qwen2", 0)
    path = write_qwen2(tmp_path / "model.gguf", tokenizer=tokenizer).path
    flat = SamplingParams(temperature=50, top_p=1.0, seed=1, max_new_tokens=60, ignore_eos=True)
    with closing(Engine.load(path)) as engine:
        tokens = [e for e in engine.generate(PROMPT, flat) if isinstance(e, Token)]
    past = [token for token in tokens if token.id >= len(tokenizer.tokens)]
    assert past
    assert {token.text for token in past} == {""}
    assert engine.tokenizer.decode([token.id for token in past]) == ""


# --- how it ends ----------------------------------------------------------------------------------


def test_a_stop_id_ends_it_without_being_told_as_a_token(shared: Engine) -> None:
    ids, _, _ = read(shared.generate(PROMPT, GREEDY))
    stop = ids[3]
    params = replace(GREEDY, stop_ids=frozenset([stop]))
    got, _, finished = read(shared.generate(PROMPT, params))
    assert got == ids[: ids.index(stop)]
    assert (finished.reason, finished.stop_id) == (FinishReason.STOP, stop)


def test_the_models_own_end_stops_it(tmp_path: Path, written: WrittenModel) -> None:
    chosen = int(written.logits(PROMPT)[-1].argmax())
    tokenizer = replace(written.tokenizer, eot_id=chosen)
    path = write_qwen2(tmp_path / "model.gguf", tokenizer=tokenizer).path
    with closing(Engine.load(path, EngineOptions(kv_type="f32"))) as engine:
        ids, _, finished = read(engine.generate(PROMPT, GREEDY))
        going_on, _, _ = read(engine.generate(PROMPT, replace(GREEDY, ignore_eos=True)))
    assert (ids, finished.reason, finished.stop_id) == ([], FinishReason.STOP, chosen)
    assert (going_on[0], len(going_on)) == (chosen, GREEDY.max_new_tokens)


def test_a_stop_string_ends_it_before_its_text(shared: Engine) -> None:
    params = replace(DRAWN, max_new_tokens=40)
    _, text, _ = read(shared.generate(PROMPT, params))
    stop = text[len(text) // 2 :][:2]
    assert len(stop) == 2
    _, got, finished = read(shared.generate(PROMPT, replace(params, stop=(stop,))))
    assert got == text[: text.index(stop)]
    assert (finished.reason, finished.stop_id) == (FinishReason.STOP, None)


def test_it_ends_at_the_most_tokens_and_where_the_context_is_full(shared: Engine) -> None:
    ids, _, finished = read(shared.generate(PROMPT, replace(GREEDY, max_new_tokens=1)))
    assert (len(ids), finished.reason) == (1, FinishReason.LENGTH)
    long = (PROMPT * 8)[: CONTEXT - 3]
    params = SamplingParams(temperature=0, ignore_eos=True)
    ids, _, finished = read(shared.generate(long, params))
    assert (len(ids), finished.reason) == (3, FinishReason.LENGTH)


def test_cancelling_ends_it_before_the_next_token(engine: Engine, gate: Gate) -> None:
    generation = engine.generate(PROMPT, replace(GREEDY, max_new_tokens=400))
    events = iter(generation)
    gate.let(3)
    assert len(next_tokens(events, 3)) == 3
    generation.cancel()
    gate.open()
    finished = next(events)
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.stats.output_tokens) == (FinishReason.CANCELLED, 3)
    assert list(events) == []


def test_cancelling_while_a_prompt_is_read_ends_it_without_a_token(
    written: WrittenModel, gate: Gate
) -> None:
    options = EngineOptions(prefill_chunk=16)
    with closing(Engine.load(written.path, options)) as engine:
        generation = engine.generate(PROMPT, GREEDY)
        gate.let(1)
        progress = [next(iter(generation)) for _ in range(2)]
        assert [(e.done, e.total) for e in progress if isinstance(e, PromptProgress)] == [
            (0, 70),
            (16, 70),
        ]
        generation.cancel()
        gate.open()
        ids, _, finished = read(generation)
        assert (ids, finished.reason) == ([], FinishReason.CANCELLED)


def test_a_request_in_the_line_can_be_cancelled(engine: Engine, gate: Gate) -> None:
    running = [engine.generate(PROMPT, GREEDY) for _ in range(2)]
    queued, last = engine.generate(PROMPT, GREEDY), engine.generate(PROMPT, GREEDY)
    queued.cancel()
    gate.open()
    ids, _, finished = read(queued)
    assert (ids, finished.reason) == ([], FinishReason.CANCELLED)
    answers = [read(generation)[0] for generation in (*running, last)]
    assert answers[0] == answers[1] == answers[2] != []


def test_dropping_the_iterator_does_not_end_the_generation(shared: Engine) -> None:
    generation = shared.generate(PROMPT, GREEDY)
    for event in generation:
        if isinstance(event, Token):
            break
    assert read(generation)[2].reason is FinishReason.LENGTH


# --- what it remembers and tells ------------------------------------------------------------------


def test_a_second_turn_computes_only_what_is_new(engine: Engine) -> None:
    first, _, finished = read(engine.generate(PROMPT, GREEDY))
    assert finished.stats.cached_tokens == 0
    turn = [*PROMPT, *first, *PROMPT[:7]]
    again, _, finished = read(engine.generate(turn, GREEDY))
    stats = finished.stats
    # The last token of an answer was chosen but never computed.
    assert (stats.prompt_tokens, stats.cached_tokens) == (len(turn), len(PROMPT) + len(first) - 1)
    assert stats.output_tokens == len(again) == GREEDY.max_new_tokens
    assert 0 < stats.prefill_seconds <= stats.time_to_first_token
    assert stats.tokens_per_second > 0


def test_what_is_remembered_does_not_change_the_answer(
    engine: Engine, written: WrittenModel
) -> None:
    turn = [*PROMPT, *read(engine.generate(PROMPT, GREEDY))[0], *PROMPT[:7]]
    remembered = read(engine.generate(turn, DRAWN))
    with closing(Engine.load(written.path)) as fresh:
        assert read(fresh.generate(turn, DRAWN))[:2] == remembered[:2]
    assert remembered[2].stats.cached_tokens > 0


def test_progress_of_a_long_prompt_rises_to_its_length(written: WrittenModel) -> None:
    with closing(Engine.load(written.path, EngineOptions(prefill_chunk=32))) as engine:
        events = list(engine.generate(PROMPT, GREEDY))
    done = [(event.done, event.total) for event in events if isinstance(event, PromptProgress)]
    assert done == [(0, 70), (32, 70), (64, 70), (70, 70)]


def test_loading_reports_bytes_that_rise_to_the_total(written: WrittenModel) -> None:
    told: list[LoadProgress] = []
    Engine.load(written.path, listener=told.append).close()
    assert told[0].stage is LoadStage.COMPILE
    done = [progress.done for progress in told[1:]]
    assert {progress.stage for progress in told[1:]} == {LoadStage.WEIGHTS}
    assert len(done) > 10
    assert done == sorted(done)
    assert {progress.total for progress in told[1:]} == {done[-1]}


# --- what it refuses ------------------------------------------------------------------------------


def test_a_prompt_that_leaves_no_room_is_refused_with_both_lengths(shared: Engine) -> None:
    with pytest.raises(PromptTooLong, match=r"512 tokens .* holds 512"):
        shared.generate([1] * CONTEXT, GREEDY)
    assert len(read(shared.generate([1] * (CONTEXT - 1), GREEDY))[0]) == 1


@pytest.mark.parametrize("prompt", [[], [1, VOCAB], [-1, 1]])
def test_a_prompt_of_nothing_or_of_no_ids_is_refused(shared: Engine, prompt: list[int]) -> None:
    with pytest.raises(BadSetting, match="prompt is"):
        shared.generate(prompt, GREEDY)


@pytest.mark.parametrize(
    "options", [EngineOptions(context_length=CONTEXT + 1), EngineOptions(kernels="abacus")]
)
def test_options_that_do_not_fit_the_model_or_machine_are_refused(
    written: WrittenModel, options: EngineOptions
) -> None:
    with pytest.raises(BadSetting):
        Engine.load(written.path, options)


def refusal(path: Path, have: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said with so many bytes to be had, and nothing compiled or packed for it."""

    def never(*_: object) -> None:
        raise AssertionError("work was done for a model that does not fit")

    with monkeypatch.context() as scarce:
        scarce.setattr(engine_module, "available_memory", lambda: int(have))
        scarce.setattr(engine_module, "pack_weights", never)
        scarce.setattr(engine_module, "compile_kernels", never)
        with pytest.raises(NotEnoughMemory) as caught:
            Engine.load(path)
    return str(caught.value)


def test_a_model_that_does_not_fit_is_refused_with_both_figures_and_a_smaller_choice(
    written: WrittenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refusal(written.path, 151_000_000, monkeypatch)
    assert "grants 151 MB" in message
    assert "a file of at most" in message


def test_a_long_context_that_does_not_fit_is_refused_with_one_that_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as long:
        long.setitem(write_llama.__globals__["_SHAPE"], "max_position_embeddings", 8192)
        path = write_llama(tmp_path / "model.gguf").path
    need = float(number(refusal(path, 0, monkeypatch), r"needs ([0-9.]+) MB"))
    have = 1e6 * need - 4e6  # of the 8 MB that its whole context takes
    message = refusal(path, have, monkeypatch)
    choice = int(number(message, r"context_length=([0-9]+)"))
    assert 1024 <= choice < 8192
    monkeypatch.setattr(engine_module, "available_memory", lambda: int(have))
    Engine.load(path, EngineOptions(context_length=choice)).close()


def number(message: str, pattern: str) -> str:
    found = re.search(pattern, message)
    assert found, message
    return found[1]


def test_a_kernel_cache_that_cannot_be_written_is_named(
    written: WrittenModel, tmp_path: Path
) -> None:
    (tmp_path / "kernels").write_text("a file where the folder should be")
    with pytest.raises(CacheNotWritable, match="kernels"):
        Engine.load(written.path, EngineOptions(kernel_cache=tmp_path / "kernels"))


# --- when things break ----------------------------------------------------------------------------

DAMAGES = ["output_norm.weight", "blk.0.ffn_gate.weight", "blk.1.attn_v.weight", "output.weight"]


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("kind", [QuantType.F32, QuantType.F16])
def test_a_weight_that_is_not_a_number_ends_generations_with_an_error(
    tmp_path: Path, kind: QuantType, name: str
) -> None:
    path = write_qwen2(tmp_path / "model.gguf", kind).path
    tensor = read_gguf(path).tensors[name]
    with path.open("r+b") as file:
        file.seek(tensor.offset)
        file.write(b"\xff" * 4)  # NaN in every float format
    with closing(Engine.load(path)) as engine:
        ids, _, finished = read(engine.generate(PROMPT, GREEDY))
    assert (ids, finished.reason) == ([], FinishReason.ERROR)
    assert isinstance(finished.error, BadLogits)


def test_one_damaged_embedding_fails_its_own_request_only(tmp_path: Path) -> None:
    """Though the pages it used are used again."""
    path = write_qwen2(tmp_path / "model.gguf").path
    tensor = read_gguf(path).tensors["token_embd.weight"]
    with path.open("r+b") as file:
        file.seek(tensor.offset + 4 * 256 * 300)
        file.write(b"\xff" * 4)
    options = EngineOptions(context_length=128, kv_type="f32")
    with closing(Engine.load(path, options)) as engine:
        sound = read(engine.generate(PROMPT, GREEDY))[0]
        for _ in range(8):
            damaged = engine.generate([300, *PROMPT], GREEDY)
            beside = engine.generate(PROMPT[3:], GREEDY)
            assert isinstance(read(damaged)[2].error, BadLogits)
            assert read(beside)[2].reason is FinishReason.LENGTH
        assert read(engine.generate(PROMPT, GREEDY))[0] == sound


def test_a_step_that_fails_fails_its_requests_and_the_engine_lives_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(engine.generate(PROMPT, GREEDY))[0]
    with monkeypatch.context() as broken:
        broken.setattr(Model, "step", lambda *_: 1 / 0)
        failed = [engine.generate([7, *PROMPT], GREEDY) for _ in range(4)]
        for generation in failed:
            finished = read(generation)[2]
            assert finished.reason is FinishReason.ERROR
            assert isinstance(finished.error, EngineError)
            assert "division by zero" in str(finished.error)
    assert read(engine.generate(PROMPT, GREEDY))[0] == expected


def test_a_failed_step_leaves_no_pages_behind(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Model, "step", lambda *_: 1 / 0)
        for _ in range(5):
            read(engine.generate(PROMPT, GREEDY))
    assert engine._cache.pages_alive == 0


def test_closing_cancels_what_runs_and_refuses_what_comes(engine: Engine, gate: Gate) -> None:
    generations = [engine.generate(PROMPT, GREEDY) for _ in range(4)]
    closer = threading.Thread(target=engine.close)
    closer.start()
    while True:  # until the engine says that it is closed
        try:
            generations.append(engine.generate(PROMPT, GREEDY))
        except EngineClosed:
            break
    gate.open()
    closer.join()
    reasons = {read(generation)[2].reason for generation in generations}
    assert reasons == {FinishReason.CANCELLED}
    engine.close()


def test_a_closed_engines_memory_is_given_back_though_a_handle_is_kept(
    written: WrittenModel,
) -> None:
    engine = Engine.load(written.path)
    generation = engine.generate(PROMPT, GREEDY)
    assert read(generation)[2].reason is FinishReason.LENGTH
    engine.close()
    model = weakref.ref(engine._model)
    del engine
    gc.collect()
    assert model() is None
