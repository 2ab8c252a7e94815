"""Keys: one program each, seen once, ended alone."""

import pytest
from access_files import Clock

from assistant.access.keys import Key
from assistant.access.store import AccessStore
from assistant.access.visitor import Access, Visitor
from assistant.errors import UnknownKey, UnknownUser


@pytest.fixture(autouse=True)
def _users(store: AccessStore) -> None:
    store.add_user("ann", None)
    store.add_user("bob", None)


def test_a_key_is_its_users_and_no_sign_in(store: AccessStore) -> None:
    assert store.key_visitor(store.make_key("ann", "")) == Visitor("ann", Access.OPERATOR, "")
    assert store.key_visitor(store.make_key("bob", "")) == Visitor("bob", Access.USER, "")


def test_what_is_shown_of_a_key_is_enough_to_know_it_by(store: AccessStore, clock: Clock) -> None:
    key = store.make_key("ann", "laptop")
    (shown,) = store.keys("ann")
    assert shown == Key(shown.id, "ann", "laptop", key[:7], clock.now, None)
    assert key.startswith("sk-")
    assert len(key) == 46
    assert store.keys("bob") == []


@pytest.mark.parametrize("wrong", ["", "sk-", "{key}x", " {key}", "SK-{rest}", "{rest}", "{shown}"])
def test_nearly_a_key_is_none(store: AccessStore, wrong: str) -> None:
    key = store.make_key("ann", "")
    assert store.key_visitor(wrong.format(key=key, rest=key[3:], shown=key[:7])) is None


def test_its_last_use_is_noted_to_the_minute(store: AccessStore, clock: Clock) -> None:
    key, other = store.make_key("ann", "used"), store.make_key("ann", "other")
    clock.forward(5)
    store.key_visitor(key)
    first = clock.now
    clock.forward(59)
    store.key_visitor(key)
    assert {each.label: each.used for each in store.keys("ann")} == {"used": first, "other": None}
    clock.forward(1)
    store.key_visitor(key)
    assert {each.label: each.used for each in store.keys("ann")}["used"] == clock.now
    assert store.key_visitor(other) is not None


def test_a_clock_that_was_set_back_stops_no_note(store: AccessStore, clock: Clock) -> None:
    key = store.make_key("ann", "")
    store.key_visitor(key)
    clock.forward(-1000)
    store.key_visitor(key)
    assert store.keys("ann")[0].used == clock.now


def test_a_revoked_key_opens_nothing_and_the_others_stay(store: AccessStore) -> None:
    first, second = store.make_key("ann", "first"), store.make_key("ann", "second")
    ids = {each.label: each.id for each in store.keys("ann")}
    store.revoke_key("ANN", ids["first"])
    assert store.key_visitor(first) is None
    assert store.key_visitor(second) is not None
    assert [each.label for each in store.keys("ann")] == ["second"]


def test_nobody_revokes_anothers_key(store: AccessStore) -> None:
    key = store.make_key("ann", "")
    with pytest.raises(UnknownKey):
        store.revoke_key("bob", store.keys("ann")[0].id)
    assert store.key_visitor(key) is not None


@pytest.mark.parametrize("key_id", ["", "x", "\ud800", "%", "' OR 1 --", "x" * 100_000])
def test_there_is_no_such_key(store: AccessStore, key_id: str) -> None:
    key = store.make_key("ann", "")
    with pytest.raises(UnknownKey) as caught:
        store.revoke_key("ann", key_id)
    assert len(str(caught.value)) < 300
    assert store.key_visitor(key) is not None


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ("  my laptop ", "my laptop"),
        ("\x1b[31mred\x07\r\n", "[31mred"),
        ("left\u202eright\ud800", "leftright"),
        ("x" * 1000, "x" * 64),
        ("笔记本", "笔记本"),
    ],
)
def test_a_label_can_do_nothing_to_a_terminal(store: AccessStore, label: str, kept: str) -> None:
    store.make_key("ann", label)
    assert store.keys("ann")[0].label == kept


def test_there_are_none_for_nobody(store: AccessStore) -> None:
    with pytest.raises(UnknownUser):
        store.make_key("eve", "")
