"""How a server answers while it writes: `python -m engine.bench --server URL`.

It streams an answer from URL's OpenAI-compatible API and meanwhile asks URL/health every 50 ms,
each time over a new connection, whether or not the last has been answered. Works with our own
server and with others. This program's own work is on the same machine, and so in the figures.
"""

import http.client
import json
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from engine.bench.row import Row
from engine.errors import EngineError

_EVERY = 0.05  # seconds between two questions
_IDLE = 5.0  # seconds of asking a server that does nothing else
_AT_ONCE = 16  # questions that may wait for their answers
_PATIENCE = 120.0  # seconds; a machine is slow, not wrong
_ADDRESS = "an address looks like http://HOST:PORT"
_QUESTION = "Write a long Python program, well commented, with a function for each of these words"
_WORDS = "red tree under seven stones the old river sings of nine white birds and one green door"

_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class NoAnswer(EngineError):
    template = "{url} does not answer as this needs: {reason}."


@dataclass(frozen=True)
class Asked:
    """One question for the health: when it was asked and when it was answered."""

    at: float
    answered: float

    @property
    def ms(self) -> float:
        return 1000 * (self.answered - self.at)


@dataclass(frozen=True)
class Streamed:
    """An answer: asked for, its first and its last text, and its tokens."""

    at: float
    first: float
    last: float
    tokens: int

    @property
    def speed(self) -> float:
        return (self.tokens - 1) / (self.last - self.first) if self.last > self.first else 0.0


class Server:
    """Where requests go, each over a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            parts = urlsplit(self.url)
            self._place = (parts.hostname or "", parts.port)
        except ValueError as error:
            raise NoAnswer(url=url, reason=_ADDRESS) from error
        if parts.scheme not in _CONNECTIONS or not parts.hostname:
            raise NoAnswer(url=url, reason=_ADDRESS)
        self._connection, self._path = _CONNECTIONS[parts.scheme], parts.path
        self._model = ""

    @property
    def model(self) -> str:
        """The first that it lists."""
        if not self._model:
            with self._answer("GET", "/v1/models") as response:
                listed = json.load(response)
            try:
                self._model = str(listed["data"][0]["id"])
            except (LookupError, TypeError) as error:
                raise NoAnswer(url=f"{self.url}/v1/models", reason="no model is listed") from error
        return self._model

    def health(self) -> Asked:
        at = time.perf_counter()
        with self._answer("GET", "/health") as response:
            response.read()
        return Asked(at, time.perf_counter())

    def stream(self, question: str, n_tokens: int) -> Streamed:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": n_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        at, times, usage = time.perf_counter(), list[float](), 0
        with self._answer("POST", "/v1/chat/completions", body) as response:
            for chunk in _chunks(response):
                if _text(chunk):
                    times.append(time.perf_counter())
                usage = (chunk.get("usage") or {}).get("completion_tokens") or usage
        if not times:
            raise NoAnswer(url=self.url, reason="the answer has no text")
        return Streamed(at, times[0], times[-1], usage or len(times))

    @contextmanager
    def _answer(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection(*self._place, timeout=_PATIENCE)
        try:
            data = None if body is None else json.dumps(body).encode()
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, self._path + path, data, headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                said = response.read(300).decode(errors="replace").strip()
                raise NoAnswer(url=self.url + path, reason=f"{response.status}: {said}")
            yield response
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(url=self.url + path, reason=error) from error
        finally:
            connection.close()


def measure(
    server: Server, n_words: int, n_tokens: int, repeat: int, say: Callable[[str], None]
) -> list[Row]:
    """Asked while it does nothing; then answers alone and answers with questions, in turn."""
    say(f"{server.url}: one warm-up, then {repeat} answers alone and {repeat} asked meanwhile")
    rng = random.Random()  # not seeded: a prompt that was there before need not be read
    ask = partial(_stream, server, rng, n_words, n_tokens)
    ask()
    idle = _asked_for(server, _IDLE)
    alone, beside, reading, writing = list[float](), list[float](), list[Asked](), list[Asked]()
    for _ in range(repeat):
        alone.append(ask().speed)
        streamed, asked = _asked_meanwhile(server, ask)
        beside.append(streamed.speed)
        reading += [each for each in asked if each.at < streamed.first]
        writing += [each for each in asked if each.at >= streamed.first]
    kept = statistics.median(beside) / statistics.median(alone) if all(alone) else 0.0
    asked_when = {
        "idle": idle,
        f"while a prompt of {n_words} words is read": reading,
        f"while at most {n_tokens} tokens are written": writing,
    }
    return [
        *(_latency_row(what, asked) for what, asked in asked_when.items() if asked),
        Row("stream", "alone", "tokens/s", tuple(alone)),
        Row("stream", "asked meanwhile", "tokens/s", tuple(beside), note=f"{kept:.0%} of alone"),
    ]


def _latency_row(what: str, asked: Sequence[Asked]) -> Row:
    values = tuple(each.ms for each in asked)
    row = Row("health", what, "ms", values)
    return replace(row, note=f"95 % within {row.percentile(95):.1f} ms, {len(values)} times")


def _stream(server: Server, rng: random.Random, n_words: int, n_tokens: int) -> Streamed:
    words = " ".join(rng.choices(_WORDS.split(), k=n_words))
    return server.stream(f"{_QUESTION}: {words}.", n_tokens)


def _asked_for(server: Server, seconds: float) -> list[Asked]:
    over = threading.Timer(seconds, (ended := threading.Event()).set)
    over.start()
    return list(asking(server, ended))


def _asked_meanwhile(server: Server, ask: Callable[[], Streamed]) -> tuple[Streamed, list[Asked]]:
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(ask)
        streaming.add_done_callback(lambda _: ended.set())
        asked = list(asking(server, ended))
        return streaming.result(), asked


def asking(server: Server, ended: threading.Event) -> Iterator[Asked]:
    """On time, whether or not the answers are."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = list[Future[Asked]]()
        while not ended.wait(_EVERY):
            waiting.append(pool.submit(server.health))
        yield from (each.result() for each in waiting)


def _chunks(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
        data = line.partition(b"data:")[2].strip()
        if data and data != b"[DONE]":
            yield json.loads(data)


def _text(chunk: dict[str, Any]) -> str:
    choices = chunk.get("choices") or [{}]
    return (choices[0].get("delta") or {}).get("content") or ""
