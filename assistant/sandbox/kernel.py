"""One ipykernel in its jail, as the supervisor talks to it. One thread only may use it.

Its two sockets are ours: made, connected and unlinked before it starts, and handed over as
descriptors. So nobody else can connect, and the jail needs no folder for them and no `socket()`.
"""

import contextlib
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.session import Session

from assistant.coderunner import CodeEnded
from assistant.sandbox.launch import launch
from assistant.sandbox.messages import Collector, KernelMessage, parse
from assistant.sandbox.place import Place, sockets, what
from assistant.sandbox.plaintext import line
from assistant.sandbox.zmtp import Peer, ProtocolError

MAX_MESSAGE = 32 << 20
MAX_RECEIVED = 96 << 20  # of one run, pictures included
START_SECONDS = 120
GRACE = 3  # seconds between an interrupt and the end
_STEP = 0.05
_KILLED = (-9, 137)
_INTERRUPTS = 0.5  # an interrupt between two instructions of the kernel's own may get lost
_WORDS = {
    "timeout": ("TimeLimit", "Stopped: it ran longer than {seconds:g} seconds."),
    "cancelled": ("Stopped", "Stopped on request."),
    "limit": ("LimitExceeded", "Stopped: {reason}."),
    "crashed": ("KernelDied", "The Python process ended: {reason}. Its variables are lost."),
}


class KernelDied(Exception):
    """The process is gone, or does not speak as a kernel does."""


@dataclass(frozen=True)
class RunEnd:
    ended: CodeEnded
    seconds: float


class Kernel:
    def __init__(self, place: Place, work: Path, closing: threading.Event) -> None:
        """Launches it; raises SandboxFailed. The thread that does this has to outlive it.

        Setting `closing` ends a start or a run at once.
        """
        self.over = ""  # why the watchdog ended it
        self.told = threading.Event()  # that it did
        self.closing = closing
        self._session = Session(packer="json")  # the kernel has no key and checks none
        listeners, ends = sockets()
        try:
            self.jailed = launch(place.level, what(place, work, listeners), place.policy)
        except BaseException:
            for end in ends:
                end.close()
            raise
        finally:
            for listener in listeners:
                listener.close()
        self._shell = Peer(ends[0], "DEALER", MAX_MESSAGE)
        self._iopub = Peer(ends[1], "SUB", MAX_MESSAGE)
        self._selector = selectors.DefaultSelector()
        for peer in (self._shell, self._iopub):
            self._selector.register(peer, selectors.EVENT_READ, peer)

    def wait_ready(self) -> None:
        """Until it answers, and both channels do. Raises KernelDied."""
        deadline = time.monotonic() + START_SECONDS
        seen: set[str] = set()
        asked = {self._ask("kernel_info_request")}
        while not seen >= {"kernel_info_reply", "status"}:
            if self.closing.is_set():
                raise KernelDied("closed")
            if time.monotonic() > deadline:
                raise KernelDied("it did not start in time")
            for message in self._messages():
                seen.update([message.kind] if message.parent in asked else [])
            if "kernel_info_reply" in seen and "status" not in seen:
                # Our subscription may have come after its first words: let it speak again.
                asked.add(self._ask("kernel_info_request"))

    def run(
        self,
        code: str,
        seconds: float,
        stop: threading.Event,
        collector: Collector,
        changed: Callable[[], None],
    ) -> RunEnd:
        """Runs a cell to its end; a kernel that is gone afterwards is not `alive`."""
        began = time.monotonic()
        run = _Run(self, collector, began + seconds, stop)
        try:
            run.follow(self._execute(code), changed)
        except KernelDied as error:
            if self.closing.is_set():
                run.ended = "cancelled"
            elif run.ended in ("ok", "error"):
                run.ended, run.reason = ("limit" if self.over else "crashed"), str(error)
        took = time.monotonic() - began
        if run.ended in _WORDS:
            name, words = _WORDS[run.ended]
            collector.note(name, words.format(seconds=seconds, reason=run.reason))
        return RunEnd(run.ended, took)

    def variables(self, seconds: float = 2) -> list[dict[str, str]]:
        """What the kernel says that it has: nothing when it does not answer in time."""
        request = self._ask("variables_request")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in self._messages():
                if message.kind == "variables_reply" and message.parent == request:
                    return _variables(message.content.get("variables"))
        return []

    @property
    def alive(self) -> bool:
        return self.jailed.poll() is None

    def obituary(self) -> str:
        """Why it is not alive."""
        return self._why()

    def interrupt(self) -> None:
        self.jailed.interrupt()

    def close(self) -> None:
        self.jailed.close()
        self._selector.close()
        for peer in (self._shell, self._iopub):
            peer.close()

    def messages(self) -> Iterator[KernelMessage]:
        """What comes within a moment. Raises KernelDied."""
        return self._messages()

    @property
    def received(self) -> int:
        return self._iopub.received + self._shell.received

    def _execute(self, code: str) -> str:
        options = {"silent": False, "store_history": True, "allow_stdin": False}
        return self._ask("execute_request", code=code, user_expressions={}, **options)

    def _ask(self, kind: str, **content: object) -> str:
        message = self._session.msg(kind, content)
        try:
            self._shell.send(self._session.serialize(message))
        except OSError as error:
            raise KernelDied(self._why()) from error
        return str(message["header"]["msg_id"])

    def _messages(self) -> Iterator[KernelMessage]:
        for key, _ in self._selector.select(_STEP):
            peer: Peer = key.data
            try:
                for frames in peer.receive():
                    if message := parse(frames):
                        yield message
            except (EOFError, OSError) as error:
                raise KernelDied(self._why()) from error
            except ProtocolError as error:
                self.over = self.over or "output"
                raise KernelDied(self._why()) from error
        if not self.alive:
            raise KernelDied(self._why())

    def _why(self) -> str:
        """Once a channel is cut there is nothing to come: the process goes with it."""
        with contextlib.suppress(TimeoutError):
            self.jailed.wait(1)
        code = self.jailed.poll()
        self.jailed.kill()
        if code in _KILLED and not self.over:  # the watchdog kills first and tells then
            self.told.wait(1)
        if self.over or self.jailed.out_of_memory():
            self.over = self.over or "memory"
            return f"more {self.over} than it may have"
        return "it broke off the connection" if code is None else f"exit code {code}"


