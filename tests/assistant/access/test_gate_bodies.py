"""Requests that are too large, come too slowly, or lie about their length."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from gated import House, error_of, receiving
from starlette.types import Message

from assistant.access.bodies import OTHERS, OURS, OVERHEAD, Body
from assistant.access.gate import GateSettings

LIMIT = 50_000
UPLOAD = "/_stcore/upload_file/session/file"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    settings = GateSettings(upload_bytes=lambda: LIMIT, body_seconds=0.05)
    house = House(tmp_path, settings=settings)
    yield house
    house.store.close()


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [("PUT", UPLOAD, LIMIT + OVERHEAD), ("POST", "/v1/chat/completions", OTHERS)],
)
def test_a_body_is_counted_as_it_comes(house: House, method: str, path: str, most: int) -> None:
    whole = [b"x" * 10_000] * (most // 10_000) + [b"x" * (most % 10_000)]
    assert house.local().ask(method, path, body=whole).status == 200
    assert len(house.inside.body) == most
    reply = house.local().ask(method, path, body=[*whole, b"x"])
    assert (reply.status, error_of(reply), reply["connection"]) == (413, "too_large", "close")


def test_a_form_of_ours_may_be_small_only(house: House) -> None:
    for path in ("/signin", "/signin/link/x", "/signout"):
        reply = house.stranger().ask("POST", path, body=[b"x" * OURS, b"x"])
        assert reply.status == 413, path


@pytest.mark.parametrize("said", [str(LIMIT + OVERHEAD + 1), "9" * 30, "-1", "+5", "1e3", "٣", " "])
def test_a_length_that_is_too_large_or_none_is_refused_before_the_body(
    house: House, said: str
) -> None:
    length = {"content-length": said.encode("utf-8").decode("latin-1")}
    reply = house.local().ask("PUT", UPLOAD, length, body=[b"x"])
    assert reply.status == 413
    assert house.inside.seen == []


def test_two_lengths_are_refused(house: House) -> None:
    assert house.local().ask("PUT", UPLOAD, {"content-length": ["1", "2"]}).status == 400


def test_a_short_length_does_not_let_a_long_body_in(house: House) -> None:
    body = [b"x" * (LIMIT + OVERHEAD), b"x"]
    assert house.local().ask("PUT", UPLOAD, {"content-length": "1"}, body=body).status == 413


async def stalls(first: bytes) -> AsyncIterator[bytes]:
    yield first
    await asyncio.Event().wait()


def test_a_body_that_stops_coming_is_given_up_while_others_are_served(house: House) -> None:
    async def slow_and_quick() -> None:
        callers = [house.local() for _ in range(50)]
        slow = [
            asyncio.create_task(each.ask_now("PUT", UPLOAD, body=stalls(b"x"))) for each in callers
        ]
        assert (await house.local().ask_now("GET", "/")).status == 200
        async with asyncio.timeout(60):
            replies = await asyncio.gather(*slow)
        assert {(each.status, each["connection"]) for each in replies} == {(408, "close")}

    asyncio.run(slow_and_quick())


def test_after_the_body_one_may_listen_for_the_end_for_as_long_as_it_takes() -> None:
    """As a stream of events does, which a visitor may read for an hour."""

    async def listen() -> None:
        gone = asyncio.Event()
        messages: list[Message] = [{"type": "http.request", "body": b"x", "more_body": False}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        body = Body(receive, 10, 0.01)
        assert (await body.receive())["body"] == b"x"
        waiting = asyncio.create_task(body.receive())
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
        gone.set()
        assert (await waiting)["type"] == "http.disconnect"

    asyncio.run(listen())


def test_bytes_that_keep_coming_are_not_too_slow_however_many_there_are() -> None:
    async def read() -> None:
        body = Body(receiving([b"x"] * 100), 100, 60.0)
        while (await body.receive())["more_body"]:
            pass

    asyncio.run(read())


def test_what_goes_wrong_inside_is_not_taken_for_a_refusal(house: House) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    house.gate._app = broken
    with pytest.raises(ZeroDivisionError):
        house.local().ask("GET", "/")
