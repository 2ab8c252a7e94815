"""Folders of transformers' own making, and GLM-4's: they run as they do in transformers."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import run_model
import torch
from chatglm_folder import CONTEXT, HIDDEN, VOCAB, Checkpoint, chatglm3, sentencepiece_model
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    GlmConfig,
    GlmForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from engine.conversion import TYPES, convert
from engine.errors import BadModelFile, UnsupportedModel
from engine.open import open_model_file
from engine.quants import QuantType
from engine.tokenizer import load_tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.12,
    "eos_token_id": 256,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
IDS = [int(each) for each in np.random.default_rng(3).integers(0, 250, 40)]
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MERGES = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w")]
ADDED = ("<|endoftext|>", "<|user|>", "<think>")


def write(folder: Path, model: PreTrainedModel, pattern: str, **tokenizer: object) -> Path:
    """A folder as transformers and tokenizers write it."""
    torch.manual_seed(0)
    model.apply(_randomize)
    model.save_pretrained(folder, max_shard_size="100kB")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *("".join(merge) for merge in MERGES)]
    library = Tokenizer(models.BPE({token: at for at, token in enumerate(tokens)}, MERGES))
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.add_special_tokens(list(ADDED[:2]))
    library.add_tokens([ADDED[2]])
    library.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": {"content": "<|endoftext|>"}, **tokenizer}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _randomize(module: torch.nn.Module) -> None:
    """What initialization leaves trivial."""
    for name, parameter in module.named_parameters(recurse=False):
        if name == "bias" or parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)


def glm() -> PreTrainedModel:
    return GlmForCausalLM(GlmConfig(**SHAPE, head_dim=16))


def llama(**options: Any) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**SHAPE, **options))


def qwen2(**options: Any) -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(**SHAPE, **options))


@pytest.mark.parametrize(
    ("model", "pattern", "pre"),
    [
        (glm(), GPT4, "chatglm-bpe"),
        (llama(), GPT4, "llama-bpe"),
        (llama(tie_word_embeddings=True), GPT4, "llama-bpe"),
        (llama(rope_parameters=LLAMA3), GPT4, "llama-bpe"),
        (qwen2(), GPT4.replace("{1,3}", ""), "qwen2"),
        (qwen2(tie_word_embeddings=True), GPT4.replace("{1,3}", ""), "qwen2"),
    ],
    ids=["glm", "llama", "llama tied", "llama 3", "qwen2", "qwen2 tied"],
)
def test_a_folder_of_transformers_gives_its_logits(
    tmp_path: Path, model: PreTrainedModel, pattern: str, pre: str
) -> None:
    folder = write(tmp_path / "hf", model, pattern)
    convert(folder, tmp_path / "out.gguf", QuantType.F32)
    file = open_model_file(tmp_path / "out.gguf")
    assert file.metadata["tokenizer.ggml.pre"] == pre
    ours = run_model.logits(tmp_path / "out.gguf", IDS)
    with torch.no_grad():
        theirs = model.train(False)(torch.tensor([IDS])).logits[0].numpy()
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    tokenizer = load_tokenizer(file)
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in ("hello world", "he said: 1234\n\n", "你好"):
        assert tokenizer.encode(text) == library.encode(text).ids
    end, user, think = map(library.token_to_id, ADDED)
    assert tokenizer.special("<|user|>") == user
    assert end is not None
    assert think is not None
    assert tokenizer.is_special(end)
    assert not tokenizer.is_special(think)
    assert end in tokenizer.stop_ids


@pytest.mark.parametrize("name", list(TYPES))
def test_every_type_of_every_width_loads(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "hf", qwen2(), GPT4.replace("{1,3}", ""))
    convert(folder, tmp_path / "out.gguf", TYPES[name])
    assert np.isfinite(run_model.logits(tmp_path / "out.gguf", IDS[:4])).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4}}, "yarn"),
        ({"rope_scaling": {"type": "linear", "factor": 4}, "rope_parameters": None}, "linear"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"model_type": "mixtral"}, "ChatGLM3"),
    ],
)
def test_variants_that_we_would_compute_wrongly_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = write(tmp_path / "hf", qwen2(), GPT4.replace("{1,3}", ""))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UnsupportedModel, match=message):
        convert(folder, tmp_path / "out.gguf")


def test_ggml_containers_are_for_chatglms_own_folders(tmp_path: Path) -> None:
    folder = write(tmp_path / "hf", llama(), GPT4)
    with pytest.raises(UnsupportedModel, match=r"name the output \.gguf"):
        convert(folder, tmp_path / "out.bin")


def test_a_pre_tokenizer_we_do_not_know_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "hf", llama(), r"\w+|\s+")
    with pytest.raises(UnsupportedModel, match="pre-tokenizer"):
        convert(folder, tmp_path / "out.gguf")


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"type": "Unigram"}},
        {"model": {"type": "BPE", "vocab": [1], "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": 2**40}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": 3}},
        {"added_tokens": [{"content": "x"}]},
        {"added_tokens": [{"content": "x", "id": VOCAB}]},
    ],
)
def test_a_broken_tokenizer_description_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    folder = write(tmp_path / "hf", llama(), GPT4)
    described = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**described, **change}))
    with pytest.raises((BadModelFile, UnsupportedModel), match=r"tokenizer"):
        convert(folder, tmp_path / "out.gguf")


def test_llama_2s_sentencepiece_and_added_tokens_are_kept(tmp_path: Path) -> None:
    folder = write(tmp_path / "hf", llama(), GPT4, add_bos_token=True)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    added = {"400": {"content": "<|im_end|>", "special": True}, "401": {"content": "<tool>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    convert(folder, tmp_path / "out.gguf")
    tokenizer = load_tokenizer(open_model_file(tmp_path / "out.gguf"))
    assert (tokenizer.bos_id, tokenizer.add_bos) == (1, True)
    assert (tokenizer.special("<|im_end|>"), tokenizer.special("<tool>")) == (400, 401)
    assert tokenizer.is_special(400)
    assert not tokenizer.is_special(401)
    assert tokenizer.decode(tokenizer.encode("hello world")) == "hello world"


def test_glm_4_keeps_its_words_in_both_containers(tmp_path: Path) -> None:
    words = [bytes([byte]) for byte in range(256)] + [b"he", b"ll", b"hell", b"hello", b" w"]
    listed = b"".join(base64.b64encode(word) + b" %d\n" % at for at, word in enumerate(words))
    sound = chatglm3()
    end = len(words)
    config = {"eos_token_id": [end, end + 7, end + 9], "pad_token_id": end, "rope_ratio": 500}
    checkpoint = Checkpoint({**sound.config, **config}, sound.tensors, listed)
    folder = checkpoint.write(tmp_path / "glm4")
    convert(folder, tmp_path / "out.bin")
    convert(folder, tmp_path / "out.gguf")
    expected = checkpoint.ggml(QuantType.Q4_0, 4).packed()
    written = (tmp_path / "out.bin").read_bytes()
    assert written[:56] == expected[:56]
    assert written[56:64] == end.to_bytes(4, "little") * 2
    assert written[64:] == expected[64:]
    ggml, ours = (
        load_tokenizer(open_model_file(tmp_path / name)) for name in ("out.bin", "out.gguf")
    )
    for text in ("hello world", "你好 <|user|>", ""):
        assert ours.encode(text) == ggml.encode(text)
    assert ours.encode("hello w") == [259, 260]
    assert ours.stop_ids == ggml.stop_ids == {end, end + 7, end + 9}
    assert ours.special("<sop>") == ggml.special("<sop>") == end + 4
