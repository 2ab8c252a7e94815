"""A running server and a headless Chromium, for tests that need both."""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


expect.set_options(timeout=60_000)  # a busy machine is slow, not wrong


class Server:
    """One of our launchers, served as people serve it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}  # a cookie, where a test has to sign in

    def get(self, path: str) -> object:
        request = urllib.request.Request(self.url + path, headers=self.headers)
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def post(self, path: str, **body: object) -> None:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers)
        urllib.request.urlopen(request).close()


@contextmanager
def serve(launcher: str, inside: Sequence[str] = (), **environment: str) -> Iterator[Server]:
    """`streamlit run launcher` on a free port, until the block ends.

    `inside` is a command that runs the rest of its line somewhere else.
    """
    port = free_port()
    process = subprocess.Popen(
        [
            *inside,
            *(sys.executable, "-m", "streamlit", "run", launcher),
            *("--server.port", str(port), "--server.headless", "true"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("URL:" in line for line in process.stdout), "the server did not start"
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def chromium(*arguments: str, program: str = "chromium") -> Iterator[Browser]:
    """The system's Chromium; playwright's own would have to be downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which(program), args=[*QUIET, *arguments]
        )
        yield browser
        browser.close()


def stop_button(page: Page) -> Locator:
    """Ours: Streamlit's header has one of the same name while a script runs."""
    return page.get_by_test_id("stBottom").get_by_role("button", name="Stop", exact=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
