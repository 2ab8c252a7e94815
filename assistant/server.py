"""What the web server answers besides the pages, and the gate in front of it all."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from assistant.access.configured import sign_in_ways
from assistant.access.gate import Gate, GateSettings
from assistant.access.origins import read_hosts
from assistant.access.serving import check_serving
from assistant.access.store import open_store
from assistant.access.visitor import ACCESS_HEADER, Access
from assistant.errors import AssistantError
from assistant.loading import Failed, Ready
from assistant.sandbox.level import Level
from assistant.state import instance
from assistant.texts import Language, say
from assistant.workbench import BenchState, Unprepared, Unusable, Usable

WRONG_USE = 2  # the exit code
PAGE_WORDS = "/page-words.js"
_PAGE_WORDS = Path(__file__).with_name("page_words.js")


async def health(request: Request) -> JSONResponse:
    """What the model is doing; 503 until it can answer. Only operators learn more than that."""
    state = instance().model_state
    body: dict[str, object] = {"state": type(state).__name__.lower()}
    status_code = 200 if isinstance(state, Ready) else 503
    if request.headers.get(ACCESS_HEADER) != Access.OPERATOR:
        return JSONResponse(body, status_code)
    if isinstance(state, Ready):
        body |= {
            "model": state.engine.config.name,
            "kernels": state.engine.kernels,
            "threads": state.engine.threads,
        }
    if isinstance(state, Failed):
        body["error"] = str(state.error)
    body["sandbox"] = sandbox_health(instance().workbench.state)
    return JSONResponse(body, status_code)


def sandbox_health(state: BenchState) -> dict[str, object]:
    """Where code runs, or would: the level is looked up when the model has loaded."""
    body: dict[str, object] = {"state": type(state).__name__.lower()}
    if isinstance(state, Usable) or (isinstance(state, Unprepared) and state.level):
        body |= {"level": str(state.level), "why": state.why}
    if isinstance(state, Unusable):
        body |= {"level": str(Level.NONE), "error": str(state.error)}
    return body


async def not_found(request: Request) -> JSONResponse:
    """Without it the page itself would answer, with HTML and 200."""
    message = f"There is no {request.url.path} here."
    return JSONResponse({"error": {"message": message, "type": "not_found"}}, status_code=404)


async def page_words(request: Request) -> FileResponse:
    """The script that gives Streamlit's own words the page's language."""
    return FileResponse(_PAGE_WORDS, media_type="text/javascript")


ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

ROUTES: tuple[BaseRoute, ...] = (
    Route("/health", health),
    Route(PAGE_WORDS, page_words),
    Route("/v1", not_found, methods=ANY),
    Route("/v1/{path:path}", not_found, methods=ANY),
)


def middleware(upload_bytes: Callable[[], int] | None = None) -> tuple[Middleware, ...]:
    """The gate; `upload_bytes` says what an upload may have, if not as much as Streamlit allows."""

    def gate(app: ASGIApp) -> Gate:
        settings = GateSettings(hosts=read_hosts(os.environ.get("ASSISTANT_HOSTS", "")))
        if upload_bytes is not None:
            settings = replace(settings, upload_bytes=upload_bytes)
        store = open_store()
        return Gate(app, store, sign_in_ways(store), settings)

    return (Middleware(gate),)


MIDDLEWARE = middleware()


def leave_if_open(address: str | None) -> None:
    """Ends the program before it serves an address where anybody could come in, or nobody.

    `address` is what the web server was told; None means all there are.
    """
    try:
        store = open_store()
        check_serving(address, store, sign_in_ways(store))
    except AssistantError as error:
        language = Language.of_locale(os.environ.get("LC_ALL") or os.environ.get("LANG"))
        sys.stderr.write(say(error, language) + "\n")
        raise SystemExit(WRONG_USE) from None
