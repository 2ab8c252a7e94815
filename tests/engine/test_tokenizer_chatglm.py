"""The tokenizers that GGML files carry, held to SentencePiece's library and to published ids."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chatglm_folder import VOCAB, chatglm3, sentencepiece_model
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from tokenizers import pre_tokenizers

from engine.errors import BadModelFile
from engine.open import open_model_file
from engine.quants import QuantType
from engine.tokenizer import Tokenizer, load_tokenizer
from engine.tokenizer_chatglm import tiktoken_merges, tiktoken_words

SOUND = chatglm3().ggml(QuantType.Q4_0)
PIECES = 400
NAMES = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
WORDS = [bytes([byte]) for byte in range(256)] + [
    b"he",
    b"ll",
    b"hell",
    b"hello",
    b" w",
    b"\xe4\xbd",
]
TIKTOKEN = b"".join(base64.b64encode(word) + b" %d\n" % at for at, word in enumerate(WORDS))
TEXTS = (
    *("", " ", "  ", "\n", " a", "a ", "\t", "👋", "你好", "你 好", "Hello World", "12345", "</s>"),
    *("<|assistant|>", "<unk>", "\u3000你", "e\u0301", "\x00", "▁", "  def f(x):\n\treturn x\n"),
    *("[gMASK]sop<|user|>\n hi", "\ud800 lone"),
)
# ChatGLM3's own model is not in the repository; where it lies beside it, it is tested too.
CHATGLM3 = Path(__file__).parents[3] / "shared" / "data" / "tokenizer.model"


def load(path: Path, **changes: Any) -> Tokenizer:
    path.write_bytes(replace(SOUND, **changes).packed())
    return load_tokenizer(open_model_file(path))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return load(tmp_path_factory.mktemp("ggml") / "glm.bin")


@pytest.fixture(scope="module")
def processor() -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=sentencepiece_model())


def test_control_tokens_are_numbered_upward_from_the_pieces(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.special(name) for name in (*NAMES, *ROLES)]
    assert ids == list(range(PIECES, PIECES + 9))
    assert all(tokenizer.is_special(PIECES + index) for index in range(9))
    assert tokenizer.vocab_size == VOCAB
    assert not tokenizer.is_special(PIECES + 9)
    assert tokenizer.decode([PIECES + 6, PIECES + 9, VOCAB - 1]) == ""


def test_an_answer_ends_with_eos_or_the_next_speaker(tokenizer: Tokenizer) -> None:
    user, observation = tokenizer.special("<|user|>"), tokenizer.special("<|observation|>")
    assert tokenizer.stop_ids == {2, user, observation}
    assert tokenizer.eos_id == 2
    assert not tokenizer.add_bos


def test_chatglm2_has_no_roles(tmp_path: Path) -> None:
    tokenizer = load(tmp_path / "glm2.bin", model_type=2)
    assert [tokenizer.special(name) for name in NAMES] == list(range(PIECES, PIECES + 5))
    assert [tokenizer.special(role) for role in ROLES] == [None] * 4
    assert tokenizer.stop_ids == {2}


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_texts_encode_and_decode_as_the_library_does(
    tokenizer: Tokenizer, processor: SentencePieceProcessor, text: str
) -> None:
    ids = tokenizer.encode(text)
    assert ids == processor.encode(text)
    assert tokenizer.decode(ids) == processor.decode(ids)


@given(text=st.text(st.sampled_from("ab 你好▁\n<|>us\x00é👋")))
def test_any_text_comes_back_and_has_no_control_token(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert not any(tokenizer.is_special(token_id) for token_id in ids)
    assert tokenizer.decode(ids) == text.replace("▁", " ")


def test_a_tokenizer_too_large_for_the_embedding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match="embedding's 448"):
        load(tmp_path / "glm.bin", tokenizer=sentencepiece_model(446))


def test_a_tokenizer_with_a_piece_that_is_no_text_is_refused(tmp_path: Path) -> None:
    damaged = sentencepiece_model().replace("你".encode(), b"\xff\xbd\xa0")
    with pytest.raises(BadModelFile, match=r"a piece .* expected UTF-8"):
        load(tmp_path / "glm.bin", tokenizer=damaged)


@pytest.mark.parametrize("eos_id", [PIECES + 9, VOCAB, 2**31 - 1])
def test_an_end_token_that_is_none_is_refused(tmp_path: Path, eos_id: int) -> None:
    with pytest.raises(BadModelFile, match="eos token"):
        load(tmp_path / "glm.bin", eos_id=eos_id)


@pytest.fixture(scope="module")
def glm4(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("ggml") / "glm4.bin"
    return load(path, model_type=4, tokenizer=TIKTOKEN, eos_id=len(WORDS))


def test_glm4s_control_tokens_follow_its_words(glm4: Tokenizer) -> None:
    names = ("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", *ROLES)
    assert [glm4.special(name) for name in names] == list(range(262, 272))
    assert glm4.stop_ids == {262, 269, 271}


def test_glm4_joins_the_word_of_lowest_id_first(glm4: Tokenizer) -> None:
    assert glm4.encode("hello world") == [259, 260, *b"orld"]
    assert glm4.encode("hellhe") == [258, 256]
    assert glm4.encode("你") == [261, 0xA0]
    assert glm4.decode(glm4.encode("你好, hello 👋\x00")) == "你好, hello 👋\x00"
    assert glm4.encode("<|user|>") != [glm4.special("<|user|>")]


@pytest.mark.parametrize(
    "data",
    [b"", b"IQ==", b"IQ== 1\n", b"IQ== 0\nIg== 2\n", b"!!! 0\n", b" 0\n", sentencepiece_model()],
    ids=repr,
)
def test_what_is_not_a_list_of_words_is_refused(tmp_path: Path, data: bytes) -> None:
    assert tiktoken_words(data) == []
    with pytest.raises(BadModelFile, match="tokenizer"):
        load(tmp_path / "glm4.bin", model_type=4, tokenizer=data)


def test_merges_make_every_word_of_shorter_ones() -> None:
    merges = tiktoken_merges(WORDS)
    assert merges.index(("h", "e")) < merges.index(("he", "ll")) < merges.index(("hell", "o"))
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    assert set("".join(left + right for left, right in merges)) <= alphabet


def real_tokenizer(path: Path) -> Tokenizer:
    file = replace(SOUND, tokenizer=CHATGLM3.read_bytes(), vocab_size=65024)
    embedding = {"shape": (65024, 64), "data": bytes(65024 * 36)}
    names = ("transformer.embedding.word_embeddings.weight", "transformer.output_layer.weight")
    for name in names:
        file = file.changing(name, **embedding)
    path.write_bytes(file.packed())
    return load_tokenizer(open_model_file(path))


if CHATGLM3.exists():

    def test_chatglm3s_published_ids_hold(tmp_path: Path) -> None:
        tokenizer = real_tokenizer(tmp_path / "glm.bin")
        assert [tokenizer.special(name) for name in (*NAMES, *ROLES)] == [*range(64789, 64798)]
        for text, ids in PUBLISHED.items():
            assert tokenizer.encode(text) == ids
            assert tokenizer.decode(ids) == text.replace("▁", " ")
        assert tokenizer.decode([0, 1, 2, 64798, 65023]) == " ⁇ "


PUBLISHED = {
    "": [],
    " ": [265],
    "\n": [30910, 13],
    "👋": [30910, 243, 162, 148, 142],
    "你 好": [36474, 46458],
    "12345": [30910, 30939, 30943, 30966, 30972, 30970],
    "<|assistant|>": [906, 31007, 530, 18971, 31007, 30994],
    "</s>": [2893, 30917, 30994],
    "\xe9": [4006],
    "e\u0301": [315, 31212],
    "\x00": [30910, 3],
    "▁": [265],
    "  def f(x):\n\treturn x\n": [265, 884, 279, 30946, 30948, 1528, 13, 12, 3793, 1994, 13],
    "get_weather\n": [634, 30962, 27564, 13],
}
