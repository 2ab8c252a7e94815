"""The tokenizers that GGML files carry whole: a SentencePiece model, or GLM-4's tiktoken list.

ChatGLM numbers its control tokens upward from the first id that the tokenizer's file leaves free.
"""

import base64
import binascii

import numpy as np
import sentencepiece

from engine.errors import BadModelFile
from engine.ggml import TOKENIZER_BYTES
from engine.modelfile import ModelFile
from engine.tokenizer_bpe import ByteLevelBPE, byte_level
from engine.vocabulary import TokenKind, Vocabulary

ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
CONTROLS_2 = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")
CONTROLS_3 = (*CONTROLS_2, *ROLES)
CONTROLS_4 = (
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    *ROLES,
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
)
_STOPS = ("<|endoftext|>", "<|user|>", "<|observation|>")  # the next speaker: the answer is over
_SPACE = "▁"  # U+2581: how pieces spell a space
_UNKNOWN_SHOWN = " ⁇ ".encode()


class SentencePiece:
    """Text to ids by the library itself, and ids back to bytes."""

    def __init__(self, processor: sentencepiece.SentencePieceProcessor) -> None:
        self._processor = processor

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(text)
        return ids

    def piece(self, token_id: int) -> bytes:
        spelled: str = self._processor.id_to_piece(token_id)
        if self._processor.is_byte(token_id):
            return bytes([int(spelled[1:-1], 16)])  # <0x0A>
        if self._processor.is_unknown(token_id):
            return _UNKNOWN_SHOWN
        return spelled.replace(_SPACE, " ").encode()

    def first_piece(self, token_id: int) -> bytes:
        """Without the space that the library puts before every text."""
        spelled: str = self._processor.id_to_piece(token_id)
        piece = self.piece(token_id)
        return piece[1:] if spelled.startswith(_SPACE) else piece


def load_chatglm2(file: ModelFile) -> tuple[Vocabulary, SentencePiece]:
    """The tokenizer of a ChatGLM2 file, which has no roles."""
    return _load_sentencepiece(file, CONTROLS_2)


def load_chatglm3(file: ModelFile) -> tuple[Vocabulary, SentencePiece]:
    """The tokenizer of a ChatGLM3 file."""
    return _load_sentencepiece(file, CONTROLS_3)


def load_chatglm4(file: ModelFile) -> tuple[Vocabulary, ByteLevelBPE]:
    """The tokenizer of a GLM-4 file."""
    words = tiktoken_words(_tokenizer_bytes(file))
    if not words:
        raise _wrong(file, "no list of base64 words", "GLM-4's tokenizer.model")
    ordinary = [byte_level(word) for word in words]
    kinds = [TokenKind.NORMAL] * len(words)
    vocabulary = _vocabulary(file, ordinary, kinds, CONTROLS_4)
    return vocabulary, ByteLevelBPE(vocabulary, tiktoken_merges(words), "chatglm-bpe")


def tiktoken_words(data: bytes) -> list[bytes]:
    """The words of a tiktoken file ("base64 id" lines), by id; empty if it is none."""
    words = []
    for number, line in enumerate(data.splitlines()):
        word, _, token_id = line.partition(b" ")
        try:
            words.append(base64.b64decode(word, validate=True))
        except binascii.Error:
            return []
        if token_id != b"%d" % number or not words[-1]:
            return []
    return words


def tiktoken_merges(words: list[bytes]) -> list[tuple[str, str]]:
    """Every way to make each word of two others, the word of lowest id first.

    tiktoken joins whatever neighbours make the word of lowest id; so does BPE with these merges.
    """
    spelled = {word: byte_level(word) for word in words}
    return [
        (spelled[word[:at]], spelled[word[at:]])
        for word in words
        for at in range(1, len(word))
        if word[:at] in spelled and word[at:] in spelled
    ]


def sentencepiece_kinds(
    processor: sentencepiece.SentencePieceProcessor,
) -> list[TokenKind]:
    """What each piece of a SentencePiece model is."""
    kinds = []
    for token_id in range(processor.get_piece_size()):
        if processor.is_unknown(token_id):
            kinds.append(TokenKind.UNKNOWN)
        elif processor.is_control(token_id):
            kinds.append(TokenKind.CONTROL)
        elif processor.is_byte(token_id):
            kinds.append(TokenKind.BYTE)
        elif processor.is_unused(token_id):
            kinds.append(TokenKind.UNUSED)
        else:
            kinds.append(TokenKind.NORMAL)
    return kinds


def open_sentencepiece(data: bytes) -> sentencepiece.SentencePieceProcessor | None:
    """The tokenizer of a serialized SentencePiece model; None if it is none."""
    processor = sentencepiece.SentencePieceProcessor()
    try:
        if not data or not processor.LoadFromSerializedProto(data):
            return None
    except RuntimeError:
        return None
    return processor


def _load_sentencepiece(
    file: ModelFile, controls: tuple[str, ...]
) -> tuple[Vocabulary, SentencePiece]:
    processor = open_sentencepiece(_tokenizer_bytes(file))
    if processor is None:
        raise _wrong(file, "something else", "a SentencePiece model")
    try:
        pieces = [processor.id_to_piece(at) for at in range(processor.get_piece_size())]
    except UnicodeDecodeError as error:
        raise _wrong(file, f"a piece {error.object[:40]!r}", "UTF-8") from error
    vocabulary = _vocabulary(file, pieces, sentencepiece_kinds(processor), controls)
    return vocabulary, SentencePiece(processor)


def _vocabulary(
    file: ModelFile, ordinary: list[str], kinds: list[TokenKind], controls: tuple[str, ...]
) -> Vocabulary:
    tokens = [*ordinary, *controls]
    size = file.config.vocab_size
    if len(ordinary) + len(CONTROLS_2) > size:
        raise _wrong(file, f"{len(ordinary)} tokens", f"fewer than the embedding's {size}")
    tokens = tokens[:size]
    all_kinds = [*kinds, *(TokenKind.CONTROL for _ in controls)][:size]
    eos_id = _eos_id(file, len(tokens))
    ids = {name: len(ordinary) + index for index, name in enumerate(controls)}
    stops = {ids[name] for name in _STOPS if ids.get(name, size) < size}
    return Vocabulary(
        size=size,
        tokens=tokens,
        kinds=np.array(all_kinds, np.int32),
        bos_id=None,
        eos_id=eos_id,
        add_bos=False,
        stop_ids=frozenset(stops if eos_id is None else stops | {eos_id}),
    )


def _eos_id(file: ModelFile, count: int) -> int | None:
    eos_id = file.metadata.get("tokenizer.ggml.eos_token_id")
    if eos_id is None:
        return None
    if not isinstance(eos_id, int) or not 0 <= eos_id < count:
        raise _wrong(file, f"eos token {eos_id}", f"a token id below {count}")
    return eos_id


def _tokenizer_bytes(file: ModelFile) -> bytes:
    data = file.metadata[TOKENIZER_BYTES]
    assert isinstance(data, bytes)
    return data


def _wrong(file: ModelFile, found: object, expected: str) -> BadModelFile:
    return BadModelFile(path=file.path, where="tokenizer", found=found, expected=expected)
