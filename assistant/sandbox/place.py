"""What a kernel is started with: a level, an environment, and two sockets that are already made."""

import json
import shutil
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from assistant.sandbox.level import Level
from assistant.sandbox.limits import Limits
from assistant.sandbox.plan import FULL, TMP, WORK, Launch, Policy

SOURCE = Path(__file__).with_name("kernel_main.py")
SEND_SECONDS = 30  # for which a kernel may leave a request unread


@dataclass(frozen=True)
class Place:
    """What a kernel is started with."""

    level: Level
    python: Path
    limits: Limits = field(default_factory=Limits)
    policy: Policy = FULL


def sockets() -> tuple[list[socket.socket], list[socket.socket]]:
    """Two listening sockets, and for each the one connection that it will ever have."""
    folder = tempfile.mkdtemp(prefix="kernel-sockets-")
    listeners, ends = [], []
    try:
        for name in ("shell", "iopub"):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(f"{folder}/{name}")
            listener.listen(1)
            end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            end.connect(f"{folder}/{name}")
            end.settimeout(SEND_SECONDS)
            listeners.append(listener)
            ends.append(end)
    finally:
        shutil.rmtree(folder)
    return listeners, ends


def what(place: Place, work: Path, listeners: list[socket.socket]) -> Launch:
    shell, iopub = (listener.fileno() for listener in listeners)
    options = {"shell": shell, "iopub": iopub}
    source = SOURCE.read_text(encoding="utf-8")
    return Launch(
        argv=[str(place.python), "-I", "-B", "-c", source, json.dumps(options)],
        work=work,
        python=place.python,
        pass_fds=[shell, iopub],
        limits=place.limits,
        environment=_environment(place.python),
    )


def _environment(python: Path) -> dict[str, str]:
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX"), "2")
    folders = {"TMPDIR": f"{TMP}", "MPLCONFIGDIR": f"{TMP}/mpl", "IPYTHONDIR": f"{TMP}/ipython"}
    return {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(WORK),
        "LANG": "C.UTF-8",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        **folders,
        **threads,
    }
