"""Users: who there is, what they are, and what ends with them."""

import pytest
from access_files import PASSWORD, Clock

from assistant.access.store import AccessStore
from assistant.access.users import User
from assistant.access.visitor import Access
from assistant.errors import BadUserName, LastOperator, PasswordTooShort, UnknownUser, UserExists

HOSTILE_NAMES = ["", " ", "ann bob", "../ann", "-ann", ".ann", "a" * 65, "änn", "\u212ann"]
HOSTILE_NAMES += ["ann\n", "ann\0", "\ud800", "%", "ann';--", "a:b", "安"]


@pytest.mark.parametrize("asked", [None, Access.USER, Access.OPERATOR])
def test_the_first_user_is_the_operator(store: AccessStore, asked: Access | None) -> None:
    assert store.add_user("ann", None, asked).access is Access.OPERATOR


def test_later_users_are_what_was_asked_for(store: AccessStore, clock: Clock) -> None:
    store.add_user("ann", None)
    clock.forward(1)
    store.add_user("bob", None)
    clock.forward(1)
    store.add_user("aaron", PASSWORD, Access.OPERATOR)
    assert store.users() == [
        User("ann", Access.OPERATOR, clock.now - 2, has_password=False),
        User("bob", Access.USER, clock.now - 1, has_password=False),
        User("aaron", Access.OPERATOR, clock.now, has_password=True),
    ]


@pytest.mark.parametrize("name", ["a", "0", "ann.b_c@example.org", "x+y-z", "a" * 64])
def test_a_name_may_have_what_addresses_have(store: AccessStore, name: str) -> None:
    assert store.add_user(name, None).name == name


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_other_name_is_refused_and_is_nobodys(store: AccessStore, name: str) -> None:
    store.add_user("kann", None)
    with pytest.raises(BadUserName, match="cannot be a user's name"):
        store.add_user(name, None)
    assert store.user(name) is None
    assert store.check_password(name, PASSWORD) is None
    assert store.keys(name) == []
    store.end_sessions(name)
    for act in (store.remove_user, store.make_link):
        with pytest.raises(UnknownUser):
            act(name)
    assert [user.name for user in store.users()] == ["kann"]


def test_capitals_make_no_other_user(store: AccessStore) -> None:
    assert store.add_user("Ann", PASSWORD).name == "ann"
    with pytest.raises(UserExists, match="ann already"):
        store.add_user("ANN", None)
    assert store.user("aNN") == store.check_password("ANN", PASSWORD) == store.users()[0]
    assert (visitor := store.session(store.begin_session("ANN", 60)))
    assert visitor.name == "ann"
    store.remove_user("ANN")
    assert store.users() == []


def test_a_bad_password_makes_no_user(store: AccessStore) -> None:
    with pytest.raises(PasswordTooShort):
        store.add_user("ann", "too short")
    assert store.users() == []


def test_only_the_right_password_of_the_right_user_is_right(store: AccessStore) -> None:
    ann = store.add_user("ann", PASSWORD)
    store.add_user("bob", "another password")
    store.add_user("eve", None)
    assert store.check_password("ann", PASSWORD) == ann
    for name, password in [
        ("ann", "another password"),
        ("ann", PASSWORD.upper()),
        ("ann", ""),
        ("bob", PASSWORD),
        ("eve", ""),
        ("eve", PASSWORD),
        ("nobody", PASSWORD),
    ]:
        assert store.check_password(name, password) is None


def test_a_new_password_ends_what_the_old_one_began(store: AccessStore) -> None:
    store.add_user("ann", PASSWORD)
    store.add_user("bob", None)
    session, link, key = (
        store.begin_session("ann", 60),
        store.make_link("ann"),
        store.make_key("ann", ""),
    )
    others = store.begin_session("bob", 60)
    others_link = store.make_link("bob")
    store.set_password("ann", "a different one")
    assert store.check_password("ann", PASSWORD) is None
    assert store.check_password("ann", "a different one") is not None
    assert store.session(session) is None
    assert store.use_link(link) is None
    assert store.key_visitor(key) is not None
    assert store.session(others) is not None
    assert store.use_link(others_link) is not None


def test_a_new_password_is_held_to_the_rules_and_needs_a_user(store: AccessStore) -> None:
    store.add_user("ann", PASSWORD)
    with pytest.raises(PasswordTooShort):
        store.set_password("ann", "short")
    with pytest.raises(UnknownUser, match="user list"):
        store.set_password("bob", PASSWORD)
    assert store.check_password("ann", PASSWORD) is not None


def test_with_a_user_go_their_sessions_links_and_keys(store: AccessStore) -> None:
    store.add_user("ann", None)
    store.add_user("bob", PASSWORD)
    session, link, key = (
        store.begin_session("bob", 60),
        store.make_link("bob"),
        store.make_key("bob", ""),
    )
    store.remove_user("bob")
    store.add_user("bob", None)  # somebody else of that name
    assert store.session(session) is None
    assert store.use_link(link) is None
    assert store.key_visitor(key) is None
    assert store.keys("bob") == []
    assert store.check_password("bob", PASSWORD) is None


def test_users_are_never_left_without_an_operator(store: AccessStore) -> None:
    store.add_user("ann", None)
    store.add_user("bob", None)
    with pytest.raises(LastOperator, match="Add another operator first"):
        store.remove_user("ann")
    store.add_user("eve", None, Access.OPERATOR)
    store.remove_user("ann")
    with pytest.raises(LastOperator):
        store.remove_user("eve")
    store.remove_user("bob")
    store.remove_user("eve")  # the last of all may go
    assert store.users() == []


def test_nobody_is_removed_twice(store: AccessStore) -> None:
    with pytest.raises(UnknownUser, match="'ann'"):
        store.remove_user("ann")
