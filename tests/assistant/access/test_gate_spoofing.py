"""Requests that pretend: to be for another host, from another page, from this machine."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from gated import ALICE, BOB, OUTER, PUBLIC, STRANGER, Caller, House, call

from assistant.access.asked import read_host
from assistant.access.door import client
from assistant.access.gate import GateSettings
from assistant.access.origins import read_hosts


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = GateSettings(hosts=read_hosts("Chat.Example.org, ,b.example"))
    house = House(tmp_path_factory.mktemp("house"), settings=settings)
    yield house
    house.store.close()


@pytest.fixture
def house(built: House) -> Iterator[House]:
    """One for all these tests, which leave nothing behind in it."""
    yield built
    built.inside.seen.clear()
    if built.store.sharing():
        built.store.end_sharing()


# --- Host

WRONG_HOSTS = [
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "0.0.0.0"),
    *("localhost.", "127.0.0.1.", "chat.example.org.", f"{OUTER}.", "192.0.2.2", "[::2]", "[::"),
    *(
        "",
        " ",
        "localhost evil",
        "evil@localhost",
        "localhost/x",
        "localhost:8501:1",
        "localhost:x",
    ),
    *(
        "localhost#",
        "localhost:",
        "2130706433",
        "127.1",
        "0x7f.0.0.1",
        "１２７.0.0.1",
        "xn--localhost",
    ),
    *(PUBLIC, "other.trycloudflare.com", "a.chat.example.org", "localhost,evil.example"),
]


@pytest.mark.parametrize("host", WRONG_HOSTS)
def test_another_host_is_refused_whoever_asks(house: House, host: str) -> None:
    said = {"host": host.encode("utf-8").decode("latin-1")}
    for caller in (house.local(), house.signed_in(ALICE), house.stranger()):
        for path in ("/", "/health", "/signin", "/v1/x"):
            assert caller.ask("GET", path, said).status == 421, path
        phone = asyncio.run(call(caller, headers=said))
        assert phone.status == 421
    assert house.inside.seen == []


def test_no_host_and_two_hosts_are_refused(house: House) -> None:
    twice = {"host": ["localhost", "localhost"]}
    assert house.local().ask("GET", "/", twice).status == 400
    assert house.local().ask("GET", "/", {"host": []}).status == 421


@pytest.mark.parametrize("host", ["chat.example.org", "CHAT.example.org:443", OUTER, f"{OUTER}:80"])
def test_a_host_that_is_ours_is_fine_and_is_not_local_for_that(house: House, host: str) -> None:
    caller = replace(house.local(), server=OUTER, host=host)
    assert caller.ask("GET", "/").status == 401
    assert house.signed_in(BOB, caller).ask("GET", "/").status == 200


def test_the_servers_own_address_is_known_as_a_dual_stack_socket_spells_it(house: House) -> None:
    caller = replace(house.stranger(), server=f"::ffff:{OUTER}", client=f"::ffff:{STRANGER}")
    assert house.signed_in(BOB, caller).ask("GET", "/").status == 200
    here = replace(house.local(), server="::ffff:127.0.0.1", client="::ffff:127.0.0.1")
    assert here.ask("GET", "/").status == 200


def test_a_name_of_ours_is_not_this_machines_though_a_proxy_on_it_asks(house: House) -> None:
    assert replace(house.local(), host="chat.example.org").ask("GET", "/").status == 401


# --- Origin and Sec-Fetch-Site

FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:9999"},
    {"origin": "http://localhost"},
    {"origin": "http://localhost:8501.evil.example"},
    {"origin": "http://localhost:8501@evil.example"},
    {"origin": "http://evil.example/http://localhost:8501"},
    {"origin": "http://localhost:8501/"},
    {"origin": "file://"},
    {"origin": "chrome-extension://localhost:8501"},
    {"origin": "http://127.0.0.1:8501"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    {"sec-fetch-site": "made-up"},
    {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
]
WAYS_IN = ["/", "/signin", "/signout", "/v1/chat", "/_stcore/upload_file/a/b", "/account/keys"]


@pytest.mark.parametrize("said", FOREIGN)
def test_another_sites_page_changes_nothing_and_opens_no_socket(
    house: House, said: dict[str, str]
) -> None:
    visitor = house.signed_in(ALICE, replace(house.local(), server=OUTER, client=STRANGER))
    for caller in (house.local(), visitor):
        for path in WAYS_IN:
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                assert caller.ask(method, path, said).status == 403, (method, path)
        phone = asyncio.run(call(caller, headers=said))
        assert phone.status == 403
    assert house.inside.seen == []


def test_a_link_on_another_site_may_be_followed_but_no_form_sent(house: House) -> None:
    said = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert house.local().ask("GET", "/", said).status == 200
    assert house.local().ask("POST", "/", said).status == 403
    phone = asyncio.run(call(house.local(), headers=said))
    assert phone.status == 403


@pytest.mark.parametrize("origin", ["http://localhost:8501", "http://LOCALHOST:8501"])
def test_our_own_pages_may(house: House, origin: str) -> None:
    said = {"origin": origin.lower(), "sec-fetch-site": "same-origin"}
    assert house.local().ask("POST", "/", said).status == 200

    async def talk() -> None:
        phone = await call(house.local(), headers=said)
        assert phone.status == 101
        await phone.hang_up()

    asyncio.run(talk())


def test_an_origin_behind_tls_has_to_be_of_tls_and_needs_no_port(house: House) -> None:
    house.share()
    visitor = house.signed_in(BOB, house.tunnelled(), "__Host-")
    assert visitor.ask("POST", "/", {"origin": f"https://{PUBLIC}"}).status == 200
    assert visitor.ask("POST", "/", {"origin": f"http://{PUBLIC}"}).status == 403
    assert visitor.ask("POST", "/", {"origin": f"https://{PUBLIC}:8443"}).status == 403


# --- forwarded headers

FORWARDED = [
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "forwarded"),
    *(
        "via",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-ray",
        "CF-Visitor",
    ),
    *("x-original-host", "x-forwarded-made-up"),
]


@pytest.mark.parametrize("name", FORWARDED)
@pytest.mark.parametrize("value", ["127.0.0.1", "", "localhost"])
def test_what_was_forwarded_is_not_local(house: House, name: str, value: str) -> None:
    assert house.local().ask("GET", "/", {name: value}).status == 401


@pytest.mark.parametrize("name", FORWARDED)
def test_a_stranger_cannot_forward_themselves_to_be_local(house: House, name: str) -> None:
    for value in ("127.0.0.1", "::1", "localhost", "for=127.0.0.1;host=localhost;proto=https"):
        for host in (f"{OUTER}:8501", "localhost"):
            assert house.stranger().ask("GET", "/", {name: value, "host": host}).status == 401


def test_an_address_that_uvicorn_took_from_a_header_is_not_local(house: House) -> None:
    """It puts `X-Forwarded-For` in the client's place if the peer is on this machine."""
    said = {"x-forwarded-for": "127.0.0.1"}
    assert house.local().ask("GET", "/", said).status == 401
    assert replace(house.local(), client=STRANGER).ask("GET", "/").status == 401
    for host in (OUTER, "localhost"):
        caller = replace(house.stranger(), client="127.0.0.1", host=host)
        assert caller.ask("GET", "/").status == 401


