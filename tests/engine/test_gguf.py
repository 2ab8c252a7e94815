"""Reading GGUF: what the `gguf` library wrote, and everything that can be wrong with a file."""

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import gguf_bytes
import numpy as np
import pytest
from gguf_bytes import ARRAY, BOOL, STRING, U8, Entry, Gguf, Tensor, f32, smallest_model, text, u32
from gguf_files import WrittenModel, write_chatglm, write_llama, write_qwen2
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import Rope
from engine.errors import BadModelFile, EngineError, UnsupportedModel
from engine.gguf import read_gguf
from engine.modelfile import ModelFile
from engine.quants import QuantType, unpack

HUGE = 2**60


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def read(path: Path, content: bytes | Gguf) -> ModelFile:
    path.write_bytes(content if isinstance(content, bytes) else content.packed())
    return read_gguf(path)


def refused(path: Path, content: bytes | Gguf) -> str:
    """The message of the error a bad file is refused with."""
    with pytest.raises(BadModelFile) as caught:
        read(path, content)
    assert str(path) in str(caught.value)
    return str(caught.value)


def unsupported(path: Path, content: bytes | Gguf) -> str:
    with pytest.raises(UnsupportedModel) as caught:
        read(path, content)
    assert str(path) in str(caught.value)
    return str(caught.value)


# What is sound


@pytest.mark.parametrize("write", [write_llama, write_qwen2, write_chatglm])
@pytest.mark.parametrize("quant", [QuantType.F32, QuantType.Q4_K], ids=lambda quant: quant.name)
def test_tensors_are_where_the_gguf_library_finds_them(
    write: Callable[[Path, QuantType], WrittenModel], quant: QuantType, file: Path
) -> None:
    write(file, quant)
    model = read_gguf(file)
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    assert model.tensors.keys() == theirs.keys()
    for name, tensor in model.tensors.items():
        assert tensor.shape == tuple(theirs[name].shape.tolist()[::-1])
        assert int(tensor.type) == theirs[name].tensor_type
        assert tensor.offset == theirs[name].data_offset
        assert tensor.data.tobytes() == theirs[name].data.tobytes()


def test_metadata_is_what_the_gguf_library_wrote(file: Path) -> None:
    written = write_qwen2(file).tokenizer
    metadata: Any = read_gguf(file).metadata
    assert metadata["general.architecture"] == "qwen2"
    assert metadata["tokenizer.ggml.tokens"] == written.tokens
    assert list(metadata["tokenizer.ggml.token_type"]) == written.kinds
    assert metadata["tokenizer.ggml.add_bos_token"] is False
    assert metadata["tokenizer.chat_template"] == written.chat_template
    assert metadata["qwen2.attention.layer_norm_rms_epsilon"] == np.float32(1e-5)


def test_every_kind_of_metadata_value_is_read(file: Path) -> None:
    values = {
        "u8": (0, "<B", 200),
        "i8": (1, "<b", -5),
        "u16": (2, "<H", 60000),
        "i16": (3, "<h", -6),
        "u32": (4, "<I", 2**32 - 1),
        "i32": (5, "<i", -7),
        "f32": (6, "<f", 0.5),
        "bool": (7, "<?", True),
        "u64": (10, "<Q", 2**64 - 1),
        "i64": (11, "<q", -8),
        "f64": (12, "<d", 0.1),
    }
    entries = [Entry(key, kind, struct.pack(form, v)) for key, (kind, form, v) in values.items()]
    metadata: Any = read(file, smallest_model().having(*entries)).metadata
    for key, (_, _, value) in values.items():
        assert metadata[key] == value
        assert type(metadata[key]) is type(value)
    assert metadata["some.strings"] == ["a", "b"]
    assert list(metadata["some.numbers"]) == [1, 2, 3]
    assert [list(numbers) for numbers in metadata["some.lists"]] == [[7], []]


def test_versions_2_and_3_are_read_alike(file: Path) -> None:
    third = read(file, smallest_model())
    second = read(file, replace(smallest_model(), version=2))
    assert second.config == third.config
    assert second.tensors.keys() == third.tensors.keys()


