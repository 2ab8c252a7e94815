"""Random models: every type that a container holds loads, and computes plausible numbers."""

import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import run_model
from sentencepiece import SentencePieceProcessor

from engine.errors import BadSetting, DiskFull
from engine.open import open_model_file
from engine.quants import QuantType, unpack
from engine.random_model import MIXED, RANDOM_TYPES, SHAPES, Shape, make_random
from engine.random_tokenizer import sentencepiece_model
from engine.tokenizer import load_tokenizer
from engine.tokenizer_chatglm import CONTROLS_3

SMALL = {"layers": 2, "hidden": 256, "heads": 4, "head_dim": 64, "ffn": 512, "vocab_size": 2048}
IDS = [int(each) for each in np.random.default_rng(0).integers(300, 1500, 40)]


def small(name: str, **changes: int) -> Shape:
    shape = SHAPES[name]
    rotary = 32 if shape.family else 64
    sizes: dict[str, Any] = (
        SMALL | {"kv_heads": 2, "rotary_dim": rotary, "context_length": 512} | changes
    )
    return replace(shape, config=replace(shape.config, **sizes))


def written(path: Path, name: str = "chatglm3-6b", kind: str = "q4_0", **changes: int) -> Path:
    make_random(small(name, **changes), kind, path)
    return path


def spread(path: Path) -> float:
    logits = run_model.logits(path, IDS)
    assert np.isfinite(logits).all()
    return float(logits.std())


@pytest.mark.parametrize("kind", RANDOM_TYPES)
def test_a_gguf_of_any_type_runs_and_its_logits_have_a_plausible_spread(
    tmp_path: Path, kind: str
) -> None:
    assert 0.3 < spread(written(tmp_path / "m.gguf", kind=kind)) < 5


@pytest.mark.parametrize("kind", ["q4_0", "q8_0"])
def test_a_ggml_file_runs(tmp_path: Path, kind: str) -> None:
    assert 0.3 < spread(written(tmp_path / "m.bin", kind=kind)) < 5


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_read_back_as_it_was_asked_for(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "m.gguf", name)
    file = open_model_file(path)
    eps = small(name).config.norm_eps
    assert file.config.norm_eps == pytest.approx(eps)
    assert replace(file.config, norm_eps=eps) == small(name).config
    assert ("output.weight" in file.tensors) is not small(name).tied
    assert 0.3 < spread(path) < 5


@pytest.mark.parametrize("kind", [QuantType.Q4_0, QuantType.Q5_1, QuantType.Q4_K, QuantType.Q6_K])
def test_a_row_of_weights_keeps_the_variance_of_what_it_is_given(
    tmp_path: Path, kind: QuantType
) -> None:
    file = open_model_file(written(tmp_path / "m.gguf", kind=kind.name.lower()))
    tensor = file.tensors["blk.1.ffn_up.weight"]
    assert tensor.type is kind
    values = unpack(kind, tensor.data)
    assert values.std() == pytest.approx(256**-0.5, rel=0.05)
    assert abs(values.mean()) < 0.15 * values.std()


def test_the_mixed_type_gives_six_bits_to_the_output_and_half_of_the_layers(tmp_path: Path) -> None:
    file = open_model_file(written(tmp_path / "m.gguf", "qwen2.5-coder-1.5b", MIXED, layers=28))
    more = {name for name, tensor in file.tensors.items() if tensor.type is QuantType.Q6_K}
    assert "output.weight" in more
    assert sum(name.endswith("ffn_down.weight") for name in more) == 14
    assert sum(name.endswith("attn_v.weight") for name in more) == 14
    assert len(more) == 29


def test_rows_too_narrow_for_a_k_quant_are_written_as_llama_cpp_does(tmp_path: Path) -> None:
    file = open_model_file(written(tmp_path / "m.gguf", kind="q5_k", ffn=544))
    assert file.tensors["blk.0.ffn_down.weight"].type is QuantType.Q5_1
    assert file.tensors["blk.0.ffn_up.weight"].type is QuantType.Q5_K


def test_no_weight_of_eight_bits_is_minus_128(tmp_path: Path) -> None:
    file = open_model_file(written(tmp_path / "m.gguf", kind="q8_0"))
    blocks = file.tensors["blk.0.ffn_up.weight"].data.reshape(-1, 34)
    assert blocks[:, 2:].view(np.int8).min() == -127


@pytest.mark.parametrize("suffix", [".gguf", ".bin"])
def test_the_tokenizer_of_a_chatglm3_has_its_control_tokens_at_their_ids(
    tmp_path: Path, suffix: str
) -> None:
    shape = SHAPES["chatglm3-6b"]
    few = small("chatglm3-6b", layers=1, vocab_size=shape.config.vocab_size)
    make_random(few, "q4_0", tmp_path / f"m{suffix}")
    tokenizer = load_tokenizer(open_model_file(tmp_path / f"m{suffix}"))
    named = ("[gMASK]", "sop", "<|user|>", "<|observation|>")
    assert [tokenizer.special(name) for name in named] == [64790, 64792, 64795, 64797]
    text = "Hello 你好 é\n{}"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_no_word_of_a_full_chatglm3_vocabulary_is_spelled_as_a_control_token() -> None:
    """llama.cpp refuses a vocabulary with the same text twice."""
    words = SentencePieceProcessor(model_proto=sentencepiece_model(65024))
    pieces = {words.id_to_piece(place) for place in range(words.vocab_size())}
    assert len(pieces) == words.vocab_size()
    assert pieces.isdisjoint(CONTROLS_3)


@pytest.mark.parametrize("name", ["qwen2.5-coder-1.5b", "smollm2-135m"])
def test_byte_level_tokenizers_spell_any_text_and_end_answers(tmp_path: Path, name: str) -> None:
    tokenizer = load_tokenizer(open_model_file(written(tmp_path / "m.gguf", name)))
    text = "Hello 你好 é\n{}"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.special("<|im_end|>") in tokenizer.stop_ids


def test_the_gguf_library_reads_the_file(tmp_path: Path) -> None:
    reader = gguf.GGUFReader(written(tmp_path / "m.gguf"))
    assert reader.fields["general.architecture"].contents() == "chatglm"
    assert len(reader.fields["tokenizer.ggml.tokens"].data) == SMALL["vocab_size"]


def test_the_same_shape_and_type_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a.gguf"), written(tmp_path / "b.gguf")
    assert first.read_bytes() == second.read_bytes()


def test_ggml_files_are_only_written_of_what_chatglm_cpp_reads(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="q4_k"):
        written(tmp_path / "m.bin", kind="q4_k")


def test_a_file_that_exists_is_not_replaced_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"mine")
    with pytest.raises(BadSetting, match="--force"):
        written(path)
    assert path.read_bytes() == b"mine"
    make_random(small("chatglm3-6b"), "q4_0", path, force=True)
    assert path.stat().st_size > 1000


def test_nothing_is_left_where_the_disk_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFull):
        written(tmp_path / "m.gguf")
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_size_of_the_file_and_memory_stays_small(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = make_random(
        small("smollm2-135m", ffn=65536, vocab_size=65536),
        "q8_0",
        tmp_path / "m.gguf",
        listener=lambda done, total: seen.append((done, total)),
    )
    assert (tmp_path / "m.gguf").stat().st_size == size
    assert size - 64 <= seen[-1][0] <= seen[-1][1] == size
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < size
