"""Open WebSockets: how many there may be, and that they end when their sign-in does."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gated import ALICE, BOB, STRANGER, Caller, House, Phone, call

from assistant.access.gate import GateSettings
from assistant.access.sockets import SIGNED_OUT, SocketLimits
from assistant.access.visitor import LOCAL

SOON = SocketLimits(look_every=0.01)  # instead of five seconds
NEVER = SocketLimits(look_every=3600.0)


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[[SocketLimits], House]]:
    houses = []

    def make(limits: SocketLimits) -> House:
        houses.append(House(tmp_path, settings=GateSettings(sockets=limits)))
        return houses[-1]

    yield make
    for house in houses:
        house.store.close()


def run(test: Coroutine[Any, Any, None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(60):
            await test

    asyncio.run(in_time())


def test_what_is_said_passes_both_ways(make_house: Callable[[SocketLimits], House]) -> None:
    house = make_house(NEVER)

    async def talk() -> None:
        phone = await call(house.signed_in(BOB))
        phone.say(b"one")
        assert (await phone.hears("websocket.send"))["bytes"] == b"one"
        await phone.hang_up()
        assert house.inside.ended == 1

    run(talk())


# --- the end of a sign-in


ENDS: dict[str, Callable[[House, Caller], None]] = {
    "signed out elsewhere": lambda house, caller: house.store.end_sessions(BOB),
    "removed": lambda house, caller: house.store.remove_user(BOB),
    "a new password": lambda house, caller: house.store.set_password(BOB, "a long new password"),
    "expired": lambda house, caller: setattr(house.clock, "now", house.clock.now + 3600),
    "file replaced": lambda house, caller: (house.folder / "access.db").unlink(),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_socket_ends_soon_after_its_sign_in_did(
    make_house: Callable[[SocketLimits], House], end: str
) -> None:
    house = make_house(SOON)

    async def talk() -> None:
        caller = house.signed_in(BOB)
        phone = await call(caller)
        ENDS[end](house, caller)
        assert (await phone.hears("websocket.close"))["code"] == SIGNED_OUT
        assert phone.task is not None
        await phone.task
        assert house.inside.ended == 1

    run(talk())


def test_a_socket_that_never_falls_silent_ends_all_the_same(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(SOON)

    async def talk() -> None:
        phone = await call(house.signed_in(BOB))
        assert phone.task is not None
        house.store.end_sessions(BOB)
        while not phone.task.done():
            phone.say(b"more")
            await asyncio.sleep(0)  # lets the socket have it
        assert (await phone.hears("websocket.close"))["code"] == SIGNED_OUT

    run(talk())


def test_signing_out_ends_the_sockets_of_that_sign_in_at_once_and_no_others(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(NEVER)

    async def talk() -> None:
        here, other = house.signed_in(BOB), house.signed_in(BOB)
        page = await here.ask_now("GET", "/account", {"accept": "text/html"})
        field = page.text.partition('name="form" value="')[2].partition('"')[0]
        cookies = {**here.cookies, **page.cookies}
        first, second = await call(here), await call(other)
        said = {
            "content-type": "application/x-www-form-urlencoded",
            "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        }
        reply = await here.ask_now("POST", "/signout", said, [f"form={field}".encode()])
        assert reply.status == 303
        assert (await first.hears("websocket.close"))["code"] == SIGNED_OUT
        second.say(b"still here")
        assert (await second.hears("websocket.send"))["bytes"] == b"still here"
        await second.hang_up()

    run(talk())


def test_a_socket_of_this_machine_ends_when_sharing_begins(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(SOON)

    async def talk() -> None:
        phone = await call(house.local())
        house.share()
        assert (await phone.hears("websocket.close"))["code"] == SIGNED_OUT

    run(talk())


def test_a_socket_through_the_tunnel_ends_when_sharing_does(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(SOON)
    house.share()

    async def talk() -> None:
        phone = await call(house.signed_in(BOB, house.tunnelled(), "__Host-"))
        assert phone.status == 101
        house.store.end_sharing()
        assert (await phone.hears("websocket.close"))["code"] == SIGNED_OUT

    run(talk())


def test_nothing_is_shown_any_more_once_the_sign_in_has_ended(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(NEVER)

    async def talk() -> None:
        phone = await call(house.signed_in(BOB))
        (socket,) = house.gate._sockets._open
        socket.end()
        await socket.send({"type": "websocket.send", "bytes": b"secret"})
        await phone.hears("websocket.close")
        assert not any(each["type"] == "websocket.send" for each in phone.sent)

    run(talk())


# --- how many


async def call_many(caller: Caller, count: int) -> list[Phone]:
    return [await call(caller) for _ in range(count)]


async def hang_up(phones: list[Phone]) -> None:
    for each in phones:
        if each.status == 101:
            await each.hang_up()


def test_of_a_thousand_sockets_from_one_address_most_are_refused_and_others_are_served(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(NEVER)
    limits = SocketLimits()
    names = [f"user{number}" for number in range(40)]
    for name in names:
        house.store.add_user(name, None)
    crowd = [house.signed_in(name) for name in names]

    async def rush() -> None:
        phones = []
        for number in range(1000):
            phones += await call_many(crowd[number % len(crowd)], 1)
        assert sum(each.status == 101 for each in phones) == limits.per_client
        assert {each.status for each in phones} == {101, 429}
        other = await call(replace(house.signed_in(ALICE), client="203.0.113.1"))
        assert other.status == 101
        assert (await crowd[0].ask_now("GET", "/")).status == 200
        await hang_up([*phones, other])
        again = await call(crowd[0])
        assert again.status == 101
        await again.hang_up()

    run(rush())
    assert not house.gate._sockets._clients
    assert not house.gate._sockets._visitors


def test_one_visitor_has_so_many_wherever_they_come_from(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(NEVER)

    async def rush() -> None:
        phones = []
        for number in range(40):
            caller = replace(house.signed_in(BOB), client=f"203.0.113.{number}")
            phones += await call_many(caller, 1)
        assert sum(each.status == 101 for each in phones) == SocketLimits().per_visitor
        alice = await call(house.signed_in(ALICE))
        assert alice.status == 101
        await hang_up([*phones, alice])

    run(rush())


def test_the_addresses_of_one_ipv6_network_count_as_one(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(replace(NEVER, per_client=2))

    async def rush() -> None:
        phones = []
        for number in range(4):
            caller = replace(house.signed_in(BOB), client=f"2001:db8::{number}")
            phones += await call_many(caller, 1)
        assert [each.status for each in phones] == [101, 101, 429, 429]
        await hang_up(phones)

    run(rush())


def test_through_the_tunnel_each_address_is_counted_apart(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(replace(NEVER, per_client=1))
    house.share()

    async def rush() -> None:
        phones = []
        for client in (STRANGER, STRANGER, "203.0.113.7"):
            caller = house.signed_in(BOB, house.tunnelled(), "__Host-")
            caller.headers["cf-connecting-ip"] = client
            phones += await call_many(caller, 1)
        assert [each.status for each in phones] == [101, 429, 101]
        await hang_up(phones)

    run(rush())


def test_without_the_extension_a_handshake_is_refused_by_a_close(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(NEVER)

    async def knock() -> None:
        scope = house.stranger().scope("GET", "/_stcore/stream", {}, "websocket")
        scope["extensions"] = {}
        phone = Phone()
        await house.gate(scope, phone.inbox.get, phone.send)
        assert phone.sent[0]["type"] == "websocket.close"
        assert phone.sent[0]["code"] == SIGNED_OUT

    run(knock())


def test_somebody_at_this_machine_is_counted_by_address_alone(
    make_house: Callable[[SocketLimits], House],
) -> None:
    house = make_house(replace(NEVER, per_client=3, per_visitor=1))

    async def rush() -> None:
        phones = await call_many(house.local(), 4)
        assert [each.status for each in phones] == [101, 101, 101, 429]
        await hang_up(phones)

    run(rush())
    assert LOCAL.name == ""
