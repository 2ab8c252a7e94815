"""Level 3 on macOS: Seatbelt, through sandbox-exec(1).

Written from the documentation and from what others' profiles allow; it has never run, for want of
a Mac. Its level is the weak one, for the own machine only: there is no pid namespace, and no limit
on memory that macOS enforces, so a session can see that other processes exist and exhaust memory
until the watchdog sees it.
"""

from collections.abc import Sequence
from pathlib import Path

PROGRAM = "/usr/bin/sandbox-exec"

_SYSTEM = ("/usr/lib", "/usr/bin", "/bin", "/System/Library", "/Library/Fonts")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_SYSCTLS = ("hw.", "kern.osrelease", "kern.ostype", "kern.osversion", "kern.version", "machdep.cpu")
_ALWAYS = """(version 1)
(deny default)
(deny network*)
(allow process-fork)
(allow process-exec)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow ipc-posix-sem)
(allow file-read-metadata)
"""


def profile(readable: Sequence[Path], writable: Sequence[Path]) -> str:
    """Everything is refused but what follows; the order does not matter, the last match wins."""
    lines = [f"(allow sysctl-read (sysctl-name-prefix {_quoted(name)}))" for name in _SYSCTLS]
    lines += [f"(allow file-read* (literal {_quoted(name)}))" for name in _DEVICES]
    lines += [f"(allow file-write-data (literal {_quoted(name)}))" for name in _DEVICES[:2]]
    for path in (*map(Path, _SYSTEM), *readable):
        lines.append(f"(allow file-read* (subpath {_quoted(str(path))}))")
    for path in writable:
        lines.append(f"(allow file-read* file-write* (subpath {_quoted(str(path))}))")
    return _ALWAYS + "\n".join(lines) + "\n"


def command(readable: Sequence[Path], writable: Sequence[Path]) -> list[str]:
    """What to put before a program's command line."""
    return [PROGRAM, "-p", profile(readable, writable)]


def _quoted(text: str) -> str:
    """A string of the profile's language; a name with a quote in it must not end it."""
    if any(ord(character) < 32 for character in text):
        raise ValueError(f"a control character in {text!r}")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
