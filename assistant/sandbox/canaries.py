"""Things outside that no session may touch, set out to see whether one did."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

_CONTENT = "canary"
_SECONDS = "300"  # the process ends by itself if we die


@dataclass(frozen=True)
class Canaries:
    """A secret file in a folder, two listeners on this machine, a process."""

    folder: Path
    file: Path
    before: tuple[int, ...]
    tcp: socket.socket
    unix: socket.socket
    process: subprocess.Popen[bytes]
    word: str

    def world(self) -> dict[str, object]:
        """What an attacker is told, who could find it out."""
        return {
            "folder": str(self.folder),
            "file": str(self.file),
            "port": self.tcp.getsockname()[1],
            "socket": self.unix.getsockname(),
            "process": self.process.pid,
            "word": self.word,
        }

    def harm(self) -> list[str]:
        """What was done to them."""
        found = []
        if _facts(self.file) != self.before or self.file.read_text() != _CONTENT:
            found.append("the canary file was changed")
        if sorted(path.name for path in self.folder.iterdir()) != ["file", "socket"]:
            found.append("a file was added")
        for listener, name in ((self.tcp, "TCP"), (self.unix, "unix socket")):
            if _was_reached(listener):
                found.append(f"the {name} listener was reached")
        if self.process.poll() is not None:
            found.append("the canary process was ended")
        return found


@contextmanager
def canaries(python: Path) -> Iterator[Canaries]:
    """The owner's alone, as secrets are."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="canary-")))
        file = folder / "file"
        file.write_text(_CONTENT)
        file.chmod(0o600)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(folder / "socket"))
        unix.listen()
        word = f"canary-{os.getpid()}-{folder.name}"
        process = stack.enter_context(_process(python, word))
        yield Canaries(folder, file, _facts(file), tcp, unix, process, word)


@contextmanager
def _process(python: Path, word: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of ours, with `word` on its command line."""
    wait = f"import time; time.sleep({_SECONDS})"
    with subprocess.Popen([str(python), "-I", "-S", "-c", wait, word], cwd="/") as process:
        try:
            yield process
        finally:
            process.kill()


def _facts(path: Path) -> tuple[int, ...]:
    known = path.stat()
    return (known.st_mode, known.st_uid, known.st_gid, known.st_size, known.st_mtime_ns)


def _was_reached(listener: socket.socket) -> bool:
    listener.setblocking(False)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True
