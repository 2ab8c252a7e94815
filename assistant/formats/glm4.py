"""GLM-4: as ChatGLM3, but for the spelling of one token and of its tools; arguments are JSON.

The wording is that of the chat template in THUDM/glm-4-9b-chat's tokenizer_config.json: tools have
a system message of their own, which always begins alike; a system prompt is another one behind it.
"""

import json
from collections.abc import Sequence
from typing import ClassVar

from assistant.callform import CallForm, Spelling
from assistant.formats.chatglm3 import FIRST_LINE, ROLE_TOKENS, ChatGLM3
from assistant.messages import Message, Role
from assistant.toolspec import ToolSpec, openai_tool

PREAMBLE = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。"
)
BEHIND_A_TOOL = "在调用上述函数时，请使用 Json 格式表示调用的参数。"


class GLM4(ChatGLM3):
    name: ClassVar[str] = "GLM-4"
    tokens: ClassVar[tuple[str, ...]] = ("[gMASK]", "<sop>", *ROLE_TOKENS)

    def encode_prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> list[int]:
        if tools:
            messages = (Message(Role.SYSTEM, describe(tools)), *messages)
        return super().encode_prompt(messages)

    def _call_form(self, blank: str) -> CallForm:
        return CallForm(blank, "\n" + blank, "", Spelling.JSON, FIRST_LINE, "\n")


def describe(tools: Sequence[ToolSpec]) -> str:
    parts = [PREAMBLE, "# 可用工具"]
    for spec in tools:
        function = json.dumps(openai_tool(spec)["function"], indent=4, ensure_ascii=False)
        parts.append(f"## {spec.name}\n\n{function}\n{BEHIND_A_TOOL}")
    return "\n\n".join(parts)
