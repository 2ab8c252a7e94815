"""Tokenizers from a file's metadata: the libraries the models were trained with are the oracles."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import VOCAB, write_chatglm, write_llama
from gguf_tokenizers import (
    BYTE,
    MERGES,
    NORMAL,
    USER_DEFINED,
    TokenizerMetadata,
    chatml_bpe,
    metadata_of,
    trained_sentencepiece,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor
from transformers import Qwen2Tokenizer

from engine.errors import BadModelFile, UnsupportedModel
from engine.gguf import read_gguf
from engine.tokenizer import Tokenizer, load_tokenizer

Trained = tuple[SentencePieceProcessor, TokenizerMetadata]

# ChatGLM3's own model is not in the repository; where it lies beside it, it is tested too.
CHATGLM3 = Path(__file__).parents[3] / "shared" / "data" / "tokenizer.model"
SPLIT_MERGES = ("1 2", "12 3", "123 4", "' S", "( h", "h i", "Ġ !", "! Ċ", "! !", *MERGES)
TEXTS = (
    "",
    " ",
    "   ",
    "\n",
    "\n\n a",
    "the cat",
    " the  cat ",
    "你好，世界！",
    "今天 北京的天气怎么样？",
    "👋🏽 emoji 👩‍👩‍👧",
    "\t\r\n\x00",
    "e\u0301 é",
    "▁",
    "\u3000你",
    "𠮷",
    "  def f(x):\n\treturn x\n",
    "12345 3.14",
    "we'll IT'S you'RE",
    "<0x41><s></s><unk>",
    "<|im_start|>user\nhi<|im_end|>",
    "<|user|>\n你好<|assistant|>",
    "[gMASK]sop",
)
ROLES = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>"),
    *("<|observation|>", "[gMASK]", "<sop>", "<s>", "</s>", "<unk>", "<0x0A>"),
)
text_with_roles = st.lists(st.one_of(st.text(), st.sampled_from(ROLES))).map("".join)


def load(folder: Path, metadata: TokenizerMetadata, vocab_size: int = VOCAB) -> Tokenizer:
    """The tokenizer of a file that holds `metadata`."""
    path = folder / "model.gguf"
    write_llama(path, layers=1, tokenizer=metadata, vocab_size=vocab_size)
    return load_tokenizer(read_gguf(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


@pytest.fixture(scope="module")
def bpe(folder: Path) -> Tokenizer:
    return load(folder, chatml_bpe("qwen2", VOCAB))


@pytest.fixture(scope="module")
def chatglm(folder: Path) -> Tokenizer:
    write_chatglm(folder / "chatglm.gguf", layers=1)
    return load_tokenizer(read_gguf(folder / "chatglm.gguf"))


@pytest.fixture(scope="module")
def trained() -> Trained:
    return trained_sentencepiece(VOCAB)


@pytest.fixture(scope="module")
def sp(folder: Path, trained: Trained) -> Tokenizer:
    return load(folder, trained[1])


# Byte-level BPE


def test_qwen2_encodes_and_decodes_as_transformers_does(folder: Path) -> None:
    metadata = chatml_bpe("qwen2", VOCAB, SPLIT_MERGES)
    ours = load(folder, metadata)
    ordinary = [
        token for token, kind in zip(metadata.tokens, metadata.kinds, strict=True) if kind == 1
    ]
    merges: Any = [tuple(merge.split(" ")) for merge in SPLIT_MERGES]
    theirs = Qwen2Tokenizer(
        vocab={token: token_id for token_id, token in enumerate(ordinary)},
        merges=merges,
    )
    for text in (*TEXTS, *random_texts(500)):
        ids = theirs.encode(text, add_special_tokens=False)
        assert ours.encode(text) == ids
        assert ours.decode(ids) == theirs.decode(ids, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("qwen2", ["1", "2", "3", "4", "I", "T", "'S", "(h", "i", " !", "!\n"]),
        ("llama-bpe", ["123", "4", "I", "T", "'S", "(h", "i", " !", "!\n"]),
        ("chatglm-bpe", ["123", "4", "I", "T", "'S", "(h", "i", " !", "!\n"]),
        ("smollm", ["1", "2", "3", "4", "I", "T", "'", "S", "(", "hi", " !", "!", "\n"]),
        ("default", ["123", "4", "I", "T", "'", "S", "(", "hi", " ", "!!", "\n"]),
    ],
)
def test_each_pre_tokenizer_splits_in_its_own_way(
    folder: Path, pre: str, pieces: list[str]
) -> None:
    tokenizer = load(folder, chatml_bpe(pre, VOCAB, SPLIT_MERGES))
    ids = tokenizer.encode("1234IT'S(hi !!\n")
    assert [tokenizer.token_bytes(token_id).decode() for token_id in ids] == pieces


def test_a_file_without_a_pre_tokenizer_gets_the_default_one(folder: Path) -> None:
    unnamed = load(folder, replace(chatml_bpe("", VOCAB, SPLIT_MERGES), pre=None))
    default = load(folder, chatml_bpe("default", VOCAB, SPLIT_MERGES))
    for text in TEXTS:
        assert unnamed.encode(text) == default.encode(text)


def test_llama_3_takes_a_whole_word_before_its_merges(folder: Path) -> None:
    for pre, whole in (("llama-bpe", True), ("qwen2", False)):
        metadata = chatml_bpe(pre, VOCAB - 1)
        metadata = replace(
            metadata, tokens=[*metadata.tokens, "cat"], kinds=[*metadata.kinds, NORMAL]
        )
        assert (len(load(folder, metadata).encode("cat")) == 1) is whole


def test_user_defined_tokens_are_found_in_text_and_shown_as_they_are(bpe: Tokenizer) -> None:
    ids = bpe.encode("the <tool_call>{</tool_call>")
    named = [bpe.special("<tool_call>"), bpe.special("</tool_call>")]
    assert [token_id for token_id in ids if token_id in named] == named
    assert bpe.decode(ids) == "the <tool_call>{</tool_call>"
    assert not bpe.is_special(ids[-1])


def test_a_user_defined_token_is_its_spelling_not_bytes(folder: Path) -> None:
    metadata = chatml_bpe("qwen2", VOCAB - 1)
    metadata = replace(
        metadata, tokens=[*metadata.tokens, "¿é"], kinds=[*metadata.kinds, USER_DEFINED]
    )
    tokenizer = load(folder, metadata)
    assert tokenizer.encode("¿é") == [VOCAB - 1]
    assert tokenizer.decode([VOCAB - 1]) == "¿é"


# SentencePiece


def test_scored_pieces_encode_and_decode_as_sentencepiece_does(
    folder: Path, trained: Trained
) -> None:
    for library, metadata in (trained, *chatglm3()):
        tokenizer = load(folder, metadata, len(metadata.tokens))
        for text in (*TEXTS, *random_texts(1000)):
            ids = library.encode(text)
            assert tokenizer.encode(text) == ids
            assert tokenizer.decode(ids) == library.decode(ids)
        shown = [index for index, kind in enumerate(metadata.kinds) if kind != BYTE]
        for ids in np.random.default_rng(0).choice(shown, (500, 5)).tolist():
            assert tokenizer.decode(ids) == library.decode(ids)


def test_user_defined_pieces_are_taken_first_and_the_longest_of_them(
    folder: Path, trained: Trained
) -> None:
    library, metadata = trained
    tokenizer = load(folder, metadata)
    for text in ("<tool>", "<tool>s", " <tool>ss<tool>", "好吗？吗", "a<tool"):
        assert tokenizer.encode(text) == library.encode(text)
    assert tokenizer.special("<tool>s") in tokenizer.encode("x<tool>s")


def test_a_text_of_many_equal_scores_joins_from_the_left(folder: Path, trained: Trained) -> None:
    library, metadata = trained
    tokenizer = load(folder, metadata)
    for text in ("ththththe", "aaaaaaa", "ininin", "天天天气气", "he" * 200):
        assert tokenizer.encode(text) == library.encode(text)


def test_a_file_may_do_without_the_space_before_a_text(folder: Path, trained: Trained) -> None:
    tokenizer = load(folder, replace(trained[1], add_space_prefix=False))
    assert tokenizer.token_bytes(tokenizer.encode("the")[0]) in (b"t", b"th", b"the")
    assert tokenizer.decode(tokenizer.encode(" the")) == " the"


def test_a_long_text_without_spaces_takes_no_longer_than_its_length(sp: Tokenizer) -> None:
    text = "今天北京的天气" * 20_000
    assert sp.decode(sp.encode(text)) == text


# Nobody can type a role


@settings(max_examples=200, deadline=None)
@given(text=text_with_roles)
def test_no_text_encodes_to_a_control_token(
    bpe: Tokenizer, chatglm: Tokenizer, sp: Tokenizer, text: str
) -> None:
    for tokenizer in (bpe, chatglm, sp):
        ids = tokenizer.encode(text)
        assert not any(map(tokenizer.is_special, ids))
        assert all(0 <= token_id < tokenizer.vocab_size for token_id in ids)


@pytest.mark.parametrize("name", ["<|user|>", "[gMASK]", "sop"])
def test_a_role_marked_as_user_defined_is_still_a_control_token(folder: Path, name: str) -> None:
    metadata = chatml_bpe("qwen2", VOCAB - 1)
    metadata = replace(
        metadata, tokens=[*metadata.tokens, name], kinds=[*metadata.kinds, USER_DEFINED]
    )
    tokenizer = load(folder, metadata)
    token_id = tokenizer.special(name)
    assert token_id == VOCAB - 1
    assert tokenizer.is_special(token_id)
    assert token_id not in tokenizer.encode(f"is{name}rene")
    assert tokenizer.decode([token_id]) == ""


def test_text_that_utf_8_cannot_hold_is_encoded_with_a_replacement(
    bpe: Tokenizer, sp: Tokenizer
) -> None:
    for tokenizer in (bpe, sp):
        assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"
        assert tokenizer.decode(tokenizer.encode("\ud83d\udc4b")) == "👋"


def test_control_and_padding_tokens_have_no_text(bpe: Tokenizer) -> None:
    start = bpe.special("<|im_start|>")
    assert start is not None
    assert bpe.is_special(start)
    padding = VOCAB - 1
    assert not bpe.is_special(padding)
    for token_id in (start, padding, VOCAB + 5):
        assert bpe.token_bytes(token_id) == b""
    around = [*bpe.encode("the"), start, padding, *bpe.encode(" cat")]
    assert bpe.decode(around) == "the cat"


def test_a_name_that_is_no_token_has_no_id(bpe: Tokenizer) -> None:
    assert bpe.special("<|nobody|>") is None
    assert bpe.special("the") is None


# What ends an answer, and what starts a prompt


def test_a_chatml_model_stops_at_the_turn_and_at_the_text(bpe: Tokenizer) -> None:
    assert bpe.eos_id == bpe.special("<|im_end|>")
    assert bpe.stop_ids == {bpe.eos_id, bpe.special("<|endoftext|>")}
    assert (bpe.bos_id, bpe.add_bos) == (bpe.special("<|endoftext|>"), False)


def test_chatglm_stops_where_another_speaker_would_start(chatglm: Tokenizer) -> None:
    names = ("<|endoftext|>", "<|user|>", "<|observation|>")
    assert chatglm.stop_ids == {chatglm.special(name) for name in names}


def test_an_end_of_turn_token_of_the_metadata_stops_too(folder: Path) -> None:
    tokenizer = load(folder, replace(chatml_bpe("qwen2", VOCAB), eot_id=5))
    assert 5 in tokenizer.stop_ids


def test_files_that_do_not_say_start_with_bos_where_their_kind_does(
    folder: Path, trained: Trained
) -> None:
    silent = replace(chatml_bpe("qwen2", VOCAB), add_bos=None)
    assert load(folder, silent).add_bos is False
    assert load(folder, replace(silent, pre="llama-bpe")).add_bos is True
    assert load(folder, trained[1]).add_bos is True
    assert load(folder, replace(trained[1], add_bos=False)).add_bos is False


# Streaming


@pytest.mark.parametrize("text", ["你好，世界👋🏽!", " the é𠮷 cat ", "👩‍👩‍👧", "a\nb"])
def test_a_stream_shows_whole_characters_only_and_all_of_them(
    bpe: Tokenizer, sp: Tokenizer, text: str
) -> None:
    for tokenizer in (bpe, sp):
        stream = tokenizer.stream()
        parts = [stream.feed(token_id) for token_id in tokenizer.encode(text)]
        assert "".join(parts) + stream.flush() == text
        assert all("\ufffd" not in part for part in parts)


def test_a_character_cut_between_any_two_tokens_appears_with_its_last_byte(bpe: Tokenizer) -> None:
    ids = {bpe.token_bytes(token_id): token_id for token_id in range(256)}
    for character in ("é", "你", "👋"):
        raw = [ids[bytes([byte])] for byte in character.encode()]
        for cut in range(1, len(raw)):
            stream = bpe.stream()
            assert [stream.feed(token_id) for token_id in raw[:cut]] == [""] * cut
            assert stream.flush() == ""
        stream = bpe.stream()
        assert [stream.feed(token_id) for token_id in raw] == [""] * (len(raw) - 1) + [character]


def test_a_control_token_inside_a_character_does_not_break_it(bpe: Tokenizer) -> None:
    first, *rest = bpe.encode("好")
    end = bpe.special("<|im_end|>")
    assert end is not None
    assert bpe.decode([first, end, *rest]) == "好"


@settings(deadline=None)
@given(raw=st.binary())
def test_bytes_that_are_not_utf_8_show_nothing(bpe: Tokenizer, raw: bytes) -> None:
    ids = {bpe.token_bytes(token_id): token_id for token_id in range(256)}
    stream = bpe.stream()
    shown = "".join(stream.feed(ids[bytes([byte])]) for byte in raw) + stream.flush()
    assert shown == raw.decode(errors="ignore")


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, VOCAB - 1)))
def test_the_bytes_of_ids_are_what_decoding_shows(
    bpe: Tokenizer, sp: Tokenizer, ids: list[int]
) -> None:
    for tokenizer in (bpe, sp):
        whole = b"".join(map(tokenizer.token_bytes, ids)).decode(errors="ignore")
        shown = tokenizer.decode(ids)
        assert whole in (shown, " " + shown)


# Files that are wrong


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "bert"}, "tokenizer 'bert'"),
        ({"pre": "falcon"}, "pre-tokenizer 'falcon'"),
    ],
)
def test_a_tokenizer_we_do_not_run_is_named(
    folder: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnsupportedModel, match=said):
        load(folder, replace(chatml_bpe("qwen2", VOCAB), **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokens": ["a"] * (VOCAB + 1)}, f"found {VOCAB + 1} tokens"),
        ({"kinds": [1] * (VOCAB - 1)}, f"found {VOCAB - 1} numbers"),
        ({"kinds": [7] * VOCAB}, "unknown type"),
        ({"merges": ["nowhere to"]}, "found 'nowhere to'"),
        ({"merges": ["t"]}, "found 't'"),
        ({"merges": None}, "merges': found nothing"),
        ({"eos_id": VOCAB}, f"found {VOCAB}, expected a token id"),
        ({"model": "llama"}, "scores': found nothing"),
        ({"model": "llama", "scores": [float("nan")] * VOCAB}, "infinity or NaN"),
    ],
)
def test_a_broken_vocabulary_is_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadModelFile, match=said):
        load(folder, replace(chatml_bpe("qwen2", VOCAB), **changes))


def chatglm3() -> Iterator[Trained]:
    if CHATGLM3.exists():
        library = SentencePieceProcessor(model_file=str(CHATGLM3))
        yield library, metadata_of(library)


def random_texts(count: int) -> list[str]:
    """Texts of everything that splits, joins or composes."""
    rng = np.random.default_rng(7)
    characters = [chr(code) for code in (*range(1, 0x250), *range(0x300, 0x310))]
    characters += [chr(code) for code in (*range(0x4E00, 0x4E40), 0x1F44B, 0x17F, 0x2581, 0x20BB7)]
    words = [
        "the ",
        "'S",
        "'ll",
        "今天",
        "你好",
        " \n",
        "\r\n",
        "  ",
        "12",
        "\n\n",
        "<tool>",
        "吗？",
    ]
    pool = np.array(characters + words * 20)
    return ["".join(rng.choice(pool, rng.integers(1, 30))) for _ in range(count)]
