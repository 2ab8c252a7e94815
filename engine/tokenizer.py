"""Text to token ids and back, whatever the model's tokenizer.

What a user types is always ordinary text here: no spelling in it becomes a control token.
"""

import codecs
from collections.abc import Callable, Iterable
from typing import Protocol

from engine.errors import UnsupportedModel
from engine.modelfile import ModelFile
from engine.tokenizer_bpe import load_bpe
from engine.tokenizer_chatglm import load_chatglm2, load_chatglm3, load_chatglm4
from engine.tokenizer_sp import load_sentencepiece
from engine.vocabulary import TokenKind, Vocabulary


class Pieces(Protocol):
    """One kind of tokenizer: ordinary text to ids, and the bytes of an id that has text."""

    def encode(self, text: str) -> list[int]: ...

    def piece(self, token_id: int) -> bytes: ...

    def first_piece(self, token_id: int) -> bytes:
        """The bytes of an id that starts a text."""


_Loader = Callable[[ModelFile], tuple[Vocabulary, Pieces]]
_LOADERS: dict[str, _Loader] = {
    "gpt2": load_bpe,
    "llama": load_sentencepiece,
    "chatglm2-sentencepiece": load_chatglm2,
    "chatglm3-sentencepiece": load_chatglm3,
    "chatglm4-tiktoken": load_chatglm4,
}


class Tokenizer:
    """A model's tokenizer. `stop_ids` end an answer; `eos_id` is one of them."""

    def __init__(self, vocabulary: Vocabulary, pieces: Pieces) -> None:
        self.vocab_size = vocabulary.size
        self.bos_id = vocabulary.bos_id
        self.eos_id = vocabulary.eos_id
        self.add_bos = vocabulary.add_bos
        self.stop_ids = vocabulary.stop_ids
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._named = vocabulary.of_kind(TokenKind.CONTROL, TokenKind.USER_DEFINED)

    def encode(self, text: str) -> list[int]:
        """The ids of ordinary text: never a control token, whatever it spells."""
        return self._pieces.encode(_encodable(text))

    def special(self, name: str) -> int | None:
        """The id of a control or user-defined token, by its spelling."""
        return self._named.get(name)

    def is_special(self, token_id: int) -> bool:
        """Whether an id is a control token."""
        return self._vocabulary.kind(token_id) == TokenKind.CONTROL

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids. Control tokens, and bytes that are not UTF-8, give none."""
        stream = self.stream()
        return "".join([stream.feed(token_id) for token_id in ids]) + stream.flush()

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes an id stands for inside a text; b"" for control tokens."""
        return self._pieces.piece(token_id) if self._vocabulary.has_text(token_id) else b""

    def stream(self) -> "StreamDecoder":
        return StreamDecoder(self._vocabulary, self._pieces)


class StreamDecoder:
    """Ids in, whole characters out: the parts joined are `decode` of all the ids.

    The space that SentencePiece puts before every text is taken off the first piece. Bytes that
    cannot become a character are dropped, so nothing half-written is ever shown.
    """

    def __init__(self, vocabulary: Vocabulary, pieces: Pieces) -> None:
        self._vocabulary = vocabulary
        self._pieces = pieces
        self._started = False
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")

    def feed(self, token_id: int) -> str:
        """The text that became whole with this id; '' while a character is unfinished."""
        if not self._vocabulary.has_text(token_id):
            return ""
        piece = self._pieces.piece if self._started else self._pieces.first_piece
        self._started = True
        return self._decoder.decode(piece(token_id))

    def flush(self) -> str:
        """End the text; an unfinished character is dropped."""
        return self._decoder.decode(b"", final=True)


def load_tokenizer(file: ModelFile) -> Tokenizer:
    """The tokenizer a model file describes, or carries whole."""
    name = file.metadata.get("tokenizer.ggml.model")
    if not isinstance(name, str) or name not in _LOADERS:
        raise UnsupportedModel(
            path=file.path, what="tokenizer", found=name, supported=", ".join(_LOADERS)
        )
    return Tokenizer(*_LOADERS[name](file))


def _encodable(text: str) -> str:
    """Text with lone surrogates, which UTF-8 cannot hold, replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
