"""A proxy that signs people in: believed where it is the one that asks, and nowhere else."""

import asyncio
from pathlib import Path

import pytest
from gated import ALICE, BOB, STRANGER, Caller, House, call

from assistant.access.gate import GateSettings
from assistant.access.proxy import HEADER, PROXIES, TrustedProxy, trusted_proxy
from assistant.access.store import AccessStore
from assistant.access.visitor import ACCESS_HEADER, VISITOR_HEADER
from assistant.errors import BadAccessSetting

NAME = "Cf-Access-Authenticated-User-Email"
PROXY = "10.0.0.5"
SITE = "chat.example.org"


def house(folder: Path, **environ: str) -> House:
    """The proxy is at 10.0.0.5, if nothing else is said."""
    store = AccessStore(folder / "access.db")
    proxy = trusted_proxy(store, {HEADER: NAME, PROXIES: PROXY, **environ})
    assert proxy is not None
    return House(folder, (proxy,), GateSettings(hosts=frozenset({SITE})))


def from_proxy(house: House, **said: str) -> Caller:
    caller = Caller(house.gate, client=PROXY)
    caller.headers = {name.replace("_", "-"): value for name, value in said.items()}
    return caller


def at_loopback(house: House) -> Caller:
    """A proxy on this machine, which keeps the Host and says for whom it asks, as cloudflared."""
    return Caller(house.gate, STRANGER, "127.0.0.1", SITE, {"cf-connecting-ip": STRANGER})


def test_whom_the_proxy_names_is_let_in_under_that_name(tmp_path: Path) -> None:
    here = house(tmp_path)
    assert from_proxy(here, **{NAME: BOB}).get("/").status == 200
    headers = here.inside.headers()
    assert (headers[VISITOR_HEADER], headers[ACCESS_HEADER]) == (BOB, "user")


def test_the_name_is_the_users_however_the_proxy_writes_it(tmp_path: Path) -> None:
    here = house(tmp_path)
    assert from_proxy(here, **{NAME.lower(): ALICE.upper()}).get("/").status == 200
    assert here.inside.headers()[VISITOR_HEADER] == ALICE


@pytest.mark.parametrize("client", [STRANGER, "10.0.0.6", "::ffff:10.0.0.6", "2001:db8::1", ""])
def test_from_anywhere_else_the_header_is_worth_nothing(tmp_path: Path, client: str) -> None:
    here = house(tmp_path)
    caller = from_proxy(here, **{NAME: ALICE})
    caller.client = client
    assert caller.ask("GET", "/", {}).status == 401
    assert here.inside.seen == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "nobody@example.org",
        f"{ALICE},{BOB}",
        f"{ALICE} ",
        "álice",
        "alice\xff",
        "%61lice",
    ],
)
def test_a_name_that_is_no_users_is_refused(tmp_path: Path, value: str) -> None:
    here = house(tmp_path)
    assert from_proxy(here, **{NAME: value}).ask("GET", "/", {}).status == 401


@pytest.mark.parametrize("second", ["", ALICE, BOB])
def test_a_header_that_is_sent_twice_is_refused(tmp_path: Path, second: str) -> None:
    here = house(tmp_path)
    reply = from_proxy(here).ask("GET", "/", {NAME: [BOB, second]})
    assert reply.status == 401
    assert from_proxy(here).ask("GET", "/", {NAME: [BOB]}).status == 200


def test_without_the_header_the_proxy_itself_is_nobody(tmp_path: Path) -> None:
    assert from_proxy(house(tmp_path)).ask("GET", "/", {}).status == 401


def test_a_removed_user_is_not_let_in_any_more(tmp_path: Path) -> None:
    here = house(tmp_path)
    caller = from_proxy(here, **{NAME: BOB})
    assert caller.get("/").status == 200
    here.store.remove_user(BOB)
    assert caller.ask("GET", "/", {}).status == 401


def test_the_proxys_word_does_not_open_the_api(tmp_path: Path) -> None:
    """A page of another site can make a browser send it; a key it cannot."""
    assert from_proxy(house(tmp_path), **{NAME: ALICE}).ask("GET", "/v1/models", {}).status == 401


