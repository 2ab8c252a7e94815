"""The real pages on the scripted engine; the test says over HTTP what the model writes next."""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import streamlit as st  # noqa: E402
from fake_engine import FakeEngine, assistant_on  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

import assistant  # noqa: E402
from engine import FinishReason  # noqa: E402

ENGINE = FakeEngine()
assistant.install(assistant_on(ENGINE, Path(tempfile.mkdtemp())))


async def script(request: Request) -> JSONResponse:
    """{"read": [done, total, seconds left], "say": text, "finish": reason}: each is optional."""
    orders = await request.json()
    generation = ENGINE.generations[-1]
    if "read" in orders:
        generation.read(*orders["read"])
    generation.say(orders.get("say", ""))
    if "finish" in orders:
        generation.finish(FinishReason(orders["finish"]))
    return JSONResponse({})


async def seen(request: Request) -> JSONResponse:
    """What the engine was asked."""
    return JSONResponse(
        [
            {"prompt": ENGINE.tokenizer.spell(each.prompt), "cancelled": each.cancelled}
            for each in ENGINE.generations
        ]
    )


app = st.App(
    ROOT / "pages" / "main.py",
    routes=[
        Route("/fake/script", script, methods=["POST"]),
        Route("/fake/seen", seen),
        *assistant.ROUTES,
    ],
    middleware=assistant.MIDDLEWARE,
)