def addressed(house: House, caller: Caller, said: dict[str, str]) -> str:
    scope = caller.scope("GET", "/", said)
    from_gate = asyncio.run(house.gate._admitter.admit(scope))
    assert from_gate.client == client(from_gate.asked, house.store.sharing())
    return from_gate.client


def test_whose_address_counts_cannot_be_chosen_but_through_the_tunnel(house: House) -> None:
    lie = {"cf-connecting-ip": "203.0.113.9", "x-forwarded-for": "203.0.113.9"}
    assert addressed(house, house.stranger(), lie) == STRANGER
    assert addressed(house, house.local(), lie) == "127.0.0.1"
    believed_by_uvicorn = replace(house.local(), client="203.0.113.9")
    assert addressed(house, believed_by_uvicorn, lie) == "127.0.0.1"
    house.share()
    assert addressed(house, house.stranger(), {**lie, "host": PUBLIC}) == STRANGER
    assert addressed(house, house.stranger(), lie) == STRANGER
    assert addressed(house, house.local(), lie) == "127.0.0.1"
    assert addressed(house, house.tunnelled(), {}) == STRANGER
    assert addressed(house, house.tunnelled(), {"cf-connecting-ip": "no address"}) == "127.0.0.1"


def test_a_stranger_cannot_say_that_they_came_by_tls(house: House) -> None:
    caller = house.signed_in(BOB, prefix="__Host-")
    assert caller.ask("GET", "/", {"x-forwarded-proto": "https"}).status == 401
    assert not caller.ask("GET", "/signin", {"x-forwarded-proto": "https"})[
        "strict-transport-security"
    ]


