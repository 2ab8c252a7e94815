"""Signing in by password: slowed, logged without what was typed, and alike for every name."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from access_files import PASSWORD, Clock
from patience import until

from assistant.access.doorkeeper import MOST_AT_ONCE, Doorkeeper
from assistant.access.store import AccessStore
from assistant.access.users import User
from assistant.errors import AssistantError, TooManyAttempts, WrongPassword

HERE = "192.0.2.1"


@pytest.fixture
def door(store: AccessStore, clock: Clock, caplog: pytest.LogCaptureFixture) -> Doorkeeper:
    caplog.set_level(logging.DEBUG)
    store.add_user("ann", PASSWORD)
    store.add_user("bob", None)
    return Doorkeeper(store, clock)


def refusal(door: Doorkeeper, name: str, password: str, address: str = HERE) -> AssistantError:
    with pytest.raises(AssistantError) as caught:
        door.check(name, password, address)
    return caught.value


def test_the_right_password_is_let_in_and_noted(
    door: Doorkeeper, store: AccessStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert door.check("Ann", PASSWORD, HERE) == store.user("ann")
    assert caplog.messages == ["signed in by password: ann from 192.0.2.1"]


@pytest.mark.parametrize("name", ["ann", "bob", "nobody", "", "\ud800\x1b[31m\n", "x" * 100_000])
def test_a_refusal_says_the_same_whoever_is_asked_for(door: Doorkeeper, name: str) -> None:
    refusals = [refusal(door, name, "the wrong one") for _ in range(4)]
    assert [type(each) for each in refusals] == [*[WrongPassword] * 3, TooManyAttempts]
    assert str(refusals[0]) == "The name or the password is wrong."
    assert str(refusals[3]) == "Too many attempts to sign in. Try again in 1 s."


def test_not_even_the_right_password_is_looked_at_while_one_has_to_wait(
    door: Doorkeeper, clock: Clock
) -> None:
    for _ in range(3):
        refusal(door, "ann", "the wrong one")
    assert isinstance(refusal(door, "ann", PASSWORD), TooManyAttempts)
    clock.forward(1)
    assert door.check("ann", PASSWORD, HERE)


def test_signing_in_again_and_again_is_no_failure(door: Doorkeeper) -> None:
    for _ in range(5):
        assert door.check("ann", PASSWORD, HERE)


def test_the_log_tells_of_failures_and_nothing_that_was_typed(
    door: Doorkeeper, caplog: pytest.LogCaptureFixture
) -> None:
    refusal(door, "ann", "my typed password")
    refusal(door, "typed-in-the-wrong-field", "", address="2001:db8::1\nforged")
    assert caplog.messages[0] == "sign-in failed: wrong password for ann from 192.0.2.1"
    assert caplog.messages[1].startswith("sign-in failed: wrong password for a name that nobody")
    assert "typed" not in caplog.text
    assert caplog.records[0].levelname == "WARNING"
    assert "\n" not in caplog.messages[1]


class SlowStore:
    """Checks passwords until told to be done."""

    def __init__(self) -> None:
        self.asked = 0
        self.done = threading.Event()

    def check_password(self, name: str, password: str) -> User | None:
        self.asked += 1
        assert self.done.wait(60)
        return None

    def user(self, name: str) -> User | None:
        return None


@pytest.fixture
def slow() -> Iterator[SlowStore]:
    store = SlowStore()
    yield store
    store.done.set()


def test_a_crowd_is_turned_away_rather_than_kept_waiting(slow: SlowStore, clock: Clock) -> None:
    door = Doorkeeper(slow, clock)
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        waiting = [
            pool.submit(refusal, door, f"user{each}", "", f"192.0.2.{each}")
            for each in range(MOST_AT_ONCE)
        ]
        until(lambda: slow.asked == MOST_AT_ONCE)
        assert isinstance(refusal(door, "ann", "", "198.51.100.1"), TooManyAttempts)
        slow.done.set()
        assert {type(each.result(60)) for each in waiting} == {WrongPassword}
    assert isinstance(refusal(door, "ann", "", "198.51.100.1"), WrongPassword)
