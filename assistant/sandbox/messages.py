"""A kernel's messages as outputs. Any of them may be forged: code shares the sender's process.

What counts: a known type, the parent that we asked for, and values of the type that they should
have. Anything else is nothing. HTML, SVG, JavaScript and widgets give way to their plain text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from assistant.outputs import ErrorOutput, NoteOutput, Output, TableOutput, TextOutput, shortened
from assistant.sandbox.charts import chart
from assistant.sandbox.images import image
from assistant.sandbox.plaintext import clean, line, overwritten

TABLE = "application/vnd.app.table+json"
PLOTLY = "application/vnd.plotly.v1+json"
VEGA_LITE = ("application/vnd.vegalite.v5+json", "application/vnd.vegalite.v6+json")
MAX_TITLE = 500  # characters
DELIMITER = b"<IDS|MSG>"


@dataclass(frozen=True)
class Caps:
    """How much one run may give."""

    text_kept: int = 1_000_000
    text_seen: int = 8_000_000  # more ends the run, as do too many messages
    messages: int = 5000
    rich: int = 20  # pictures, tables and charts that are kept
    traceback: int = 20_000
    rows: int = 500
    columns: int = 110
    cell: int = 1000


@dataclass(frozen=True)
class KernelMessage:
    kind: str
    parent: str  # the id of the request that it answers
    content: Mapping[str, object]


def parse(frames: Sequence[bytes]) -> KernelMessage | None:
    """A message of Jupyter's protocol, or None for what is not one."""
    try:
        start = list(frames).index(DELIMITER) + 2  # after the signature, which nobody checks
        header, parent, _, content = (json.loads(frame) for frame in frames[start : start + 4])
        return KernelMessage(str(header["msg_type"]), str(parent["msg_id"]), _mapping(content))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


