"""A loopback server that speaks the Hub's protocol, and can be told to misbehave.

As on the Hub, a file's address answers with its facts and sends on to the place of its bytes.
"""

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Self

from loopback import Loopback

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubServer(Loopback):
    """`files` by "owner/name/file"; every other field is a way to misbehave or to be watched."""

    files: dict[str, bytes] = field(default_factory=dict)
    status: int | None = None  # answer everything with this
    ignores_range: bool = False
    range_shift: int = 0  # start this many bytes off what was asked for
    cuts: list[int] = field(default_factory=list)  # each next download ends after so many bytes
    says_size: bool = True
    asked: threading.Event = field(default_factory=threading.Event)  # a download has begun
    gate: threading.Event = field(default_factory=threading.Event)  # downloads wait for it
    downloads: list[str] = field(default_factory=list)  # the Range header of each, or ""
    resolved: list[str] = field(default_factory=list)  # "GET /owner/name/resolve/main/file"

    def __post_init__(self) -> None:
        self.gate.set()
        self.serve(self.handler())

    def handler(self) -> "type[HubHandler]":
        return HubHandler.of(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gate.set()
        super().__exit__(kind, error, trace)


class HubHandler(BaseHTTPRequestHandler):
    server_state: HubServer

    @classmethod
    def of(cls, hub: HubServer) -> type[Self]:
        return type(cls.__name__, (cls,), {"server_state": hub})

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, _format: str, *_args: object) -> None:
        """Tests look at `downloads` and `resolved`; nothing is printed."""

    def _answer(self) -> None:
        hub = self.server_state
        by_sha = {hashlib.sha256(data).hexdigest(): data for data in hub.files.values()}
        resolve = re.fullmatch(r"/(.+)/resolve/main/(.+)", self.path)
        name = f"{resolve[1]}/{resolve[2]}" if resolve else ""
        if hub.status is not None:
            self.send_head(hub.status, {"Content-Length": "0"})
        elif name in hub.files:
            hub.resolved.append(f"{self.command} {self.path}")
            self._send_facts(hub.files[name])
        elif self.path.removeprefix("/cdn/") in by_sha:
            self._send_bytes(by_sha[self.path.removeprefix("/cdn/")])
        else:
            self.send_head(404, {"Content-Length": "0", "X-Error-Code": "EntryNotFound"})

    def _send_facts(self, data: bytes) -> None:
        sha = hashlib.sha256(data).hexdigest()
        facts = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(data)), "X-Linked-Etag": sha}
        location = f"{self.server_state.url}/cdn/{sha}"
        self.send_head(302, {**facts, "ETag": sha, "Location": location, "Content-Length": "0"})

    def _send_bytes(self, data: bytes) -> None:
        hub = self.server_state
        asked = self.headers.get("Range", "")
        hub.downloads.append(asked)
        hub.asked.set()
        hub.gate.wait()
        match = None if hub.ignores_range else re.fullmatch(r"bytes=(\d+)-", asked)
        start = int(match[1]) + hub.range_shift if match else 0
        body = data[start:]
        headers = {"Content-Length": str(len(body))} if hub.says_size else {}
        if match:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.send_head(206 if match else 200, headers)
        n_sent = hub.cuts.pop(0) if hub.cuts else len(body)
        try:
            self.wfile.write(body[:n_sent])
        except ConnectionError:
            return  # the client has seen enough

    def send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
