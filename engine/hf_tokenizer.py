"""The tokenizer of a Hugging Face folder, as GGUF metadata wants it.

Three kinds of files are read: SentencePiece models, GLM-4's tiktoken list, and tokenizer.json of
byte-level BPE.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.checkpoint import read_json, read_whole
from engine.errors import BadModelFile, UnsupportedModel
from engine.ggml import Family
from engine.plan import Plan
from engine.tokenizer_bpe import byte_level, pre_tokenizers_of
from engine.tokenizer_chatglm import (
    CONTROLS_2,
    CONTROLS_3,
    CONTROLS_4,
    open_sentencepiece,
    sentencepiece_kinds,
    tiktoken_merges,
    tiktoken_words,
)
from engine.vocabulary import TokenKind

_MAX_BYTES = 1 << 28
_CONTROLS = {Family.CHATGLM2: CONTROLS_2, Family.CHATGLM3: CONTROLS_3, Family.CHATGLM4: CONTROLS_4}


@dataclass(frozen=True)
class TokenizerFacts:
    """What `tokenizer.ggml` metadata says."""

    model: str
    pre: str
    tokens: Sequence[str] = field(repr=False)
    kinds: Sequence[int] = field(repr=False)
    scores: Sequence[float] | None = field(default=None, repr=False)
    merges: Sequence[str] | None = field(default=None, repr=False)
    bos_id: int | None = None
    eos_id: int | None = None
    eot_id: int | None = None
    eom_id: int | None = None
    pad_id: int | None = None
    add_bos: bool = False
    add_space_prefix: bool | None = None
    chat_template: str | None = None


def tokenizer_bytes(folder: Path) -> bytes:
    """The file that GGML containers carry."""
    return read_whole(folder / "tokenizer.model", _MAX_BYTES)


def chatglm_family(folder: Path) -> Family:
    """Which of the ChatGLMs a folder's tokenizer is of.

    ChatGLM2 and 3 have files alike; the roles that only ChatGLM3 has are in its program.
    """
    if tiktoken_words(tokenizer_bytes(folder)):
        return Family.CHATGLM4
    program = folder / "tokenization_chatglm.py"
    if program.exists() and b"<|system|>" not in read_whole(program, _MAX_BYTES):
        return Family.CHATGLM2
    return Family.CHATGLM3


def read_tokenizer(folder: Path, plan: Plan) -> TokenizerFacts:
    """The folder's tokenizer, with a token for every row of the embedding."""
    if plan.family is not None:
        facts = _chatglm(folder, plan, plan.family)
    elif (folder / "tokenizer.json").exists():
        facts = _byte_level_bpe(folder, plan)
    else:
        facts = _llama_sentencepiece(folder, plan)
    facts = replace(facts, chat_template=_chat_template(folder))
    return _padded(folder, facts, plan.config.vocab_size)


def _chatglm(folder: Path, plan: Plan, family: Family) -> TokenizerFacts:
    controls = _CONTROLS[family]
    if family is Family.CHATGLM4:
        facts = _tiktoken(folder)
    else:
        facts = replace(_sentencepiece(folder), pre="chatglm-spm", add_space_prefix=True)
    ids = {name: len(facts.tokens) + index for index, name in enumerate(controls)}
    return replace(
        facts,
        tokens=[*facts.tokens, *controls],
        kinds=[*facts.kinds, *(TokenKind.CONTROL for _ in controls)],
        scores=facts.scores and [*facts.scores, *(_last(facts.scores) for _ in controls)],
        eos_id=ids.get("<|endoftext|>", next(iter(plan.eos_ids), None)),
        eot_id=ids.get("<|user|>"),
        eom_id=ids.get("<|observation|>"),
        pad_id=plan.pad_id,
    )


def _last(scores: Sequence[float]) -> float:
    """Worse than every piece's: llama.cpp also joins letters to the control tokens they spell.

    With 0.0, the best of all, "philosophy" would have a `sop` in it. What is left is a word that
    is read letter by letter anyway; `sop` keeps its spelling, which prompt templates look for.
    """
    return min(scores) - 1.0


def _sentencepiece(folder: Path) -> TokenizerFacts:
    processor = open_sentencepiece(tokenizer_bytes(folder))
    if processor is None:
        path = folder / "tokenizer.model"
        raise BadModelFile(
            path=path, where="its content", found="something else", expected="a SentencePiece model"
        )
    ids = range(processor.get_piece_size())
    return TokenizerFacts(
        model="llama",
        pre="default",
        tokens=[processor.id_to_piece(at) for at in ids],
        kinds=sentencepiece_kinds(processor),
        scores=[processor.get_score(at) for at in ids],
        bos_id=processor.bos_id() if processor.bos_id() >= 0 else None,
    )


def _tiktoken(folder: Path) -> TokenizerFacts:
    words = tiktoken_words(tokenizer_bytes(folder))
    return TokenizerFacts(
        model="gpt2",
        pre="chatglm-bpe",
        tokens=[byte_level(word) for word in words],
        kinds=[TokenKind.NORMAL] * len(words),
        merges=[f"{left} {right}" for left, right in tiktoken_merges(words)],
    )


def _llama_sentencepiece(folder: Path, plan: Plan) -> TokenizerFacts:
    """Llama 2's: a SentencePiece model, and tokens added beside it."""
    facts, settings = _sentencepiece(folder), _settings(folder)
    added = list(_added_tokens(settings.get("added_tokens_decoder"), len(facts.tokens)))
    assert facts.scores is not None
    return replace(
        facts,
        tokens=[*facts.tokens, *(token for token, _ in added)],
        kinds=[*facts.kinds, *(kind for _, kind in added)],
        scores=[*facts.scores, *(0.0 for _ in added)],
        eos_id=next(iter(plan.eos_ids), None),
        pad_id=plan.pad_id,
        add_bos=settings.get("add_bos_token", True) is True,
        add_space_prefix=True,
    )


