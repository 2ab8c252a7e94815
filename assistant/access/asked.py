"""A request as the gate sees it: read once, and refused where it could be read in two ways.

Not covered: how the bytes on the line became headers (uvicorn's part), and headers that come too
slowly, which never reach an application.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from starlette.types import Scope

# A host and a port, as browsers send them; never a dot at the end, a user name or a path.
_HOST = re.compile(
    r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?)(?::(?P<port>\d{1,5}))?"
)
# What no address of ours has: it could mean one thing here and another behind the gate.
_ODD_PATH = re.compile(r"//|\\|%|[\x00-\x1f\x7f]|/\.{1,2}(?:/|$)")
_ODD_RAW_PATH = re.compile(rb"%(?:2[ef5]|5c|00)", re.IGNORECASE)  # . / % \ and NUL, encoded
_ONCE = (b"host", b"origin", b"authorization", b"sec-fetch-site", b"content-length")


class Malformed(Exception):
    """A request that no browser and no honest program sends; says which part of it."""


@dataclass(frozen=True)
class Host:
    """Where a request is for: a name in lower case, and a port if one was said."""

    name: str
    port: int | None


@lru_cache(maxsize=256)
def read_host(value: str) -> Host | None:
    found = _HOST.fullmatch(value.lower())
    if found is None:
        return None
    return Host(found["name"], int(found["port"]) if found["port"] else None)


class Asked:
    """One HTTP request or WebSocket handshake."""

    def __init__(self, scope: Scope) -> None:
        self.is_socket = scope["type"] == "websocket"
        self.method: str = "GET" if self.is_socket else scope["method"]
        self.path: str = scope["path"]
        self.scheme: str = scope.get("scheme", "http")
        self.client: str = (scope.get("client") or ("",))[0]
        self.server: str = (scope.get("server") or ("",))[0] or ""
        self._headers = _by_name(scope["headers"])
        self._query: bytes = scope.get("query_string", b"")
        raw_path: bytes = scope.get("raw_path") or b""
        if _ODD_PATH.search(self.path) or _ODD_RAW_PATH.search(raw_path.partition(b"?")[0]):
            raise Malformed("path")

    def header(self, name: bytes) -> str:
        """A header's value, joined if it was sent more than once; empty if it was not."""
        return ", ".join(each.decode("latin-1") for each in self._headers.get(name, ()))

    def header_names(self) -> Iterable[bytes]:
        return self._headers

    @property
    def path_and_query(self) -> str:
        return self.path + ("?" + self._query.decode("latin-1") if self._query else "")

    @cached_property
    def host(self) -> Host | None:
        return read_host(self.header(b"host"))

    @cached_property
    def cookies(self) -> str:
        """All cookies: HTTP/2 may send each in a header of its own."""
        return "; ".join(each.decode("latin-1") for each in self._headers.get(b"cookie", ()))

    @property
    def bearer(self) -> str:
        """The key in `Authorization: Bearer …`."""
        scheme, _, key = self.header(b"authorization").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    @property
    def is_read(self) -> bool:
        """Whether it only looks: such a request changes nothing here."""
        return self.method in ("GET", "HEAD") and not self.is_socket

    @property
    def wants_page(self) -> bool:
        """Whether a person's browser asks for something to show."""
        return self.is_read and "text/html" in self.header(b"accept")


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    for name in _ONCE:
        if len(found.get(name, ())) > 1:
            raise Malformed(name.decode())
    return found