def test_the_shape_of_each_architecture_comes_from_its_own_keys(file: Path) -> None:
    write_llama(file, layers=3)
    llama = read_gguf(file).config
    assert (llama.architecture, llama.layers, llama.rope) == ("llama", 3, Rope.PAIRS)
    assert (llama.heads, llama.kv_heads, llama.head_dim, llama.rotary_dim) == (4, 2, 64, 64)
    assert (llama.hidden, llama.ffn, llama.vocab_size, llama.context_length) == (256, 512, 384, 512)
    assert (llama.norm_eps, llama.rope_theta) == (float(np.float32(1e-5)), 10000.0)
    write_qwen2(file)
    assert read_gguf(file).config.rope is Rope.HALVES
    write_chatglm(file)
    chatglm = read_gguf(file).config
    assert (chatglm.rope, chatglm.head_dim, chatglm.rotary_dim) == (Rope.PAIRS, 64, 32)


def test_a_file_without_a_name_goes_by_its_file_name(file: Path) -> None:
    assert read(file, smallest_model()).config.name == "model"
    assert read(file, smallest_model().having(text("general.name", "Tiny"))).config.name == "Tiny"


def test_a_wider_alignment_moves_the_data(file: Path) -> None:
    entry = u32("general.alignment", 128)
    model = read(file, replace(smallest_model().having(entry), alignment=128))
    tensor = model.tensors["token_embd.weight"]
    assert tensor.offset % 128 == 0
    assert unpack(tensor.type, tensor.data)[:3].tolist() == [0, 1, 2]


def test_a_released_tensor_reads_the_same_again(file: Path) -> None:
    write_llama(file)
    model = read_gguf(file)
    for tensor in model.tensors.values():
        before = tensor.data.tobytes()
        model.release(tensor)
        assert tensor.data.tobytes() == before


def test_closing_unmaps_the_file_once_nobody_holds_a_tensor(file: Path) -> None:
    model = read(file, smallest_model())
    model.close()
    assert model.mapping.closed
    model = read(file, smallest_model())
    held = model.tensors["token_embd.weight"]
    model.close()
    assert held.data[:4].tobytes() == bytes(4)  # still readable


# What is not a GGUF file


def test_another_kind_of_file_is_refused_by_its_first_bytes(file: Path) -> None:
    message = refused(file, b"PK\3\4" + bytes(100))
    assert "PK" in message
    assert "b'GGUF'" in message


def test_a_git_lfs_pointer_is_called_what_it_is(file: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1117320768\n"
    assert "git lfs pull" in refused(file, pointer)


def test_an_empty_file_is_refused(file: Path) -> None:
    assert "an empty file" in refused(file, b"")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "nowhere", "No such file"), (tmp_path, "directory")):
        with pytest.raises(BadModelFile, match=reason):
            read_gguf(path)


@pytest.mark.parametrize(
    ("version", "found"), [(1, "'1'"), (4, "'4'"), (0x03000000, "3 (big-endian)")]
)
def test_other_versions_are_named(file: Path, version: int, found: str) -> None:
    message = unsupported(file, replace(smallest_model(), version=version))
    assert found in message
    assert "2 and 3" in message


# What is cut short


@pytest.mark.parametrize("n_tensors", [None, 0], ids=["sound", "promising no tensors"])
def test_a_file_cut_anywhere_in_its_header_is_refused(file: Path, n_tensors: int | None) -> None:
    whole = replace(smallest_model(), n_tensors=n_tensors)
    content, end = whole.packed(), 24 + len(whole.metadata())
    for length in range(end if n_tensors == 0 else len(whole.header())):
        file.write_bytes(content[:length])
        with pytest.raises(BadModelFile, match=r"bytes left|empty file|first bytes"):
            read_gguf(file)


