"""A step of the transformer against torch, and against itself in other shapes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf_files import WrittenModel, write_chatglm, write_llama, write_qwen2

from engine.cache import KVCache, Prefix, page_bytes
from engine.gguf import read_gguf
from engine.kernels.dot import available_variants
from engine.kernels.formats import types_for
from engine.kernels.vector import Isa
from engine.model import Limits, Model, Segment
from engine.quants import QuantType
from engine.weights import pack_weights

Floats = npt.NDArray[np.float32]
Writer = Callable[..., WrittenModel]

IDS = [int(i) for i in np.random.default_rng(7).integers(0, 300, 150)]
WRITERS: dict[str, Writer] = {"llama": write_llama, "qwen2": write_qwen2, "chatglm": write_chatglm}
FLOATS = (QuantType.F32, QuantType.F16, QuantType.BF16)
QUANTIZED = [kind for kind in QuantType if kind not in FLOATS]


class Runner:
    """A model in memory with a cache, run by hand."""

    def __init__(
        self,
        path: Path,
        kv_type: QuantType = QuantType.F32,
        isa: Isa | None = None,
        threads: int = 2,
        context: int = 512,
    ) -> None:
        file = read_gguf(path)
        limits = Limits(tokens=160, sequences=4, context=context, kv_type=kv_type)
        self.model = Model(
            file, pack_weights(file, 1, None), limits, isa or Isa(available_variants()[0]), threads
        )
        self.cache = KVCache(page_bytes(file.config, kv_type), capacity=64)

    def logits(
        self,
        ids: Sequence[int],
        pieces: Sequence[int],
        prefix: Prefix | None = None,
        many: bool = False,
    ) -> Floats:
        """Logits after the last id of each piece; `pieces` are lengths that add up to len(ids)."""
        prefix = prefix or Prefix()
        self.cache.grow(prefix, len(prefix.tokens) + len(ids))
        self.model.wake()
        rows, at = [], 0
        for piece in pieces:
            segment = Segment(prefix, ids[at : at + piece], wants_logits=True, many=many)
            rows.append(self.model.step([segment])[0].copy())
            at += piece
        self.model.rest()
        return np.stack(rows)


def one_by_one(ids: Sequence[int]) -> list[int]:
    return [1] * len(ids)


@pytest.mark.parametrize("name", ["llama", "qwen2", "chatglm", "llama tied", "qwen2 tied"])
def test_float32_weights_give_torchs_logits_at_every_position(tmp_path: Path, name: str) -> None:
    architecture, _, tied = name.partition(" ")
    options = {"tied": True} if tied else {}
    written = WRITERS[architecture](tmp_path / "model.gguf", **options)
    ours = Runner(written.path).logits(IDS, one_by_one(IDS))
    theirs = written.logits(IDS)
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("kind", [QuantType.F16, QuantType.BF16])
def test_half_precision_weights_are_used_as_they_are(tmp_path: Path, kind: QuantType) -> None:
    written = write_qwen2(tmp_path / "model.gguf", kind)
    ours = Runner(written.path).logits(IDS, one_by_one(IDS))
    theirs = written.logits(IDS)
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("kind", QUANTIZED)
def test_quantized_weights_differ_from_torch_by_what_8_bit_activations_explain(
    tmp_path: Path, kind: QuantType
) -> None:
    """An activation rounded to 127 steps of its block's largest is off by at most 1/254 of it,
    about 0.4 %, and independently so for each; the logits' error stays below 3 % of their spread.
    """
    written = write_qwen2(tmp_path / "model.gguf", kind)
    ours = Runner(written.path).logits(IDS, one_by_one(IDS))
    theirs = written.logits(IDS)
    assert np.sqrt(np.mean((ours - theirs) ** 2)) <= 0.03 * theirs.std()


@pytest.mark.parametrize("kind", QuantType)
def test_how_a_prompt_is_cut_does_not_change_one_bit(tmp_path: Path, kind: QuantType) -> None:
    written = write_chatglm(tmp_path / "model.gguf", kind)
    runner = Runner(written.path, kv_type=QuantType.F16)
    whole = runner.logits(IDS, [len(IDS)])[-1]
    for pieces in ([1, 2, 3, 4, 5, 7, 8, 9, 111], [64, 86], one_by_one(IDS)):
        assert np.array_equal(runner.logits(IDS, pieces)[-1], whole), pieces


@pytest.mark.parametrize("isa", available_variants())
def test_every_kernel_variant_gives_the_same_bits(tmp_path: Path, isa: str) -> None:
    written = write_llama(tmp_path / "model.gguf", QuantType.Q4_K)
    expected = Runner(written.path).logits(IDS, [len(IDS)])
    runner = Runner(written.path, isa=Isa(isa, types_for([QuantType.Q4_K])))
    assert np.array_equal(runner.logits(IDS, [len(IDS)]), expected)


@pytest.mark.parametrize("kind", QUANTIZED)
def test_a_prompt_read_as_many_is_at_least_as_near_to_torch(
    tmp_path: Path, kind: QuantType
) -> None:
    """By tiles, weights and activations are rounded to 8 bits of mantissa: 0.4 % at most."""
    written = write_chatglm(tmp_path / "model.gguf", kind)
    ours = Runner(written.path).logits(IDS, [40, 41, 69], many=True)
    theirs = written.logits(IDS)[[39, 80, 149]]
    assert np.sqrt(np.mean((ours - theirs) ** 2)) <= 0.03 * theirs.std()


@pytest.mark.parametrize("kind", QUANTIZED)
def test_how_a_prompt_read_as_many_is_cut_does_not_change_one_bit(
    tmp_path: Path, kind: QuantType
) -> None:
    runner = Runner(write_llama(tmp_path / "model.gguf", kind).path, kv_type=QuantType.F16)
    whole = runner.logits(IDS, [len(IDS)], many=True)[-1]
    for pieces in ([1, 2, 17, 31, 99], [64, 86]):
        assert np.array_equal(runner.logits(IDS, pieces, many=True)[-1], whole), pieces


@pytest.mark.parametrize("plain", ["ffn_gate", "ffn_down", "attn_q", "attn_output"])
def test_a_prompt_can_be_read_as_many_when_some_weights_are_plain_floats(
    tmp_path: Path, plain: str
) -> None:
    written = write_llama(tmp_path / "model.gguf", QuantType.Q8_0, plain=plain)
    ours = Runner(written.path).logits(IDS, [81, 69], many=True)
    theirs = written.logits(IDS)[[80, 149]]
    assert np.sqrt(np.mean((ours - theirs) ** 2)) <= 0.06 * theirs.std()  # two places only


def test_a_long_prompt_and_a_running_answer_in_one_step_do_not_see_each_other(
    tmp_path: Path,
) -> None:
    runner = Runner(
        write_qwen2(tmp_path / "model.gguf", QuantType.Q4_K).path, kv_type=QuantType.F16
    )
    answer, prompt = IDS[:9], IDS[20:90]
    alone = [runner.logits(answer, [8, 1])[-1], runner.logits(prompt, [70], many=True)[-1]]
    running, reading = Prefix(), Prefix()
    runner.logits(answer[:8], [8], running)
    runner.cache.grow(running, 9)
    runner.cache.grow(reading, 70)
    runner.model.wake()
    segments = [Segment(running, answer[8:], True), Segment(reading, prompt, True, many=True)]
    rows = runner.model.step(segments).copy()
    runner.model.rest()
    assert np.array_equal(rows, np.stack(alone))


def test_one_thread_and_three_give_the_same_bits(tmp_path: Path) -> None:
    written = write_llama(tmp_path / "model.gguf", QuantType.Q6_K)
    expected = Runner(written.path, threads=1).logits(IDS, [len(IDS)])
    assert np.array_equal(Runner(written.path, threads=3).logits(IDS, [len(IDS)]), expected)


def test_threads_that_share_a_long_context_give_the_bits_of_one(tmp_path: Path) -> None:
    written = write_qwen2(tmp_path / "model.gguf", QuantType.Q4_0)
    ids = [int(i) for i in np.random.default_rng(3).integers(0, 300, 1100)]
    rows = []
    for threads in (1, 3):
        runner = Runner(written.path, QuantType.F16, threads=threads, context=1152)
        rows.append(runner.logits(ids, [150] * 7 + [3] * 10 + [1] * 20))
    assert np.array_equal(rows[0], rows[1])


def test_sequences_in_one_step_do_not_see_each_other(tmp_path: Path) -> None:
    written = write_qwen2(tmp_path / "model.gguf", QuantType.Q8_0)
    runner = Runner(written.path, kv_type=QuantType.F16)
    texts = [IDS[:40], IDS[50:51], IDS[60:69], IDS[70:150]]
    alone = [runner.logits(text, [len(text)])[-1] for text in texts]
    segments = []
    for text in texts:
        prefix = Prefix()
        runner.cache.grow(prefix, len(text))
        segments.append(Segment(prefix, text, wants_logits=True))
    runner.model.wake()
    rows = runner.model.step(segments).copy()
    runner.model.rest()
    assert np.array_equal(rows, np.stack(alone))


def test_a_resumed_prefix_equals_a_fresh_one(tmp_path: Path) -> None:
    written = write_llama(tmp_path / "model.gguf", QuantType.Q5_K)
    runner = Runner(written.path, kv_type=QuantType.F16)
    first = Prefix()
    runner.logits(IDS[:100], [100], first)
    runner.cache.finish(first)
    resumed = runner.cache.start(IDS)
    assert len(resumed.tokens) == 100
    rest = IDS[100:]
    fresh = runner.logits(IDS, [len(IDS)])[-1]
    assert np.array_equal(runner.logits(rest, [len(rest)], resumed)[-1], fresh)
