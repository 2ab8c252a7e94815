"""The loopback Hub with its other half: making repositories, and taking files by Git LFS."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hub_server import COMMIT, HubHandler, HubServer

WRITE, READ = "hf_may_write", "hf_may_read"


@dataclass
class UploadHub(HubServer):
    """What is committed stands in `files`, as if it had always been there."""

    repos: dict[str, bool] = field(default_factory=dict)  # by name: whether it is private
    chunk_size: int | None = None  # files come in parts of this size
    storage_status: int = 200  # what the storage answers
    verified: list[str] = field(default_factory=list)
    asked_paths: list[str] = field(default_factory=list)
    parts: dict[str, bytes] = field(default_factory=dict)  # by the path they were put at

    def handler(self) -> type[HubHandler]:
        return UploadHandler.of(self)


class UploadHandler(HubHandler):
    server_state: UploadHub

    def do_GET(self) -> None:
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)", self.path)
        if found is None:
            super().do_GET()
        elif found[1] in self.server_state.repos:
            self._reply({"id": found[1], "sha": COMMIT})
        else:
            self._reply({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def do_PUT(self) -> None:
        hub = self.server_state
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if hub.storage_status == 200:
            hub.parts[self.path] = body
        tag = hashlib.sha256(body).hexdigest()
        self.send_head(hub.storage_status, {"ETag": tag, "Content-Length": "0"})

    def do_POST(self) -> None:
        hub = self.server_state
        hub.asked_paths.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (WRITE, READ) and not self.path.startswith("/storage/"):
            self._reply({"error": "Invalid username or password."}, 401)
        elif token == READ:
            self._reply({"error": "You don't have the rights"}, 403)
        else:
            self._answer_post(body)

    def _answer_post(self, body: bytes) -> None:
        routes: dict[str, Callable[[str, bytes], None]] = {
            r"/api/repos/create": self._create,
            r"/api/models/(.+)/preupload/main": self._preupload,
            r"/(.+)\.git/info/lfs/objects/batch": self._batch,
            r"/storage/(.+)/whole": self._join,
            r"/verify": self._verify,
            r"/api/models/(.+)/commit/main": self._commit,
        }
        for pattern, answer in routes.items():
            if found := re.fullmatch(pattern, self.path):
                answer(found[1] if found.groups() else "", body)
                return
        self._reply({"error": "no such address"}, 404)

    def _create(self, _: str, body: bytes) -> None:
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}"
        known = repo in self.server_state.repos
        self.server_state.repos.setdefault(repo, asked.get("visibility") == "private")
        answer = {"url": f"{self.server_state.url}/{repo}", "name": repo}
        self._reply({**answer, "error": "exists"} if known else answer, 409 if known else 200)

    def _preupload(self, _: str, body: bytes) -> None:
        files = json.loads(body)["files"]
        said = [{"path": f["path"], "uploadMode": "lfs", "shouldIgnore": False} for f in files]
        self._reply({"files": said})

    def _batch(self, _: str, body: bytes) -> None:
        hub = self.server_state
        [asked] = json.loads(body)["objects"]
        place = f"{hub.url}/storage/{asked['oid']}"
        upload: dict[str, Any] = {"href": f"{place}/0"}
        if hub.chunk_size is not None:
            n_parts = -(-asked["size"] // hub.chunk_size)
            urls = {str(number + 1): f"{place}/{number}" for number in range(n_parts)}
            upload = {
                "href": f"{place}/whole",
                "header": {"chunk_size": str(hub.chunk_size), **urls},
            }
        actions = {"upload": upload, "verify": {"href": f"{hub.url}/verify"}}
        self._reply({"transfer": "basic", "objects": [{**asked, "actions": actions}]})

    def _join(self, oid: str, body: bytes) -> None:
        tags = [part["etag"] for part in json.loads(body)["parts"]]
        stored = [part for path, part in self.server_state.parts.items() if oid in path]
        assert sorted(tags) == sorted(hashlib.sha256(part).hexdigest() for part in stored)
        self._reply({})

    def _verify(self, _: str, body: bytes) -> None:
        self.server_state.verified.append(json.loads(body)["oid"])
        self._reply({})

    def _commit(self, repo: str, body: bytes) -> None:
        hub = self.server_state
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "lfsFile":
                oid = line["value"]["oid"]
                paths = sorted(
                    (p for p in hub.parts if oid in p), key=lambda p: int(p.split("/")[-1])
                )
                data = b"".join(hub.parts[path] for path in paths)
                assert hashlib.sha256(data).hexdigest() == oid
                hub.files[f"{repo}/{line['value']['path']}"] = data
        address = f"{hub.url}/{repo}/commit/{COMMIT}"
        self._reply({"commitUrl": address, "commitOid": COMMIT, "pullRequestUrl": None})

    def _reply(
        self, answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        body = json.dumps(answer).encode()
        kind = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.send_head(status, {**kind, **(headers or {})})
        self.wfile.write(body)
