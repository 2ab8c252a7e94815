"""Containers against what others wrote and read, held here as hashes and ids.

chatglm.cpp's converter, its releases 0.3.2 and 0.3.4 from PyPI and 0.4.2 with a model loaded in
float32, wrote the same bytes as ours of the checkpoint below. (0.4.1 and 0.4.2 quantize a model
loaded in half precision with half-precision arithmetic, which loses bits; that is not imitated.)
"""

import hashlib
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from chatglm_folder import Checkpoint, chatglm3

from engine.conversion import TYPES, convert
from engine.open import open_model_file
from engine.tokenizer import load_tokenizer

WRITTEN_BY_CHATGLM_CPP = {
    "q4_0": "ebf6423f4a629180154a5cbacac7f931b832edebee3508f6effab6bb600ac9ae",
    "q4_1": "3e7ae3f322460a415e424d057fd53091d6ea92bc2050f44376441ba3da885777",
    "q5_0": "a4263f283bfbd5070c0c83b4d11ace47f5ccaf187fda941b3e12e003778ec9d8",
    "q5_1": "c6de603df9d8442744a63adc0d67f2727550b89d42674384c284964d3dd48bcb",
    "q8_0": "518439ee7a6fc5a38570e1280cc131a0339363a50cd04065bb2f864205839400",
    "f16": "d10e35cd58663d81706cc77384f409bd0128c8c335f4389900b9961bbd861dba",
    "f32": "87f725caa0f833c80556734a13d651a2e5ec26007f1ed73472bc7827fea884c2",
}


PIECES = ("op", "▁s", "oph", "▁", "s", "o", "p", "h", "e", "e▁", "▁a", "你好", "a")


def numbers(seed: int, shape: torch.Size) -> torch.Tensor:
    """Numbers of a linear congruence: the same with any version of any library."""
    at = np.arange(seed, seed + shape.numel(), dtype=np.uint64) * np.uint64(2654435761)
    spread = (at % np.uint64(1 << 32)) >> np.uint64(16)
    return torch.from_numpy(spread.astype(np.float32) / 65536 - 0.5).reshape(shape).half()


def piece(spelled: str, score: float, kind: int) -> bytes:
    """A piece of a SentencePiece model, in its protobuf."""
    text = spelled.encode()
    body = bytes([0x0A, len(text)]) + text + b"\x15" + struct.pack("<f", score)
    body += bytes([0x18, kind]) if kind != 1 else b""
    return bytes([0x0A, len(body)]) + body


def tokenizer() -> bytes:
    pieces = [piece("<unk>", 0, 2), piece("<s>", 0, 3), piece("</s>", 0, 3)]
    pieces += [piece(f"<0x{byte:02X}>", 0, 6) for byte in range(256)]
    pieces += [piece(each, -n, 1) for n, each in enumerate(PIECES)]
    settings = b"\x18\x02" + b"\x98\x02\x01"  # the trainer's: BPE, byte fallback
    return b"".join(pieces) + bytes([0x12, len(settings)]) + settings


def fixed_checkpoint() -> Checkpoint:
    plain = chatglm3()
    tensors = {
        name: numbers(1_000_003 * n, plain.tensors[name].shape)
        for n, name in enumerate(sorted(plain.tensors))
    }
    return Checkpoint(plain.config, tensors, tokenizer())


@pytest.mark.parametrize("name", list(TYPES))
def test_ggml_files_hash_as_those_of_chatglm_cpps_own_converter(tmp_path: Path, name: str) -> None:
    convert(fixed_checkpoint().write(tmp_path / "tiny"), tmp_path / "out.bin", TYPES[name])
    written = hashlib.sha256((tmp_path / "out.bin").read_bytes()).hexdigest()
    assert written == WRITTEN_BY_CHATGLM_CPP[name]


def joined_with_any_token(tokens: list[str], scores: list[float], text: str) -> list[int]:
    """What llama.cpp does with `llama` vocabularies: control tokens are as good to join as any."""
    ids = {token: token_id for token_id, token in enumerate(tokens)}
    parts = list("▁" + text.replace(" ", "▁"))
    while True:
        pairs = [left + right for left, right in itertools.pairwise(parts)]
        known = [(-scores[ids[pair]], at) for at, pair in enumerate(pairs) if pair in ids]
        if not known:
            return [ids[part] for part in parts]
        _, at = min(known)
        parts[at : at + 2] = [pairs[at]]


def test_words_with_a_control_tokens_letters_in_them_are_read_alike_by_llama_cpp(
    tmp_path: Path,
) -> None:
    convert(fixed_checkpoint().write(tmp_path / "tiny"), tmp_path / "out.gguf")
    file = open_model_file(tmp_path / "out.gguf")
    tokens, scores = (file.metadata[f"tokenizer.ggml.{key}"] for key in ("tokens", "scores"))
    assert isinstance(tokens, list)
    assert isinstance(scores, np.ndarray)
    ours = load_tokenizer(file)
    for text in ("soph", "a ophs", "eoph", "e soph"):
        assert joined_with_any_token(tokens, scores.tolist(), text) == ours.encode(text)


def test_llama_cpp_is_told_to_stop_where_a_call_or_an_answer_ends(tmp_path: Path) -> None:
    convert(fixed_checkpoint().write(tmp_path / "tiny"), tmp_path / "out.gguf")
    file = open_model_file(tmp_path / "out.gguf")
    tokenizer = load_tokenizer(file)
    for key, name in (("eot", "<|user|>"), ("eom", "<|observation|>"), ("eos", "</s>")):
        assert file.metadata[f"tokenizer.ggml.{key}_token_id"] == tokenizer.special(name)
