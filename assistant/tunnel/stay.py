"""A stay in public: the gate is shut first, then the tunnel is opened and kept open.

The order is the point. What `access.db` says of sharing is written before cloudflared starts, and
taken back after it has ended, so that the gate is strict from the first request to the last.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from assistant.access.sharing import Allowance
from assistant.access.store import AccessStore
from assistant.access.users import User
from assistant.access.visitor import Access
from assistant.errors import (
    AssistantError,
    NobodyToShareWith,
    TunnelRateLimited,
    TunnelRefused,
    TunnelSlow,
)
from assistant.tunnel.announcer import Announcer
from assistant.tunnel.application import Pause
from assistant.tunnel.tunnel import Broken, Opened
from assistant.tunnel.watch import Reason, Stopped

TICK = 1.0  # seconds between looks at the clock, the page's wish and the parent
BEAT = 15.0  # seconds; after 60 without a beat the app takes itself for private again
PATIENCE = 60.0  # seconds for a tunnel to come up, and for the first one with all its tries
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # before the next try; the last one stays
MARGIN = 15.0  # seconds that sharing outlasts its end in the file: the tunnel is closed before
STEADY = 60.0  # seconds after which a tunnel that breaks begins with the shortest pause again


class OneTunnel(Protocol):
    def close(self) -> None: ...
    def why(self) -> AssistantError | None: ...


class Door(Protocol):
    """The app, as far as its gate goes."""

    def require_shut(self, pause: Pause) -> None: ...
    def check(self) -> None: ...


class Waiting(Protocol):
    def next(self, seconds: float) -> Opened | Broken | None: ...
    def pause(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Plan:
    until: float
    allows: frozenset[Allowance]


class Stay:
    def __init__(
        self,
        plan: Plan,
        store: AccessStore,
        door: Door,
        open_tunnel: Callable[[], OneTunnel],
        announcer: Announcer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._store = store
        self._door = door
        self._open_tunnel = open_tunnel
        self._announcer = announcer
        self._clock = clock
        self._tunnel: OneTunnel | None = None
        self._url = ""
        self._tries = 0
        self._since = self._retry_at = self._beat_at = clock()
        self._first_by = self._since + PATIENCE
        self._never_up = True

    def run(self, watch: Waiting) -> None:
        """Until `Stopped`, or an error that trying again does not mend."""
        until = self._plan.until + MARGIN
        self._store.begin_sharing("", until, self._plan.allows, os.getpid())
        try:
            self._door.require_shut(watch.pause)
            if self._plan.allows:
                self._announcer.tell("share_allowed", risks=", ".join(sorted(self._plan.allows)))
            self._announcer.tell("share_opening")
            while True:
                self._look()
                match watch.next(TICK):
                    case Opened(tunnel, url) if tunnel is self._tunnel:
                        self._opened(url)
                    case Broken(tunnel, error) if tunnel is self._tunnel:
                        self._lost(error)
        except Stopped as stopped:
            self._announcer.tell_ending(stopped.reason)
            raise
        finally:
            self._close()
            self._store.end_sharing()

    def _look(self) -> None:
        now = self._clock()
        if now >= self._plan.until:
            raise Stopped(Reason.TIME_UP)
        if self._store.stop_asked():
            raise Stopped(Reason.PAGE_ASKED)
        if now >= self._beat_at:
            self._beat(now)
        if self._tunnel is None and now >= self._retry_at:
            self._since = now
            self._tunnel = self._open_tunnel()
        elif self._tunnel and not self._url and now - self._since >= PATIENCE:
            self._lost(self._tunnel.why() or TunnelSlow(seconds=PATIENCE))

    def _beat(self, now: float) -> None:
        self._beat_at = now + BEAT
        self._store.beat()
        self._door.check()

    def _opened(self, url: str) -> None:
        self._url, self._since, self._never_up = url, self._clock(), False
        self._store.beat(url)
        user = first_operator(self._store)
        link = f"{url}/signin/link/{self._store.make_link(user.name)}"
        self._announcer.tell_public(url, link, user.name, self._plan.until)

    def _lost(self, error: AssistantError) -> None:
        now = self._clock()
        if self._url and now - self._since >= STEADY:
            self._tries = 0
        self._close()
        self._store.beat("")
        pause = PAUSES[min(self._tries, len(PAUSES) - 1)]
        if isinstance(error, TunnelRateLimited):
            pause = PAUSES[-1]  # every further try within minutes only makes it worse
        if isinstance(error, TunnelRefused) or (self._never_up and now + pause > self._first_by):
            raise error
        self._tries += 1
        self._retry_at = now + pause
        self._announcer.tell_broken(error, pause)

    def _close(self) -> None:
        if self._tunnel is not None:
            self._tunnel.close()
        self._tunnel, self._url = None, ""


def first_operator(store: AccessStore) -> User:
    users = [user for user in store.users() if user.access is Access.OPERATOR]
    if not users:
        raise NobodyToShareWith()
    return users[0]
