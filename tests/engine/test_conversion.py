"""Conversion: chatglm.cpp's bytes, transformers' logits, and a name for whatever is wrong."""

import errno
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import pytest
import run_model
import torch
from chatglm_folder import (
    FFN,
    HEAD_DIM,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    VOCAB,
    Checkpoint,
    chatglm3,
)
from safetensors.torch import save_file

from engine.checkpoint import open_checkpoint
from engine.containers import ggml_container
from engine.conversion import TYPES, convert
from engine.errors import BadModelFile, BadSetting, DiskFull, EngineError, UnsupportedModel
from engine.families import make_plan
from engine.open import open_model_file
from engine.quants import QuantType, unpack
from engine.tokenizer import load_tokenizer

SOUND = chatglm3()
QKV = "transformer.encoder.layers.1.self_attention.query_key_value.weight"
NORM = "transformer.encoder.layers.0.input_layernorm.weight"
EMBEDDING = "transformer.embedding.word_embeddings.weight"
IDS = [5, 300, 17, 402, 406, 33, 407, 2, 9, 100, 340, 21]
every_type = pytest.mark.parametrize("name", list(TYPES))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return SOUND.write(tmp_path / "tiny", shards=2)


def refusal(checkpoint: Checkpoint, tmp_path: Path, name: str = "q4_0", **options: Any) -> str:
    output = tmp_path / "out.bin"
    with pytest.raises(EngineError) as error:
        convert(checkpoint.write(tmp_path / "tiny"), output, TYPES[name], **options)
    assert not list(tmp_path.glob("*out.bin*"))
    return str(error.value)


# --- GGML -----------------------------------------------------------------------------------------


