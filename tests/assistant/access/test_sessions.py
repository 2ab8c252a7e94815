"""Sign-ins: a token each, which ends when it should."""

import pytest
from access_files import Clock

from assistant.access.sessions import WEEK
from assistant.access.store import AccessStore
from assistant.access.visitor import Access, Visitor
from assistant.errors import UnknownUser


@pytest.fixture(autouse=True)
def _users(store: AccessStore) -> None:
    store.add_user("ann", None)
    store.add_user("bob", None)


def test_a_token_is_its_users_and_tells_their_role(store: AccessStore) -> None:
    ann, bob = (
        store.session(store.begin_session("ann", 60)),
        store.session(store.begin_session("bob", 60)),
    )
    assert ann is not None
    assert bob is not None
    assert ann == Visitor("ann", Access.OPERATOR, ann.session)
    assert bob == Visitor("bob", Access.USER, bob.session)


def test_every_sign_in_has_a_token_and_a_public_id_of_its_own(store: AccessStore) -> None:
    tokens = [store.begin_session("ann", 60) for _ in range(5)]
    ids = {visitor.session for each in tokens if (visitor := store.session(each))}
    assert len(set(tokens)) == len(ids) == 5
    assert all(len(token) == 43 for token in tokens)
    assert not ids & set(tokens)


def test_a_public_id_opens_nothing(store: AccessStore) -> None:
    visitor = store.session(store.begin_session("ann", 60))
    assert visitor is not None
    assert store.session(visitor.session) is None


@pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "x" * 100_000, "' OR 1 --", "安"])
def test_what_is_no_token_is_nobodys(store: AccessStore, token: str) -> None:
    store.begin_session("ann", 60)
    assert store.session(token) is None
    assert store.use_link(token) is None
    assert store.key_visitor(token) is None
    store.end_session(token)


def test_a_token_of_one_kind_is_none_of_another(store: AccessStore) -> None:
    session, link, key = (
        store.begin_session("ann", 60),
        store.make_link("ann"),
        store.make_key("ann", ""),
    )
    assert store.session(link) is store.session(key) is None
    assert store.key_visitor(session) is store.key_visitor(link) is None
    assert store.use_link(session) is store.use_link(key) is None


def test_it_ends_at_its_time_however_much_it_is_used(store: AccessStore, clock: Clock) -> None:
    token = store.begin_session("ann", 60)
    clock.forward(59.9)
    assert store.session(token) is not None
    clock.forward(0.1)
    assert store.session(token) is None


def test_it_lasts_a_week_unless_said_otherwise(store: AccessStore, clock: Clock) -> None:
    token = store.begin_session("ann")
    clock.forward(WEEK - 1)
    assert store.session(token) is not None
    clock.forward(1)
    assert store.session(token) is None


def test_those_that_are_over_are_not_kept(store: AccessStore, clock: Clock) -> None:
    over = store.session(store.begin_session("ann", 60))
    assert over is not None
    clock.forward(60)
    store.begin_session("ann", 60)
    clock.forward(-60)
    assert len(store._database.rows("SELECT * FROM sessions")) == 1


def test_signing_out_ends_this_one_and_no_other(store: AccessStore) -> None:
    here, there = store.begin_session("ann", 60), store.begin_session("ann", 60)
    store.end_session(here)
    assert store.session(here) is None
    assert store.session(there) is not None


def test_all_of_a_users_can_be_ended_at_once(store: AccessStore) -> None:
    here, there, bobs = (store.begin_session(name, 60) for name in ("ann", "ann", "bob"))
    store.end_sessions("ann")
    assert store.session(here) is store.session(there) is None
    assert store.session(bobs) is not None


def test_nobody_signs_in_as_nobody(store: AccessStore) -> None:
    with pytest.raises(UnknownUser):
        store.begin_session("eve", 60)
    with pytest.raises(UnknownUser):
        store.begin_session("", 60)