@dataclass
class _Run:
    """A cell under way: who ends it, and how."""

    kernel: Kernel
    collector: Collector
    deadline: float
    stop: threading.Event
    ended: CodeEnded = "ok"
    reason: str = ""
    _killed_at: float = 0.0
    _interrupted_at: float = 0.0

    def follow(self, request: str, changed: Callable[[], None]) -> None:
        """To the reply and to the kernel's idling, whichever comes last."""
        limit = self.kernel.received + MAX_RECEIVED
        waiting = {"execute_reply", "idle"}
        while waiting:
            for message in self.kernel.messages():
                if message.parent == request:
                    waiting -= self._take(message)
            if self.kernel.received > limit:
                self.collector.exceeded = self.collector.exceeded or "it sent too much"
            changed()
            if waiting:
                self._mind_the_time()

    def _take(self, message: KernelMessage) -> set[str]:
        match message.kind:
            case "execute_reply":
                if message.content.get("status") != "ok" and self.ended == "ok":
                    self.ended = "error"
                return {"execute_reply"}
            case "status" if message.content.get("execution_state") == "idle":
                return {"idle"}
        self.collector.take(message)
        return set()

    def _mind_the_time(self) -> None:
        """Interrupts what has to end, and kills what does not listen."""
        now = time.monotonic()
        if self.kernel.closing.is_set():
            self.kernel.jailed.kill()
            raise KernelDied("closed")
        if not self._killed_at:
            self._decide(now)
        if self._killed_at and now > self._killed_at:
            self.kernel.jailed.kill()
            raise KernelDied("it did not stop when asked to")
        if self._killed_at and now > self._interrupted_at + _INTERRUPTS:
            self._interrupted_at = now
            self.kernel.interrupt()

    def _decide(self, now: float) -> None:
        if self.stop.is_set():
            self.ended = "cancelled"
        elif now > self.deadline:
            self.ended = "timeout"
        elif self.collector.exceeded:
            self.ended, self.reason = "limit", self.collector.exceeded
        else:
            return
        self._killed_at = now + GRACE


def _variables(value: object) -> list[dict[str, str]]:
    if not isinstance(value, list):
        return []
    entries = [entry for entry in value[:200] if isinstance(entry, dict)]
    keys = ("name", "type", "shape", "size")
    return [{key: line(entry.get(key), 200) for key in keys} for entry in entries]
