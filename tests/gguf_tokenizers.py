"""Small tokenizers as GGUF metadata, for the models that tests write."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gguf
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import pre_tokenizers

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content "
    "+ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
MERGES = ("Ġ t", "h e", "Ġt he", "i n", "Ġ a", "o u", "y ou", "r e", "Ġ Ġ", "ä ½", "ä½ ł", "å ¥")
_CHATGLM_CONTROLS = ("[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>")
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
_USER_DEFINED = ["<tool>", "<tool>s", "吗？"]
_LINES = [
    "the cat sat on the mat and the dog sat on the log",
    "what is the weather in Beijing today?  it is 22 degrees",
    "def add(a, b):\n    return a + b",
    "今天北京的天气怎么样？今天的天气很好。",
    "你好，世界！你好吗？我很好，你呢？",
] * 4


@dataclass(frozen=True)
class TokenizerMetadata:
    """What a GGUF file says of its tokenizer."""

    model: str
    tokens: Sequence[str]
    kinds: Sequence[int]
    eos_id: int
    pre: str | None = None
    merges: Sequence[str] | None = None
    scores: Sequence[float] | None = None
    bos_id: int | None = None
    eot_id: int | None = None
    add_bos: bool | None = None
    add_space_prefix: bool | None = None
    chat_template: str | None = None

    def id(self, token: str) -> int:
        return list(self.tokens).index(token)

    def padded(self, size: int) -> "TokenizerMetadata":
        """The same with unused tokens up to an embedding of `size` rows."""
        padding = range(len(self.tokens), size)
        return replace(
            self,
            tokens=[*self.tokens, *(f"[PAD{index}]" for index in padding)],
            kinds=[*self.kinds, *(UNUSED for _ in padding)],
            scores=None if self.scores is None else [*self.scores, *(0.0 for _ in padding)],
        )

    def add_to(self, writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model(self.model)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.kinds)
        writer.add_eos_token_id(self.eos_id)
        optional: list[tuple[Callable[[Any], None], object]] = [
            (writer.add_tokenizer_pre, self.pre),
            (writer.add_token_merges, self.merges),
            (writer.add_token_scores, self.scores),
            (writer.add_bos_token_id, self.bos_id),
            (writer.add_eot_token_id, self.eot_id),
            (writer.add_add_bos_token, self.add_bos),
            (writer.add_add_space_prefix, self.add_space_prefix),
            (writer.add_chat_template, self.chat_template),
        ]
        for add, value in optional:
            if value is not None:
                add(value)


def chatml_bpe(pre: str, size: int, merges: Sequence[str] = MERGES) -> TokenizerMetadata:
    """A byte-level tokenizer of a ChatML model."""
    tokens = _byte_level_tokens(merges)
    controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    added = ["<tool_call>", "</tool_call>"]
    return TokenizerMetadata(
        model="gpt2",
        pre=pre,
        tokens=tokens + controls + added,
        kinds=[NORMAL] * len(tokens) + [CONTROL] * 3 + [USER_DEFINED] * 2,
        merges=merges,
        bos_id=len(tokens),
        eos_id=len(tokens) + 2,
        add_bos=False,
        chat_template=CHATML_TEMPLATE,
    ).padded(size)


def chatglm_bpe(size: int) -> TokenizerMetadata:
    """A byte-level tokenizer with GLM-4's role tokens."""
    tokens = _byte_level_tokens(MERGES)
    controls = ["<|endoftext|>", *_CHATGLM_CONTROLS, *_ROLES]
    return TokenizerMetadata(
        model="gpt2",
        pre="chatglm-bpe",
        tokens=tokens + controls,
        kinds=[NORMAL] * len(tokens) + [CONTROL] * len(controls),
        merges=MERGES,
        eos_id=len(tokens),
        add_bos=False,
    ).padded(size)


def trained_sentencepiece(size: int) -> tuple[SentencePieceProcessor, TokenizerMetadata]:
    """SentencePiece's BPE trained on a few lines, and the same as GGUF metadata."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_LINES),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=_USER_DEFINED,
        control_symbols=["<|user|>", "<|assistant|>"],
        minloglevel=2,
    )
    library = SentencePieceProcessor(model_proto=model.getvalue())
    return library, metadata_of(library, _USER_DEFINED)


def metadata_of(
    library: SentencePieceProcessor, user_defined: Sequence[str] = ()
) -> TokenizerMetadata:
    """A SentencePiece model as GGUF metadata."""
    tokens = [library.id_to_piece(index) for index in range(library.vocab_size())]
    return TokenizerMetadata(
        model="llama",
        tokens=tokens,
        scores=[library.get_score(index) for index in range(len(tokens))],
        kinds=[_kind(library, index, user_defined) for index in range(len(tokens))],
        eos_id=library.eos_id(),
        bos_id=library.bos_id() if library.bos_id() >= 0 else None,
    )


def _kind(library: SentencePieceProcessor, index: int, user_defined: Sequence[str]) -> int:
    for kind, holds in (
        (UNKNOWN, library.is_unknown(index)),
        (CONTROL, library.is_control(index)),
        (BYTE, library.is_byte(index)),
        (UNUSED, library.is_unused(index)),
        (USER_DEFINED, library.id_to_piece(index) in user_defined),
    ):
        if holds:
            return kind
    return NORMAL


def _byte_level_tokens(merges: Sequence[str]) -> list[str]:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return alphabet + [merge.replace(" ", "") for merge in merges]
