"""What the person at the terminal is told."""

from collections.abc import Iterable
from datetime import datetime
from typing import TextIO

from assistant.errors import AssistantError
from assistant.texts import Language, say, text
from assistant.tunnel.qr import qr_lines


class Announcer:
    def __init__(self, out: TextIO, language: Language) -> None:
        self._out = out
        self._language = language

    def tell(self, key: str, **fields: object) -> None:
        self._write([text(self._language, key, **fields)])

    def tell_public(self, url: str, link: str, name: str, until: float) -> None:
        """The address alone has no secret in it; the link lets somebody in."""
        when = datetime.fromtimestamp(until).astimezone().strftime("%Y-%m-%d %H:%M %Z")
        self._write(["", text(self._language, "share_url", url=url)])
        self._write(qr_lines(link, self._out))
        self._write([text(self._language, "share_link", name=name), link])
        self._write([text(self._language, "share_until", until=when)])

    def tell_broken(self, error: AssistantError, seconds: float) -> None:
        self.tell("share_broken", error=say(error, self._language), seconds=seconds)

    def tell_ending(self, reason: str) -> None:
        """`reason` is a key of `texts` itself."""
        self.tell("share_ending", reason=text(self._language, reason))

    def tell_progress(self, done: int, total: int) -> None:
        """On one line that is written over, where there is a terminal; else nothing until all."""
        line = text(self._language, "share_fetching", done=done, total=total or "?")
        if self._out.isatty():
            self._out.write(f"\r{line}" + ("\n" if done == total else ""))
        elif done == total:
            self._out.write(line + "\n")
        self._out.flush()

    def _write(self, lines: Iterable[str]) -> None:
        self._out.writelines(line + "\n" for line in lines)
        self._out.flush()
