"""One-time links: once, in time, whoever else asks at the same moment."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from access_files import Clock

from assistant.access.links import TEN_MINUTES
from assistant.access.store import AccessStore
from assistant.errors import UnknownUser

ROOT = Path(__file__).parents[3]
AT_ONCE = 20
USER = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from assistant.access.store import AccessStore
store = AccessStore(Path(sys.argv[1]), lambda: float(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
start = threading.Barrier(10)
def use(_):
    start.wait(60)
    return store.use_link(sys.argv[2]) is not None
with ThreadPoolExecutor(10) as pool:
    print(sum(pool.map(use, range(10))))
store.close()
"""


@pytest.fixture(autouse=True)
def _users(store: AccessStore) -> None:
    store.add_user("ann", None)
    store.add_user("bob", None)


def test_a_link_is_its_users_and_works_once(store: AccessStore) -> None:
    first, second = store.make_link("bob"), store.make_link("bob")
    assert store.use_link(first) == store.user("bob")
    assert store.use_link(first) is None
    assert store.use_link(second) == store.user("bob")


def test_it_is_too_late_after_ten_minutes(store: AccessStore, clock: Clock) -> None:
    in_time, late = store.make_link("ann"), store.make_link("ann")
    clock.forward(TEN_MINUTES - 0.1)
    assert store.use_link(in_time) is not None
    clock.forward(0.1)
    assert store.use_link(late) is None
    clock.forward(-TEN_MINUTES)
    assert store.use_link(late) is None  # and it is gone


def test_those_that_are_over_are_not_kept(store: AccessStore, clock: Clock) -> None:
    store.make_link("ann")
    clock.forward(TEN_MINUTES)
    store.make_link("ann")
    assert len(store._database.rows("SELECT * FROM links")) == 1


def test_there_are_none_for_nobody(store: AccessStore) -> None:
    with pytest.raises(UnknownUser):
        store.make_link("eve")


def test_of_many_threads_that_use_one_at_once_one_gets_in(store: AccessStore) -> None:
    start = threading.Barrier(AT_ONCE)

    def use(token: str) -> bool:
        start.wait(60)
        return store.use_link(token) is not None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(10):
            link = store.make_link("ann")
            assert sum(pool.map(use, [link] * AT_ONCE)) == 1


def test_of_two_processes_that_use_one_at_once_one_gets_in(
    store: AccessStore, path: Path, clock: Clock
) -> None:
    link = store.make_link("ann")
    users = [
        subprocess.Popen(
            [sys.executable, "-c", USER, str(path), link, str(clock.now)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(2)
    ]
    for user in users:
        assert user.stdout is not None
        assert user.stdout.readline() == "ready\n"
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda user: user.communicate("\n", timeout=60)[0], users))
    assert sum(map(int, answers)) == 1
    assert store.use_link(link) is None
