"""Reading an answer that is text and nothing else."""

from collections.abc import Iterator

from assistant.parse import ParseEvent, Parser, text_delta


class PlainParser(Parser):
    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    def _read(self, token_id: int, text: str) -> Iterator[ParseEvent]:
        yield from self._take(text)

    def _close(self, stop_id: int | None, text: str) -> Iterator[ParseEvent]:
        yield from self._take(text)

    def _take(self, text: str) -> Iterator[ParseEvent]:
        if not self._begun:
            text = text.lstrip()
        self._begun |= bool(text)
        yield from text_delta(text)
