"""How the gate says no: a page to a person, JSON to a program, no handshake to a WebSocket."""

import json
from typing import Final
from urllib.parse import quote

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Scope, Send

from assistant.access import signin_page
from assistant.access.admission import Refused, preferred_language
from assistant.access.asked import Asked
from assistant.access.signin_page import Paper
from assistant.access.sockets import SIGNED_OUT
from assistant.texts import text

_CLOSED: Final = {"Connection": "close"}  # of what was not read to its end, nothing more is read


def answer(refused: Refused, asked: Asked | None) -> Response:
    if refused.status_code == 401 and asked is not None and asked.wants_page:
        return RedirectResponse(f"/signin?next={quote(asked.path_and_query, safe='/')}", 303)
    language = preferred_language(asked.header(b"accept-language") if asked else "")
    reason = text(language, refused.text) if refused.text else refused.reason
    if refused.text and asked is not None and asked.wants_page:
        return HTMLResponse(signin_page.notice(Paper(language, ""), reason), refused.status_code)
    headers = dict(_CLOSED) if refused.status_code in (408, 413) else {}
    if refused.status_code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"error": {"message": reason, "type": refused.kind}}
    return JSONResponse(body, refused.status_code, headers)


async def refuse_socket(refused: Refused, scope: Scope, send: Send) -> None:
    """Before it is accepted: a browser learns no more than that it was not."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": SIGNED_OUT, "reason": refused.reason})
        return
    body = json.dumps({"error": {"message": refused.reason, "type": refused.kind}}).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refused.status_code,
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})
