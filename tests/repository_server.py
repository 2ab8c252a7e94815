"""A loopback server that lists and serves one model as the Hub does and as ModelScope does."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback import Loopback

REPO = "owner/name"


@dataclass
class RepositoryServer(Loopback):
    """`files` of owner/name. Those of `large` have a checksum on the Hub; ModelScope has all."""

    files: Mapping[str, bytes]
    large: frozenset[str] = frozenset()
    listing: bytes | None = None  # answer this for a list
    cuts: dict[str, int] = field(default_factory=dict)  # a file's first download ends after so much
    asked: list[str] = field(default_factory=list)  # files as they are served, with their ranges

    def __post_init__(self) -> None:
        self.serve(type("Handler", (_Handler,), {"state": self}))


class _Handler(BaseHTTPRequestHandler):
    state: RepositoryServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        resolved = re.fullmatch(rf"/{REPO}/resolve/main/(.+)", parts.path)
        if parts.path == f"/api/models/{REPO}":
            self._list({"id": REPO, "siblings": self._hub_siblings()})
        elif parts.path == f"/api/v1/models/{REPO}/repo/files":
            self._list({"Code": 200, "Data": {"Files": self._modelscope_files()}})
        elif parts.path == f"/api/v1/models/{REPO}/repo":
            self._file(query["FilePath"][0])
        elif resolved:
            self._file(resolved[1])
        else:
            self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def log_message(self, *_: object) -> None:
        """Tests look at `asked`; nothing is printed."""

    def _hub_siblings(self) -> list[dict[str, Any]]:
        siblings = []
        for path, data in self.state.files.items():
            sibling: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": "0"}
            if path in self.state.large:
                sha = hashlib.sha256(data).hexdigest()
                sibling["lfs"] = {"sha256": sha, "size": len(data), "pointerSize": 130}
            siblings.append(sibling)
        return siblings

    def _modelscope_files(self) -> list[dict[str, Any]]:
        return [{"Path": "folder", "Type": "tree", "Size": 0, "Sha256": ""}] + [
            {
                "Path": path,
                "Type": "blob",
                "Size": len(data),
                "Sha256": hashlib.sha256(data).hexdigest(),
            }
            for path, data in self.state.files.items()
        ]

    def _list(self, value: object) -> None:
        listing = self.state.listing
        data = json.dumps(value).encode() if listing is None else listing
        self._answer(200, data, {"Content-Type": "application/json"})

    def _file(self, path: str) -> None:
        data = self.state.files.get(path)
        if data is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        asked = self.headers.get("Range", "")
        self.state.asked.append(f"{path} {asked}".strip())
        match = re.fullmatch(r"bytes=(\d+)-", asked)
        start = int(match[1]) if match else 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if match else {}
        self._answer(206 if match else 200, data[start:], headers, self.state.cuts.pop(path, None))

    def _answer(
        self, status: int, body: bytes, headers: Mapping[str, str], cut: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