def test_a_file_cut_at_a_section_boundary_says_which_section_is_missing(file: Path) -> None:
    whole = smallest_model()
    content, metadata_end = whole.packed(), 24 + len(whole.metadata())
    assert "header" in refused(file, content[:8])
    assert "header" in refused(file, content[:24])
    assert "tensor" in refused(file, content[:metadata_end])
    data_start = len(content) - len(whole.data)
    assert "token_embd.weight: found data up to byte" in refused(file, content[:data_start])


def test_a_file_cut_anywhere_in_its_data_names_the_tensor_and_both_ends(file: Path) -> None:
    content = smallest_model().packed()
    assert "ffn_down.weight" in refused(file, content[:-1])
    message = refused(file, content[: -4 * 32 * 32])
    assert f"up to byte {len(content)}" in message
    assert f"within the file's {len(content) - 4096}" in message


# Counts and lengths that cannot be


@pytest.mark.parametrize("count", [HUGE, 2**64 - 1, 10_000])
def test_a_count_past_the_file_is_refused_before_anything_is_read_for_it(
    file: Path, count: int
) -> None:
    assert f"{count} tensors" in refused(file, replace(smallest_model(), n_tensors=count))
    assert f"{count} metadata" in refused(file, replace(smallest_model(), n_entries=count))


@pytest.mark.parametrize(
    "value",
    [
        gguf_bytes.array(STRING, HUGE, b""),
        gguf_bytes.array(U8, HUGE, b""),
        gguf_bytes.array(ARRAY, HUGE, b""),
        gguf_bytes.array(ARRAY, 1, gguf_bytes.array(U8, HUGE, b"")),
        gguf_bytes.array(STRING, 1, struct.pack("<Q", HUGE)),
    ],
    ids=["strings", "numbers", "lists", "inner list", "string in list"],
)
def test_a_list_longer_than_the_file_is_refused(file: Path, value: bytes) -> None:
    message = refused(file, smallest_model().having(Entry("bad", ARRAY, value)))
    assert "'bad'" in message
    assert str(HUGE) in message


def test_a_string_longer_than_the_file_is_refused(file: Path) -> None:
    entry = Entry("bad", STRING, struct.pack("<Q", HUGE))
    assert str(HUGE) in refused(file, smallest_model().having(entry))


def test_lists_nested_without_end_are_refused(file: Path) -> None:
    value = gguf_bytes.array(U8, 0, b"")
    for _ in range(50):
        value = gguf_bytes.array(ARRAY, 1, value)
    assert "4 levels" in refused(file, smallest_model().having(Entry("bad", ARRAY, value)))


# Values that cannot be


def test_an_unknown_value_type_is_refused(file: Path) -> None:
    assert "value type 13" in refused(file, smallest_model().having(Entry("bad", 13, b"")))
    listed = Entry("bad", ARRAY, gguf_bytes.array(13, 0, b""))
    assert "value type 13" in refused(file, smallest_model().having(listed))


def test_a_truth_value_is_0_or_1(file: Path) -> None:
    assert "found 2" in refused(file, smallest_model().having(Entry("bad", BOOL, b"\2")))


def test_text_that_is_not_utf_8_is_refused(file: Path) -> None:
    assert "UTF-8" in refused(file, smallest_model().having(text("bad", b"\xff\xfe")))


def test_a_key_given_twice_is_refused(file: Path) -> None:
    model = smallest_model()
    twice = replace(model, entries=(*model.entries, model.entries[-1]))
    assert "'some.strings': found it twice" in refused(file, twice)


@pytest.mark.parametrize("alignment", [0, 3, 48])
def test_an_alignment_that_is_no_power_of_two_is_refused(file: Path, alignment: int) -> None:
    message = refused(file, smallest_model().having(u32("general.alignment", alignment)))
    assert "a power of two" in message


# Tensors that cannot be


def test_a_tensor_offset_past_the_end_is_refused(file: Path) -> None:
    for offset in (2**16, HUGE):
        message = refused(file, smallest_model().changing("blk.0.ffn_up.weight", offset=offset))
        assert "blk.0.ffn_up.weight" in message


