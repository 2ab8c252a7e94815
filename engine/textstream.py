"""Ids in, showable text out: whole characters only, and nothing from a stop string on."""

from engine.tokenizer import Tokenizer


class TextStream:
    """The text of one answer as its ids come.

    Text that could be the beginning of a stop string waits until it is not; once one is complete,
    `stopped` is true and the text ends before it.
    """

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...]) -> None:
        self._decoder = tokenizer.stream()
        self._stop = stop
        self._held = ""
        self.stopped = False

    def feed(self, token_id: int) -> str:
        return self._release(self._decoder.feed(token_id))

    def flush(self) -> str:
        """What is still held back when the answer ends."""
        text = self._release(self._decoder.flush()) + self._held
        self._held = ""
        return text

    def _release(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        starts = [(text.find(stop), stop) for stop in self._stop if stop in text]
        if starts:  # what counts is the first to be complete, however the ids cut the text
            _, start = min((start + len(stop), start) for start, stop in starts)
            self.stopped, self._held = True, ""
            return text[:start]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
