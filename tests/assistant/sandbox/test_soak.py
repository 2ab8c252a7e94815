"""A short soak; the long one is `python -m tests.soak`."""

from pathlib import Path

from soak import soak


def test_after_many_runs_and_hostile_ones_nothing_is_left(tmp_path: Path) -> None:
    outcome = soak(tmp_path, n_sessions=6, n_runs=60, seconds=600)
    assert sum(outcome.ended.values()) == 60
    assert outcome.ended["ok"] > 20
    assert outcome.left == {}
    assert outcome.memory[-1] < outcome.memory[0] + (300 << 20)
