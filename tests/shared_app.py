"""A tiny app with a gate as the real one has, for tests of what makes it public.

`python shared_app.py PORT`. Only /health and the sign-in page are open, and while sharing is on
nothing else is. OPEN_GATE in the environment makes it a version without a gate; SLOW_APP, a folder,
one that never answers and leaves its pid there.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from assistant.access.store import open_store

STORE = open_store()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, json.dumps({"state": "ready"}).encode(), "application/json")
        elif self.path.startswith("/signin"):
            self._answer(200, b"sign in at " + self.headers["Host"].encode(), "text/plain")
        elif STORE.sharing() and "OPEN_GATE" not in os.environ:
            self._answer(303, b"", "text/plain")
        else:
            self._answer(200, b"come in", "text/plain")

    def log_message(self, _format: str, *_arguments: object) -> None:
        """Nothing is printed."""

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 303:
            self.send_header("Location", "/signin?next=/")
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if folder := os.environ.get("SLOW_APP"):
        note = Path(folder, "app.new")
        note.write_text(str(os.getpid()), encoding="utf-8")
        note.replace(Path(folder, "app.pid"))
        signal.pause()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
