"""Reading what ChatML models write: text, `<tool_call>{json}</tool_call>`, fenced Python.

Small models leave the markers out, so an object at a line's start that names an offered tool is
a call too, fenced or not. What the turn does not offer is not looked for: there it is text.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from assistant.calls import CallError, end_of_object, read_code, read_json_calls
from assistant.parse import CallDelta, Offer, ParseEvent, Parser, cut_off, text_delta

OPEN, CLOSE = "<tool_call>", "</tool_call>"

_CODE_FENCE = r"^[ \t]*```(?i:python3?|py)[ \t]*\n"
_HALF_FENCE = re.compile(r"[ \t]*(?:`{0,3}|```(?i:p(?:y(?:t(?:h(?:o(?:n3?)?)?)?)?)?)[ \t]*)")
_MOST_BLANKS = 16  # at each place before a tool's name
BLANKS = rf"[ \t\r\n]{{0,{_MOST_BLANKS}}}"  # what JSON allows between its parts
_END_OF_FENCED = re.compile(r"^[ \t]*```(?:(?=[^`\w])|\Z)", re.M)


class _State(StrEnum):
    TEXT = "text"
    MARKED = "marked"  # a call between its markers
    OBJECT = "object"  # one without them
    FENCED = "fenced"  # one in a fence
    CODE = "code"


class ChatMLParser(Parser):
    """`markers` spells the ids of markers that the vocabulary has as control tokens."""

    def __init__(self, markers: Mapping[int, str], offer: Offer) -> None:
        super().__init__()
        self._markers = markers
        self._offer = offer
        self._opening = re.compile("|".join(_openings(offer)) or r"(?!)", re.M)
        starts = [f'{{"name":"{tool}"' for tool in offer.tools]
        self._objects = [fence + start for fence in ("", "```", "```json") for start in starts]
        self._state = _State.TEXT
        self._held = ""  # text that may be the beginning of a call, or the call so far
        self._before = "\n"  # the character before it
        self._n_given = 0  # of a call: characters that are out
        self._after_call = False

    def _read(self, token_id: int, text: str) -> Iterator[ParseEvent]:
        self._held += text or self._markers.get(token_id, "")
        yield from self._take(at_end=False)

    def _close(self, stop_id: int | None, text: str) -> Iterator[ParseEvent]:
        self._held += text
        yield from self._take(at_end=True)
        if self._state is _State.TEXT:
            yield from self._show(len(self._held))
        elif stop_id is None:
            yield from cut_off(self._held)
        else:
            yield from self._read_call(self._held)

    def _take(self, at_end: bool) -> Iterator[ParseEvent]:
        while True:
            if self._state is _State.TEXT:
                # With the character before, so that a fence is found at a line's start only.
                found = self._opening.search(self._before + self._held, 1)
                if found is None:
                    yield from self._show(len(self._held) - self._n_half_call())
                    return
                yield from self._show(found.start() - 1)
                self._state, self._n_given = _State(found.lastgroup or ""), 0
            end = self._end_of_call(at_end)
            yield from self._give(len(self._held) if end is None else end)
            if end is None:
                return
            raw, self._held = self._held[:end], self._held[end:]
            yield from self._read_call(raw)
            self._state, self._before, self._after_call = _State.TEXT, raw[-1], True

    def _show(self, n_characters: int) -> Iterator[ParseEvent]:
        text, self._held = self._held[:n_characters], self._held[n_characters:]
        self._before = text[-1:] or self._before
        if self._after_call:  # what separates calls is no text
            text = text.lstrip()
            self._after_call = not text
        yield from text_delta(text)

    def _give(self, end: int) -> Iterator[ParseEvent]:
        if end > self._n_given:
            yield CallDelta(self._held[self._n_given : end])
        self._n_given = max(end, self._n_given)

    def _n_half_call(self) -> int:
        """How many of the last characters may be the beginning of a call."""
        half = 0
        if self._offer.tools:
            lengths = range(min(len(OPEN) - 1, len(self._held)), 0, -1)
            half = next((n for n in lengths if self._held.endswith(OPEN[:n])), 0)
            half = max(half, self._n_half_object())
        if self._offer.code:
            line = (self._before + self._held).rpartition("\n")
            if line[1] and _HALF_FENCE.fullmatch(line[2]):
                half = max(half, len(line[2]))
        return half

    def _n_half_object(self) -> int:
        longest = max(map(len, self._objects)) + 6 * _MOST_BLANKS
        text = (self._before + self._held)[-longest - 1 :]
        for line in re.finditer(r"(?<=\n)", text):
            squeezed = "".join(text[line.end() :].split())
            if any(start.startswith(squeezed) for start in self._objects):
                return len(text) - line.end()
        return 0

    def _end_of_call(self, at_end: bool) -> int | None:
        if self._state is _State.MARKED:
            at = self._held.find(CLOSE, max(self._n_given - len(CLOSE), 0))
            return None if at < 0 else at + len(CLOSE)
        if self._state is _State.OBJECT:
            closes = "}" in self._held[self._n_given :]
            return end_of_object(self._held) if closes else None
        line_start = self._held.rfind("\n", 0, self._n_given) + 1
        found = _END_OF_FENCED.search(self._held, max(line_start, self._held.find("\n") + 1))
        complete = found is not None and (at_end or found.end() < len(self._held))
        return found.end() if found is not None and complete else None

    def _read_call(self, raw: str) -> Iterator[ParseEvent]:
        calls = [read_code(raw)] if self._state is _State.CODE else read_json_calls(raw)
        if any(isinstance(call, CallError) for call in calls):
            yield from text_delta(raw)
        yield from calls


def _openings(offer: Offer) -> list[str]:
    """How each kind of call begins, as a group of its state's name."""
    names = "|".join(map(re.escape, sorted(offer.tools)))
    starts = rf'\{{{BLANKS}"name"{BLANKS}:{BLANKS}"(?:{names})"'
    openings = []
    if offer.tools:
        openings += [
            rf"(?P<{_State.MARKED}>{OPEN})",
            rf"(?P<{_State.OBJECT}>^{BLANKS}{starts})",
            rf"(?P<{_State.FENCED}>^{BLANKS}```(?:json)?{BLANKS}\n{BLANKS}{starts})",
        ]
    if offer.code:
        openings.append(rf"(?P<{_State.CODE}>{_CODE_FENCE})")
    return openings
