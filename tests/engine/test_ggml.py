"""chatglm.cpp's containers: what is in them is found, and what is wrong with them is named."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chatglm_folder import CONTEXT, HEAD_DIM, KV_HEADS, LAYERS, chatglm3
from ggml_bytes import Ggml, Record
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import Rope
from engine.errors import BadModelFile, EngineError, UnsupportedModel
from engine.ggml import PREFIX_NAME, VIRTUAL_TOKENS, ggml_name
from engine.open import open_model_file
from engine.quants import QuantType, unpack
from engine.tokenizer import load_tokenizer

SOUND = chatglm3().ggml(QuantType.Q4_0)
QKV = "transformer.encoder.layers.0.self_attention.query_key_value.weight"
HEAD = "transformer.output_layer.weight"


def write(path: Path, file: Ggml | bytes) -> Path:
    path.write_bytes(file if isinstance(file, bytes) else file.packed())
    return path


def refusal(path: Path, file: Ggml | bytes) -> str:
    with pytest.raises(EngineError) as error:
        open_model_file(write(path, file))
    assert str(path) in str(error.value)
    return str(error.value)


def test_the_header_gives_the_models_shape(tmp_path: Path) -> None:
    file = open_model_file(write(tmp_path / "glm.bin", replace(SOUND, rope_theta=500000.0)))
    config = file.config
    assert (config.architecture, config.name) == ("chatglm", "glm")
    assert (config.layers, config.kv_heads, config.head_dim) == (LAYERS, KV_HEADS, HEAD_DIM)
    assert (config.rope, config.rotary_dim, config.rope_theta) == (Rope.PAIRS, HEAD_DIM // 2, 5e5)
    assert config.context_length == CONTEXT
    assert config.norm_eps == pytest.approx(1e-5)
    assert file.metadata["tokenizer.ggml.eos_token_id"] == 2


def test_version_1_files_get_the_values_their_readers_assume(tmp_path: Path) -> None:
    second = open_model_file(write(tmp_path / "v2.bin", SOUND))
    first = open_model_file(write(tmp_path / "v1.bin", replace(SOUND, version=1)))
    assert replace(first.config, name="v2", norm_eps=second.config.norm_eps) == second.config
    assert first.config.norm_eps == 1e-5
    assert first.tensors.keys() == second.tensors.keys()


@pytest.mark.parametrize("quant", [QuantType.F32, QuantType.F16, QuantType.Q4_1, QuantType.Q8_0])
def test_tensors_are_found_by_name_in_any_order(tmp_path: Path, quant: QuantType) -> None:
    checkpoint = chatglm3()
    file = checkpoint.ggml(quant)
    backwards = open_model_file(
        write(tmp_path / "glm.bin", replace(file, records=file.records[::-1]))
    )
    assert len(backwards.tensors) == len(checkpoint.tensors)
    for name, tensor in backwards.tensors.items():
        source = checkpoint.tensors[ggml_name(name)]
        assert tensor.shape == tuple(source.shape)
        assert tensor.offset % 16 == 0
        worth = unpack(tensor.type, tensor.data).reshape(tensor.shape)
        assert np.abs(worth - source.float().numpy()).max() < 0.1


def test_a_trained_prefix_is_a_tensor_of_its_own(tmp_path: Path) -> None:
    file = open_model_file(write(tmp_path / "glm.bin", with_prefix(5, 5)))
    assert file.tensors[PREFIX_NAME].shape == (2 * LAYERS, KV_HEADS, 5, HEAD_DIM)
    assert file.metadata[VIRTUAL_TOKENS] == 5


@pytest.mark.parametrize(("said", "there"), [(0, 5), (5, 4), (5, None), (-1, None)])
def test_a_prefix_that_the_header_does_not_announce_is_refused(
    tmp_path: Path, said: int, there: int | None
) -> None:
    assert PREFIX_NAME in refusal(tmp_path / "glm.bin", with_prefix(said, there))


def with_prefix(said: int, there: int | None) -> Ggml:
    file = replace(SOUND, virtual_tokens=said)
    if there is None:
        return file
    shape = (2 * LAYERS, KV_HEADS, there, HEAD_DIM)
    prefix = Record(PREFIX_NAME, shape, int(QuantType.F16), bytes(2 * int(np.prod(shape))))
    return replace(file, records=(prefix, *file.records))


def renamed(name: str) -> Callable[[Ggml], Ggml]:
    return lambda file: file.changing(QKV, name=name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: replace(file, model_type=9), "another program"),
        (lambda file: replace(file, version=3), "version 3"),
        (lambda file: replace(file, version=0), "version 0"),
        (lambda file: replace(file, dtype=5), "unknown tensor type"),
        (lambda file: replace(file, heads=0), "heads"),
        (lambda file: replace(file, heads=7), "heads"),
        (lambda file: replace(file, kv_heads=0), "kv_heads"),
        (lambda file: replace(file, layers=-1), "layers"),
        (lambda file: replace(file, layers=3), "blk.2"),
        (lambda file: replace(file, layers=1), "blk.1"),
        (lambda file: replace(file, vocab_size=449), "token_embd.weight"),
        (lambda file: replace(file, norm_eps=float("nan")), "norm_eps"),
        (lambda file: replace(file, rope_theta=0.0), "rope_theta"),
        (lambda file: replace(file, max_length=0), "context_length"),
        (lambda file: file.changing(QKV, kind=4), "tensor type 4"),
        (lambda file: file.changing(QKV, rank=0), "0 dimensions"),
        (lambda file: file.changing(QKV, rank=5), "5 dimensions"),
        (lambda file: file.changing(QKV, shape=(128, 65)), "multiple of Q4_0's 32"),
        (lambda file: file.changing(QKV, shape=(128, -64)), "shape (128, -64)"),
        (lambda file: file.changing(QKV, shape=(64, 128)), "attn_qkv.weight"),
        (lambda file: file.changing(QKV, shape=(2**31 - 1, 2**31 - 64)), "bytes of data"),
        (renamed(""), "a name of 0 bytes"),
        (renamed("x" * 300), "a name of 300 bytes"),
        (renamed(HEAD), "it twice"),
        (renamed("some.weight"), "no blk.0.attn_q.weight"),
        (lambda file: file.changing(QKV, name=b"\xff\xfe"), "UTF-8"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, change: Callable[[Ggml], Ggml], message: str
) -> None:
    assert message in refusal(tmp_path / "glm.bin", change(SOUND))


def test_a_tensor_we_would_leave_out_is_refused(tmp_path: Path) -> None:
    more = Record("transformer.extra.weight", (32,), 0, bytes(128))
    with pytest.raises(UnsupportedModel, match=re.escape("transformer.extra.weight")):
        open_model_file(write(tmp_path / "glm.bin", replace(SOUND, records=(*SOUND.records, more))))


@pytest.mark.parametrize(("number", "name"), [(1, "ChatGLM"), (1004, "ChatGLM4V"), (1024, "Baich")])
def test_other_models_of_chatglm_cpp_are_refused_by_name(
    tmp_path: Path, number: int, name: str
) -> None:
    message = refusal(tmp_path / "glm.bin", replace(SOUND, model_type=number))
    assert name in message
    assert "CHATGLM3" in message


@pytest.mark.parametrize("magic", [b"lmgg", b"fmgg", b"tjgg"])
def test_a_ggml_file_of_another_program_is_called_so(tmp_path: Path, magic: bytes) -> None:
    assert "another program" in refusal(tmp_path / "whisper.bin", magic + bytes(1000))


def test_a_git_lfs_pointer_is_called_so(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3514297136\n"
    assert "Git-LFS" in refusal(tmp_path / "glm.bin", pointer)


@pytest.mark.parametrize("length", [0, *SOUND.boundaries()][:-1])
def test_a_file_cut_short_at_a_boundary_is_refused(tmp_path: Path, length: int) -> None:
    data = SOUND.packed()
    for cut in (length - 1, length, length + 1):
        if 0 <= cut < len(data):
            refusal(tmp_path / "glm.bin", data[:cut])


@settings(deadline=None, max_examples=300)
@given(at=st.sampled_from([*SOUND.boundaries()]), shift=st.integers(-8, 8), bit=st.integers(0, 7))
def test_a_flipped_bit_near_a_boundary_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, at: int, shift: int, bit: int
) -> None:
    data = bytearray(SOUND.packed())
    place = min(max(at + shift, 0), len(data) - 1)
    data[place] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped.bin"
    path.write_bytes(data)
    with contextlib.suppress(EngineError):
        file = open_model_file(path)
        load_tokenizer(file)
        for tensor in file.tensors.values():
            assert tensor.offset + tensor.data.size <= len(data)


def test_a_tokenizer_that_is_none_is_refused(tmp_path: Path) -> None:
    file = open_model_file(write(tmp_path / "glm.bin", replace(SOUND, tokenizer=b"nothing")))
    with pytest.raises(BadModelFile, match="SentencePiece"):
        load_tokenizer(file)
