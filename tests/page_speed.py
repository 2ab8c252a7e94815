"""How soon the app answers while it writes: `PYTHONPATH=.:tests python tests/page_speed.py`.

Serves the app with the model that `--model` or MODEL names. One tab reads its answer as a browser
does, five times a second; in another tab pages are opened in turn, each timed from sending the
wish to the message that its script has ended. Then `/health` is asked every 50 ms. All that while
the app is idle, while it reads a long prompt, and while it writes. Tabs are bare WebSockets: a
browser would itself take of the processors that the app runs on, and draws besides.
"""

import argparse
import os
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from browsing import serve
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Markdown_pb2 import Markdown
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from engine.bench.row import Row
from engine.bench.server import NoAnswer, Server, asking

PATIENCE = 60.0
PAUSE = 0.05  # seconds between two pages
LONG = 3000  # words of a prompt that takes seconds to read
WORDS = "red tree under seven stones the old river sings of nine white birds and one green door"
QUESTION = "Write a text adventure in Python with at least twenty rooms, and comment every line."
WRITING = 1.0  # seconds: a page that looks more often follows an answer


class Tab:
    """A browser tab without a browser: it keeps what a page needs to be run again."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._query = self._page = self._input = ""
        self._looks: dict[str, float] = {}  # fragments that are run again, and how often
        self.pages: dict[str, str] = {}  # titles and what Streamlit calls them
        self.texts: list[str] = []  # of the last run
        self.captions: list[str] = []
        self.run()

    def run(self, page: str = "", typed: str = "") -> float:
        """The whole script, once; seconds until it has ended."""
        self._page = self.pages.get(page, self._page)
        wanted = BackMsg()
        if typed:
            state = WidgetState(id=self._input)
            state.chat_input_value.data = typed
            wanted.rerun_script.widget_states.widgets.append(state)
        return self._send(wanted)

    def look(self) -> float:
        """The fragment that follows the answer, as its timer has it run."""
        wanted = BackMsg()
        wanted.rerun_script.fragment_id = min(self._looks, key=self._looks.__getitem__)
        wanted.rerun_script.is_auto_rerun = True
        return self._send(wanted)

    @property
    def interval(self) -> float:
        return min(self._looks.values())

    @property
    def is_following(self) -> bool:
        """Whether an answer is in the making."""
        return self.interval < WRITING

    def _send(self, wanted: BackMsg) -> float:
        wanted.rerun_script.query_string = self._query
        wanted.rerun_script.page_script_hash = self._page
        self.texts, self.captions = [], []
        began = time.perf_counter()
        self._socket.send(wanted.SerializeToString())
        while not self._take(ForwardMsg.FromString(self._socket.recv(timeout=PATIENCE))):
            pass
        return time.perf_counter() - began

    def _take(self, message: ForwardMsg) -> bool:
        """Whether the script has ended."""
        match message.WhichOneof("type"):
            case "navigation":
                self.pages = {
                    page.page_name: page.page_script_hash for page in message.navigation.app_pages
                }
                self._page = message.navigation.page_script_hash
                self._looks = {}
            case "page_info_changed":
                self._query = message.page_info_changed.query_string
            case "auto_rerun":
                self._looks[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            case "delta":
                element = message.delta.new_element
                self._input = element.chat_input.id or self._input
                kept = (
                    self.captions
                    if element.markdown.element_type == Markdown.CAPTION
                    else self.texts
                )
                kept += [element.markdown.body] if element.markdown.body else []
            case "script_finished":
                return message.script_finished in (
                    ForwardMsg.FINISHED_SUCCESSFULLY,
                    ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY,
                )
        return False


@contextmanager
def opened_tab(url: str) -> Iterator[Tab]:
    protocols = [Subprotocol("streamlit"), Subprotocol("none")]
    address = f"ws://{urlsplit(url).netloc}/_stcore/stream"
    with connect(address, origin=Origin(url), subprotocols=protocols, max_size=None) as socket:
        yield Tab(socket)


class Reader(threading.Thread):
    """Asks in a tab of its own and follows the answer to its end."""

    def __init__(self, url: str, question: str) -> None:
        super().__init__(name="reader")
        self._url, self._question = url, question
        self.writes, self.ended = threading.Event(), threading.Event()
        self.looks: list[float] = []  # seconds that each took
        self.figures = ""
        self.start()

    def run(self) -> None:
        try:
            with opened_tab(self._url) as tab:
                self._follow(tab)
        finally:
            self.writes.set()
            self.ended.set()

    def _follow(self, tab: Tab) -> None:
        tab.run(typed=self._question)
        while tab.is_following:
            time.sleep(tab.interval)
            self.looks.append(tab.look())
            if any(text and not text.startswith(":shimmer") for text in tab.texts):
                self.writes.set()
        self.figures = tab.captions[-1] if tab.captions else ""


def opened(tab: Tab, ended: threading.Event, times: int) -> dict[str, list[float]]:
    """Seconds that each page took, as often as asked or until it is over."""
    found: dict[str, list[float]] = {page: [] for page in tab.pages}
    for _ in range(times):
        for page, seconds in found.items():
            if ended.wait(PAUSE):
                return found
            seconds.append(tab.run(page))
    return found


def told(what: str, seconds: Sequence[float]) -> None:
    if not seconds:
        return
    row = Row("page", what, "ms", tuple(1000 * each for each in seconds))
    middle, most = row.median, max(row.values)
    line = f"{what}: 50 % in {middle:.0f} ms, 95 % in {row.percentile(95):.0f} ms, most {most:.0f}"
    sys.stdout.write(f"{line} (n={len(seconds)})\n")
    sys.stdout.flush()


def after(seconds: float) -> threading.Event:
    ended = threading.Event()
    timer = threading.Timer(seconds, ended.set)
    timer.daemon = True
    timer.start()
    return ended


def measure(url: str, times: int) -> None:
    server = Server(url)
    with opened_tab(url) as tab:
        opened(tab, threading.Event(), 3)  # the first of everything is slower
        tell_pages("idle", opened(tab, threading.Event(), times))
        told("/health, idle", health(server, after(5)))
        words = " ".join(random.choices(WORDS.split(), k=LONG))
        reader = Reader(url, f"{QUESTION} Name the rooms after these words: {words}.")
        tell_pages("while it reads a long prompt", opened(tab, reader.writes, times))
        tell_pages("while it writes", opened(tab, reader.ended, times))
    tell_reader("with pages opened", reader)
    reader = Reader(url, QUESTION)
    reader.writes.wait()
    told("/health, while it writes", health(server, reader.ended))
    tell_reader("with /health asked", reader)


def tell_reader(when: str, reader: Reader) -> None:
    reader.join()
    told(f"the answer's own page, {when}", reader.looks)
    sys.stdout.write(f"the answer, {when}: {reader.figures}\n")


def health(server: Server, ended: threading.Event) -> list[float]:
    return [asked.ms / 1000 for asked in asking(server, ended)]


def tell_pages(when: str, found: dict[str, list[float]]) -> None:
    for page, seconds in found.items():
        told(f"{page}, {when}", seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=os.environ.get("MODEL"))
    parser.add_argument("--times", type=int, default=40, help="each page is opened")
    arguments = parser.parse_args()
    model = {"MODEL": str(arguments.model)} if arguments.model else {}
    with serve("streamlit_app.py", **model) as serving:
        wait_ready(Server(serving.url))
        measure(serving.url, arguments.times)


def wait_ready(server: Server) -> None:
    until = time.monotonic() + 10 * PATIENCE
    while time.monotonic() < until:
        try:
            server.health()
            return
        except NoAnswer:
            time.sleep(PAUSE)
    raise AssertionError("the model was not ready in time")


if __name__ == "__main__":
    main()
