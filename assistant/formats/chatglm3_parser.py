"""Reading what ChatGLM3 writes: a line of metadata, then text, a tool call or code.

`<|assistant|>` within an answer begins its next message; `<|observation|>` ends one that waits
for a result. Models leave out what they were taught to write, so a name may share its line with
the call, and a call may come without its name or its fences.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto

from assistant.calls import (
    CALLEE,
    CallError,
    CodeCall,
    ToolCall,
    read_call,
    read_code,
)
from assistant.messages import Role
from assistant.parse import (
    CallDelta,
    Metadata,
    Offer,
    ParseEvent,
    Parser,
    cut_off,
    failed,
    text_delta,
)

INTERPRETER = "interpreter"  # the metadata of a message that is code to be run

_NAME = r"[A-Za-z_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"
_CALL = re.compile(rf"```|{CALLEE}\s*[(（]")
_FENCE = re.compile(r"^[ \t]*```[ \t]*(?:python3?|py)\b", re.M | re.I)


class _State(Enum):
    HEADER = auto()
    TEXT = auto()
    CALL = auto()


class ChatGLM3Parser(Parser):
    """`roles` are the role tokens by id; any of them ends the message before it."""

    def __init__(self, roles: Mapping[int, Role], offer: Offer) -> None:
        super().__init__()
        self._roles = roles
        self._offer = offer
        names = [*map(re.escape, sorted(offer.tools, reverse=True)), _NAME]
        self._header = re.compile(
            rf"\s*(?P<name>(?:{'|'.join(names)})(?![\w.-]))?[ \t\r]*(?P<rest>.*)"
        )
        self._begin()

    def _begin(self) -> None:
        self._state = _State.HEADER
        self._held = ""  # what may be the header
        self._name = ""
        self._body = ""

    def _read(self, token_id: int, text: str) -> Iterator[ParseEvent]:
        if token_id in self._roles:
            yield from self._end_message(self._roles[token_id])
            self._begin()
        else:
            yield from self._take(text)

    def _close(self, stop_id: int | None, text: str) -> Iterator[ParseEvent]:
        yield from self._take(text)
        # An end that is no role is the end of the text, as before a user's turn.
        yield from self._end_message(
            None if stop_id is None else self._roles.get(stop_id, Role.USER)
        )

    def _take(self, text: str) -> Iterator[ParseEvent]:
        if self._state is _State.HEADER:
            self._held += text
            header = self._find_header()
            if header is None:
                return
            self._name, text = header
            self._state = _State.CALL if self._name and self._offer else _State.TEXT
            yield Metadata(self._name)
        if not self._body:
            text = text.lstrip()
        self._body += text
        if self._state is _State.TEXT:
            yield from text_delta(text)
        elif text:
            yield CallDelta(text)

    def _find_header(self) -> tuple[str, str] | None:
        """The name and what follows it, as soon as that is certain."""
        line, newline, behind = self._held.partition("\n")
        found = self._header.fullmatch(line)
        assert found is not None  # all of its parts may be empty
        name, rest = found["name"] or "", found["rest"]
        if not rest:
            return (name, behind) if newline else None
        if name and self._offer:
            if _CALL.match(rest):
                return name, rest + newline + behind
            if name in self._offer.tools and rest[0] in "(（{":
                return name, (name if rest[0] != "{" else "") + rest + newline + behind
        return None if not newline and self._may_be_header(line, name, rest) else ("", self._held)

    def _may_be_header(self, line: str, name: str, rest: str) -> bool:
        if name:
            return bool(self._offer) and any(
                marker.startswith(rest.rstrip()) for marker in ("```", CALLEE + "(")
            )
        return any(tool.startswith(line.strip()) for tool in self._offer.tools)

    def _end_message(self, ended_by: Role | None) -> Iterator[ParseEvent]:
        asks = ended_by is Role.OBSERVATION and bool(self._offer)
        if self._state is _State.HEADER:
            yield from self._end_header(asks)
        elif self._state is _State.TEXT:
            if asks:
                yield self._call_in_text()
        elif ended_by is None:
            yield from cut_off(self._body, self._name)
        else:
            yield from self._end_call(asks)

    def _end_header(self, asks: bool) -> Iterator[ParseEvent]:
        """The message ends within its first line."""
        held = self._held.strip()
        if asks and held:
            yield Metadata(held)
            yield CallError(f"no call was found; write {CALLEE}(name=value)", "", held)
        elif held:
            yield Metadata("")
            yield from text_delta(self._held.lstrip())

    def _end_call(self, asks: bool) -> Iterator[ParseEvent]:
        call = self._read_call(self._name, self._body)
        if not isinstance(call, CallError) and (asks or _CALL.search(self._body)):
            yield call
        elif isinstance(call, CallError) and (asks or CALLEE in self._body):
            yield from failed(call)
        else:  # the first line was no name
            yield from text_delta(f"{self._name}\n{self._body}")

    def _read_call(self, name: str, body: str) -> ToolCall | CodeCall | CallError:
        if self._offer.code and (name == INTERPRETER or not self._offer.tools):
            return read_code(body)
        return read_call(name, body)

    def _call_in_text(self) -> ToolCall | CodeCall | CallError:
        """A call without its header, in a message that waits for a result all the same."""
        fences = list(_FENCE.finditer(self._body))
        if self._offer.code and (fences or not self._offer.tools):
            return read_code(self._body[fences[-1].start() :] if fences else "")
        only_tool = next(iter(self._offer.tools)) if len(self._offer.tools) == 1 else ""
        return read_call(only_tool, self._body)
