"""Failed sign-ins make the next ones wait, and nobody for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from access_files import Clock

from assistant.access.throttle import FORGOTTEN_AFTER, LONGEST, MOST_RECORDS, Throttle, network

HERE, THERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def fail(throttle: Throttle, times: int, address: str = HERE, name: str = "ann") -> None:
    for _ in range(times):
        assert throttle.admit(address, name) == 0


def fail_long(throttle: Throttle, clock: Clock, address: str = HERE, name: str = "ann") -> None:
    """As often as it takes for the delay to be the longest."""
    for _ in range(12):
        clock.forward(throttle.admit(address, name))
        throttle.admit(address, name)


def test_a_few_mistakes_cost_nothing_and_then_each_doubles_the_wait(
    throttle: Throttle, clock: Clock
) -> None:
    fail(throttle, 3)
    for delay in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        assert throttle.admit(HERE, "ann") == delay
        clock.forward(delay - 0.5)
        assert throttle.admit(HERE, "ann") == 0.5
        clock.forward(0.5)
        assert throttle.admit(HERE, "ann") == 0


def test_asking_in_vain_makes_nothing_longer(throttle: Throttle, clock: Clock) -> None:
    fail(throttle, 3)
    for _ in range(100):
        assert throttle.admit(HERE, "ann") == 1
    clock.forward(1)
    assert throttle.admit(HERE, "ann") == 0


def test_an_address_waits_whatever_names_it_tries(throttle: Throttle) -> None:
    for name in ("ann", "bob", "eve"):
        fail(throttle, 1, name=name)
    assert throttle.admit(HERE, "somebody else") == 1
    assert throttle.admit(THERE, "somebody else") == 0


def test_a_name_waits_from_whatever_addresses_it_is_tried(throttle: Throttle) -> None:
    for last in range(3):
        fail(throttle, 1, address=f"203.0.113.{last}")
    assert throttle.admit(THERE, "ann") == 1
    assert throttle.admit(THERE, "ANN") == 1
    assert throttle.admit(THERE, "bob") == 0


def test_the_wait_has_an_end_however_many_fail(throttle: Throttle, clock: Clock) -> None:
    fail_long(throttle, clock)
    for _ in range(2000):
        clock.forward(LONGEST)
        assert throttle.admit(HERE, "ann") == 0
    assert throttle.admit(HERE, "ann") == LONGEST


def test_where_the_owner_has_signed_in_others_failures_keep_nobody_out(
    throttle: Throttle, clock: Clock
) -> None:
    fail(throttle, 1)
    throttle.succeeded(HERE, "Ann")
    fail_long(throttle, clock, address=THERE)
    assert throttle.admit("203.0.113.9", "ann") == LONGEST
    assert throttle.admit(HERE, "ann") == 0


def test_that_address_itself_still_waits_for_its_own(throttle: Throttle, clock: Clock) -> None:
    fail(throttle, 1)
    throttle.succeeded(HERE, "ann")
    fail_long(throttle, clock)
    assert throttle.admit(HERE, "ann") == LONGEST


def test_signing_in_washes_off_no_guesses_at_other_names(throttle: Throttle, clock: Clock) -> None:
    """Whoever has an account could else guess at others' without ever waiting."""
    for number in range(3):
        fail(throttle, 1, name=f"user{number}")
        if number < 2:
            fail(throttle, 1, name="mine")
            throttle.succeeded(HERE, "mine")
    assert throttle.admit(HERE, "user3") == 1


def test_signing_in_costs_nothing_however_often(throttle: Throttle) -> None:
    for _ in range(100):
        fail(throttle, 1)
        throttle.succeeded(HERE, "ann")


def test_signing_in_forgives_the_name(throttle: Throttle) -> None:
    fail(throttle, 2, address=THERE)
    fail(throttle, 1)
    throttle.succeeded(HERE, "ann")
    fail(throttle, 1, address="203.0.113.9")


def test_an_hour_of_quiet_is_enough(throttle: Throttle, clock: Clock) -> None:
    fail_long(throttle, clock)
    clock.forward(FORGOTTEN_AFTER)
    fail(throttle, 3)
    assert throttle.admit(HERE, "ann") == 1


def test_attempts_at_once_are_not_let_in_before_the_first_has_failed(throttle: Throttle) -> None:
    start = threading.Barrier(20)

    def attempt(_: int) -> float:
        start.wait(60)
        return throttle.admit(HERE, "ann")

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(attempt, range(20))).count(0) == 3


def test_what_is_remembered_has_a_limit(throttle: Throttle, clock: Clock) -> None:
    for number in range(MOST_RECORDS):
        clock.forward(0.001)
        throttle.admit(f"10.0.{number >> 8}.{number & 255}", f"user{number}")
        throttle.succeeded(f"10.1.{number >> 8}.{number & 255}", f"user{number}")
        throttle.admit(f"10.2.{number >> 8}.{number & 255}", "x" * 1_000_000)
    assert len(throttle._records) <= MOST_RECORDS + 2
    assert len(throttle._friends) <= 1000
    assert max(len(key) for _, key in throttle._records) <= 64


@pytest.mark.parametrize(
    ("address", "seen_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("not an address", "not an address"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_one_person_has_one_network(address: str, seen_as: str) -> None:
    assert network(address) == seen_as
