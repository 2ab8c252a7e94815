"""Sharing: what one process says and every other sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from access_files import Clock, change

from assistant.access.sharing import Allowance, Sharing
from assistant.access.store import AccessStore

URL = "https://calm-river.example"
HOUR = 3600.0


@pytest.fixture
def app(path: Path, store: AccessStore, clock: Clock) -> Iterator[AccessStore]:
    """The same file as another process has it open."""
    other = AccessStore(path, clock)
    yield other
    other.close()


@pytest.fixture(autouse=True)
def _shared(store: AccessStore, clock: Clock) -> None:
    store.begin_sharing(URL, clock.now + HOUR, frozenset({Allowance.RISKY_TOOLS}), 4711)


def test_all_see_where_since_when_until_when_and_what_is_allowed(
    app: AccessStore, clock: Clock
) -> None:
    allows = frozenset({Allowance.RISKY_TOOLS})
    assert app.sharing() == Sharing(URL, clock.now, clock.now + HOUR, allows, 4711)


def test_nothing_is_shared_before_it_began_or_after_it_ended(
    tmp_path: Path, store: AccessStore, app: AccessStore
) -> None:
    other = AccessStore(tmp_path / "other.db")
    assert other.sharing() is None
    other.beat(URL)
    other.ask_stop()
    assert other.sharing() is None
    assert not other.stop_asked()
    other.close()
    store.end_sharing()
    assert app.sharing() is None
    store.end_sharing()


def test_beats_keep_it_and_it_is_over_a_minute_after_the_last(
    store: AccessStore, app: AccessStore, clock: Clock
) -> None:
    for _ in range(3):
        clock.forward(60)
        assert app.sharing() is not None
        store.beat()
    clock.forward(60.1)
    assert app.sharing() is None
    store.beat()
    assert app.sharing() is not None


def test_it_is_over_at_its_end_whatever_beats(
    store: AccessStore, app: AccessStore, clock: Clock
) -> None:
    clock.forward(HOUR - 1)
    store.beat()
    assert app.sharing() is not None
    clock.forward(1)
    store.beat()
    assert app.sharing() is None


def test_a_beat_can_tell_a_new_address_and_changes_nothing_else(
    store: AccessStore, app: AccessStore, clock: Clock
) -> None:
    before = app.sharing()
    assert before is not None
    clock.forward(30)
    store.beat("https://new.example")
    store.beat()
    after = app.sharing()
    assert after is not None
    assert after.url == "https://new.example"
    assert (after.since, after.until, after.allows) == (before.since, before.until, before.allows)


def test_a_page_can_ask_the_sharing_process_to_stop(store: AccessStore, app: AccessStore) -> None:
    assert not store.stop_asked()
    app.ask_stop()
    assert store.stop_asked()
    store.beat()
    assert store.stop_asked()


def test_sharing_anew_asks_nobody_to_stop(store: AccessStore, clock: Clock) -> None:
    store.ask_stop()
    store.begin_sharing(URL, clock.now + HOUR, frozenset(), 1)
    assert not store.stop_asked()
    assert store.sharing() == Sharing(URL, clock.now, clock.now + HOUR, frozenset(), 1)


def test_any_set_of_allowances_comes_back(store: AccessStore, clock: Clock) -> None:
    for allows in (frozenset(Allowance), frozenset({Allowance.OPERATOR_PAGES}), frozenset()):
        store.begin_sharing(URL, clock.now + HOUR, frozenset(allows), 1)
        found = store.sharing()
        assert found is not None
        assert found.allows == allows


def test_an_allowance_that_is_not_known_allows_nothing(app: AccessStore, path: Path) -> None:
    change(path, "UPDATE sharing SET allows = 'everything operator-pages'")
    found = app.sharing()
    assert found is not None
    assert found.allows == {Allowance.OPERATOR_PAGES}