def test_a_websocket_is_the_visitors_whom_the_proxy_names(tmp_path: Path) -> None:
    here = house(tmp_path)

    async def statuses() -> tuple[int, int]:
        named = await call(from_proxy(here, **{NAME: BOB}))
        await named.hang_up()
        return named.status, (await call(from_proxy(here))).status

    assert asyncio.run(statuses()) == (101, 401)


def test_an_address_that_was_only_forwarded_is_no_proxys(tmp_path: Path) -> None:
    """uvicorn, told to trust too many, takes the client's address from this header."""
    here = house(tmp_path)
    caller = from_proxy(here, **{NAME: ALICE, "X-Forwarded-For": f"{PROXY}:4711, {STRANGER}"})
    assert caller.ask("GET", "/", {}).status == 401
    caller.headers["X-Forwarded-For"] = STRANGER
    assert caller.ask("GET", "/", {}).status == 200


def test_a_proxy_on_this_machine_is_believed_if_none_is_named(tmp_path: Path) -> None:
    here = house(tmp_path, **{PROXIES: ""})
    caller = at_loopback(here)
    caller.headers[NAME] = BOB
    assert caller.get("/").status == 200
    assert here.inside.headers()[VISITOR_HEADER] == BOB
    assert from_proxy(here, **{NAME: BOB}).ask("GET", "/", {}).status == 401


def test_a_proxy_on_this_machine_is_not_believed_if_another_is_named(tmp_path: Path) -> None:
    caller = at_loopback(house(tmp_path))
    caller.headers[NAME] = BOB
    assert caller.ask("GET", "/", {}).status == 401


def test_behind_a_proxy_on_this_machine_nobody_passes_for_a_person_at_it(tmp_path: Path) -> None:
    """One that changes the Host and says nothing of the browser cannot be told from a browser."""
    here = house(tmp_path, **{PROXIES: ""})
    assert here.local().ask("GET", "/", {}).status == 401
    named = here.local().ask("GET", "/", {NAME: BOB})
    assert (named.status, here.inside.headers()[VISITOR_HEADER]) == (200, BOB)


def test_with_a_proxy_elsewhere_a_person_at_this_machine_needs_no_login(tmp_path: Path) -> None:
    assert house(tmp_path).local().get("/").status == 200


def test_networks_are_taken_too(tmp_path: Path) -> None:
    here = house(tmp_path, **{PROXIES: "192.168.7.1, 10.0.0.0/24, fd00::/8"})
    caller = from_proxy(here, **{NAME: BOB})
    for client, status in (("10.0.0.200", 200), ("fd00::7", 200), ("10.0.1.1", 401)):
        caller.client = client
        assert caller.ask("GET", "/", {}).status == status


# --- settings


def test_without_a_header_there_is_no_such_way(tmp_path: Path) -> None:
    assert trusted_proxy(AccessStore(tmp_path / "access.db"), {}) is None


@pytest.mark.parametrize(
    ("header", "proxies", "at"),
    [
        ("", PROXY, HEADER),
        ("Cf Access", "", HEADER),
        ("X-Mail:", "", HEADER),
        ("Cookie", "", HEADER),
        ("host", "", HEADER),
        (VISITOR_HEADER, "", HEADER),
        ("X-Forwarded-For", "", HEADER),
        (NAME, "proxy.local", PROXIES),
        (NAME, "10.0.0.5/24", PROXIES),
        (NAME, "10.0.0.300", PROXIES),
        (NAME, f"{PROXY},", PROXIES),
        (NAME, "0.0.0.0/0", PROXIES),
        (NAME, "::/0", PROXIES),
    ],
)
def test_a_bad_setting_is_named_at_once(tmp_path: Path, header: str, proxies: str, at: str) -> None:
    with pytest.raises(BadAccessSetting) as raised:
        trusted_proxy(AccessStore(tmp_path / "access.db"), {HEADER: header, PROXIES: proxies})
    assert raised.value.fields["name"] == at


def test_it_is_a_way_to_sign_in_without_pages(tmp_path: Path) -> None:
    proxy = TrustedProxy(AccessStore(tmp_path / "access.db"), NAME, [])
    assert proxy.configured
    assert not proxy.buttons
