"""P-Tuning's prefix: sequences see it and their positions do not; transformers is the oracle."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import run_model
import torch
from chatglm_folder import CONTEXT, HEAD_DIM, KV_HEADS, LAYERS, VOCAB, Checkpoint, chatglm3
from ggml_bytes import Record
from transformers import DynamicCache

from engine.config import EngineOptions, SamplingParams
from engine.engine import Engine
from engine.errors import PromptTooLong
from engine.events import Finished, Token
from engine.ggml import PREFIX_NAME
from engine.open import open_model_file
from engine.quants import QuantType
from engine.tuning import virtual_tokens

IDS = [int(each) for each in np.random.default_rng(5).integers(0, VOCAB, 90)]
SOUND = chatglm3()


def trained(count: int) -> np.ndarray:
    shape = (2 * LAYERS, KV_HEADS, count, HEAD_DIM)
    return np.random.default_rng(count).normal(0, 1, shape).astype(np.float16)


def write(path: Path, count: int) -> Path:
    file, values = SOUND.ggml(QuantType.F32), trained(count)
    prefix = Record(PREFIX_NAME, values.shape, int(QuantType.F16), values.tobytes())
    path.write_bytes(replace(file, virtual_tokens=count, records=(prefix, *file.records)).packed())
    return path


def transformers_logits(checkpoint: Checkpoint, count: int, ids: list[int]) -> np.ndarray:
    values = torch.from_numpy(trained(count)).float()[:, None]  # [2 layers, 1, heads, places, dim]
    cache = DynamicCache()
    for layer in range(LAYERS):
        cache.update(values[2 * layer], values[2 * layer + 1], layer)
    places = torch.arange(len(ids))
    seen = torch.arange(count + len(ids))[None, :] <= (places + count)[:, None]
    mask = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))[None, None]
    with torch.no_grad():
        answer = checkpoint.glm()(
            torch.tensor([ids]),
            past_key_values=cache,
            attention_mask=mask,
            position_ids=places[None],
        )
    return np.asarray(answer.logits[0])


@pytest.mark.parametrize("count", [1, 5, 64, 70, 128])
def test_a_tuned_model_gives_transformers_logits(tmp_path: Path, count: int) -> None:
    path = write(tmp_path / "tuned.bin", count)
    assert virtual_tokens(open_model_file(path)) == count
    ours = run_model.logits(path, IDS)
    theirs = transformers_logits(SOUND, count, IDS)
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    plain = tmp_path / "plain.bin"
    plain.write_bytes(SOUND.ggml(QuantType.F32).packed())
    assert np.abs(ours - run_model.logits(plain, IDS)).max() > 0.01 * np.abs(theirs).max()


@pytest.mark.parametrize("kv_type", [QuantType.F16, QuantType.Q8_0])
def test_a_smaller_cache_holds_the_prefix_too(tmp_path: Path, kv_type: QuantType) -> None:
    path = write(tmp_path / "tuned.bin", 70)
    ours, theirs = run_model.logits(path, IDS, kv_type), transformers_logits(SOUND, 70, IDS)
    assert np.abs(ours - theirs).max() <= 0.02 * np.abs(theirs).max()


@pytest.mark.parametrize("count", [0, 70])
def test_a_tuned_engine_answers_the_same_first_and_later_and_beside_others(
    tmp_path: Path, count: int
) -> None:
    path = write(tmp_path / "tuned.bin", count) if count else tmp_path / "plain.bin"
    if not count:
        path.write_bytes(SOUND.ggml(QuantType.F32).packed())
    engine = Engine.load(path, EngineOptions(threads=1, kv_type="f32", max_sequences=2))
    try:
        assert engine.context_length == CONTEXT
        first = answer(engine, IDS)
        assert first == greedy(count, IDS, len(first))
        running = [engine.generate(IDS[:40], params()), engine.generate(IDS, params())]
        streams = [list(each) for each in running]
        assert tokens(streams[1]) == first
        assert tokens(streams[0]) == greedy(count, IDS[:40], len(tokens(streams[0])))
        last = streams[1][-1]
        assert isinstance(last, Finished)
        assert last.stats.prompt_tokens == len(IDS)
        assert last.stats.cached_tokens == len(IDS) - 1
        with pytest.raises(PromptTooLong):
            engine.generate([3] * CONTEXT, params())
        long = answer(engine, [3] * (CONTEXT - 2))
        assert 1 <= len(long) <= 2
    finally:
        engine.close()


def params() -> SamplingParams:
    return SamplingParams(temperature=0, max_new_tokens=5, ignore_eos=True)


def answer(engine: Engine, ids: list[int]) -> list[int]:
    return tokens(list(engine.generate(ids, params())))


def tokens(events: Sequence[object]) -> list[int]:
    return [event.id for event in events if isinstance(event, Token)]


def greedy(count: int, ids: list[int], length: int) -> list[int]:
    found: list[int] = []
    for _ in range(length):
        found.append(int(transformers_logits(SOUND, count, [*ids, *found])[-1].argmax()))
    return found
