"""What the gate costs a request: `PYTHONPATH=.:tests python tests/gate_cost.py [REQUESTS]`.

Requests are given to the application as uvicorn gives them, one after the other, so what is
measured is the gate alone, without sockets; `/health` is answered by our own route, and the file
by an application that sends 10 kB. JSON, times in microseconds.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from gated import ALICE, Caller, House
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from assistant.access.frames import Told
from assistant.access.gate import Gate

FILE = "/media/29d1c7ee6d32fa7c92abbf59c3b3148f.png"
WARM_UP = 200


async def health(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ready")


async def media(_request: Request) -> Response:
    return Response(b"x" * 10_000, media_type="image/png")


async def times(app: ASGIApp, caller: Caller, path: str, count: int) -> list[float]:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    found = []
    for _ in range(count + WARM_UP):
        scope = caller.scope("GET", path, {})
        start = time.perf_counter()
        await app(scope, receive, send)
        found.append((time.perf_counter() - start) * 1e6)
    return sorted(found[WARM_UP:])


def main(count: int) -> None:
    inside = Starlette(routes=[Route("/health", health), Route("/media/{id:path}", media)])
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        gate = Gate(inside, house.store)
        gate._ledger.write(ALICE, Told(media=frozenset({FILE[7:39]})))
        callers = {"local": house.local(), "signed in": house.signed_in(ALICE)}
        cases: list[tuple[str, ASGIApp, Caller]] = [("without", inside, house.local())]
        cases += [(f"with, {name}", gate, caller) for name, caller in callers.items()]
        for path in ("/health", FILE):
            for name, app, caller in cases:
                found = asyncio.run(times(app, caller, path, count))
                p50, p95 = found[len(found) // 2], found[len(found) * 95 // 100]
                line = {"path": path, "gate": name, "p50": round(p50), "p95": round(p95)}
                sys.stdout.write(json.dumps(line) + "\n")
        house.store.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