@dataclass
class Collector:
    """The outputs of one run, in order, as they grow."""

    caps: Caps = field(default_factory=Caps)
    outputs: list[Output] = field(default_factory=list)
    exceeded: str = ""  # which cap ended the run
    _raw: str = ""  # the last output's text before its lines were written over
    _n_text: int = 0
    _n_rich: int = 0
    _n_messages: int = 0
    _is_cut: bool = False
    _is_cut_said: bool = False
    _clear_next: bool = False
    _displays: dict[str, int] = field(default_factory=dict)

    def take(self, message: KernelMessage) -> None:
        """Adds what a message of this run says."""
        content = message.content
        self._n_messages += 1
        if self._n_messages > self.caps.messages:
            self.exceeded = self.exceeded or f"more than {self.caps.messages} outputs"
            return
        match message.kind:
            case "stream":
                self._take_stream(content)
            case "display_data" | "execute_result":
                self._take_display(content)
            case "update_display_data":
                self._update(content)
            case "error":
                self._add(self._error(content))
            case "clear_output" if content.get("wait"):
                self._clear_next = True
            case "clear_output":
                self._clear()
        if self._is_cut and not self._is_cut_said:
            self._is_cut_said = True
            self._add(NoteOutput(f"Only the first {self.caps.text_kept} characters are kept."))

    def note(self, name: str, words: str) -> None:
        """How the run ended, when not by itself. An interrupt of ours is no error of the code."""
        last = self.outputs[-1] if self.outputs else None
        way = ""
        if isinstance(last, ErrorOutput) and last.name == "KeyboardInterrupt":
            way = last.traceback
            self.outputs.pop()
        self.outputs.append(ErrorOutput(name, words, way and f"{way}\n{name}: {words}"))

    def _take_stream(self, content: Mapping[str, object]) -> None:
        stream = content.get("name")
        text = clean(self._counted(content.get("text")))
        if stream not in ("stdout", "stderr") or not text:
            return
        if self._clear_next:
            self._clear()
        last = self.outputs[-1] if self.outputs else None
        if isinstance(last, TextOutput) and last.stream == stream:
            self._raw = _unfinished(self._raw) + text if "\r" in text or "\r" in self._raw else ""
            whole = overwritten(_finished(last.text, self._raw) if self._raw else last.text + text)
            self.outputs[-1] = TextOutput(whole, last.stream)
        else:
            self._raw = text if "\r" in text else ""
            self._add(TextOutput(overwritten(text), stream))

    def _take_display(self, content: Mapping[str, object]) -> None:
        output = self._display(content)
        if output is None:
            return
        if self._clear_next:
            self._clear()
        if (name := _display_id(content)) and len(self._displays) < self.caps.messages:
            self._displays[name] = len(self.outputs)
        self._add(output)

    def _update(self, content: Mapping[str, object]) -> None:
        """Another state of a display of this run; those of earlier runs stay as they are."""
        index = self._displays.get(_display_id(content))
        if index is not None and (output := self._display(content)):
            self.outputs[index] = output

    def _display(self, content: Mapping[str, object]) -> Output | None:
        data = _mapping(content.get("data"))
        rich = self._rich(data)
        if rich is not None:
            self._n_rich += 1
            if self._n_rich <= self.caps.rich:
                return rich
            return NoteOutput("Too many pictures and tables: this one is left out.")
        text = clean(self._counted(data.get("text/plain")))
        return TextOutput(text) if text else None

    def _rich(self, data: Mapping[str, object]) -> Output | None:
        for kind in ("image/png", "image/jpeg"):
            if kind in data and self._n_rich < self.caps.rich and (found := image(data[kind])):
                return replace(found, title=_title(data.get("text/plain")))
        if TABLE in data and (found_table := self._table(_mapping(data[TABLE]))):
            return found_table
        if PLOTLY in data and (figure := chart("plotly", data[PLOTLY])):
            return figure
        charts = (chart("vega-lite", data[kind]) for kind in VEGA_LITE if kind in data)
        return next(filter(None, charts), None)

    def _table(self, table: Mapping[str, object]) -> TableOutput | None:
        columns, rows, n_rows = (table.get(key) for key in ("columns", "rows", "n_rows"))
        if not isinstance(columns, list) or not isinstance(rows, list):
            return None
        names = tuple(line(str(name), self.caps.cell) for name in columns[: self.caps.columns])
        kept = [row for row in rows[: self.caps.rows] if isinstance(row, list)]
        if any(len(row) != len(columns) for row in kept):
            return None
        cells = tuple(tuple(map(self._cell, row[: len(names)])) for row in kept)
        whole = n_rows if isinstance(n_rows, int) and len(kept) <= n_rows < 1 << 62 else len(kept)
        return TableOutput(names, cells, whole)

    def _cell(self, value: object) -> object:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float) and abs(value) < 1e300 and value == value:
            return value if isinstance(value, float) or abs(value) < 1 << 63 else str(value)
        return line(value if isinstance(value, str) else str(value)[:40], self.caps.cell)

    def _error(self, content: Mapping[str, object]) -> ErrorOutput:
        lines = content.get("traceback")
        text = "\n".join(filter(_is_text, lines)) if isinstance(lines, list) else ""
        way = clean(self._counted(text))
        return ErrorOutput(
            line(content.get("ename"), 200) or "Error",
            clean(content.get("evalue"), 5000),
            shortened(way, self.caps.traceback),
        )

    def _counted(self, text: object) -> str:
        """As much of a text as may still be kept."""
        if not isinstance(text, str):
            return ""
        kept = text[: max(self.caps.text_kept - self._n_text, 0)]
        self._n_text += len(text)
        if self._n_text > self.caps.text_seen:
            self.exceeded = self.exceeded or f"more than {self.caps.text_seen} characters"
        self._is_cut = self._is_cut or len(kept) < len(text)
        return kept

    def _add(self, output: Output) -> None:
        self.outputs.append(output)

    def _clear(self) -> None:
        self.outputs.clear()
        self._displays.clear()
        self._raw = ""
        self._clear_next = False


def _unfinished(raw: str) -> str:
    """The line that may still be written over."""
    return raw[raw.rfind("\n") + 1 :]


def _finished(shown: str, raw: str) -> str:
    """What is shown but the last line, which `raw` has as it was written."""
    return shown[: shown.rfind("\n") + 1] + raw


def _display_id(content: Mapping[str, object]) -> str:
    name = _mapping(content.get("transient")).get("display_id")
    return name[:200] if isinstance(name, str) else ""


def _title(plain: object) -> str:
    """What a picture's plain text says of it, unless that is only what kind of object it is."""
    words = line(plain if isinstance(plain, str) else "", MAX_TITLE)
    return "" if words.startswith(("<", "[Image]")) else words


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str)
