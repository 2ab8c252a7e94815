"""`--server`: answers are streamed, and the health is asked for meanwhile."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from loopback import Loopback
from patience import PATIENCE

from engine.bench import __main__ as command
from engine.bench import server as server_module
from engine.bench.server import NoAnswer, Server

OFTEN = 3  # times that a stream waits to be asked for before it goes on


class StandIn(Loopback):
    """A server with one model. From its third stream on, every second one wants to be asked."""

    def __init__(self) -> None:
        self.asked = threading.Condition()
        self.n_asked = self.n_streams = 0
        self.usage: dict[str, int] | None = {"completion_tokens": 101}
        self.texts = ["", "Once", " upon", " a time"]
        self.models: Any = {"data": [{"id": "some-model"}]}
        self.healthy = self.patient = True
        self.bodies: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/base/v1/models":
                    outer.send(self, 200, json.dumps(outer.models))
                elif self.path == "/base/health":
                    outer.note_question()
                    outer.send(self, 200 if outer.healthy else 503, "loading")
                else:
                    outer.send(self, 404, "nothing here")

            def do_POST(self) -> None:
                assert self.path == "/base/v1/chat/completions"
                length = int(self.headers["Content-Length"])
                outer.bodies.append(json.loads(self.rfile.read(length)))
                outer.stream(self)

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self.serve(Handler)

    @property
    def base(self) -> str:
        return f"{self.url}/base"

    def note_question(self) -> None:
        with self.asked:
            self.n_asked += 1
            self.asked.notify_all()

    def wait_to_be_asked(self) -> None:
        with self.asked:
            goal = self.n_asked + OFTEN
            assert self.asked.wait_for(lambda: self.n_asked >= goal, PATIENCE)

    def send(self, handler: BaseHTTPRequestHandler, status: int, text: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    def stream(self, handler: BaseHTTPRequestHandler) -> None:
        self.n_streams += 1
        waits = self.patient and self.n_streams >= 3 and self.n_streams % 2 == 1
        handler.send_response(200)
        handler.end_headers()
        for text in self.texts:
            if waits:
                self.wait_to_be_asked()
            self.send_chunk(handler, {"choices": [{"delta": {"content": text}}]})
        self.send_chunk(handler, {"choices": [], "usage": self.usage})
        handler.wfile.write(b"data: [DONE]\n\n")

    def send_chunk(self, handler: BaseHTTPRequestHandler, chunk: dict[str, Any]) -> None:
        handler.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        handler.wfile.flush()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_EVERY", 0.001)
    monkeypatch.setattr(server_module, "_IDLE", 0.05)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn() as serving:
        yield serving


def report(server: StandIn, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    options = ["--repeat", "2", "--prompt", "7", "--output", "9", "--json", *more]
    assert command.main(["--server", server.base, *options]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_the_health_is_asked_for_while_an_answer_is_read_for_and_written(
    server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(server, capsys)
    idle, reading, writing, alone, beside = found["rows"]
    assert [row["name"] for row in found["rows"]] == ["health"] * 3 + ["stream"] * 2
    assert idle["what"] == "idle"
    assert len(reading["values"]) >= 2 * OFTEN
    assert len(writing["values"]) >= 2 * OFTEN
    assert reading["median"] <= reading["p95"] <= max(reading["values"])
    assert len(alone["values"]) == len(beside["values"]) == 2
    assert beside["note"].endswith("% of alone")
    assert found["model"] == "some-model"
    assert server.n_streams == 5  # a warm-up, then alone and asked in turn


def test_what_is_streamed_is_new_each_time_and_as_long_as_was_said(
    server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    report(server, capsys)
    questions = {body["messages"][0]["content"] for body in server.bodies}
    assert len(questions) == 5
    assert all(len(question.partition(": ")[2].split()) == 7 for question in questions)
    assert {body["max_tokens"] for body in server.bodies} == {9}
    assert {body["model"] for body in server.bodies} == {"some-model"}


def test_the_report_can_be_read(server: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--server", server.base, "--repeat", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"server  {server.base}" in printed
    assert "95 % within" in printed


def test_what_was_never_asked_for_has_no_row(
    server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_module, "_EVERY", PATIENCE)
    server.patient = False
    assert [row["name"] for row in report(server, capsys)["rows"]] == ["stream", "stream"]


def test_tokens_are_what_the_server_counts_or_else_the_texts(server: StandIn) -> None:
    asking = Server(server.base)
    assert asking.stream("?", 9).tokens == 101
    server.usage = None
    assert asking.stream("?", 9).tokens == 3


def test_a_late_answer_keeps_nobody_from_asking(
    server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, note = threading.Lock(), server.note_question

    def late() -> None:
        note()
        if first.acquire(blocking=False):
            server.wait_to_be_asked()  # by others, while this one has no answer

    monkeypatch.setattr(server, "note_question", late)
    report(server, capsys)
    assert first.locked()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"healthy": False}, "health does not answer as this needs: 503: loading"),
        ({"models": {"data": []}}, "no model is listed"),
        ({"models": {}}, "no model is listed"),
        ({"texts": [""]}, "the answer has no text"),
    ],
)
def test_a_server_that_answers_otherwise_is_an_error(
    server: StandIn, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    vars(server).update(change)
    assert command.main(["--server", server.base]) == 1
    assert said in capsys.readouterr().err


def test_an_address_where_nothing_is_served_is_an_error(
    server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--server", server.url]) == 1  # not below its /base
    assert "404: nothing here" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["localhost:8501", "http://", "http://host:port", "ftp://host"])
def test_what_is_no_address_is_an_error(url: str) -> None:
    with pytest.raises(NoAnswer, match="http://HOST:PORT"):
        Server(url)
