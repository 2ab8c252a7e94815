"""The account page: who one is, and keys that only their owner makes, sees once and revokes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gated import ALICE, BOB, Caller, House

from assistant.access.account import MOST_KEYS


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.close()


def make_key(caller: Caller, label: str = "laptop") -> str:
    reply = caller.post("/account/keys", {"form": caller.form("/account"), "label": label})
    found = re.search(r"<code>(sk-[^<]*)</code>", reply.text)
    return found[1] if found else ""


def test_it_says_who_one_is(house: House) -> None:
    assert "bob · user" in house.signed_in(BOB).get("/account").text
    assert "alice · 管理者" in house.signed_in(ALICE).get("/account", accept_language="zh").text
    assert "no sign-in is needed" in house.local().get("/account").text


def test_a_key_is_shown_once_and_opens_the_api(house: House) -> None:
    caller = house.signed_in(BOB)
    key = make_key(caller)
    assert house.stranger().ask("GET", "/v1/x", {"authorization": f"Bearer {key}"}).status == 200
    page = caller.get("/account").text
    assert "laptop" in page
    assert key not in page


def test_a_key_is_revoked_by_its_owner_only(house: House) -> None:
    bob, alice = house.signed_in(BOB), house.signed_in(ALICE)
    key = make_key(bob)
    (kept,) = house.store.keys(BOB)
    fields = {"id": kept.id}
    reply = alice.post("/account/keys/revoke", {"form": alice.form("/account"), **fields})
    assert reply.status == 404
    assert house.store.key_visitor(key) is not None
    assert bob.post("/account/keys/revoke", {"form": "x", **fields}).status == 403
    assert house.store.key_visitor(key) is not None
    reply = bob.post("/account/keys/revoke", {"form": bob.form("/account"), **fields})
    assert reply.status == 303
    assert house.store.key_visitor(key) is None


def test_there_is_an_end_to_how_many_keys_one_has(house: House) -> None:
    caller = house.signed_in(BOB)
    for number in range(MOST_KEYS):
        house.store.make_key(BOB, str(number))
    assert make_key(caller) == ""
    assert len(house.store.keys(BOB)) == MOST_KEYS


def test_a_label_is_shown_as_text(house: House) -> None:
    caller = house.signed_in(BOB)
    make_key(caller, '"><script>alert(1)</script>')
    assert "<script" not in caller.get("/account").text


def test_somebody_without_a_name_has_no_keys(house: House) -> None:
    caller = house.local()
    assert make_key(caller) == ""
    assert caller.post("/account/keys", {"form": caller.form("/signin")}).status in (303, 403)


def test_no_page_with_a_key_is_kept(house: House) -> None:
    caller = house.signed_in(BOB)
    reply = caller.post("/account/keys", {"form": caller.form("/account"), "label": "x"})
    assert "sk-" in reply.text
    assert reply["cache-control"] == "no-store"