@pytest.mark.parametrize("dims", [(32, 2**16), (32, HUGE), (2**40, 2**40), (2**62, 2**63, 4, 4)])
def test_a_tensor_larger_than_the_file_is_refused(file: Path, dims: tuple[int, ...]) -> None:
    message = refused(file, smallest_model().changing("blk.0.ffn_down.weight", dims=dims))
    assert "blk.0.ffn_down.weight: found data up to byte" in message


@pytest.mark.parametrize("dims", [(), (32, 1, 1, 1, 1)])
def test_a_tensor_has_one_to_four_dimensions(file: Path, dims: tuple[int, ...]) -> None:
    message = refused(file, smallest_model().changing("output_norm.weight", dims=dims))
    assert f"found {len(dims)} dimensions" in message


def test_a_dimension_of_zero_is_refused(file: Path) -> None:
    message = refused(file, smallest_model().changing("output_norm.weight", dims=(0,)))
    assert "found shape (0,), expected dimensions of 1 or more" in message


def test_rows_that_are_not_whole_blocks_are_refused(file: Path) -> None:
    changes = {"kind": QuantType.Q4_K}
    message = refused(file, smallest_model().changing("blk.0.ffn_up.weight", **changes))
    assert "rows of 32" in message
    assert "Q4_K's 256" in message


@pytest.mark.parametrize(("number", "name"), [(10, "Q2_K (10)"), (20, "IQ4_NL (20)"), (99, "99")])
def test_a_tensor_type_we_do_not_run_is_named(file: Path, number: int, name: str) -> None:
    message = unsupported(file, smallest_model().changing("blk.0.ffn_up.weight", kind=number))
    assert "blk.0.ffn_up.weight" in message
    assert f"'{name}'" in message
    assert "Q6_K" in message


def test_a_misaligned_offset_is_refused(file: Path) -> None:
    assert "multiple of 32" in refused(
        file, smallest_model().changing("token_embd.weight", offset=1)
    )


def test_tensors_that_overlap_are_refused(file: Path) -> None:
    message = refused(file, smallest_model().changing("blk.0.attn_k.weight", offset=0))
    assert "neighbour" in message


def test_a_tensor_named_twice_is_refused(file: Path) -> None:
    model = smallest_model()
    again = Tensor("output_norm.weight", (32,), offset=len(model.data))
    message = refused(file, replace(model.adding(again), data=model.data + bytes(128)))
    assert "output_norm.weight: found it twice" in message


# Models that are not what they say, or not ours


def test_an_unknown_architecture_is_named(file: Path) -> None:
    message = unsupported(file, smallest_model().having(text("general.architecture", "mamba")))
    assert "'mamba'" in message
    assert "llama, qwen2, chatglm" in message


def test_a_file_without_an_architecture_is_refused(file: Path) -> None:
    assert "general.architecture" in refused(file, smallest_model().lacking("general.architecture"))
    number = smallest_model().having(u32("general.architecture", 1))
    assert "found 1, expected a name" in refused(file, number)


