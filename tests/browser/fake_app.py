"""The real pages on the scripted engine; the test says over HTTP what the model writes next.

TOOLS_FOLDER names a folder of tools, if the test wants any.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from fake_engine import FakeEngine, assistant_on
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import assistant
from assistant.access.store import open_store
from assistant.exposure import Exposure
from assistant.sandbox.environment import SetUp
from assistant.sandbox.sessions import Sessions
from assistant.sandbox.settings import SandboxSettings
from assistant.toolfolder import FolderTools
from assistant.workbench import Workbench
from engine import FinishReason, model_home

ROOT = Path(__file__).parents[2]
ENGINE = FakeEngine()
FOLDER = os.environ.get("TOOLS_FOLDER")
TOOLS = FolderTools(Path(FOLDER), every=0.2) if FOLDER else None
HOME = Path(tempfile.mkdtemp())


def open_sessions(home: Path, listener: Callable[[SetUp], None]) -> Sessions:
    """Real ones, in the environment that the app keeps."""
    settings = SandboxSettings(polite=False)
    return Sessions(home, settings, environment_home=model_home(), listener=listener)


WORKBENCH = Workbench(lambda: HOME / "sessions", open_sessions)
EXPOSURE = Exposure(open_store())
assistant.install(assistant_on(ENGINE, HOME, TOOLS, WORKBENCH, EXPOSURE))


async def script(request: Request) -> JSONResponse:
    """{"read": [done, total, seconds left], "say": text, "finish": reason}: each is optional.

    {"answers": [text, …]} are whole answers to the requests that follow.
    """
    orders = await request.json()
    if "answers" in orders:
        ENGINE.queued = orders["answers"]
        return JSONResponse({})
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
