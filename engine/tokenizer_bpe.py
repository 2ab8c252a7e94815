"""Byte-level BPE (`gpt2` in GGUF), run by the `tokenizers` library.

Only ordinary tokens are given to the library, so no text can become a control token.
"""

from tokenizers import Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Library

from engine.errors import BadModelFile, UnsupportedModel
from engine.modelfile import ModelFile
from engine.vocabulary import TokenKind, UserDefined, Vocabulary, read_strings, read_vocabulary

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS = {  # each pattern splits further what the ones before it left
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"),
    "smollm": (r"\p{N}", _GPT2),
    "qwen2": (_GPT4.replace("{1,3}", ""),),
    "llama-bpe": (_GPT4,),
    "chatglm-bpe": (_GPT4,),
}
_BOS_BY_DEFAULT = ("llama-bpe",)
_WHOLE_WORDS_FIRST = ("llama-bpe",)  # a word that is a token is not built from merges
_NFC = ("qwen2",)  # the model was trained on composed characters


class ByteLevelBPE:
    """Text to the ids of byte-level pieces, and back to bytes."""

    def __init__(
        self, vocabulary: Vocabulary, merges: list[tuple[str, str]], pre_tokenizer: str
    ) -> None:
        self._tokens = vocabulary.tokens
        self._user_defined = UserDefined(vocabulary)
        self._literal = frozenset(vocabulary.of_kind(TokenKind.USER_DEFINED).values())
        ids = vocabulary.of_kind(TokenKind.NORMAL)
        whole_first = pre_tokenizer in _WHOLE_WORDS_FIRST
        self._library = Library(models.BPE(ids, merges, ignore_merges=whole_first))
        splits = [
            pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in _SPLITS[pre_tokenizer]
        ]
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        self._library.pre_tokenizer = pre_tokenizers.Sequence([*splits, to_bytes])
        if pre_tokenizer in _NFC:
            self._library.normalizer = normalizers.NFC()

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._user_defined.split(text):
            ids += [part] if isinstance(part, int) else self._library.encode(part).ids
        return ids

    def piece(self, token_id: int) -> bytes:
        token = self._tokens[token_id]
        if token_id in self._literal or not _BYTES.keys() >= set(token):
            return token.encode()
        return bytes(_BYTES[character] for character in token)

    def first_piece(self, token_id: int) -> bytes:
        return self.piece(token_id)


def pre_tokenizers_of(pattern: str) -> list[str]:
    """The names of the ways to split a text that have just this pattern."""
    return [name for name, patterns in _SPLITS.items() if patterns == (pattern,)]


def load_bpe(file: ModelFile) -> tuple[Vocabulary, ByteLevelBPE]:
    """The tokenizer of a file whose `tokenizer.ggml.model` is `gpt2`."""
    name = file.metadata.get("tokenizer.ggml.pre", "default")
    if not isinstance(name, str) or name not in _SPLITS:
        raise UnsupportedModel(
            path=file.path, what="pre-tokenizer", found=name, supported=", ".join(_SPLITS)
        )
    vocabulary = read_vocabulary(file, add_bos=name in _BOS_BY_DEFAULT)
    merges = _read_merges(file, vocabulary)
    return vocabulary, ByteLevelBPE(vocabulary, merges, name)


def _read_merges(file: ModelFile, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    normal = vocabulary.of_kind(TokenKind.NORMAL)
    merges = []
    for line in read_strings(file, "merges"):
        left, _, right = line.partition(" ")
        if not (left in normal and right in normal and left + right in normal):
            raise BadModelFile(
                path=file.path,
                where="metadata 'tokenizer.ggml.merges'",
                found=f"{line!r}",
                expected="two tokens whose joining is a token too",
            )
        merges.append((left, right))
    return merges


def _byte_characters() -> dict[str, int]:
    """GPT-2's alphabet: printable Latin-1 stands for itself, the rest follows from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(0x100 + index): byte for index, byte in enumerate(others)}


_BYTES = _byte_characters()
_CHARACTERS = {byte: character for character, byte in _BYTES.items()}


def byte_level(word: bytes) -> str:
    """Bytes as this kind of tokenizer spells them."""
    return "".join(_CHARACTERS[byte] for byte in word)
