"""A gate before a small application, and strangers and visitors who knock at it.

Requests are given to the gate as uvicorn gives them, so that they can be as odd as a line can be.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlencode

from starlette.types import Message, Receive, Scope, Send

from assistant.access.cookies import SESSION, Signatures
from assistant.access.gate import Gate, GateSettings
from assistant.access.store import AccessStore
from assistant.access.visitor import Access
from assistant.access.ways import SignInWay

OUTER = "192.0.2.1"  # an address of the server's that others reach
STRANGER = "198.51.100.7"
PUBLIC = "quiet-river.trycloudflare.com"
ALICE, BOB = "alice", "bob"  # an operator and a user
PASSWORD = "correct horse battery"


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Inside:
    """What is behind the gate: answers everything, and notes what it was given."""

    def __init__(self) -> None:
        self.seen: list[Scope] = []
        self.body = b""
        self.frames: list[bytes] = []  # sent over each WebSocket as it opens
        self.ended = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope)
        if scope["type"] == "websocket":
            await self._socket(receive, send)
            return
        body, message = b"", await receive()
        while message.get("more_body"):
            body += message["body"]
            message = await receive()
        self.body = body + message["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    async def _socket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for each in self.frames:
            await send({"type": "websocket.send", "bytes": each})
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        self.ended += 1

    def headers(self) -> dict[str, str]:
        """Of the last request that came through."""
        return {name.decode(): value.decode() for name, value in self.seen[-1]["headers"]}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        return next((value for each, value in self.headers if each == name.lower()), "")

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def cookies(self) -> dict[str, str]:
        pairs = [value.split(";")[0] for name, value in self.headers if name == "set-cookie"]
        return dict(each.split("=", 1) for each in pairs)

    def cookie_line(self, name: str) -> str:
        lines = [value for each, value in self.headers if each == "set-cookie"]
        return next(each for each in lines if each.startswith(name + "="))


@dataclass
class Caller:
    """Where somebody asks from, and what their browser says each time."""

    gate: Gate
    client: str = STRANGER
    server: str = OUTER
    host: str = f"{OUTER}:8501"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)

    def scope(
        self, method: str, target: str, headers: Mapping[str, str | list[str]], kind: str = "http"
    ) -> Scope:
        path, _, query = target.partition("?")
        said: dict[str, str | list[str]] = {"host": self.host, **self.headers, **headers}
        if self.cookies and "cookie" not in said:
            said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        lines = [
            (name.encode(), each.encode("latin-1"))
            for name, value in said.items()
            for each in ([value] if isinstance(value, str) else value)
        ]
        return {
            "type": kind,
            "http_version": "1.1",
            "method": method,
            "scheme": "ws" if kind == "websocket" else "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": lines,
            "client": (self.client, 50_000),
            "server": (self.server, 8501),
            "root_path": "",
            "extensions": {"websocket.http.response": {}},
            "subprotocols": [],
        }

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str | list[str]] | None = None,
        body: Iterable[bytes] = (b"",),
    ) -> Reply:
        reply = asyncio.run(self.ask_now(method, target, headers, body))
        self.cookies |= reply.cookies
        return reply

    def get(self, target: str, **headers: str) -> Reply:
        """As a browser that goes to a page."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", target, {"accept": "text/html", **said})

    def post(self, target: str, fields: Mapping[str, str], **headers: str) -> Reply:
        """As a browser that sends a form of our own."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
        return self.ask("POST", target, {**kind, **said}, [urlencode(fields).encode()])

    async def ask_now(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str | list[str]] | None = None,
        body: Iterable[bytes] | AsyncIterator[bytes] = (b"",),
    ) -> Reply:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        scope = self.scope(method, target, headers or {})
        await self.gate(scope, receiving(body), send)
        start, rest = messages[0], messages[1:]
        lines = [(name.decode().lower(), value.decode()) for name, value in start["headers"]]
        return Reply(start["status"], lines, b"".join(each.get("body", b"") for each in rest))

    def form(self, target: str = "/signin") -> str:
        """The hidden field of the form on a page."""
        return self.get(target).text.partition('name="form" value="')[2].partition('"')[0]

    def sign_in(self, name: str, password: str = PASSWORD, goto: str = "/") -> Reply:
        fields = {"form": self.form(), "name": name, "password": password, "next": goto}
        return self.post("/signin", fields)


def receiving(body: Iterable[bytes] | AsyncIterator[bytes]) -> Receive:
    """`receive` for a body in parts; after the last, nothing comes."""
    parts = body if isinstance(body, AsyncIterator) else _each(body)

    async def receive() -> Message:
        try:
            part = await anext(parts)
        except StopAsyncIteration:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": part != b""}

    return receive


async def _each(body: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in body:
        if part:
            yield part
    yield b""


@dataclass
class Phone:
    """The browser's end of one WebSocket."""

    sent: list[Message] = field(default_factory=list)
    inbox: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    task: "asyncio.Task[None] | None" = None

    async def send(self, message: Message) -> None:
        async with self.changed:
            self.sent.append(message)
            self.changed.notify_all()

    def say(self, data: bytes) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "bytes": data})

    async def hears(self, kind: str) -> Message:
        """The first message of this kind; waits for it."""
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: any(each["type"] == kind for each in self.sent))
        return next(each for each in self.sent if each["type"] == kind)

    @property
    def status(self) -> int:
        """101 if it was let in, else what it was refused with."""
        first = self.sent[0]
        return 101 if first["type"] == "websocket.accept" else int(first["status"])

    async def hang_up(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        assert self.task is not None
        await self.task


async def call(
    caller: Caller,
    target: str = "/_stcore/stream",
    headers: Mapping[str, str | list[str]] | None = None,
) -> Phone:
    """Opens a WebSocket, and returns once it is accepted or refused."""
    phone = Phone()
    phone.inbox.put_nowait({"type": "websocket.connect"})
    scope = caller.scope("GET", target, headers or {}, "websocket")
    phone.task = asyncio.create_task(_connect(caller.gate, scope, phone))
    async with asyncio.timeout(60), phone.changed:
        await phone.changed.wait_for(lambda: bool(phone.sent))
    return phone


async def _connect(gate: Gate, scope: Scope, phone: Phone) -> None:
    await gate(scope, phone.inbox.get, phone.send)


@dataclass
class House:
    """A gate with two users behind it, served on an address that others reach."""

    folder: Path
    ways: tuple[SignInWay, ...] = ()
    settings: GateSettings = field(default_factory=GateSettings)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.store = AccessStore(self.folder / "access.db", self.clock)
        self.store.add_user(ALICE, None)
        self.store.add_user(BOB, None, Access.USER)
        self.inside = Inside()
        self.gate = Gate(self.inside, self.store, self.ways, self.settings)

    def stranger(self) -> Caller:
        return Caller(self.gate)

    def local(self) -> Caller:
        return Caller(self.gate, "127.0.0.1", "127.0.0.1", "localhost:8501")

    def tunnelled(self) -> Caller:
        """By the public address, as cloudflared passes it on."""
        said = {"cf-connecting-ip": STRANGER, "x-forwarded-proto": "https", "cf-ray": "8f"}
        return Caller(self.gate, "127.0.0.1", "127.0.0.1", PUBLIC, said)

    def signed_in(self, name: str, caller: Caller | None = None, prefix: str = "") -> Caller:
        caller = caller or self.stranger()
        caller.cookies[prefix + SESSION] = self.cookie(self.store.begin_session(name, 3600.0))
        return caller

    def cookie(self, token: str) -> str:
        return Signatures(self.store.secret()).session_cookie(token)

    def share(self) -> None:
        self.store.begin_sharing(f"https://{PUBLIC}", self.clock() + 3600, frozenset(), 1)


def error_of(reply: Reply) -> str:
    kind: str = json.loads(reply.body)["error"]["type"]
    return kind
