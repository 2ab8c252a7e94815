"""Tokenizers that only have the right number of tokens, for models of random weights."""

import string
import struct
from collections.abc import Iterator
from itertools import islice, product

from engine.hf_tokenizer import TokenizerFacts
from engine.tokenizer_bpe import byte_level
from engine.tokenizer_chatglm import CONTROLS_3
from engine.vocabulary import TokenKind

_SPACE = "▁"  # U+2581: how SentencePiece spells a space
_UNUSED = 226  # rows of ChatGLM3's embedding that stand for no token
_BPE = 2  # SentencePiece's number of its kind of model
_ENDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def sentencepiece_model(vocab_size: int) -> bytes:
    """A serialized SentencePiece model that leaves room for ChatGLM3's control tokens.

    Written by hand: the library trains only what a text has words for, and its protocol's own
    library is not among our requirements.
    """
    count = vocab_size - min(_UNUSED, vocab_size // 4) - len(CONTROLS_3)
    first = [("<unk>", TokenKind.UNKNOWN), ("<s>", TokenKind.CONTROL), ("</s>", TokenKind.CONTROL)]
    first += [(f"<0x{byte:02X}>", TokenKind.BYTE) for byte in range(256)]
    free = (word for word in _words() if word not in CONTROLS_3)
    words = [(word, TokenKind.NORMAL) for word in islice(free, count - len(first))]
    pieces = b"".join(
        _field(1, _piece(text, -float(place), kind))
        for place, (text, kind) in enumerate([*first, *words])
    )
    trainer = _number(3, _BPE) + _number(35, 1)  # byte_fallback
    normalizer = _field(1, b"identity") + _number(3, 1) + _number(4, 0) + _number(5, 1)
    return pieces + _field(2, trainer) + _field(3, normalizer)


def byte_level_facts(vocab_size: int, pre_tokenizer: str) -> TokenizerFacts:
    """A byte-level BPE tokenizer of a ChatML model; what is left over are unused tokens."""
    letters = [byte_level(bytes([byte])) for byte in range(256)]
    pairs = [f"{left} {right}" for left, right in product(string.ascii_lowercase, repeat=2)]
    normal = [*letters, *(pair.replace(" ", "") for pair in pairs)]
    padding = range(len(normal) + len(_ENDS), vocab_size)
    kinds = [TokenKind.NORMAL] * len(normal) + [TokenKind.CONTROL] * len(_ENDS)
    return TokenizerFacts(
        model="gpt2",
        pre=pre_tokenizer,
        tokens=[*normal, *_ENDS, *(f"[PAD{place}]" for place in padding)],
        kinds=[int(kind) for kind in (*kinds, *(TokenKind.UNUSED for _ in padding))],
        merges=pairs,
        eos_id=len(normal) + len(_ENDS) - 1,
    )


def _words() -> Iterator[str]:
    """Different words without end: characters first, as longer pieces are built of them."""
    yield _SPACE
    yield from string.digits + string.ascii_letters + string.punctuation
    yield from map(chr, range(0x4E00, 0xA000))
    for length in range(2, 8):
        for letters in product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)
            yield _SPACE + "".join(letters)


def _piece(text: str, score: float, kind: TokenKind) -> bytes:
    return _field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + _number(3, kind)


def _field(number: int, data: bytes) -> bytes:
    """Bytes, a text or a message, as protocol buffers write them."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
