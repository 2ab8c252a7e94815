"""Which level the supervisor takes, and a kernel where nothing holds but somebody wants it."""

import os
import threading
from pathlib import Path

import pytest

from assistant.errors import SandboxRefused
from assistant.outputs import TextOutput
from assistant.sandbox import probe, supervisor
from assistant.sandbox.environment import kernel_environment
from assistant.sandbox.kernel import Kernel
from assistant.sandbox.level import Level
from assistant.sandbox.messages import Collector
from assistant.sandbox.place import Place
from assistant.sandbox.probe import MINIMUM
from assistant.sandbox.settings import SandboxSettings
from engine import model_home

PYTHON = Path("/usr/bin/python3")
UNSAFE = SandboxSettings(unsafe=True)


@pytest.fixture
def nothing_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (probe, supervisor):
        monkeypatch.setattr(module, "attack", lambda *_: "it broke out")
    monkeypatch.delenv(MINIMUM, raising=False)


@pytest.mark.usefixtures("nothing_holds")
def test_where_nothing_holds_it_refuses_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SandboxRefused, match="it broke out"):
        supervisor.choose_level(SandboxSettings(), PYTHON)
    level, why = supervisor.choose_level(UNSAFE, PYTHON)
    assert level is Level.UNSAFE
    assert "it broke out" in why
    monkeypatch.setenv(MINIMUM, "3")
    with pytest.raises(SandboxRefused):
        supervisor.choose_level(UNSAFE, PYTHON)


@pytest.mark.usefixtures("nothing_holds")
def test_unsafe_does_not_stand_in_for_a_level_that_was_asked_for() -> None:
    with pytest.raises(SandboxRefused):
        supervisor.choose_level(SandboxSettings(unsafe=True, level=Level.LANDLOCK), PYTHON)


def test_a_kernel_without_isolation_runs_as_who_we_are_in_its_folder(tmp_path: Path) -> None:
    python = kernel_environment(model_home()).python
    kernel = Kernel(Place(Level.UNSAFE, python), tmp_path, threading.Event())
    collector = Collector()
    try:
        kernel.wait_ready()
        code = "import os; open('a', 'w').close(); print(os.geteuid(), os.getcwd())"
        end = kernel.run(code, 60, threading.Event(), collector, lambda: None)
    finally:
        kernel.close()
    assert end.ended == "ok"
    (output,) = collector.outputs
    assert isinstance(output, TextOutput)
    assert output.text == f"{os.geteuid()} {tmp_path}\n"
    assert (tmp_path / "a").exists()
