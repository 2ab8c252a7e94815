"""What breaks off the waiting of the process that shares."""

import os
import signal
import subprocess
import sys

import pytest
from patience import PATIENCE

from assistant.errors import TunnelSlow
from assistant.tunnel.tunnel import Broken
from assistant.tunnel.watch import Reason, Stopped, Watch, interruptible

WAITING = """
import os, signal, sys
{before}
from assistant.tunnel.watch import Stopped, Watch
middle = os.fork()
if middle:  # the parent of whoever watches: gone when it is told to
    os.read(0, 1)
    os._exit(0)
watch = Watch()
parent = os.getppid()
print("watching", flush=True)
try:
    while os.getppid() == parent:
        watch.pause(0.05)
    for _ in range(3):
        watch.pause(0.05)
    print("survived", flush=True)
except Stopped as stopped:
    print(stopped.reason.name, flush=True)
"""


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGINT, Reason.INTERRUPTED),
        (signal.SIGTERM, Reason.TOLD),
        (signal.SIGHUP, Reason.TOLD),
    ],
)
def test_a_signal_ends_the_waiting_and_nothing_else(number: int, reason: Reason) -> None:
    watch = Watch()
    with watch.signals():
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped) as stopped:
            watch.next(PATIENCE)
    assert stopped.value.reason is reason


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Watch().signals():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


def test_ctrl_z_does_not_stop_it() -> None:
    with Watch().signals():
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL


def test_what_the_tunnel_says_comes_in_order() -> None:
    watch = Watch()
    notices = [Broken(None, TunnelSlow(seconds=seconds)) for seconds in (1, 2)]
    for notice in notices:
        watch.tell(notice)
    assert [watch.next(PATIENCE), watch.next(PATIENCE)] == notices
    assert watch.next(0) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_anything_is_started_every_signal_clears_up_like_ctrl_c(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("before", "word"),
    [
        ("", "ORPHANED"),
        ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", "survived"),
    ],
)
def test_a_parent_that_goes_ends_it_unless_nohup_was_asked_for(before: str, word: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING.format(before=before)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "watching\n"
    process.stdin.write("x")
    process.stdin.flush()
    assert process.stdout.readline() == word + "\n"
    process.communicate()
