"""ChatGLM3: [gMASK] sop, then for each message its role token, a line of metadata, the text.

Nothing ends a message but the next role token. The model writes its own metadata line.
"""

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from assistant.callform import CallForm, CallSyntax, Spelling
from assistant.calls import CALLEE
from assistant.formats.base import ChatFormat, split_system
from assistant.formats.chatglm3_parser import INTERPRETER, ChatGLM3Parser
from assistant.messages import Message, Role
from assistant.parse import Offer, Parser
from assistant.toolspec import ToolSpec, chatglm3_tool
from engine import Tokenizer

# What it was taught to read above its tools.
PREAMBLE = (
    "Answer the following questions as best as you can. You have access to the following tools:"
)
# The published prompt of its code interpreter.
CODE_PROMPT = (
    "你是一位智能AI助手，你叫ChatGLM，你连接着一台电脑，但请注意不能联网。"
    "在使用Python解决任务时，你可以运行代码并得到结果，"
    "如果运行结果有错误，你需要尽可能对代码进行改进。"
    "你可以处理用户上传到电脑上的文件，文件默认存储路径是/mnt/data/。"
)
FIRST_LINE = r"\A[ \t\r]*"  # if that is a tool's name, the message is a call
ROLE_TOKENS = tuple(f"<|{role.value}|>" for role in Role)


class ChatGLM3(ChatFormat):
    name: ClassVar[str] = "ChatGLM3"
    code_prompt: ClassVar[str] = CODE_PROMPT
    tokens: ClassVar[tuple[str, ...]] = ("[gMASK]", "sop", *ROLE_TOKENS)

    def __init__(self, tokenizer: Tokenizer, metadata: Mapping[str, object]) -> None:
        super().__init__(tokenizer, metadata)
        self._roles = {role: self._ids[f"<|{role.value}|>"] for role in Role}
        self.stop_ids = frozenset({self._roles[Role.USER], self._roles[Role.OBSERVATION]})

    def encode_prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> list[int]:
        if tools:
            system_prompt, messages = split_system(messages)
            messages = (Message(Role.SYSTEM, self.describe(tools, system_prompt)), *messages)
        ids = [self._ids[name] for name in self.tokens[:2]]
        for message in messages:
            ids += self.encode_message(message)
        if messages and messages[-1].role is Role.ASSISTANT:
            return ids
        return [*ids, self._roles[Role.ASSISTANT]]

    def encode_message(self, message: Message) -> list[int]:
        # Two encodings, each with its own word-boundary piece, as in training.
        written = list(message.ids) or [
            *self._tokenizer.encode(message.metadata + "\n"),
            *self._tokenizer.encode(message.content),
        ]
        return [self._roles[message.role], *written]

    def parser(self, offer: Offer) -> Parser:
        return ChatGLM3Parser({token: role for role, token in self._roles.items()}, offer)

    def call_syntax(self) -> CallSyntax:
        # The encoding of each part begins with a word boundary: a blank, where there are any.
        pieces = map(self._tokenizer.token_bytes, self._tokenizer.encode("x"))
        blank = b"".join(pieces).decode().removesuffix("x")
        return CallSyntax(
            forms=[self._call_form(blank)],
            markers={},
            end_ids=frozenset({self._roles[Role.OBSERVATION]}),
            several=False,
            header=True,
            beside=[INTERPRETER],
        )

    def _call_form(self, blank: str) -> CallForm:
        fence = f"\n{blank}```python\n{CALLEE}"
        return CallForm(blank, fence, "\n```", Spelling.PYTHON, FIRST_LINE, "\n")

    def describe(self, tools: Sequence[ToolSpec], system_prompt: str) -> str:
        """The system message with its tools, in the published form."""
        listed = {spec.name: chatglm3_tool(spec) for spec in tools}
        above = system_prompt or PREAMBLE
        return f"{above}\n{json.dumps(listed, indent=4, ensure_ascii=False)}"
