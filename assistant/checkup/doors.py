"""What a stranger meets: without a cookie, with one made up, under another name."""

import json
from collections.abc import Iterator
from dataclasses import replace

from assistant.checkup.findings import Finding, found
from assistant.checkup.knocks import PAGE, Caller, Reply

ANOTHER_NAME = "another-name.invalid"
ROUTES = {  # a check's name, and what it asks for
    "page": ("GET", "/", PAGE),
    "upload": ("PUT", "/_stcore/upload_file/session/file", {}),
    "media": ("GET", "/media/0.png", {}),
    "static": ("GET", "/static/js/index.js", {}),
    "metrics": ("GET", "/_stcore/metrics", {}),
    "api": ("POST", "/v1/chat/completions", {}),
}
WITHOUT_SIGN_IN = (*ROUTES, "socket", "forged")  # where failing means that strangers are in
HEADERS = {  # a word that each must have
    "Content-Security-Policy": "frame-ancestors",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "",
    "Strict-Transport-Security": "max-age=",
    "Cache-Control": "no-store",
}


def findings(stranger: Caller) -> Iterator[Finding]:
    for name, (method, path, headers) in ROUTES.items():
        reply = stranger.ask(method, path, headers)
        yield found(name, reply.is_refusal, f"{method} {path}: {reply.line}")
    socket = stranger.open_socket()
    yield found("socket", socket.is_refusal, f"WebSocket: {socket.line}")
    yield _health(stranger.ask("GET", "/health"))
    yield _forged(stranger)
    yield _other_host(stranger)
    yield _headers(stranger.ask("GET", "/signin", PAGE))


def _health(reply: Reply) -> Finding:
    try:
        told = json.loads(reply.body)
    except ValueError:
        told = None
    is_good = isinstance(told, dict) and set(told) <= {"state"}
    return found("health", is_good or reply.is_refusal, f"GET /health: {reply.text[:80]}")


def _forged(stranger: Caller) -> Finding:
    names = ("assistant", "__Host-assistant")
    liar = replace(stranger, cookies=dict.fromkeys(names, "made-up.c2lnbmF0dXJl"))
    reply = liar.ask("GET", "/", PAGE)
    return found("forged", reply.is_refusal, f"GET /: {reply.line}")


def _other_host(stranger: Caller) -> Finding:
    reply = replace(stranger, host=ANOTHER_NAME, cookies={}).ask("GET", "/signin", PAGE)
    return found("host", reply.status == 421, f"Host: {ANOTHER_NAME}: {reply.line}")


def _headers(reply: Reply) -> Finding:
    missing = [name for name, word in HEADERS.items() if not reply[name] or word not in reply[name]]
    return found("headers", not missing, f"GET /signin: {', '.join(missing) or reply.line}")
