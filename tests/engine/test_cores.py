"""Threads of a team keep to their cores, when there is one for each."""

import os
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from gguf_files import write_qwen2

from engine import Engine, EngineOptions, SamplingParams
from engine.cores import keep_to, team_cores

GREEDY = SamplingParams(temperature=0, max_new_tokens=2)

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says where a thread may run")


@linux
def test_a_team_that_fills_the_granted_cores_has_one_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {6, 2, 4})
    assert team_cores(3) == [2, 4, 6]


@linux
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_team_that_does_not_fill_them_may_run_anywhere(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {6, 2, 4})
    assert team_cores(threads) == [None] * threads


def test_where_the_system_cannot_say_a_team_may_run_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert team_cores(2) == [None, None]


@linux
def test_a_thread_keeps_to_its_core_and_others_do_not() -> None:
    before = os.sched_getaffinity(0)
    core, found = max(before), []

    def keep() -> None:
        keep_to(core)
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=keep)
    thread.start()
    thread.join()
    assert found == [{core}]
    assert os.sched_getaffinity(0) == before


@linux
def test_a_core_that_was_taken_away_does_no_harm() -> None:
    before = os.sched_getaffinity(0)
    keep_to(1_000_000)
    assert os.sched_getaffinity(0) == before


@linux
def test_the_threads_of_an_engine_keep_to_different_cores_and_its_caller_to_none(
    tmp_path: Path,
) -> None:
    cores, before = sorted(os.sched_getaffinity(0)), set(threading.enumerate())
    options = EngineOptions(kv_type="f32", threads=len(cores))
    with closing(Engine.load(write_qwen2(tmp_path / "model.gguf").path, options)) as engine:
        list(engine.generate([1, 2, 3], GREEDY))  # every thread has begun
        threads = [each.native_id for each in set(threading.enumerate()) - before]
        kept = sorted(core for each in threads for core in os.sched_getaffinity(each or 0))
    assert kept == cores
    assert sorted(os.sched_getaffinity(0)) == cores
