"""ChatML: <|im_start|>role, newline, text, <|im_end|>, newline. Qwen, SmolLM and many others."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from assistant.callform import CallForm, CallSyntax, Spelling
from assistant.formats.base import ChatFormat, split_system
from assistant.formats.chatml_parser import BLANKS, CLOSE, OPEN, ChatMLParser
from assistant.messages import Message, Role
from assistant.parse import Offer, Parser
from assistant.toolspec import ToolSpec, openai_tool
from engine import Tokenizer

# A template that speaks for a silent user has the sentence as a literal after the system role.
DEFAULT_SYSTEM = re.compile(r"<\|im_start\|>system(?:\\n|\n)([^{}<>'\"]+)<\|im_end\|>")
# What Qwen's models were taught to read around their tools.
BEFORE_TOOLS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>"""
AFTER_TOOLS = """</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""


_NAMED = rf'\{{{BLANKS}"name"{BLANKS}:{BLANKS}"'  # as the parser has it
_COMMA = r'[ \t\r\n]{0,8}(?:,[ \t\r\n]{0,8}"?)?'
_BETWEEN = '", "arguments": '
CALL_FORMS = (
    CallForm(
        f'{OPEN}\n{{"name": "',
        _BETWEEN,
        f"}}\n{CLOSE}",
        Spelling.JSON,
        opens="",
        last=OPEN[-1],
        joined=r"\n?",
        mark=OPEN[:-1],
    ),
    CallForm(
        '```json\n{"name": "',
        _BETWEEN,
        "}\n```",
        Spelling.JSON,
        rf"^{BLANKS}```(?:json)?{BLANKS}\n{BLANKS}{_NAMED}",
        '"',
        _COMMA,
    ),
    CallForm('{"name": "', _BETWEEN, "}", Spelling.JSON, f"^{BLANKS}{_NAMED}", '"', _COMMA),
)

# A small model needs the example, or it works things out in its head.
CODE_PROMPT = """\
You are an assistant with a Python interpreter, without internet. Whenever a question needs a \
calculation, data or a plot, reply with one ```python block, like this:
```python
print(2 ** 10)
```
It is run at once and you are given its output; variables stay. Do not calculate in your head. \
Uploaded files are in the working folder, /mnt/data: open them by name. Show plots with \
plt.show(). After an error, write code that does the task in another way; if a column is missing, \
use the one whose name is closest. When you have the output, answer in words."""


class ChatML(ChatFormat):
    name: ClassVar[str] = "ChatML"
    code_prompt: ClassVar[str] = CODE_PROMPT
    tokens: ClassVar[tuple[str, ...]] = ("<|im_start|>", "<|im_end|>")

    def __init__(self, tokenizer: Tokenizer, metadata: Mapping[str, object]) -> None:
        super().__init__(tokenizer, metadata)
        self._start, self._end = (self._ids[name] for name in self.tokens)
        self._newline = tokenizer.encode("\n")
        self._default = default_system(metadata)
        self.stop_ids = frozenset({self._end})

    def encode_prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> list[int]:
        system_prompt, rest = split_system(messages)
        system_prompt = system_prompt or self._default
        if tools:
            system_prompt = describe(tools, system_prompt)
        ids: list[int] = []
        for message in (Message(Role.SYSTEM, system_prompt), *rest) if system_prompt else rest:
            ids += self.encode_message(message)
        if rest and rest[-1].role is Role.ASSISTANT:
            return ids[: -1 - len(self._newline)]
        return ids + self._open("assistant")

    def encode_message(self, message: Message) -> list[int]:
        if message.ids:
            ids = [*self._open(message.role.value), *message.ids]
        else:
            role, text = message.role.value, message.content
            if message.role is Role.OBSERVATION:  # results come from the user's side
                role, text = "user", f"<tool_response>\n{text}\n</tool_response>"
            ids = [self._start, *self._tokenizer.encode(f"{role}\n{text}")]
        return [*ids, self._end, *self._newline]

    def parser(self, offer: Offer) -> Parser:
        spelled = {self._tokenizer.special(name): name for name in (OPEN, CLOSE)}
        # Only of control tokens: the text of others comes by itself.
        silent = {
            token: name
            for token, name in spelled.items()
            if token is not None and self._tokenizer.is_special(token)
        }
        return ChatMLParser(silent, offer)

    def call_syntax(self) -> CallSyntax:
        spelled = {name: self._tokenizer.special(name) for name in (OPEN, CLOSE)}
        markers = {name: token for name, token in spelled.items() if token is not None}
        return CallSyntax(CALL_FORMS, markers, frozenset({self._end}), several=True)

    def _open(self, role: str) -> list[int]:
        return [self._start, *self._tokenizer.encode(f"{role}\n")]


def describe(tools: Sequence[ToolSpec], system_prompt: str) -> str:
    """The system message with its tools, in Qwen's published form."""
    listed = [json.dumps(openai_tool(spec), ensure_ascii=False) for spec in tools]
    described = "\n".join([BEFORE_TOOLS, *listed, AFTER_TOOLS])
    return f"{system_prompt}\n\n{described}" if system_prompt else described


def default_system(metadata: Mapping[str, object]) -> str:
    """What the file's own template says as the system when nobody else does, or nothing."""
    found = DEFAULT_SYSTEM.search(str(metadata.get("tokenizer.chat_template", "")))
    return found[1].replace("\\n", "\n") if found else ""