@pytest.mark.parametrize(
    "key", ["block_count", "context_length", "embedding_length", "attention.head_count"]
)
def test_a_missing_size_is_named(file: Path, key: str) -> None:
    assert f"'llama.{key}': found nothing" in refused(
        file, smallest_model().lacking(f"llama.{key}")
    )


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (u32("llama.attention.head_count", 0), "head_count': found 0"),
        (u32("llama.attention.head_count", 3), "shape (head_dim): found 10"),
        (u32("llama.embedding_length", 2**32 - 1), "shape (hidden): found 4294967295"),
        (u32("llama.embedding_length", 64), "shape of token_embd.weight: found (8, 32)"),
        (u32("llama.block_count", 2**31 - 1), "no blk.1.attn_norm.weight"),
        (u32("llama.attention.head_count_kv", 3), "shape (heads): found 1"),
        (u32("llama.attention.head_count_kv", 0), "head_count_kv': found 0"),
        (u32("llama.rope.dimension_count", 64), "shape (rotary_dim): found 64"),
        (u32("llama.rope.dimension_count", 7), "shape (rotary_dim): found 7"),
        (u32("llama.attention.key_length", 24), "shape (head_dim): found 24"),
        (text("llama.block_count", "one"), "block_count': found 'one'"),
        (Entry("llama.block_count", BOOL, b"\1"), "block_count': found True"),
        (Entry("llama.block_count", ARRAY, gguf_bytes.array(U8, 1, b"\1")), "found a ndarray"),
        (f32("llama.attention.layer_norm_rms_epsilon", float("nan")), "(norm_eps): found nan"),
        (f32("llama.rope.freq_base", float("inf")), "(rope_theta): found inf"),
        (f32("llama.rope.freq_base", 0.0), "(rope_theta): found 0.0"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(file: Path, entry: Entry, said: str) -> None:
    assert said in refused(file, smallest_model().having(entry))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([text("llama.rope.scaling.type", "yarn")], "yarn"),
        ([text("llama.rope.scaling.type", "linear"), f32("llama.rope.scaling.factor", 2)], "2.0"),
        ([f32("llama.rope.scale_linear", 4)], "4.0"),
        ([u32("llama.expert_count", 8)], "8"),
        ([u32("llama.attention.value_length", 16)], "16"),
    ],
    ids=["yarn", "linear", "old linear", "experts", "values"],
)
def test_a_variant_we_would_compute_wrongly_is_refused(
    file: Path, entries: list[Entry], said: str
) -> None:
    assert f"'{said}'" in unsupported(file, smallest_model().having(*entries))


def test_scaling_that_changes_nothing_is_accepted(file: Path) -> None:
    kinds = (text("llama.rope.scaling.type", "none"), f32("llama.rope.scaling.factor", 0.0))
    assert read(file, smallest_model().having(*kinds)).config.layers == 1


@pytest.mark.parametrize("name", ["token_embd.weight", "output_norm.weight", "blk.0.attn_k.weight"])
def test_a_missing_tensor_is_named(file: Path, name: str) -> None:
    model = smallest_model()
    kept = tuple(tensor for tensor in model.tensors if tensor.name != name)
    assert f"no {name}" in refused(file, replace(model, tensors=kept))


def test_a_wrong_shape_is_named_with_the_right_one(file: Path) -> None:
    message = refused(file, smallest_model().changing("blk.0.attn_v.weight", dims=(32, 16)))
    assert "blk.0.attn_v.weight: found (16, 32), expected (32, 32)" in message


def test_a_tensor_the_model_would_need_but_we_do_not_compute_is_named(file: Path) -> None:
    model = smallest_model()
    extra = Tensor("blk.0.attn_q_norm.weight", (32,), offset=len(model.data))
    message = unsupported(file, replace(model.adding(extra), data=model.data + bytes(128)))
    assert "blk.0.attn_q_norm.weight" in message


# Anything at all

_SOUND = smallest_model().packed()
_HEADER = len(smallest_model().header())


def read_or_refused(path: Path, content: bytes) -> None:
    """Only an engine error may come out, and no tensor past the end."""
    path.write_bytes(content)
    try:
        model = read_gguf(path)
    except EngineError:
        return
    for tensor in model.tensors.values():
        assert tensor.offset + tensor.data.size <= len(content)
    model.close()


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_no_flipped_byte_of_the_header_gets_past_the_checks(file: Path, flip: int) -> None:
    for position in range(_HEADER):
        damaged = bytearray(_SOUND)
        damaged[position] ^= flip
        read_or_refused(file, bytes(damaged))


@settings(max_examples=200, deadline=5000)
@given(
    changes=st.lists(
        st.tuples(st.integers(4, _HEADER - 8), st.binary(min_size=1, max_size=8)), min_size=2
    )
)
def test_no_damage_to_the_header_gets_past_the_checks(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]]
) -> None:
    damaged = bytearray(_SOUND)
    for position, garbage in changes:
        damaged[position : position + len(garbage)] = garbage
    read_or_refused(tmp_path_factory.getbasetemp() / "damaged.gguf", bytes(damaged))
