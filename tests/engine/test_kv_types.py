"""What must hold for every type of cached keys and values, and how near the 8-bit one is."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import run_model
from generations import read
from gguf_files import WrittenModel, write_chatglm, write_llama, write_qwen2

from engine import (
    KV_TYPES,
    BadSetting,
    Engine,
    EngineOptions,
    SamplingParams,
    asked_kv_type,
)
from engine.cache import page_bytes
from engine.gguf import read_gguf
from engine.kernels.attention import SLICE
from engine.quants import QuantType

PASSAGE = [int(i) for i in np.random.default_rng(4).integers(0, 250, 12)]
PROMPT = PASSAGE * 6
LONG = [int(i) for i in np.random.default_rng(8).integers(0, 250, 2 * SLICE + 40)]
GREEDY = SamplingParams(temperature=0, max_new_tokens=30, ignore_eos=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "m.gguf"
    return write_qwen2(file, QuantType.Q4_0, context=2048).path


def load(
    path: Path, kv_type: str, *, guess: bool = False, chunk: int = 512, threads: int = 2
) -> Engine:
    options = EngineOptions(threads, 0, 4, chunk, speculation=guess, kv_type=kv_type)
    return Engine.load(path, options)


@pytest.fixture(scope="module", params=KV_TYPES)
def plain(request: pytest.FixtureRequest, path: Path) -> Iterator[tuple[str, Engine]]:
    """Each type, and an engine with it that does not guess."""
    with closing(load(path, request.param)) as engine:
        yield request.param, engine


def answer(engine: Engine, prompt: list[int]) -> list[int]:
    return read(engine.generate(prompt, GREEDY))[0]


def test_company_changes_no_answer(plain: tuple[str, Engine]) -> None:
    prompts = [PROMPT, LONG[:700], LONG[300:], PROMPT[5:50]]
    alone = [answer(plain[1], prompt) for prompt in prompts]
    running = [plain[1].generate(prompt, GREEDY) for prompt in prompts]
    assert [read(each)[0] for each in running] == alone


def test_neither_guesses_nor_chunks_nor_threads_change_an_answer(
    plain: tuple[str, Engine], path: Path
) -> None:
    kind, expected = plain[0], [answer(plain[1], prompt) for prompt in (PROMPT, LONG)]
    others = (
        partial(load, path, kind, guess=True),
        partial(load, path, kind, chunk=24),
        partial(load, path, kind, threads=1),
        partial(load, path, kind, threads=3),
    )
    for make in others:
        with closing(make()) as other:
            assert [answer(other, prompt) for prompt in (PROMPT, LONG)] == expected


def test_a_cached_beginning_changes_no_answer(plain: tuple[str, Engine], path: Path) -> None:
    with closing(load(path, plain[0])) as other:
        first = answer(other, LONG[:650])
        second = [*LONG[:650], *first, *PROMPT]
        ids, finished = read(other.generate(second, GREEDY))
        assert finished.stats.cached_tokens == 650 + len(first) - 1
    assert ids == answer(plain[1], second)


@pytest.mark.parametrize("write", [write_llama, write_qwen2, write_chatglm])
def test_8_bit_keys_and_values_move_logits_by_little(
    tmp_path: Path, write: Callable[..., WrittenModel]
) -> None:
    """A cached value is off by half a 127th of its 32's largest at most, as an 8-bit activation
    is: so the logits' error is held to the same 3 % of their spread.
    """
    path = write(tmp_path / "model.gguf").path
    exact = run_model.logits(path, LONG[:150])
    ours = run_model.logits(path, LONG[:150], QuantType.Q8_0)
    assert 0 < np.sqrt(np.mean((ours - exact) ** 2)) <= 0.03 * exact.std()


def test_pages_take_8_and_a_half_bits_a_value(path: Path) -> None:
    config = read_gguf(path).config
    values = page_bytes(config, QuantType.F32) // 4
    assert page_bytes(config, QuantType.F16) == 2 * values
    if config.head_dim % 32 == 0:
        assert page_bytes(config, QuantType.Q8_0) == values * 34 // 32
    half_block = replace(config, head_dim=48, rotary_dim=48)  # has the scale of a whole one
    values = page_bytes(half_block, QuantType.F32) // 4
    assert page_bytes(half_block, QuantType.Q8_0) == values * (48 + 2 * 2) // 48


def test_a_type_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadSetting, match="one of f16, q8_0, f32"):
        EngineOptions(kv_type="q4_0")
    with pytest.raises(BadSetting, match="ASSISTANT_KV_TYPE"):
        asked_kv_type({"ASSISTANT_KV_TYPE": "int8"})
    assert asked_kv_type({}) == asked_kv_type({"ASSISTANT_KV_TYPE": " "}) == "f16"
    assert asked_kv_type({"ASSISTANT_KV_TYPE": "q8_0"}) == "q8_0"