# --- paths

ODD = [
    *("//", "//signin", "/signin//", "//_stcore/stream", "/signin/../_stcore/metrics", "/./signin"),
    *(
        "/signin/%2e%2e/_stcore/metrics",
        "/%2e/signin",
        "/signin/%2e",
        "/signin%2f..%2f",
        "/%2Fsignin",
    ),
    *("/signin\\..\\x", "/signin%5c..%5cx", "/signin%00", "/health%00.png", "/signin%0d%0aX:1"),
    *(
        "/%252e%252e/signin",
        "/media%2fabc",
        "/media/%2e%2e/signin",
        "/_stcore%2fhealth",
        "/signin/..",
    ),
    *("/signin/link/..%2f..%2f", "/health/..", "/health/../media/x", "/\x7f"),
]


@pytest.mark.parametrize("target", ODD)
def test_a_path_that_could_be_read_in_two_ways_is_refused(house: House, target: str) -> None:
    for caller in (house.stranger(), house.signed_in(ALICE), house.local()):
        for method in ("GET", "POST"):
            assert caller.ask(method, target).status == 400
        phone = asyncio.run(call(caller, target))
        assert phone.status == 400
    assert house.inside.seen == []


CLOSED = [
    *("/Signin", "/SIGNIN", "/signin.", "/.signin", "/health.", "/Health", "/health/", "/healthy"),
    *(
        "/health;x",
        "/health%20",
        "/%73ignin2",
        "/signinx",
        "/sign",
        "/account/",
        "/Account",
        "/media",
    ),
    *("/x/signin", "/_stcore/signin", "/media/signin", "/v1/../signin"[:3], "/%68ealth%20"),
    *("/signin%E2%80%AE", "/ｓignin", "/health%EF%BC%8F"),
]


@pytest.mark.parametrize("target", CLOSED)
def test_what_only_looks_like_an_open_path_is_closed(house: House, target: str) -> None:
    assert house.stranger().ask("GET", target).status == 401
    assert house.inside.seen == []


def test_an_open_path_may_be_spelled_in_percents_as_it_means_the_same(house: House) -> None:
    assert house.stranger().ask("GET", "/%68ealth").status == 200
    assert house.inside.seen[-1]["path"] == "/health"
    assert read_host("localhost:8501") is not None


def test_no_socket_opens_on_an_open_path(house: House) -> None:
    for path in ("/health", "/signin", "/signin/link/x", "/signout"):
        phone = asyncio.run(call(house.stranger(), path))
        assert phone.status == 401, path
    assert house.inside.seen == []


def test_refusals_are_logged_without_what_a_path_may_hold(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    evil = {"origin": "https://evil.example", "host": "localhost"}
    house.stranger().ask("POST", "/signin/link/secret-token?key=secret-too", evil)
    asyncio.run(call(house.stranger(), "/media/secret", evil))
    assert caplog.text.count(f"refused 403 forbidden: from {STRANGER}") == 2
    assert "secret" not in caplog.text
    caplog.clear()
    house.stranger().ask("GET", "/")
    assert caplog.text == ""  # everybody comes without a sign-in first
