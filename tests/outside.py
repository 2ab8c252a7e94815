"""The world outside a sandbox, as an attacker would like it: secrets, listeners, a process."""

import contextlib
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.sandbox.level import Level

SYSTEM_PYTHON = Path("/usr/bin/python3")  # what any user may run
CANARY = "CANARY-7c1f"


@dataclass
class World:
    """What the attacks are after; all of it would open to the same user."""

    base: Path
    tcp: socket.socket
    unix: socket.socket
    abstract: socket.socket
    process: subprocess.Popen[bytes]

    def filled(self, code: str, own: Path, level: Level, python: Path) -> str:
        words = {
            "CANARY": CANARY,
            "APP_DIR": self.base / "app",
            "OTHER_DIR": self.base / "other" / "work",
            "OTHER_SOCK": self.base / "other" / "socket",
            "OWN_DIR": own,
            "READABLE": self.base / "readable",
            "MODEL_FILE": self.base / "app" / "model.gguf",
            "HOST_PID": self.process.pid,
            **{f"NS_{name.upper()}": _namespace(name) for name in ("ipc", "uts", "cgroup")},
            "PORT": self.tcp.getsockname()[1],
            "UNIX_SOCK": self.unix.getsockname(),
            "ABSTRACT": self.abstract.getsockname()[1:].decode(),
            "VENV": python.resolve().parent.parent / "lib",
            "LEVEL": "L1" if level in (Level.NAMESPACES, Level.CHROOT) else f"L{level}",
        }
        for word, value in words.items():
            code = code.replace(f"@{word}@", str(value))
        return code

    def facts(self) -> dict[str, tuple[object, ...]]:
        """Content and metadata of every file that is not a session's own."""
        found = {}
        for path in [self.base, *self.base.rglob("*")]:
            if path != self.base:
                known = path.lstat()
                content = path.read_bytes() if stat.S_ISREG(known.st_mode) else b""
                names = (known.st_mode, known.st_uid, known.st_size, known.st_mtime_ns)
                found[str(path)] = (*names, content, *os.listxattr(path, follow_symlinks=False))
        return found

    def reached(self) -> list[str]:
        found = []
        for name in ("tcp", "unix", "abstract"):
            listener: socket.socket = getattr(self, name)
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()
                    found.append(f"the {name} listener was reached")
        return found


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Open to everybody, so that only the sandbox stands before it."""
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="world-")))
        for name in ("app/.env", "app/.streamlit/secrets.toml", "app/app.py", "app/model.gguf"):
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_text(CANARY)
        (base / "other" / "work").mkdir(parents=True)
        (base / "other" / "work" / "data.csv").write_text(CANARY)
        (base / "readable").mkdir()
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        unix = stack.enter_context(_unix_listener(str(base / "socket")))
        abstract = stack.enter_context(_unix_listener(f"\0{base.name}"))
        for path in [base, *base.rglob("*")]:
            path.chmod(0o777 if path.is_dir() or path.is_socket() else 0o666)
        process = stack.enter_context(_process())
        yield World(base, tcp, unix, abstract, process)


def _namespace(name: str) -> str:
    return str(Path(f"/proc/self/ns/{name}").readlink())


def _unix_listener(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    return listener


@contextlib.contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    command = [str(SYSTEM_PYTHON), "-I", "-S", "-c", "import time; time.sleep(600)", CANARY]
    with subprocess.Popen(command, env={"SECRET": CANARY}, cwd="/") as process:
        try:
            yield process
        finally:
            process.kill()
