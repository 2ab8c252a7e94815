"""Joining the app, or starting one, and not believing it without having looked at its gate."""

import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from browsing import free_port
from loopback import Loopback
from patience import until
from tunnelling import is_alive

from assistant.errors import AppEnded, AppNotStarted, GateNotShut, PortTaken
from assistant.tunnel import application
from assistant.tunnel.application import (
    LAUNCHER,
    Answer,
    Application,
    is_ours,
    is_shut,
    launch_command,
)

APP = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"state": "loading"}'
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): ...
print(os.getpid(), os.getcwd(), flush=True)
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass
class App(Loopback):
    """Answers by path; what is not said is 404."""

    answers: dict[str, Answer]

    def __post_init__(self) -> None:
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = app.answers.get(self.path, Answer(404, "", b""))
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body)))
                if answer.location:
                    self.send_header("Location", answer.location)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, _format: str, *_arguments: object) -> None:
                """Nothing is printed."""

        self.serve(Handler)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


HEALTHY = Answer(200, "", b'{"state": "ready"}')
SHUT = Answer(303, "/signin?next=/", b"")
OPEN = Answer(200, "", b"<title>Assistant</title>")


@pytest.fixture
def app() -> Iterator[App]:
    with App({"/health": HEALTHY, "/": SHUT}) as app:
        yield app


def hurried(_seconds: float) -> None:
    """Waits for nothing."""


def waiting(seconds: float) -> None:
    threading.Event().wait(seconds)


def test_the_app_that_runs_is_joined_and_not_ended(app: App) -> None:
    joined = Application(app.port, ["false"])
    assert joined.is_running
    joined.close()
    assert joined.is_running


def test_a_proxy_for_the_world_outside_is_not_asked(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert Application(app.port).is_running


def test_where_nothing_answers_there_is_none() -> None:
    assert not Application(free_port()).is_running


@pytest.mark.parametrize(
    "health",
    [
        Answer(404, "", b""),
        Answer(200, "", b"<html>"),
        Answer(200, "", b'{"state": "green"}'),
        Answer(200, "", b'["ready"]'),
        Answer(500, "", b'{"state": "ready"}'),
    ],
)
def test_something_else_on_the_port_is_not_made_public(health: Answer, app: App) -> None:
    app.answers["/health"] = health
    with pytest.raises(PortTaken):
        _ = Application(app.port).is_running


def test_a_shut_gate_is_enough(app: App) -> None:
    Application(app.port).require_shut(hurried)
    Application(app.port).check()


def test_the_gate_is_given_a_moment_to_see_that_it_is_public(app: App) -> None:
    app.answers["/"] = OPEN

    def shut(_seconds: float) -> None:
        app.answers["/"] = SHUT

    Application(app.port).require_shut(shut)


@pytest.mark.parametrize("answer", [OPEN, Answer(303, "/elsewhere", b""), Answer(404, "", b"")])
def test_a_gate_that_stays_open_is_refused(answer: Answer, app: App) -> None:
    app.answers["/"] = answer
    with pytest.raises(GateNotShut):
        Application(app.port).require_shut(hurried)
    with pytest.raises(GateNotShut):
        Application(app.port).check()


def test_an_app_that_is_gone_is_named() -> None:
    with pytest.raises(AppEnded):
        Application(free_port()).check()


def test_one_that_is_too_busy_to_answer_is_not_taken_for_open(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_port: int, _path: str) -> Answer:
        raise TimeoutError

    monkeypatch.setattr(application, "ask", slow)
    Application(app.port).check()
    with pytest.raises(GateNotShut):
        Application(app.port).require_shut(hurried)


def test_one_of_our_own_is_started_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    port = free_port()
    ours = Application(port, [sys.executable, "-c", APP, str(port)])
    ours.start(waiting)
    pid, folder = (tmp_path / "app.log").read_text(encoding="utf-8").split()
    assert Path(folder) == LAUNCHER.parent
    assert is_alive(int(pid))
    ours.close()
    assert not is_alive(int(pid))


def test_one_that_does_not_start_says_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    command = [sys.executable, "-c", "print('one'); raise SystemExit('no room')"]
    ours = Application(free_port(), command)
    with pytest.raises(AppNotStarted, match=r"no room.*app\.log"):
        ours.start(waiting)
    ours.close()


def test_one_that_ends_while_public_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    port = free_port()
    ours = Application(port, [sys.executable, "-c", APP, str(port)])
    ours.start(waiting)
    pid = int((tmp_path / "app.log").read_text(encoding="utf-8").split()[0])
    os.kill(pid, 9)
    until(lambda: not is_alive(pid))
    with pytest.raises(AppEnded):
        ours.check()
    ours.close()


def test_it_is_our_launcher_on_this_machine_only_that_is_started() -> None:
    command = launch_command(8600)
    assert Path(command[4]).samefile(LAUNCHER)
    assert LAUNCHER.is_file()
    assert command[command.index("--server.address") + 1] == "127.0.0.1"
    assert command[command.index("--server.port") + 1] == "8600"


def test_a_health_too_large_to_be_one_is_none() -> None:
    assert not is_ours(Answer(200, "", b'{"state": "ready"' + b" " * (1 << 16)))


def test_a_redirect_counts_only_to_the_sign_in() -> None:
    assert is_shut(Answer(401, "", b""))
    assert not is_shut(Answer(303, "https://evil.example/signin", b""))