def _added_tokens(described: object, first: int) -> Iterator[tuple[str, TokenKind]]:
    """The tokens from number `first` on, as tokenizer_config.json describes them."""
    while isinstance(described, dict) and isinstance(described.get(str(first)), dict):
        token = described[str(first)]
        special = token.get("special") is True
        yield _content(token), TokenKind.CONTROL if special else TokenKind.USER_DEFINED
        first += 1


def _byte_level_bpe(folder: Path, plan: Plan) -> TokenizerFacts:
    path = folder / "tokenizer.json"
    described = read_json(path)
    model = described.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or model.get("byte_fallback"):
        raise UnsupportedModel(
            path=path, what="tokenizer", found="another kind", supported="byte-level BPE"
        )
    tokens, kinds = _read_tokens(path, described, model)
    settings = _settings(folder)
    ids = {token: index for index, token in enumerate(tokens)}
    eos_id = ids.get(_content(settings.get("eos_token")), next(iter(plan.eos_ids), None))
    default, glm = (plan.config.architecture == name for name in ("llama", "chatglm"))
    said = settings.get("add_bos_token")
    return TokenizerFacts(
        model="gpt2",
        pre=_pre_tokenizer(path, described, plan.config.architecture),
        tokens=tokens,
        kinds=kinds,
        merges=_read_merges(path, model),
        bos_id=ids.get(_content(settings.get("bos_token"))),
        eos_id=eos_id,
        eot_id=ids.get("<|user|>") if glm else None,
        eom_id=ids.get("<|observation|>") if glm else None,
        pad_id=plan.pad_id,
        add_bos=default if said is None else said is True,
    )


def _read_tokens(
    path: Path, described: Mapping[str, object], model: Mapping[str, object]
) -> tuple[list[str], list[int]]:
    vocab, added = model.get("vocab"), described.get("added_tokens")
    if not isinstance(vocab, dict) or not all(isinstance(at, int) for at in vocab.values()):
        raise _wrong(path, "model.vocab", "tokens and their ids")
    spelled = {at: (token, TokenKind.NORMAL) for token, at in vocab.items()}
    for token in added if isinstance(added, list) else []:
        if not isinstance(token, dict) or not isinstance(token.get("id"), int):
            raise _wrong(path, "added_tokens", "tokens and their ids")
        special = token.get("special") is True
        kind = TokenKind.CONTROL if special else TokenKind.USER_DEFINED
        spelled[token["id"]] = (str(token.get("content")), kind)
    count = max(spelled, default=-1) + 1
    if min(spelled, default=0) < 0 or count > 2 * len(spelled) + 1024:
        raise _wrong(path, "model.vocab", "ids from 0 upward")
    filled = [spelled.get(at, (f"[PAD{at}]", TokenKind.UNUSED)) for at in range(count)]
    return [token for token, _ in filled], [kind for _, kind in filled]


def _read_merges(path: Path, model: Mapping[str, object]) -> list[str]:
    """Lines or, in newer files, pairs."""
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise _wrong(path, "model.merges", "a list")
    return [" ".join(merge) if isinstance(merge, list) else str(merge) for merge in merges]


def _pre_tokenizer(path: Path, described: Mapping[str, object], architecture: str) -> str:
    patterns = list(_patterns(described.get("pre_tokenizer")))
    names = pre_tokenizers_of(patterns[0]) if len(patterns) == 1 else []
    if not names:
        raise UnsupportedModel(
            path=path,
            what="pre-tokenizer",
            found=" and ".join(patterns) or "one without a pattern",
            supported="those of Qwen2, Llama 3 and GLM-4",
        )
    own = [name for name in names if name.startswith(architecture)]
    return (own or names)[0]


def _patterns(described: object) -> list[str]:
    """The regular expressions of a pre-tokenizer, wherever in it they are."""
    if isinstance(described, list):
        return [pattern for each in described for pattern in _patterns(each)]
    if not isinstance(described, dict):
        return []
    own = [described["Regex"]] if isinstance(described.get("Regex"), str) else []
    return own + [pattern for each in described.values() for pattern in _patterns(each)]


def _settings(folder: Path) -> dict[str, object]:
    path = folder / "tokenizer_config.json"
    return read_json(path) if path.exists() else {}


def _content(token: object) -> str:
    """A token's spelling, given as such or as a description; '' if there is none."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def _chat_template(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        return read_whole(path, _MAX_BYTES).decode(errors="replace")
    template = _settings(folder).get("chat_template")
    return template if isinstance(template, str) else None


def _padded(folder: Path, facts: TokenizerFacts, size: int) -> TokenizerFacts:
    count = len(facts.tokens)
    if count > size:
        raise BadModelFile(
            path=folder,
            where="tokenizer",
            found=f"{count} tokens",
            expected=f"at most the embedding's {size}",
        )
    padding = range(count, size)
    return replace(
        facts,
        tokens=[*facts.tokens, *(f"[PAD{at}]" for at in padding)],
        kinds=[int(kind) for kind in (*facts.kinds, *(TokenKind.UNUSED for _ in padding))],
        scores=None if facts.scores is None else [*facts.scores, *(0.0 for _ in padding)],
    )


def _wrong(path: Path, where: str, expected: str) -> BadModelFile:
    return BadModelFile(path=path, where=where, found="something else", expected=expected)