@every_type
def test_ggml_files_are_chatglm_cpps_to_the_byte(tmp_path: Path, folder: Path, name: str) -> None:
    done = convert(folder, tmp_path / "out.bin", TYPES[name])
    written = (tmp_path / "out.bin").read_bytes()
    assert written == SOUND.ggml(TYPES[name]).packed()
    assert done.size == len(written)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_checkpoints_of_any_precision_are_quantized_from_their_own_numbers(
    tmp_path: Path, dtype: torch.dtype
) -> None:
    checkpoint = SOUND.to(dtype)
    convert(checkpoint.write_torch(tmp_path / "tiny", shards=2), tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == checkpoint.ggml(QuantType.Q4_0).packed()


def test_the_rope_ratio_of_long_context_models_is_honoured(tmp_path: Path) -> None:
    folder = SOUND.having(rope_ratio=50).write(tmp_path / "tiny")
    for output in (tmp_path / "out.bin", tmp_path / "out.gguf"):
        convert(folder, output)
        assert open_model_file(output).config.rope_theta == 500000.0


def test_a_chatglm2_folder_is_known_by_its_tokenizers_program(tmp_path: Path) -> None:
    folder = SOUND.write(tmp_path / "tiny")
    (folder / "tokenization_chatglm.py").write_text('special = ["[MASK]", "sop", "eop"]')
    convert(folder, tmp_path / "two.bin")
    assert (tmp_path / "two.bin").read_bytes() == SOUND.ggml(QuantType.Q4_0, 2).packed()
    (folder / "tokenization_chatglm.py").write_text('special = ["sop", "<|system|>"]')
    convert(folder, tmp_path / "three.bin")
    assert (tmp_path / "three.bin").read_bytes() == SOUND.ggml(QuantType.Q4_0, 3).packed()


def test_missing_end_and_padding_tokens_are_written_as_minus_one(tmp_path: Path) -> None:
    checkpoint = SOUND.having(eos_token_id=None, pad_token_id=None)
    convert(checkpoint.write(tmp_path / "tiny"), tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes()[56:64] == b"\xff" * 8


def test_an_all_zero_block_becomes_zeros(tmp_path: Path) -> None:
    weight = SOUND.tensors[QKV].clone()
    weight[3, 32:] = 0
    folder = SOUND.putting(**{QKV: weight}).write(tmp_path / "tiny")
    for name, quant in TYPES.items():
        convert(folder, tmp_path / f"{name}.bin", quant)
        tensor = open_model_file(tmp_path / f"{name}.bin").tensors["blk.1.attn_qkv.weight"]
        values = unpack(tensor.type, tensor.data).reshape(tensor.shape)
        assert (values[3, 32:] == 0).all()
        assert (values[3, :32] != 0).any()


class Size(NamedTuple):
    type: str
    bytes: int


@pytest.mark.parametrize(
    "size",
    [
        Size("q4_0", 3_514_297_136),
        Size("q4_1", 3_904_498_480),
        Size("q5_0", 4_294_699_824),
        Size("q5_1", 4_684_901_168),
        Size("q8_0", 6_635_907_888),
        Size("f16", 12_488_928_048),
        Size("f32", 24_975_371_056),
    ],
    ids=lambda size: size.type,
)
def test_chatglm3_6b_would_have_the_published_header_and_size(
    tmp_path: Path, size: Size, chatglm3_6b: Checkpoint
) -> None:
    folder = tmp_path / "6b"
    checkpoint = open_checkpoint_of(chatglm3_6b, folder)
    container = ggml_container(
        folder, make_plan(checkpoint, None), TYPES[size.type], bytes(1018370)
    )
    assert container.size == size.bytes
    assert len(container.records) == 199
    if size.type == "q4_0":
        assert container.header[:68].hex() == (
            "67676d6c030000000200000002000000" + "00fe0000001000002000000002000000"
            "1c00000080350000acc5273700000000" + "00401c46002000000200000000000000" + "028a0f00"
        )


@pytest.fixture
def chatglm3_6b() -> Checkpoint:
    """The model's shape; its weights are never looked at."""
    config = SOUND.having(
        padded_vocab_size=65024,
        hidden_size=4096,
        ffn_hidden_size=13696,
        num_layers=28,
        num_attention_heads=32,
        kv_channels=128,
        multi_query_group_num=2,
        seq_length=8192,
    ).config
    return Checkpoint(config, {}, SOUND.tokenizer)


def open_checkpoint_of(checkpoint: Checkpoint, folder: Path) -> Any:
    """An open folder that lists every tensor of its configuration."""
    SOUND.write(folder)
    opened = open_checkpoint(folder)
    parts = {name.split(".1.")[1] for name in SOUND.tensors if ".1." in name}
    names = {name for name in SOUND.tensors if ".layers." not in name}
    layers = range(checkpoint.config["num_layers"])
    names |= {f"transformer.encoder.layers.{n}.{part}" for n in layers for part in parts}
    shard = folder / "model.safetensors"
    return type(opened)(folder, checkpoint.config, dict.fromkeys(names, shard))


# --- the same model, whichever way ----------------------------------------------------------------


@every_type
def test_both_containers_give_transformers_logits(tmp_path: Path, folder: Path, name: str) -> None:
    convert(folder, tmp_path / "out.bin", TYPES[name])
    convert(folder, tmp_path / "out.gguf", TYPES[name])
    ours = run_model.logits(tmp_path / "out.bin", IDS)
    assert np.array_equal(ours, run_model.logits(tmp_path / "out.gguf", IDS))
    theirs = logits(as_written(tmp_path / "out.bin"), IDS)
    exact = name in ("f16", "f32")  # the others' activations are rounded to eight bits
    assert np.abs(ours - theirs).max() <= (1e-4 if exact else 0.04) * np.abs(theirs).max()


def as_written(path: Path) -> Checkpoint:
    """The checkpoint with the values that a file's blocks stand for."""
    file = open_model_file(path)
    tensors = {
        record.name: torch.from_numpy(unpack(file.tensors[name].type, file.tensors[name].data))
        for name, record in zip(file.tensors, SOUND.ggml(QuantType.F32).records, strict=True)
    }
    return Checkpoint(
        SOUND.config,
        {name: tensors[name].reshape(each.shape) for name, each in SOUND.tensors.items()},
        SOUND.tokenizer,
    )


def logits(checkpoint: Checkpoint, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(checkpoint.glm()(torch.tensor([ids])).logits[0])


def test_a_gguf_file_has_the_same_tokenizer(tmp_path: Path, folder: Path) -> None:
    convert(folder, tmp_path / "out.bin")
    convert(folder, tmp_path / "out.gguf")
    ggml, ours = (
        load_tokenizer(open_model_file(tmp_path / name)) for name in ("out.bin", "out.gguf")
    )
    for text in ("", " ", "hello  world\n", "你好，今天 👋", "▁<|user|>[gMASK]sop", "\x00é"):
        assert ours.encode(text) == ggml.encode(text)
        assert ours.decode(ours.encode(text)) == ggml.decode(ggml.encode(text))
    for name in ("[gMASK]", "sop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"):
        assert ours.special(name) == ggml.special(name) is not None
    assert (ours.stop_ids, ours.eos_id, ours.add_bos) == (ggml.stop_ids, ggml.eos_id, False)


def test_a_gguf_file_says_what_llama_cpp_asks_for(tmp_path: Path, folder: Path) -> None:
    template = {"chat_template": "[gMASK]sop{{ messages }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(template))
    convert(folder, tmp_path / "out.gguf", QuantType.Q8_0)
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    said = {key: field.contents() for key, field in reader.fields.items()}
    assert said["general.architecture"] == "chatglm"
    assert said["general.file_type"] == gguf.LlamaFileType.MOSTLY_Q8_0
    assert said["tokenizer.ggml.model"] == "llama"
    assert said["tokenizer.ggml.pre"] == "chatglm-spm"
    assert said["tokenizer.ggml.add_bos_token"] is False
    assert said["tokenizer.ggml.eot_token_id"] == 406
    assert said["tokenizer.chat_template"] == template["chat_template"]
    assert said["chatglm.rope.dimension_count"] == HEAD_DIM // 2
    assert len(said["tokenizer.ggml.tokens"]) == VOCAB
    assert {tensor.name for tensor in reader.tensors} > {"blk.0.ffn_up.weight", "output.weight"}


# --- quantized checkpoints, LoRA, P-Tuning --------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 4])
def test_official_quantized_checkpoints_are_unpacked_first(tmp_path: Path, bits: int) -> None:
    packed, plain = quantized(bits)
    convert(packed.write_torch(tmp_path / "tiny"), tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == plain.ggml(QuantType.Q4_0).packed()


def quantized(bits: int) -> tuple[Checkpoint, Checkpoint]:
    """The official form, and its numbers as float32: only layers' matrices are quantized."""
    tensors, plain = dict(SOUND.tensors), {}
    most = 2 ** (bits - 1) - 1
    for name, tensor in SOUND.tensors.items():
        if tensor.ndim < 2 or ".layers." not in name:
            continue
        scale = (tensor.float().abs().amax(dim=1) / most).half()
        quants = torch.round(tensor.float() / scale.float()[:, None]).clamp(-most - 1, most)
        plain[name] = quants * scale.float()[:, None]
        stored = quants.to(torch.int8)
        if bits == 4:
            stored = (stored[:, 0::2] << 4) | (stored[:, 1::2] & 15)
        tensors |= {name: stored, f"{name}_scale": scale}
    config = {**SOUND.config, "quantization_bit": bits}
    return Checkpoint(config, tensors, SOUND.tokenizer), SOUND.putting(**plain)


def test_int8_weights_without_their_scale_or_bits_are_refused(tmp_path: Path) -> None:
    packed, _ = quantized(8)
    assert f"{QKV}_scale" in refusal(packed.lacking(f"{QKV}_scale"), tmp_path)
    assert "int8" in refusal(packed.having(quantization_bit=None), tmp_path)
    narrow = packed.putting(**{f"{QKV}_scale": torch.ones(3)})
    assert f"shape of {QKV}_scale" in refusal(narrow, tmp_path)


@pytest.mark.parametrize("rslora", [False, True])
def test_a_lora_is_merged_before_quantizing(tmp_path: Path, folder: Path, rslora: bool) -> None:
    adapter = write_lora(tmp_path / "lora", QKV, (128, HIDDEN), use_rslora=rslora)
    convert(folder, tmp_path / "out.bin", QuantType.F32, lora=adapter)
    down, up = lora_parts((128, HIDDEN))
    scale = 16 / 2 if rslora else 16 / 4
    merged = SOUND.tensors[QKV].float() + scale * (up @ down)
    tensor = open_model_file(tmp_path / "out.bin").tensors["blk.1.attn_qkv.weight"]
    values = unpack(tensor.type, tensor.data).reshape(tensor.shape)
    np.testing.assert_allclose(values, merged.numpy(), rtol=0, atol=1e-6)
    whole = open_model_file(tmp_path / "out.bin").tensors["blk.0.attn_qkv.weight"]
    assert np.array_equal(
        unpack(whole.type, whole.data).reshape(whole.shape),
        SOUND.tensors[QKV.replace(".1.", ".0.")].float().numpy(),
    )


def lora_parts(shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    down = torch.randn(4, shape[1], generator=generator)
    return down, torch.randn(shape[0], 4, generator=generator)


def write_lora(folder: Path, target: str, shape: tuple[int, int], **config: object) -> Path:
    folder.mkdir()
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    stem = "base_model.model." + target.removesuffix(".weight")
    down, up = lora_parts(shape)
    tensors = {f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("target", "shape", "config", "message"),
    [
        (QKV, (128, 2 * HIDDEN), {}, "another model"),
        (QKV, (64, HIDDEN), {}, "another model"),
        ("model.layers.0.self_attn.q_proj.weight", (64, 64), {}, "for another"),
        (QKV, (128, HIDDEN), {"peft_type": "IA3"}, "IA3"),
        (QKV, (128, HIDDEN), {"use_dora": True}, "use_dora"),
        (QKV, (128, HIDDEN), {"r": 0}, "positive number"),
        (QKV, (128, HIDDEN), {"rank_pattern": {"query_key_value": "x"}}, "positive number"),
    ],
)
def test_a_lora_for_another_model_is_refused(
    tmp_path: Path, target: str, shape: tuple[int, int], config: dict[str, object], message: str
) -> None:
    adapter = write_lora(tmp_path / "lora", target, shape, **config)
    assert message in refusal(SOUND, tmp_path, lora=adapter)


def test_a_lora_of_half_a_change_is_refused(tmp_path: Path) -> None:
    adapter = write_lora(tmp_path / "lora", QKV, (128, HIDDEN))
    save_file(
        {f"{QKV.removesuffix('.weight')}.lora_A.weight": torch.zeros(4, HIDDEN)},
        adapter / "adapter_model.safetensors",
    )
    assert "half a change" in refusal(SOUND, tmp_path, lora=adapter)


@pytest.mark.parametrize("projection", [False, True])
def test_a_p_tuning_prefix_is_written_as_keys_and_values(tmp_path: Path, projection: bool) -> None:
    checkpoint, encoded = with_prefix(3, projection)
    convert(checkpoint.write(tmp_path / "tiny"), tmp_path / "out.bin", QuantType.F32)
    file = open_model_file(tmp_path / "out.bin")
    tensor = file.tensors["past_key_values"]
    assert tensor.shape == (2 * LAYERS, KV_HEADS, 3, HEAD_DIM)
    values = tensor.data.view(np.float16).reshape(tensor.shape)
    expected = encoded.reshape(3, 2 * LAYERS, KV_HEADS, HEAD_DIM).permute(1, 2, 0, 3)
    np.testing.assert_allclose(values, expected.numpy(), rtol=1e-3, atol=1e-4)
    assert tensor.offset < file.tensors["token_embd.weight"].offset
    with pytest.raises(UnsupportedModel, match=re.escape(".bin")):
        convert(tmp_path / "tiny", tmp_path / "out.gguf")


def with_prefix(count: int, projection: bool) -> tuple[Checkpoint, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.2

    width, stem = 2 * LAYERS * KV_HEADS * HEAD_DIM, "transformer.prefix_encoder."
    tensors = {f"{stem}embedding.weight": draw(count, width)}
    encoded = tensors[f"{stem}embedding.weight"]
    if projection:
        first, second = torch.nn.Linear(width, HIDDEN), torch.nn.Linear(HIDDEN, width)
        with torch.no_grad():
            encoded = second(torch.tanh(first(encoded)))
        for at, linear in ((0, first), (2, second)):
            tensors[f"{stem}trans.{at}.weight"] = linear.weight.detach()
            tensors[f"{stem}trans.{at}.bias"] = linear.bias.detach()
    settings = {"pre_seq_len": count, "prefix_projection": projection}
    return SOUND.having(**settings).putting(**tensors), encoded


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@every_type
def test_a_weight_that_is_no_number_is_named(tmp_path: Path, name: str, value: float) -> None:
    weight = SOUND.tensors[QKV].clone()
    weight[7, 5] = value
    message = refusal(SOUND.putting(**{QKV: weight}), tmp_path, name)
    assert f"{QKV}, row 7, column 5" in message
    assert "finite" in message


def test_a_norm_that_is_no_number_is_named(tmp_path: Path) -> None:
    norm = torch.full((HIDDEN,), float("nan"))
    assert NORM in refusal(SOUND.putting(**{NORM: norm}), tmp_path)


def test_a_number_that_half_precision_cannot_hold_is_named(tmp_path: Path) -> None:
    weight = SOUND.tensors[QKV].float()
    weight[1, 2] = 1e6
    assert "65504" in refusal(SOUND.putting(**{QKV: weight}), tmp_path, "f16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.lacking(QKV), f"no {QKV}"),
        (lambda c: c.putting(**{QKV: c.tensors[QKV][:-1]}), f"shape of {QKV}"),
        (lambda c: c.putting(**{QKV: c.tensors[QKV].long()}), "int64"),
        (lambda c: c.putting(extra=torch.zeros(2)), "extra"),
        (lambda c: c.having(num_layers=1), "layers.1."),
        (lambda c: c.having(num_layers=3), "layers.2."),
        (lambda c: c.having(num_layers="2"), "num_layers"),
        (lambda c: c.having(hidden_size=None), "hidden_size"),
        (lambda c: c.having(num_attention_heads=3), "kv_heads"),
        (lambda c: c.having(kv_channels=32), "kv_channels"),
        (lambda c: c.having(add_bias_linear=True), "add_bias_linear"),
        (lambda c: c.having(rmsnorm=False), "rmsnorm"),
        (lambda c: c.having(eos_token_id="</s>"), "eos_token_id"),
        (lambda c: c.having(model_type="bert"), "ChatGLM3"),
        (lambda c: c.having(model_type=None), "ChatGLM3"),
        (lambda c: c.having(multi_query_attention=None), "the first"),
        (lambda c: c.having(vision_config={"x": 1}), "GLM-4V"),
        (lambda c: Checkpoint(c.config, c.tensors, b"nothing"), "SentencePiece"),
        (lambda c: c.having(padded_vocab_size=400), "embedding"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(
    tmp_path: Path, change: Callable[[Checkpoint], Checkpoint], message: str
) -> None:
    assert message in refusal(change(SOUND), tmp_path)


def test_a_missing_or_lfs_tokenizer_is_named(tmp_path: Path, folder: Path) -> None:
    (folder / "tokenizer.model").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BadModelFile, match="Git-LFS pointer"):
        convert(folder, tmp_path / "out.bin")
    (folder / "tokenizer.model").unlink()
    with pytest.raises(BadModelFile, match=re.escape("tokenizer.model")):
        convert(folder, tmp_path / "out.bin")


# --- the output -----------------------------------------------------------------------------------


def test_an_existing_output_is_kept_unless_forced(tmp_path: Path, folder: Path) -> None:
    output = tmp_path / "out.bin"
    output.write_text("precious")
    with pytest.raises(BadSetting, match="--force"):
        convert(folder, output)
    assert output.read_text() == "precious"
    convert(folder, output, force=True)
    assert output.read_bytes() == SOUND.ggml(QuantType.Q4_0).packed()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_leaves_what_was_there(
    tmp_path: Path, folder: Path, interruption: type[BaseException]
) -> None:
    output = tmp_path / "out.bin"
    output.write_text("precious")

    def interrupt(done: int, total: int) -> None:
        if 2 * done > total:
            raise interruption

    with pytest.raises(interruption):
        convert(folder, output, force=True, listener=interrupt)
    assert output.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.bin", "tiny"]


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    done = convert(
        folder, tmp_path / "out.bin", listener=lambda at, total: seen.append((at, total))
    )
    assert seen == sorted(seen)
    assert seen[-1] == (done.size, done.size)


def test_a_disk_without_room_is_refused_before_anything_is_written(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFull, match=r"76\.7 kB needed, 1 kB free"):
        convert(folder, tmp_path / "out.bin")
    assert not list(tmp_path.glob("*out.bin*"))


def test_a_disk_that_fills_up_is_called_so(tmp_path: Path, folder: Path) -> None:
    def fill(done: int, total: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull):
        convert(folder, tmp_path / "out.bin", listener=fill)
    assert not list(tmp_path.glob("*out.bin*"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(BadSetting, match="No such file or directory"):
        convert(folder, tmp_path / "nowhere" / "out.bin")
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match="Not a directory"):
        convert(folder, tmp_path / "file" / "out.bin")


def test_widths_that_blocks_do_not_divide_are_refused(tmp_path: Path) -> None:
    names = [name for name in SOUND.tensors if "dense_4h_to_h" in name]
    wide = {name: SOUND.tensors[name][:, :-16].contiguous() for name in names}
    for name in SOUND.tensors:
        if "dense_h_to_4h" in name:
            wide[name] = SOUND.tensors[name][: 2 * FFN - 32].contiguous()
    checkpoint = SOUND.putting(**wide).having(ffn_hidden_size=FFN - 16)
    assert "multiples of Q4_0's 32" in refusal(checkpoint, tmp_path)
