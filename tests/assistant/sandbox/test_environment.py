"""The kernel environment: complete or not, and taken up again after a failure."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from assistant.errors import EnvironmentFailed
from assistant.sandbox import environment
from assistant.sandbox.environment import (
    READY_MADE,
    SetUp,
    environment_folder,
    kernel_environment,
    kernel_python,
)
from engine import model_home


class Pip:
    """Stands in for the programs that set up runs; fails for one package, or has no font."""

    def __init__(self) -> None:
        self.installed: list[str] = []
        self.fails_for = ""
        self.n_fonts = 1

    def run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if "pip" not in command:
            self.n_fonts += 1
            return subprocess.CompletedProcess(command, 0 if self.n_fonts > 1 else 3, "", "")
        package = next(word for word in command if "==" in word)
        if package.startswith(self.fails_for or "\0"):
            return subprocess.CompletedProcess(command, 1, "", "no\nERROR: no network")
        self.installed.append(package.partition("==")[0])
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    fake = Pip()
    monkeypatch.delenv(READY_MADE, raising=False)
    monkeypatch.setattr(environment, "passable", lambda _: True)
    monkeypatch.setattr(subprocess, "run", fake.run)
    monkeypatch.setattr(venv.EnvBuilder, "create", lambda _, folder: make(folder))
    return fake


def make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)


def test_every_step_is_told_and_a_complete_one_is_not_made_again(tmp_path: Path, pip: Pip) -> None:
    steps: list[SetUp] = []
    made = kernel_environment(tmp_path, steps.append)
    assert made.folder == tmp_path / "kernel-env"
    assert [step.done for step in steps] == [*range(steps[0].total + 1)]
    assert steps[0].what == "python"
    assert steps[-1] == SetUp(steps[0].total, steps[0].total, "")
    before = len(pip.installed), len(steps)
    kernel_environment(tmp_path, steps.append)
    assert (len(pip.installed), len(steps)) == before


def test_a_failure_says_what_and_why_and_the_next_attempt_goes_on(tmp_path: Path, pip: Pip) -> None:
    pip.fails_for = "scipy"
    with pytest.raises(EnvironmentFailed, match=r"scipy.*no network"):
        kernel_environment(tmp_path)
    (tmp_path / "kernel-env" / "kept").touch()
    pip.fails_for = ""
    kernel_environment(tmp_path)
    assert "scipy" in pip.installed
    assert (tmp_path / "kernel-env" / "kept").exists()


def test_another_list_of_requirements_is_another_environment(
    tmp_path: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel_environment(tmp_path)
    n_installed = len(pip.installed)
    other = tmp_path / "requirements.txt"
    other.write_text("numpy==1\n")
    monkeypatch.setattr(environment, "REQUIREMENTS", other)
    kernel_environment(tmp_path)
    assert pip.installed[n_installed:] == ["numpy"]


def test_a_chinese_font_is_fetched_where_there_is_none(tmp_path: Path, pip: Pip) -> None:
    pip.n_fonts = 0
    kernel_environment(tmp_path)
    assert pip.installed[-1] == "mplfonts"


def test_the_real_one_has_every_package_that_is_asked_for() -> None:
    made = kernel_environment(model_home())
    named = [line.partition("==") for line in environment.REQUIREMENTS.read_text().splitlines()]
    wanted = {name: version for name, _, version in named if version}
    assert made.packages() == wanted


@pytest.mark.parametrize(
    ("euid", "comes", "is_there", "may_write", "place"),
    [
        (0, False, False, True, "system"),
        (0, False, False, False, "home"),
        (0, False, True, True, "home"),
        (0, True, False, True, "home"),
        (1000, False, False, True, "home"),
    ],
)
def test_it_is_where_a_sessions_uid_can_come(
    euid: int,
    comes: bool,
    is_there: bool,
    may_write: bool,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(READY_MADE, raising=False)
    monkeypatch.setattr(environment, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(environment, "passable", lambda _: comes)
    monkeypatch.setattr("os.geteuid", lambda: euid)
    monkeypatch.setattr("os.access", lambda *_: may_write)
    if is_there:
        (tmp_path / "home" / "kernel-env").mkdir(parents=True)
    assert environment_folder(tmp_path / "home") == tmp_path / place / "kernel-env"


def test_a_look_at_it_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(READY_MADE, str(tmp_path))
    assert kernel_python(tmp_path) == Path(sys.executable)
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    assert kernel_python(tmp_path) == tmp_path / "bin" / "python"
