"""Which ids were told to whom: of Streamlit's sessions (uploads go by them) and of media files.

Ids cannot be guessed, but they leak: in an address that is passed on, in a log. Here they open
nothing to anybody but the visitor whose browser was told. In memory only, as what they name is.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from assistant.access.frames import Told
from assistant.access.paths import Owned

MOST_SESSIONS: Final = 1_000  # of one visitor; the oldest are forgotten, and Streamlit has too
MOST_MEDIA: Final = 20_000


class Ids:
    """The ids that one visitor was told last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, each: str) -> None:
        self._ids[each] = None
        self._ids.move_to_end(each)
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)

    def __contains__(self, each: str) -> bool:
        return each in self._ids


@dataclass
class _Page:
    sessions: Ids = field(default_factory=lambda: Ids(MOST_SESSIONS))
    media: Ids = field(default_factory=lambda: Ids(MOST_MEDIA))


class Ledger:
    """Used by the event loop only. Visitors are told apart by name: one may have two browsers."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}

    def write(self, name: str, told: Told) -> None:
        if not told.session and not told.media:
            return
        page = self._pages.setdefault(name, _Page())
        if told.session:
            page.sessions.add(told.session)
        for each in told.media:
            page.media.add(each)

    def may_resume(self, name: str, session: str) -> bool:
        return name in self._pages and session in self._pages[name].sessions

    def may_have(self, name: str, owned: Owned) -> bool:
        """Also no, where nobody was told."""
        if owned.session:
            return self.may_resume(name, owned.session)
        return name in self._pages and owned.media in self._pages[name].media
