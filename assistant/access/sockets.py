"""Open WebSockets: whose they are, how many one may have, and their end when a sign-in ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import Message, Receive, Send

from assistant.access.visitor import Visitor

SIGNED_OUT: Final = 4401  # the code a socket is closed with; 4000 and up are an application's own


@dataclass(frozen=True)
class SocketLimits:
    per_client: int = 64
    per_visitor: int = 32
    look_every: float = 5.0  # seconds until a sign-in that ended elsewhere is noticed


class OpenSocket:
    """One that was let in: passes messages on until its visitor may no longer be here."""

    def __init__(
        self,
        visitor: Visitor,
        client: str,
        receive: Receive,
        send: Send,
        is_still_in: Callable[[], Awaitable[bool]],
        look_every: float,
    ) -> None:
        self.visitor = visitor
        self.client = client
        self._receive = receive
        self._send = send
        self._is_still_in = is_still_in
        self._look_every = look_every
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self._looked_at = loop.time()
        self._over: asyncio.Future[None] = loop.create_future()
        self._next: asyncio.Future[Message] | None = None
        self._is_closed = False

    def end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    async def send(self, message: Message) -> None:
        """Nothing more is shown to a visitor whose sign-in has ended."""
        if not self._over.done():
            await self._send(message)

    async def receive(self) -> Message:
        while True:
            if self._next is None:
                self._next = asyncio.ensure_future(self._receive())
            await self._wait(self._next)
            if self._over.done():
                return await self._close()
            if self._next.done():
                message, self._next = self._next.result(), None
                return message

    async def _wait(self, message: asyncio.Future[Message]) -> None:
        """Until there is a message, or the socket is over; looks whether it should be."""
        left = self._looked_at + self._look_every - self._now()
        await asyncio.wait(
            (message, self._over), timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED
        )
        if self._now() >= self._looked_at + self._look_every:
            self._looked_at = self._now()
            if not await self._is_still_in():
                self.end()

    async def _close(self) -> Message:
        if not self._is_closed:
            self._is_closed = True
            await self._send(
                {"type": "websocket.close", "code": SIGNED_OUT, "reason": "signed out"}
            )
        return {"type": "websocket.disconnect", "code": SIGNED_OUT}

    def drop(self) -> None:
        if self._next is not None:
            self._next.cancel()


class Sockets:
    """Used by the event loop only."""

    def __init__(self, limits: SocketLimits) -> None:
        self._limits = limits
        self._open: set[OpenSocket] = set()
        self._clients: Counter[str] = Counter()
        self._visitors: Counter[str] = Counter()

    def has_room(self, visitor: Visitor, client: str) -> bool:
        """Somebody at this machine has no name and is counted by address only."""
        return self._clients[client] < self._limits.per_client and (
            not visitor.name or self._visitors[visitor.name] < self._limits.per_visitor
        )

    def open(
        self,
        visitor: Visitor,
        client: str,
        receive: Receive,
        send: Send,
        is_still_in: Callable[[], Awaitable[bool]],
    ) -> OpenSocket:
        each = OpenSocket(visitor, client, receive, send, is_still_in, self._limits.look_every)
        self._open.add(each)
        self._clients[client] += 1
        self._visitors[visitor.name] += 1
        return each

    def close(self, each: OpenSocket) -> None:
        """Forgets one that its application is done with."""
        each.drop()
        self._open.discard(each)
        for counter, key in ((self._clients, each.client), (self._visitors, each.visitor.name)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def end_session(self, session: str) -> None:
        """Ends at once what was opened by this sign-in."""
        for each in self._open:
            if session and each.visitor.session == session:
                each.end()
