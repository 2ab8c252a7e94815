"""Threads that share work by counters and wait for each other at barriers."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
from kernel_memory import follow_steps, lead_steps, work_in_phases

from engine.kernels import team


def run(threads: int, work: Callable[[int], object]) -> None:
    """Run `work(thread)` on so many threads at once."""
    members = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for member in members:
        member.start()
    for member in members:
        member.join()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_piece_is_done_once_and_no_phase_begins_before_the_last_has_ended(
    threads: int,
) -> None:
    phases, pieces = 200, 20
    control = np.zeros(team.COUNTERS + phases, np.int64)
    done = np.zeros((phases, pieces), np.int64)
    wrong = np.zeros(threads, np.int64)
    run(threads, lambda thread: work_in_phases(control, threads, done, wrong, thread))
    assert not wrong.any()
    assert (done == 1).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_helpers_take_part_in_every_step_and_sleep_when_told(threads: int) -> None:
    steps = 100
    control = np.zeros(team.COUNTERS + 1, np.int64)
    control[team.ACTIVE] = 1
    log = np.zeros((steps + 1, threads), np.int64)
    seen = [0] * threads

    def work(thread: int) -> None:
        if thread == 0:
            lead_steps(control, threads, steps, log)
            control[team.ACTIVE] = 0
        else:
            seen[thread] = follow_steps(control, threads, thread, log, 0)

    run(threads, work)
    assert seen[1:] == [steps] * (threads - 1)
    assert (log == np.arange(steps + 1)[:, None]).all()


def test_the_counters_of_a_step_start_at_nothing() -> None:
    control = np.zeros(team.COUNTERS + 2, np.int64)
    assert [team.take(control, phase, 5) for phase in (1, 1, 0, 1)] == [0, 5, 0, 10]
    team.open_step(control)
    assert [team.take(control, phase, 5) for phase in (1, 0)] == [0, 0]
