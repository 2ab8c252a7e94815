"""The tokens of a model: their spelling, what kind each is, and which of them end an answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from engine.errors import BadModelFile
from engine.modelfile import ModelFile

# Some converters mark roles as user-defined; then anyone could type one.
_LOOKS_CONTROL = re.compile(r"<\|.*\|>|\[[gs]?MASK\]|[se]op")
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>")
_CHATGLM_ENDS = ("<|user|>", "<|observation|>")  # the next speaker: the answer is over


class TokenKind(IntEnum):
    """What a token is, numbered as SentencePiece and GGUF do."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A model's tokens, by id. `size` counts the embedding's rows, which may be more."""

    size: int
    tokens: list[str] = field(repr=False)
    kinds: npt.NDArray[np.int32] = field(repr=False)
    bos_id: int | None
    eos_id: int | None
    add_bos: bool
    stop_ids: frozenset[int]

    def kind(self, token_id: int) -> TokenKind:
        """What an id is; the embedding's rows past the last token are unused."""
        if not 0 <= token_id < len(self.tokens):
            return TokenKind.UNUSED
        return TokenKind(self.kinds[token_id])

    def has_text(self, token_id: int) -> bool:
        """Whether an id shows as text."""
        return self.kind(token_id) not in (TokenKind.CONTROL, TokenKind.UNUSED)

    def of_kind(self, *kinds: TokenKind) -> dict[str, int]:
        """The tokens of these kinds, by spelling."""
        ids = np.flatnonzero(np.isin(self.kinds, kinds)).tolist()
        return {self.tokens[token_id]: token_id for token_id in ids}


class UserDefined:
    """The user-defined tokens of a vocabulary, which are found in text before anything else."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._ids = vocabulary.of_kind(TokenKind.USER_DEFINED)
        longest_first = sorted(filter(None, self._ids), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def split(self, text: str) -> Iterator[str | int]:
        """The text in order: ids of user-defined tokens, and what stands between them."""
        end = 0
        for match in self._pattern.finditer(text):
            if match.start() > end:
                yield text[end : match.start()]
            yield self._ids[match.group()]
            end = match.end()
        if end < len(text):
            yield text[end:]


def read_vocabulary(file: ModelFile, *, add_bos: bool) -> Vocabulary:
    """The vocabulary of `tokenizer.ggml` metadata; `add_bos` is for files that do not say."""
    tokens = read_strings(file, "tokens")
    if len(tokens) > file.config.vocab_size:
        rows = file.config.vocab_size
        raise _wrong(file, "tokens", f"{len(tokens)} tokens", f"at most the embedding's {rows}")
    eos_id = _read_id(file, "eos_token_id", len(tokens))
    said = file.metadata.get("tokenizer.ggml.add_bos_token", add_bos)
    vocabulary = Vocabulary(
        size=file.config.vocab_size,
        tokens=tokens,
        kinds=_read_kinds(file, tokens),
        bos_id=_read_id(file, "bos_token_id", len(tokens)),
        eos_id=eos_id,
        add_bos=said is True,
        stop_ids=frozenset(),
    )
    ends = {eos_id, _read_id(file, "eot_token_id", len(tokens)), *_spelled_ends(file, vocabulary)}
    return replace(vocabulary, stop_ids=frozenset(end for end in ends if end is not None))


def read_strings(file: ModelFile, key: str) -> list[str]:
    """A `tokenizer.ggml` entry that must be a list of strings."""
    value = file.metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise _wrong(file, key, _kind_of(value), "a list of strings")
    return value


def read_scores(file: ModelFile, count: int) -> list[float]:
    """A finite score for each of `count` tokens."""
    value = _read_numbers(file, "scores", count)
    if not np.isfinite(value).all():
        raise _wrong(file, "scores", "infinity or NaN", "finite numbers")
    return [float(score) for score in value.tolist()]


def _read_kinds(file: ModelFile, tokens: list[str]) -> npt.NDArray[np.int32]:
    if "tokenizer.ggml.token_type" not in file.metadata:
        return np.full(len(tokens), TokenKind.NORMAL, np.int32)
    kinds = _read_numbers(file, "token_type", len(tokens)).astype(np.int32)
    if not np.isin(kinds, list(TokenKind)).all():
        raise _wrong(file, "token_type", "an unknown type", "1 to 6")
    for token_id in np.flatnonzero(kinds == TokenKind.USER_DEFINED).tolist():
        if _LOOKS_CONTROL.fullmatch(tokens[token_id]):
            kinds[token_id] = TokenKind.CONTROL
    return kinds


def _spelled_ends(file: ModelFile, vocabulary: Vocabulary) -> list[int]:
    """End tokens by name: files often give only one of the several their model ends with."""
    ends = _ENDS + (_CHATGLM_ENDS if file.config.architecture == "chatglm" else ())
    control = vocabulary.of_kind(TokenKind.CONTROL)
    return [control[end] for end in ends if end in control]


def _read_numbers(file: ModelFile, key: str, count: int) -> npt.NDArray[np.generic]:
    value = file.metadata.get(f"tokenizer.ggml.{key}")
    if not isinstance(value, np.ndarray) or len(value) != count:
        found = f"{len(value)} numbers" if isinstance(value, np.ndarray) else _kind_of(value)
        raise _wrong(file, key, found, f"{count} numbers, one a token")
    return value


def _read_id(file: ModelFile, key: str, count: int) -> int | None:
    value = file.metadata.get(f"tokenizer.ggml.{key}")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < count:
        raise _wrong(file, key, value, f"a token id below {count}")
    return value


def _wrong(file: ModelFile, key: str, found: object, expected: str) -> BadModelFile:
    where = f"metadata 'tokenizer.ggml.{key}'"
    return BadModelFile(path=file.path, where=where, found=found, expected=expected)


def _kind_of(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
