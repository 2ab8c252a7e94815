"""The door: what every process sees, and that no secret lies in the file."""

import time
from base64 import b64encode, urlsafe_b64decode
from contextlib import closing
from pathlib import Path

import pytest
from access_files import PASSWORD, Clock, everything_in

from assistant.access.store import AccessStore, open_store


def test_no_secret_that_was_handed_out_lies_in_the_file(path: Path, store: AccessStore) -> None:
    handed_out = [PASSWORD, "a second password"]
    store.add_user("ann", PASSWORD)
    store.set_password("ann", "a second password")
    for _ in range(20):
        handed_out += [store.begin_session("ann", 60), store.make_link("ann")]
        handed_out.append(store.make_key("ann", "label").removeprefix("sk-"))
    store.use_link(handed_out[-2])
    store.end_session(handed_out[-3])
    found = everything_in(path)
    assert b"ann" in found
    assert b"label" in found
    for secret in handed_out:
        assert secret.encode() not in found
        assert b64encode(secret.encode()) not in found
    for token in handed_out[2:]:
        assert urlsafe_b64decode(token + "=") not in found
        assert len(urlsafe_b64decode(token + "=")) == 32


def test_the_secret_that_signs_is_made_once_and_is_another_elsewhere(
    path: Path, store: AccessStore, tmp_path: Path
) -> None:
    with closing(AccessStore(path)) as again, closing(AccessStore(tmp_path / "b.db")) as other:
        assert store.secret() == store.secret() == again.secret()
        assert len(store.secret()) == 32
        assert other.secret() != store.secret()


def test_what_one_process_writes_another_sees(path: Path, store: AccessStore, clock: Clock) -> None:
    with closing(AccessStore(path, clock)) as other:
        store.add_user("ann", None)
        assert other.user("ann") == store.user("ann")
        token = other.begin_session("ann", 60)
        assert store.session(token) is not None
        store.remove_user("ann")
        assert other.session(token) is None


def test_all_have_it_in_the_assistants_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    with closing(open_store()) as store:
        before = time.time()
        assert before <= store.add_user("ann", None).created <= time.time()
    assert (tmp_path / "home" / "access.db").is_file()
