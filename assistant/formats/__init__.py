"""Chat formats: which one a model was trained on, from what its own file says."""

from assistant.errors import UnknownFormat
from assistant.formats.base import ChatFormat
from assistant.formats.chatglm2 import ChatGLM2
from assistant.formats.chatglm3 import ChatGLM3
from assistant.formats.chatml import ChatML
from assistant.formats.glm4 import GLM4
from engine import Engine

FORMATS: tuple[type[ChatFormat], ...] = (ChatGLM3, GLM4, ChatML, ChatGLM2)


def format_for(engine: Engine) -> ChatFormat:
    """The format whose role tokens the model's tokenizer has."""
    for kind in FORMATS:
        if not missing_tokens(kind, engine):
            return kind(engine.tokenizer, engine.metadata)
    raise UnknownFormat(
        path=engine.path,
        missing="; ".join(
            f"{kind.name} lacks {', '.join(missing_tokens(kind, engine))}" for kind in FORMATS
        ),
        supported=", ".join(kind.name for kind in FORMATS),
    )


def missing_tokens(kind: type[ChatFormat], engine: Engine) -> list[str]:
    return [name for name in kind.tokens if engine.tokenizer.special(name) is None]


__all__ = ["FORMATS", "ChatFormat", "format_for"]
