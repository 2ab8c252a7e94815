"""Nothing phones home: no process of ours, nor the browser on our pages, sends a packet outside.

The app, its kernels and Chromium run in a network namespace whose only way out is a device that
writes down every packet and answers none. So it is a count, not a sample, and includes questions to
a name server. What it does not prove: what code does that nobody walked through here. Chromium asks
for three services of its maker's on its own account; those names, and no others, are shut to it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from browsing import ROOT, Server, chromium, serve
from patience import until
from playwright.sync_api import Browser, Page, expect

from assistant.sandbox.environment import READY_MADE, kernel_environment
from engine import model_home
from engine.conversion import TYPES, convert

pytestmark = pytest.mark.browser

WITNESS = ROOT / "tests" / "outbound_witness.py"
NANO = ROOT / "tests" / "nano" / "chatglm3-nano"
PREPARED = 600_000  # ms: kernels may have to be compiled, and the environment made
NAMESERVER = "192.0.2.53"
CHROMIUMS_OWN = ("update.googleapis.com", "content-autofill.googleapis.com", "accounts.google.com")
NOBODY = "203.0.113.5"  # of a network that is nobody's


@dataclass
class Island:
    """The namespace, and what somebody in it sent outside."""

    pid: int
    file: Path

    def command(self, *command: str) -> list[str]:
        enter = ["nsenter", "-t", str(self.pid), "-n", "-m", f"--wd={ROOT}", "--"]
        return [*enter, *command]

    @property
    def sent(self) -> list[str]:
        return self.file.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def island(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Island]:
    folder = tmp_path_factory.mktemp("island")
    (folder / "resolv.conf").write_text(f"nameserver {NAMESERVER}\n", encoding="utf-8")
    file = folder / "sent"
    bind = f'mount --bind "{folder}/resolv.conf" "$(readlink -f /etc/resolv.conf)"'
    process = subprocess.Popen(
        [
            *("unshare", "-n", "-m", "sh", "-c", f'{bind} && exec "$@"', "sh"),
            *(sys.executable, str(WITNESS), str(file)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield Island(process.pid, file)
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def server(island: Island, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real launcher on the tests' own model, in a new home."""
    home = tmp_path_factory.mktemp("home")
    convert(NANO, home / "nano.bin", TYPES["q8_0"])
    kernels = model_home() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    (home / "kernels").symlink_to(kernels)  # compiled once for all tests
    own = {
        "ASSISTANT_HOME": str(home),
        "MODEL": str(home / "nano.bin"),
        READY_MADE: str(kernel_environment(model_home()).folder),
    }
    with serve("streamlit_app.py", island.command(), **own) as running:
        yield running


@contextmanager
def browser_on(island: Island, folder: Path) -> Iterator[Browser]:
    program = folder / "chromium"
    there = shutil.which("chromium") or "chromium"
    words = " ".join(island.command(there))
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    shut = ", ".join(f"MAP {name} ~NOTFOUND" for name in CHROMIUMS_OWN)
    with chromium(f"--host-resolver-rules={shut}", program=str(program)) as running:
        yield running


def walk(page: Page, url: str) -> None:
    """Every page, with something done on each."""
    page.goto(url)
    expect(page.get_by_label("Ask anything")).to_be_visible(timeout=PREPARED)
    page.get_by_label("Ask anything").fill("你好")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    page.goto(f"{url}/tools")
    expect(page.get_by_label("Ask anything")).to_be_visible()
    expect(page.get_by_text("get_weather").first).to_be_visible()
    page.goto(f"{url}/interpreter")
    expect(page.get_by_label("Ask anything, or drop files here")).to_be_visible(timeout=PREPARED)
    box = page.get_by_test_id("stFileUploader").filter(has_text="Upload files").locator("input")
    box.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"x\n1\n"})
    expect(page.get_by_text("a.csv · 4 B")).to_be_visible()
    page.get_by_text("Run code of your own").click()
    page.get_by_role("textbox", name="Code").fill("import pandas\nprint(6 * 7)")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("42", exact=True)).to_be_visible()
    for path in ("/account", "/signin", "/health"):
        page.goto(url + path)


def test_no_process_of_ours_sends_anything_outside(
    island: Island, server: Server, tmp_path: Path
) -> None:
    asked: list[str] = []
    with browser_on(island, tmp_path) as browser:
        context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 1000})
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url.replace("ws:", "http:")))
        walk(page, server.url)
        context.close()
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:"))] == []
    assert island.sent == []


@pytest.mark.parametrize(
    "attempt",
    [
        f"import socket; socket.socket().connect_ex(('{NOBODY}', 443))",
        "import socket; socket.socket(socket.AF_INET6).connect_ex(('2001:db8:1::5', 443))",
        f"import socket; socket.socket(2, 2).sendto(b'x', ('{NOBODY}', 53))",
        "import socket; socket.getaddrinfo('example.invalid', 443)",
    ],
)
def test_the_witness_sees_whatever_is_tried(island: Island, attempt: str) -> None:
    """Else the test above would pass by being blind. The attempt itself waits in vain."""
    before = len(island.sent)
    process = subprocess.Popen(
        island.command(sys.executable, "-c", attempt), stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: len(island.sent) > before)
    finally:
        process.kill()
        process.wait()


def test_nothing_is_left_to_chance_in_what_streamlit_is_told() -> None:
    """Usage statistics, and the question of which outer address this machine has."""
    settings = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    assert "gatherUsageStats = false" in settings
    assert 'serverAddress = "127.0.0.1"' in settings
    assert "STREAMLIT_BROWSER_GATHER_USAGE_STATS" not in os.environ
