"""A visit of an operator, by a one-time link and out again: what came of each step.

It leaves nothing behind but lines in the log: the sign-in that it makes, it also ends.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from assistant.access.store import AccessStore
from assistant.checkup.findings import Finding, Verdict, found
from assistant.checkup.knocks import OPENED, PAGE, Caller, Reply, form_field

ELSEWHERE = "https://elsewhere.invalid"
FLAGS = ("httponly", "secure", "samesite=lax", "path=/", "max-age=")
PREFIX = "__Host-"  # browsers take such a cookie from this host alone
CHECKS = ("comes_in", "cookie", "link_once", "origin", "cross_site", "sign_out")


class Visit:
    def __init__(self, visitor: Caller, store: AccessStore, name: str) -> None:
        self._visitor = visitor
        self._store = store
        self._name = name
        self.health: dict[str, Any] = {}  # what operators are told

    def findings(self) -> Iterator[Finding]:
        path = f"/signin/link/{self._store.make_link(self._name, 60.0)}"
        welcome = self._use(self._visitor, path)
        is_in = welcome.status == 303 and self._is_in()
        yield found("comes_in", is_in, f"POST /signin/link/…: {welcome.line}")
        if not is_in:
            yield from (Finding(each, Verdict.UNKNOWN, "") for each in CHECKS[1:])
            return
        self.health = self._told()
        yield _cookie(welcome)
        again = self._use(replace(self._visitor, cookies={}), path)
        yield found("link_once", again.status == 403, f"POST /signin/link/…: {again.line}")
        yield self._origin()
        yield from self._leave()

    def _use(self, caller: Caller, path: str) -> Reply:
        form = form_field(caller.ask("GET", path, PAGE))
        return caller.send_form(path, form)

    def _is_in(self) -> bool:
        return self._visitor.ask("GET", "/account", PAGE).status == 200

    def _told(self) -> dict[str, Any]:
        try:
            told = json.loads(self._visitor.ask("GET", "/health").body)
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    def _origin(self) -> Finding:
        own = self._visitor.open_socket({"Origin": f"https://{self._visitor.host}"})
        other = self._visitor.open_socket({"Origin": ELSEWHERE})
        is_good = own.status == OPENED and other.status == 403
        return found("origin", is_good, f"WebSocket, Origin {ELSEWHERE}: {other.line}")

    def _leave(self) -> Iterator[Finding]:
        form = form_field(self._visitor.ask("GET", "/account", PAGE))
        kept = replace(self._visitor, cookies=dict(self._visitor.cookies))
        planted = kept.send_form(
            "/signout", form, {"Origin": ELSEWHERE, "Sec-Fetch-Site": "cross-site"}
        )
        is_good = planted.status == 403 and self._is_in()
        yield found("cross_site", is_good, f"POST /signout, Origin {ELSEWHERE}: {planted.line}")
        kept = replace(self._visitor, cookies=dict(self._visitor.cookies))
        self._visitor.send_form("/signout", form)
        after = kept.ask("GET", "/", PAGE)
        yield found("sign_out", after.is_refusal, f"GET /: {after.line}")


def _cookie(welcome: Reply) -> Finding:
    lines = [each for each in welcome.cookie_lines if each.startswith(f"{PREFIX}assistant=")]
    flags = [part.strip().lower() for part in lines[0].split(";")[1:]] if lines else []
    missing = [flag for flag in FLAGS if not any(part.startswith(flag) for part in flags)]
    seen = "; ".join(flags) if lines else PREFIX
    return found("cookie", bool(lines) and not missing, seen)
