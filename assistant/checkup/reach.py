"""The public address itself, asked as anybody would, where there is a network."""

import ssl
from collections.abc import Callable
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from assistant.access.sharing import Sharing
from assistant.checkup.findings import Finding, Verdict, found
from assistant.checkup.knocks import PAGE, Reply

ANSWER = 10.0  # seconds to wait for one


def ask_outside(host: str) -> Reply:
    connection = HTTPSConnection(host, timeout=ANSWER, context=ssl.create_default_context())
    try:
        connection.request("GET", "/", headers=PAGE)
        with connection.getresponse() as response:
            return Reply(response.status, response.headers, b"")
    finally:
        connection.close()


def outside(now: Sharing | None, ask: Callable[[str], Reply] = ask_outside) -> Finding:
    if now is None or not now.url:
        return Finding("outside", Verdict.UNKNOWN, "")
    try:
        reply = ask(urlsplit(now.url).netloc)
    except (OSError, HTTPException) as error:
        return Finding("outside", Verdict.UNKNOWN, f"{now.url}: {error}")
    return found("outside", reply.is_refusal, f"{now.url}: {reply.line}")
