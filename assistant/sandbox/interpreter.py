"""What a Python needs to run: the read-only part of every sandbox."""

from pathlib import Path

_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_UNDER_USR = (*_SYSTEM, "libexec", "share")
_CONFIGURATION = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/fonts",
    "/etc/alternatives",
    "/etc/mime.types",
    "/etc/ssl/openssl.cnf",
)


def folders_of(python: Path) -> list[Path]:
    """The environment of this interpreter and the installation below it."""
    found = []
    if (python.parent.parent / "pyvenv.cfg").exists():
        found.append(python.parent.parent)
    installation = python.resolve().parent.parent
    found += [installation / name for name in ("bin", "lib", "lib64")]
    return _existing(found)


def system_folders() -> list[Path]:
    """Programs, libraries, fonts, time zones; of /etc only what they read at start."""
    root = [Path("/") / name for name in _SYSTEM]
    return _existing([Path("/usr") / name for name in _UNDER_USR] + root)


def configuration_files() -> list[Path]:
    return _existing([Path(name) for name in _CONFIGURATION])


def _existing(paths: list[Path]) -> list[Path]:
    return [path for path in dict.fromkeys(paths) if path.exists()]
