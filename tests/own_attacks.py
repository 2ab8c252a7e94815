"""Our own attacks, each with the protection whose absence lets it succeed.

`off` says what is switched off for the second run, by kind of level: "1" for 1 and 1c, "2" for 2
and 2s. A snippet prints BREACH, or reaches a canary, when it has worked. Loopback only.
"""

from dataclasses import dataclass, field
from typing import Any

from attacks import Snippet

NO_NETWORK_WALL: dict[str, dict[str, Any]] = {
    "1": {"seccomp": False, "namespaces": ["net"]},
    "2": {"seccomp": False, "paths": False},
}
NO_PATHS: dict[str, dict[str, Any]] = {"1": {"paths": False}, "2": {"paths": False}}
NO_FILTER: dict[str, dict[str, Any]] = {"1": {"seccomp": False}, "2": {"seccomp": False}}
NO_LIMITS: dict[str, dict[str, Any]] = {
    "1": {"rlimits": False, "cgroup": False},
    "2": {"rlimits": False, "cgroup": False},
}


@dataclass(frozen=True)
class Attack:
    id: str
    code: str
    off: dict[str, dict[str, Any]] = field(default_factory=dict)
    only: tuple[str, ...] = ()  # levels on which switching it off can be seen
    root: bool | None = None  # who can see it
    pass_if: str = "no_breach"

    def held(self) -> Snippet:
        return Snippet(self.id, self.code, self.pass_if)

    def let_through(self, level: str) -> Snippet:
        return Snippet(self.id, self.code, self.pass_if, 30, self.off[level[0]], must_succeed=True)


def guarded(code: str) -> str:
    """Print what happened: an attack that cannot be made at all was refused, too."""
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    return f"import os, sys\ntry:\n{body}\nexcept (OSError, MemoryError) as e: print('HELD', e)\n"


ATTACKS = (
    Attack("read-a-file", guarded("print(open('@APP_DIR@/.env').read())"), NO_PATHS),
    Attack("list-a-folder", guarded("print('BREACH', os.listdir('@OTHER_DIR@'))"), NO_PATHS),
    Attack(
        "write-a-file",
        guarded("open('@APP_DIR@/app.py', 'a').write('x'); print('BREACH')"),
        NO_PATHS,
        pass_if="host_app_intact",
    ),
    Attack(
        "write-where-only-reading-is-allowed",
        guarded("open('@READABLE@/new', 'w').close(); print('BREACH')"),
        {"1": {"read_only": False}, "2": {"paths": False}},
        pass_if="host_app_intact",
    ),
    Attack(
        "tcp-to-loopback",
        guarded(
            "import socket\n"
            "socket.create_connection(('127.0.0.1', @PORT@), 2).close(); print('BREACH')"
        ),
        NO_NETWORK_WALL,
    ),
    Attack(
        "unix-socket-by-path",
        guarded(
            "import socket\n"
            "s = socket.socket(socket.AF_UNIX); s.connect('@UNIX_SOCK@'); print('BREACH')"
        ),
        {"1": {"seccomp": False, "paths": False}, "2": {"seccomp": False}},
    ),
    Attack(
        "unix-socket-by-name",
        guarded(
            "import socket\n"
            "s = socket.socket(socket.AF_UNIX); s.connect('\\0@ABSTRACT@'); print('BREACH')"
        ),
        NO_NETWORK_WALL,
    ),
    Attack(
        "see-a-process",
        guarded(
            "if b'CANARY' in open('/proc/@HOST_PID@/cmdline', 'rb').read(): print('BREACH')\n"
            "else: print('HELD: another of that number')"
        ),
        {"1": {"namespaces": ["pid"]}, "2": {"paths": False}},
    ),
    Attack(
        "signal-a-process",
        guarded("os.kill(@HOST_PID@, 0); print('BREACH')"),
        {"1": {"namespaces": ["pid"]}, "2": {"paths": False}},
        only=("1", "1c", "2s"),
        root=False,
    ),
    Attack(
        "signal-a-process-as-root",
        guarded("os.kill(@HOST_PID@, 0); print('BREACH')"),
        {"1": {"namespaces": ["pid"], "uid": False}, "2": {"paths": False, "uid": False}},
        root=True,
    ),
    *(
        Attack(
            f"share-the-host's-{name}-namespace",
            guarded(
                f"theirs = os.readlink('/proc/self/ns/{name}')\n"
                f"shared = '@LEVEL@' == 'L1' and theirs == '@NS_{name.upper()}@'\n"
                "print('BREACH' if shared else 'HELD')"
            ),
            {"1": {"namespaces": [name]}},
            only=("1", "1c"),
        )
        for name in ("ipc", "uts", "cgroup")
    ),
    Attack(
        "write-a-sysctl",
        guarded("os.close(os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY)); print('BREACH')"),
        {
            "1": {"uid": False, "read_only": False},
            "2": {"uid": False, "paths": False},
        },
        root=True,
    ),
    Attack(
        "be-root",
        guarded("print('BREACH' if os.geteuid() == 0 else 'HELD')"),
        {"1": {"uid": False}, "2": {"uid": False}},
        root=True,
    ),
    Attack(
        "memory-without-a-name",
        guarded("os.close(os.memfd_create('x')); print('BREACH')"),
        NO_FILTER,
    ),
    Attack(
        "a-vsock",
        guarded("import socket\nsocket.socket(40, socket.SOCK_STREAM); print('BREACH')"),
        NO_FILTER,
    ),
    Attack(
        "read-another's-memory",
        guarded(
            "import ctypes\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "child = os.fork()\n"
            "if child == 0: import signal; signal.pause()\n"
            "result = libc.ptrace(16, child, None, None)\n"
            "os.kill(child, 9)\n"
            "print('BREACH' if result == 0 else 'HELD')"
        ),
        NO_FILTER,
    ),
    Attack(
        "much-memory",
        guarded("x = [bytearray(32 << 20) for _ in range(12)]; print('BREACH')"),
        NO_LIMITS,
        pass_if="no_breach",
    ),
    Attack(
        "many-processes",
        guarded(
            "import signal\n"
            "for _ in range(120):\n"
            "    if os.fork() == 0:\n"
            "        signal.pause()\n"
            "print('BREACH')"
        ),
        NO_LIMITS,
    ),
    Attack(
        "many-open-files",
        guarded("x = [os.dup(0) for _ in range(400)]; print('BREACH')"),
        NO_LIMITS,
    ),
    Attack(
        "a-large-file",
        guarded(
            "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "f = open('large', 'wb'); f.seek(40 << 20); f.write(b'x'); f.close()\n"
            "print('BREACH')"
        ),
        NO_LIMITS,
    ),
    Attack(
        "a-core-file",
        guarded(
            "import resource\n"
            "print('BREACH' if any(resource.getrlimit(resource.RLIMIT_CORE)) else 'HELD')"
        ),
    ),
    Attack(
        "the-app's-environment",
        guarded(
            "print('BREACH' if 'APP_SECRET' in os.environ else 'HELD')\n"
            "print(open('/proc/self/environ').read())"
        ),
    ),
    Attack(
        "outlive-the-program",
        guarded(
            "import time\n"
            "if os.fork() == 0:\n"
            "    if os.fork() == 0:\n"
            "        time.sleep(600)\n"
            "    os._exit(0)\n"
            "print('HELD')"
        ),
    ),
)
