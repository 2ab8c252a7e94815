"""The environment that code runs in: a Python of its own, made at first use.

It is complete when its mark says for which requirements and which Python it was made. Until then
what is there is taken up again: pip skips what it has installed and keeps what it has fetched.
"""

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from assistant.errors import EnvironmentFailed
from assistant.sandbox.kernel_fonts import NO_FONT
from assistant.sandbox.scratch import passable

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FONTS = Path(__file__).with_name("kernel_fonts.py")
FONT_PACKAGE = "mplfonts==0.0.11"  # has Noto Sans CJK; only where the system has no Chinese font
READY_MADE = "ASSISTANT_KERNEL_ENV"
SYSTEM = Path("/var/lib/assistant")


@dataclass(frozen=True)
class SetUp:
    """How far the making of an environment is."""

    done: int
    total: int
    what: str  # the package that is being fetched


@dataclass(frozen=True)
class KernelEnvironment:
    """A complete environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def packages(self) -> dict[str, str]:
        """Name and version of what the requirements name: of those that are there."""
        site = next(self.folder.glob("lib/python*/site-packages"))
        found = {
            each.name.lower(): each.version for each in metadata.distributions(path=[str(site)])
        }
        return {name: found[name] for name in map(_name, _requirements()) if name in found}


def kernel_environment(
    home: Path, listener: Callable[[SetUp], None] = lambda _: None
) -> KernelEnvironment:
    """The environment below `home`, made or completed now if need be. Blocks, for minutes."""
    folder = environment_folder(home)
    if not os.environ.get(READY_MADE) and not _is_complete(folder):
        folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not _is_complete(folder):
                _make(folder, listener)
    return KernelEnvironment(folder)


def environment_folder(home: Path) -> Path:
    """Where it is or will be. A session's uid cannot come to what is below a closed home."""
    if ready_made := os.environ.get(READY_MADE):
        return Path(ready_made)
    own = home / "kernel-env"
    if os.geteuid() or own.exists() or passable(home) or not os.access(SYSTEM.parent, os.W_OK):
        return own
    return SYSTEM / own.name


def kernel_python(home: Path) -> Path:
    """The Python that sessions use, or this one where there is none yet: nothing is made."""
    python = KernelEnvironment(environment_folder(home)).python
    return python if python.exists() else Path(sys.executable)


def _make(folder: Path, listener: Callable[[SetUp], None]) -> None:
    requirements = _requirements()
    steps = ["python", *map(_name, requirements), "fonts"]
    work = _steps(folder, requirements)
    for done, what in enumerate(steps):
        listener(SetUp(done, len(steps), what))
        next(work)
    _mark(folder).write_text(_identity())
    listener(SetUp(len(steps), len(steps), ""))


def _steps(folder: Path, requirements: list[str]) -> Iterator[None]:
    _mark(folder).unlink(missing_ok=True)
    builder = venv.EnvBuilder(symlinks=True, with_pip=True, clear=not _same_python(folder))
    try:
        builder.create(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentFailed(what="python", reason=str(error)) from error
    folder.chmod(0o755)
    yield
    for requirement in requirements:
        _install(folder, requirement, "--constraint", str(REQUIREMENTS))
        yield
    if _index_fonts(folder) == NO_FONT:
        _install(folder, FONT_PACKAGE, "--no-deps")
        if code := _index_fonts(folder):
            raise EnvironmentFailed(what="fonts", reason=f"exit code {code}")
    yield


def _install(folder: Path, requirement: str, *options: str) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", requirement, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        reason = next(filter(None, reversed(done.stderr.splitlines())), "pip failed")
        raise EnvironmentFailed(what=requirement, reason=reason[:300])


def _index_fonts(folder: Path) -> int:
    python = folder / "bin" / "python"
    command = [str(python), str(FONTS), str(folder / "matplotlib")]
    return subprocess.run(command, capture_output=True, check=False).returncode


def _requirements() -> list[str]:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _name(requirement: str) -> str:
    return requirement.partition("==")[0]


def _identity() -> str:
    known = REQUIREMENTS.read_text(encoding="utf-8") + FONTS.read_text(encoding="utf-8")
    return hashlib.sha256(f"{sys.version}\n{known}".encode()).hexdigest()


def _mark(folder: Path) -> Path:
    return folder / "complete"


def _is_complete(folder: Path) -> bool:
    mark = _mark(folder)
    return mark.exists() and mark.read_text() == _identity()


def _same_python(folder: Path) -> bool:
    config = folder / "pyvenv.cfg"
    version = ".".join(map(str, sys.version_info[:3]))
    return config.exists() and f"version = {version}" in config.read_text()
