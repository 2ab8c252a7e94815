"""Small tokenizers as GGUF metadata, for the models that tests write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gguf
from tokenizers import pre_tokenizers

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content "
    "+ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_MERGES = ("Ġ t", "h e", "Ġt he", "i n", "Ġ a", "o u", "y ou", "r e", "Ġ Ġ", "ä ½", "ä½ ł", "å ¥")
_CHATGLM_CONTROLS = ("[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>")
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")


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


def chatml_bpe(pre: str, size: int) -> TokenizerMetadata:
    """A byte-level tokenizer of a ChatML model."""
    tokens = _byte_level_tokens()
    controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    added = ["<tool_call>", "</tool_call>"]
    return TokenizerMetadata(
        model="gpt2",
        pre=pre,
        tokens=tokens + controls + added,
        kinds=[NORMAL] * len(tokens) + [CONTROL] * 3 + [USER_DEFINED] * 2,
        merges=_MERGES,
        bos_id=len(tokens),
        eos_id=len(tokens) + 2,
        add_bos=False,
        chat_template=CHATML_TEMPLATE,
    ).padded(size)


def chatglm_bpe(size: int) -> TokenizerMetadata:
    """A byte-level tokenizer with GLM-4's role tokens."""
    tokens = _byte_level_tokens()
    controls = ["<|endoftext|>", *_CHATGLM_CONTROLS, *_ROLES]
    return TokenizerMetadata(
        model="gpt2",
        pre="chatglm-bpe",
        tokens=tokens + controls,
        kinds=[NORMAL] * len(tokens) + [CONTROL] * len(controls),
        merges=_MERGES,
        eos_id=len(tokens),
        add_bos=False,
    ).padded(size)


def _byte_level_tokens() -> list[str]:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return alphabet + [merge.replace(" ", "") for merge in _MERGES]
