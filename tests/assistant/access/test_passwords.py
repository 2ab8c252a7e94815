"""Passwords: the rules, what is kept, and that a check tells nothing by its time."""

import unicodedata

import pytest
from access_files import PASSWORD
from argon2 import PasswordHasher, extract_parameters

from assistant.access import passwords
from assistant.access.passwords import hash_password, is_password, renewed_hash
from assistant.access.store import AccessStore
from assistant.errors import PasswordTooLong, PasswordTooShort

CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


class Watched:
    """The hasher, noting what it verifies."""

    def __init__(self) -> None:
        self.verified: list[str] = []
        self._real = passwords._HASHER

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def verify(self, kept: str, secret: bytes) -> bool:
        self.verified.append(kept)
        return self._real.verify(kept, secret)


def test_ten_characters_are_enough_and_nine_are_not() -> None:
    with pytest.raises(PasswordTooShort, match="at least 10 characters"):
        hash_password("x" * 9)
    assert is_password("x" * 10, hash_password("x" * 10))
    assert is_password("密码" * 5, hash_password("密码" * 5))


@pytest.mark.parametrize("password", ["x" * 1025, "密" * 342, "x" * 10_000_000])
def test_more_than_1024_bytes_are_too_many(password: str) -> None:
    with pytest.raises(PasswordTooLong, match="at most 1024 bytes"):
        hash_password(password)
    assert not is_password(password, hash_password(PASSWORD))


def test_1024_bytes_all_count() -> None:
    kept = hash_password("x" * 1024)
    assert is_password("x" * 1024, kept)
    assert not is_password("x" * 1023 + "y", kept)


@pytest.mark.parametrize("password", ["with\0zero bytes", "\ud800 half a pair", " 10 blanks "])
def test_any_characters_count(password: str) -> None:
    kept = hash_password(password)
    assert is_password(password, kept)
    assert not is_password(password[:-1], kept)
    assert not is_password(password.partition("\0")[0] + "\0", kept)


def test_an_accented_letter_may_be_typed_in_two_ways() -> None:
    one, two = (unicodedata.normalize(form, "crème brûlée") for form in ("NFC", "NFD"))
    assert one != two
    assert is_password(two, hash_password(one))


def test_the_same_password_is_never_kept_alike() -> None:
    assert hash_password(PASSWORD) != hash_password(PASSWORD)


def test_what_is_kept_is_argon2id_and_costs_what_owasp_asks() -> None:
    kept = extract_parameters(hash_password(PASSWORD))
    assert kept.type.name == "ID"
    assert (kept.memory_cost, kept.time_cost, kept.parallelism) == (47104, 1, 1)


def test_a_check_does_the_same_work_whoever_is_asked_for(
    store: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_user("ann", PASSWORD)
    store.add_user("bob", None)
    watched = Watched()
    monkeypatch.setattr(passwords, "_HASHER", watched)
    for name in ("ann", "bob", "nobody", "no name at all"):
        assert store.check_password(name, "the wrong one") is None
    assert len(watched.verified) == 4
    assert len({str(extract_parameters(each)) for each in watched.verified}) == 1


def test_no_password_opens_an_account_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = hash_password(PASSWORD)
    monkeypatch.setattr(passwords, "_nobodys", lambda: kept)
    assert not is_password(PASSWORD, None)


def test_a_hash_of_other_costs_is_made_anew_when_its_password_comes(
    store: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(passwords, "_HASHER", CHEAP)
        store.add_user("ann", PASSWORD)
    watched = Watched()
    monkeypatch.setattr(passwords, "_HASHER", watched)
    assert store.check_password("ann", "the wrong one") is None
    assert store.check_password("ann", PASSWORD) is not None
    assert store.check_password("ann", PASSWORD) is not None
    cheap, still_cheap, dear = (extract_parameters(each) for each in watched.verified)
    assert cheap == still_cheap == extract_parameters(CHEAP.hash("x"))
    assert dear.memory_cost == 47104


def test_a_password_made_under_older_rules_can_be_renewed() -> None:
    assert renewed_hash("short", CHEAP.hash("short"))
    assert renewed_hash(PASSWORD, hash_password(PASSWORD)) is None


def test_a_hash_that_cannot_be_read_opens_nothing_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not is_password(PASSWORD, PASSWORD)
    assert "set the password again" in caplog.text
    assert PASSWORD not in caplog.text
