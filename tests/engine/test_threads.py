"""Threads: measured once a machine, kept, overruled; and none run but ours."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine import threads
from engine.errors import BadSetting
from engine.random_model import SHAPES, make_random
from engine.threads import asked_threads, tuned_threads

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def granted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda count: monkeypatch.setattr(threads, "granted_cores", lambda: count)


def unmeasured(count: int) -> float:
    raise AssertionError(f"{count} threads are measured")


def test_more_threads_win_unless_fewer_are_clearly_faster(
    tmp_path: Path, granted: Callable[[int], None]
) -> None:
    granted(8)
    measured: list[int] = []

    def nearly_alike(count: int) -> float:
        measured.append(count)
        return 1.04 if count == 4 else 1.0

    assert tuned_threads(tmp_path / "a", nearly_alike) == 8
    assert set(measured) == {8, 7, 4}
    assert tuned_threads(tmp_path / "b", lambda count: 1.0 / count) == 4
    assert tuned_threads(tmp_path / "c", lambda count: 2.0 if count == 7 else 1.0) == 7


def test_the_best_round_counts(tmp_path: Path, granted: Callable[[int], None]) -> None:
    granted(2)
    speeds = iter([0.1, 1.0, 2.0, 1.0, 0.1, 1.0])  # two threads, one, two, ...
    assert tuned_threads(tmp_path, lambda count: next(speeds)) == 2


def test_a_machine_is_measured_once_and_again_with_other_cores(
    tmp_path: Path, granted: Callable[[int], None]
) -> None:
    granted(4)
    assert tuned_threads(tmp_path, lambda count: 1.0 / count) == 2
    assert tuned_threads(tmp_path, unmeasured) == 2
    granted(6)
    assert tuned_threads(tmp_path, lambda count: float(count)) == 6


@pytest.mark.parametrize("kept", ["", "0", "5", "-1", "two", "\xff"])
def test_what_is_kept_is_not_believed_if_it_cannot_be(
    tmp_path: Path, granted: Callable[[int], None], kept: str
) -> None:
    granted(4)
    tuned_threads(tmp_path, lambda count: 1.0)
    (file,) = tmp_path.iterdir()
    file.write_text(kept, encoding="latin-1")
    assert tuned_threads(tmp_path, lambda count: 1.0 / count) == 2
    assert tuned_threads(tmp_path, unmeasured) == 2


def test_one_core_and_an_engine_that_keeps_nothing_are_not_measured(
    tmp_path: Path, granted: Callable[[int], None]
) -> None:
    granted(1)
    assert tuned_threads(tmp_path, unmeasured) == 1
    granted(4)
    assert tuned_threads(None, unmeasured) == 4


def test_a_folder_that_cannot_be_written_costs_only_the_memory(
    tmp_path: Path, granted: Callable[[int], None]
) -> None:
    granted(2)
    (tmp_path / "file").write_text("in the way")
    assert tuned_threads(tmp_path / "file", lambda count: float(count)) == 2


def test_the_real_measure_gives_a_count_that_is_granted(
    tmp_path: Path, granted: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_READ_BYTES", 1 << 20)
    monkeypatch.setattr(threads, "_NEAR_ROUNDS", 2)
    granted(2)
    assert tuned_threads(tmp_path) in (1, 2)


def test_the_environment_may_ask_for_threads() -> None:
    assert asked_threads({}) == 0
    assert asked_threads({"ASSISTANT_THREADS": ""}) == 0
    assert asked_threads({"ASSISTANT_THREADS": " 3 "}) == 3
    for wrong in ("three", "-1", "1.5", "²"):
        with pytest.raises(BadSetting, match="ASSISTANT_THREADS"):
            asked_threads({"ASSISTANT_THREADS": wrong})


LONE = """
import os, sys, threading, time
from pathlib import Path
from engine import Engine, EngineOptions, SamplingParams, model_home

tasks = lambda: len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
before, named = tasks(), threading.active_count()
options = EngineOptions(threads=3, kernel_cache=model_home() / "kernels")
engine = Engine.load(Path(sys.argv[1]), options)
for _ in engine.generate([300, 301, 302], SamplingParams(max_new_tokens=4, ignore_eos=True)):
    pass
ours = threading.active_count() - named
assert ours == 3, ours  # the engine's own and two helpers
late = time.monotonic() + 60  # threads that packed the weights take a moment to be gone
while tasks() != (before and before + ours):
    assert time.monotonic() < late, (before, tasks())
engine.close()
assert threading.active_count() == named
pools = [f"numba.np.ufunc.{name}" for name in ("omppool", "tbbpool", "workqueue")]
for module in ("torch", "transformers", *pools):
    assert module not in sys.modules, module
"""


def test_an_engine_runs_no_threads_but_its_own_and_no_torch(tmp_path: Path) -> None:
    shape = SHAPES["smollm2-135m"]
    config = replace(shape.config, layers=1, ffn=64, vocab_size=2048)
    make_random(replace(shape, config=config), "q8_0", tmp_path / "m.gguf")
    run = subprocess.run(
        [sys.executable, "-c", LONE, str(tmp_path / "m.gguf")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
