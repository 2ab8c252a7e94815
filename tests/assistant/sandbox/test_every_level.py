"""`interpreter run` with real sessions, at every level, as root and as a normal user."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attacks import NORMAL_USER
from normal_user import Done, commands, for_everybody, python_for_everybody

from assistant.sandbox.environment import kernel_environment
from assistant.sandbox.level import Level
from engine import model_home

ROOT = os.geteuid() == 0
USER = NORMAL_USER if ROOT else -1
CODES = {  # how it ends -> a file that does, and the exit code that says so
    "ok": ("import numpy, os\nprint(os.getuid(), numpy.arange(7).sum() * 2)", 0),
    "error": ("1 / 0", 3),
    "timeout": ("while True: pass", 4),
    "limit": ("while True: print('x' * 10_000)", 5),
}
HOLDS = [(Level.NAMESPACES, USER), (Level.CHROOT, USER), (Level.LANDLOCK_SHARED, USER)]
REFUSED = [(Level.LANDLOCK, USER), (Level.WEAK, USER)]
if ROOT:
    HOLDS += [(Level.NAMESPACES, -1), (Level.CHROOT, -1), (Level.LANDLOCK, -1), (Level.WEAK, -1)]
    REFUSED += [(Level.LANDLOCK_SHARED, -1)]

pytestmark = pytest.mark.skipif(
    python_for_everybody() is None, reason="there is no Python of this version for every user"
)


def named(places: list[tuple[Level, int]]) -> list[object]:
    who = "root" if ROOT else "user"
    return [
        pytest.param(level, uid, id=f"{level}-{'user' if uid >= 0 else who}")
        for level, uid in places
    ]


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """The program and its Pythons, where everybody may come: not in a home, which may be closed."""
    with TemporaryDirectory(prefix="everybody-") as folder:
        made = Path(folder)
        made.chmod(0o755)
        for_everybody(made, kernel_environment(model_home()).folder)
        (made / "home").mkdir()
        (made / "home").chmod(0o777)
        (made / "code").mkdir()
        for name, (code, _) in CODES.items():
            (made / "code" / f"{name}.py").write_text(code)
        yield made


def ran(base: Path, level: Level, uid: int, *names: str) -> list[Done]:
    """Each of these files in a session of its own."""
    given = []
    for name in names:
        seconds = "1" if name == "timeout" else "60"
        file = str(base / "code" / f"{name}.py")
        options = ["--level", level, "--timeout", seconds, "--json"]
        given.append(["interpreter", "run", file, *options])
    return commands(base, uid, *given)


@pytest.mark.parametrize(("level", "uid"), named(HOLDS))
def test_every_end_has_its_exit_code_at_every_level(level: Level, uid: int, base: Path) -> None:
    found = dict(zip(CODES, ran(base, level, uid, *CODES), strict=True))
    wanted = {name: code for name, (_, code) in CODES.items()}
    assert {name: done.code for name, done in found.items()} == wanted, found
    told = {name: json.loads(done.out) for name, done in found.items()}
    assert {name: each["ended"] for name, each in told.items()} == {name: name for name in CODES}
    assert {each["level"] for each in told.values()} == {level}
    who, words = told["ok"]["outputs"][0]["text"].split()
    assert words == "42"
    assert who != str(os.geteuid()) or not ROOT


@pytest.mark.parametrize(("level", "uid"), named(REFUSED))
def test_a_level_that_cannot_be_here_is_refused(level: Level, uid: int, base: Path) -> None:
    (done,) = ran(base, level, uid, "ok")
    told = json.loads(done.out)
    assert (done.code, told["ended"], told["level"]) == (6, "refused", "")
    assert "SandboxRefused" in json.dumps(told["outputs"])
    assert "42" not in done.out
