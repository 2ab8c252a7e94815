"""What the sharing process hears while it waits: its tunnel, signals, and its parent's end.

Signals only put a note into the inbox (SimpleQueue is made to bear that), and whoever waits finds
it: nothing is broken off in the middle, so whatever was started is known and can be ended.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from queue import Empty, SimpleQueue
from types import FrameType

from assistant.tunnel.tunnel import Broken, Opened


class Reason(StrEnum):
    """Why it ends. The values are keys of `texts`."""

    TIME_UP = "share_time_up"
    PAGE_ASKED = "share_page_asked"
    INTERRUPTED = "share_interrupted"
    TOLD = "share_told"
    ORPHANED = "share_orphaned"


class Stopped(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Signalled:
    reason: Reason


Handler = Callable[[int, FrameType | None], object]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Watch:
    """Waiting that a reason to end breaks off, by `Stopped`."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Opened | Broken | Signalled] = SimpleQueue()
        # `nohup` says that the terminal's end, and so the shell's, is to be survived.
        self._survives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._parent = os.getppid()

    def tell(self, notice: Opened | Broken) -> None:
        self._inbox.put(notice)

    def next(self, seconds: float) -> Opened | Broken | None:
        """What comes within so many seconds."""
        if os.getppid() != self._parent and not self._survives:
            raise Stopped(Reason.ORPHANED)
        try:
            notice = self._inbox.get(timeout=seconds)
        except Empty:
            return None
        if isinstance(notice, Signalled):
            raise Stopped(notice.reason)
        return notice

    def pause(self, seconds: float) -> None:
        """For waiting before there is a tunnel to hear of."""
        self.next(seconds)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """While inside, signals that would end us are put into the inbox.

        Ctrl-Z does nothing: the tunnel would stay while nobody beats for it.
        """
        before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        try:
            with handled(self._signalled, keep_ignored=self._survives):
                yield
        finally:
            signal.signal(signal.SIGTSTP, before)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        known = {signal.SIGINT: Reason.INTERRUPTED}
        self._inbox.put(Signalled(known.get(signal.Signals(number), Reason.TOLD)))


@contextmanager
def interruptible() -> Iterator[None]:
    """While inside, all of them raise KeyboardInterrupt, so that `finally` clears up."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with handled(signal.default_int_handler, keep_ignored=ignored):
        yield


@contextmanager
def handled(handler: Handler, *, keep_ignored: bool) -> Iterator[None]:
    numbers = [each for each in ENDING if each != signal.SIGHUP or not keep_ignored]
    before = {each: signal.signal(each, handler) for each in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
