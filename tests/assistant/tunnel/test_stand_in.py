"""The stand-in for cloudflared really proxies: its users' tests are worth what this says."""

import asyncio
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest
import uvicorn
from patience import PATIENCE, until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tunnelling import NAMES, StandIn
from websockets.sync.client import connect

from assistant.tunnel.cloudflared import Target, command_line

HOST = f"{NAMES[0]}.trycloudflare.com"


class Origin:
    """Something to proxy to, which says what it got."""

    def __init__(self) -> None:
        self.steps: SimpleQueue[str] = SimpleQueue()  # what the stream sends next; "" ends it
        app = Starlette(
            routes=[
                Route("/headers", self.headers),
                Route("/stream", self.stream, methods=["GET", "POST"]),
                Route("/length", self.length, methods=["POST"]),
                WebSocketRoute("/echo", self.echo),
            ]
        )
        config = uvicorn.Config(app, "127.0.0.1", 0, log_level="error", ws="websockets-sansio")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    @property
    def port(self) -> int:
        port: int = self.server.servers[0].sockets[0].getsockname()[1]
        return port

    async def headers(self, request: Request) -> JSONResponse:
        return JSONResponse(dict(request.headers))

    async def length(self, request: Request) -> JSONResponse:
        return JSONResponse(len(await request.body()))

    async def stream(self, _request: Request) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            while step := await asyncio.to_thread(self.steps.get, timeout=PATIENCE):
                yield f"data: {step}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def echo(self, socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(f"{socket.headers['host']} {text}")


@pytest.fixture
def origin() -> Iterator[Origin]:
    origin = Origin()
    origin.thread.start()
    until(lambda: origin.server.started)
    yield origin
    origin.steps.put("")
    origin.server.should_exit = True
    origin.thread.join()


@contextmanager
def running(stand_in: StandIn, port: int) -> Iterator["subprocess.Popen[str]"]:
    """Started by hand, until it is connected."""
    command = command_line(stand_in.bin / "cloudflared", Target(port))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any("Registered tunnel connection" in line for line in process.stderr)
        yield process
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def tunnel(origin: Origin, tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path)
    with running(stand_in, origin.port):
        yield stand_in


def test_it_adds_what_cloudflare_adds_and_keeps_the_public_name(tunnel: StandIn) -> None:
    with tunnel.asked(HOST, "/headers", **{"X-Own": "1", "CF-Connecting-IP": "forged"}) as answer:
        got = json.load(answer)
    assert got["host"] == HOST
    assert got["x-own"] == "1"
    assert got["cf-connecting-ip"] == "203.0.113.7"
    assert got["x-forwarded-proto"] == "https"
    assert got["x-forwarded-for"] == "203.0.113.7"
    assert got["cf-ray"]


def test_what_a_client_says_it_was_forwarded_for_stays_in_front(tunnel: StandIn) -> None:
    with tunnel.asked(HOST, "/headers", **{"X-Forwarded-For": "127.0.0.1"}) as answer:
        got = json.load(answer)
    assert got["x-forwarded-for"] == "127.0.0.1, 203.0.113.7"


def test_events_come_one_by_one(tunnel: StandIn, origin: Origin) -> None:
    origin.steps.put("one")
    with tunnel.asked(HOST, "/stream") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.readline() == b"data: one\n"  # while the second is not written yet
        origin.steps.put("two")
        assert [answer.readline(), answer.readline()] == [b"\n", b"data: two\n"]
        origin.steps.put("")
        assert answer.read() == b"\n"


def test_a_large_body_comes_through(tunnel: StandIn) -> None:
    body = bytes(3 << 20)
    with tunnel.connect() as socket:
        head = f"POST /length HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
        socket.sendall(head.encode() + body)
        got = b"".join(iter(lambda: socket.recv(65536), b""))
    assert got.endswith(str(len(body)).encode())


def test_a_websocket_stays_open_both_ways(tunnel: StandIn) -> None:
    with connect(f"ws://{HOST}/echo", sock=tunnel.connect()) as socket:
        for text in ("one", "two"):
            socket.send(text)
            assert socket.recv() == f"{HOST} {text}"


def test_without_an_app_behind_it_answers_502(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    with running(stand_in, 1):
        assert stand_in.status(HOST, "/") == 502


def test_an_option_that_we_should_not_pass_is_refused(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    program = stand_in.bin / "cloudflared"
    done = subprocess.run(
        [program, "tunnel", "--http-host-header", "localhost"], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"Incorrect Usage" in done.stderr
