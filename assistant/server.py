"""What the web server answers besides the pages: routes, and headers for every response."""

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.loading import Failed, Ready
from assistant.sandbox.level import Level
from assistant.state import instance
from assistant.workbench import BenchState, Unusable, Usable

# A model's text is hostile: whatever slips through as an image or a frame stays on this server.
# The conversation's id is in the address, so no link may carry the address along.
HEADERS = {
    "Content-Security-Policy": (
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
        "frame-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SafeHeaders:
    """ASGI middleware that adds `HEADERS` to every HTTP response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


async def health(request: Request) -> JSONResponse:
    """What the model is doing; 503 until it can answer."""
    state = instance().model_state
    body: dict[str, object] = {"state": type(state).__name__.lower()}
    if isinstance(state, Ready):
        body |= {
            "model": state.engine.config.name,
            "kernels": state.engine.kernels,
            "threads": state.engine.threads,
        }
    if isinstance(state, Failed):
        body["error"] = str(state.error)
    body["sandbox"] = sandbox_health(instance().workbench.state)
    return JSONResponse(body, status_code=200 if isinstance(state, Ready) else 503)


def sandbox_health(state: BenchState) -> dict[str, object]:
    """Where code runs; nothing is known before somebody has wanted it."""
    body: dict[str, object] = {"state": type(state).__name__.lower()}
    if isinstance(state, Usable):
        body |= {"level": str(state.level), "why": state.why}
    if isinstance(state, Unusable):
        body |= {"level": str(Level.NONE), "error": str(state.error)}
    return body


async def not_found(request: Request) -> JSONResponse:
    """Without it the page itself would answer, with HTML and 200."""
    message = f"There is no {request.url.path} here."
    return JSONResponse({"error": {"message": message, "type": "not_found"}}, status_code=404)


ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

ROUTES: tuple[BaseRoute, ...] = (
    Route("/health", health),
    Route("/v1", not_found, methods=ANY),
    Route("/v1/{path:path}", not_found, methods=ANY),
)
MIDDLEWARE: tuple[Middleware, ...] = (Middleware(SafeHeaders),)
