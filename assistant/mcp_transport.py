"""The way to an MCP server, with a limit on everything that it can send.

The official client's own transports believe the server: one reads a line of any length, the other
a body of any length. These stop at a limit; what is said over them is the official client's part.

What it does not cover: a server that we started runs with this user's rights, unconfined.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
import anyio.abc
import httpx2
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.os.posix.utilities import terminate_posix_process_tree
from mcp.shared.message import SessionMessage

from assistant.mcp_settings import HttpServer, StdioServer

MAX_MESSAGE = 24_000_000  # bytes: a picture of 16 MB in base64, and the rest
MAX_UNASKED_BYTES = 64_000_000
MAX_UNASKED_MESSAGES = 10_000
MAX_GARBAGE = 100  # lines that are no messages; some servers print a greeting
N_STDERR = 2_000  # bytes kept of what the server says of itself
GRACE = 2.0  # seconds that a server has to leave by itself


@dataclass
class StdioTransport:
    """A server that we start: JSON a line, on its stdin and stdout."""

    server: StdioServer
    lost: anyio.Event = field(default_factory=anyio.Event)  # set when it has gone, or is cut off
    reason: str = "the program has ended"
    _stderr: deque[bytes] = field(default_factory=lambda: deque(maxlen=32))
    _unasked_bytes: int = 0
    _unasked_messages: int = 0
    _garbage: int = 0
    _is_ending: bool = False

    @property
    def stderr(self) -> str:
        return b"".join(self._stderr)[-N_STDERR:].decode(errors="replace")

    @asynccontextmanager
    async def streams(self) -> AsyncGenerator[TransportStreams, None]:
        process = await anyio.open_process(
            [self.server.command, *self.server.args],
            env=get_default_environment() | dict(self.server.env),
            start_new_session=True,  # so that its children end with it
        )
        to_session, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, from_session = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks, to_session, incoming, outgoing, from_session:
            tasks.start_soon(self._keep_stderr, process)
            tasks.start_soon(self._read, process, to_session)
            tasks.start_soon(self._write, process, from_session)
            try:
                yield incoming, outgoing
            finally:
                self._is_ending = True
                with anyio.CancelScope(shield=True):
                    await _end(process)
                tasks.cancel_scope.cancel()

    async def _read(
        self,
        process: anyio.abc.Process,
        to_session: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        assert process.stdout
        async with to_session:
            try:
                async for line in self._lines(process.stdout):
                    message = self._message(line)
                    if message:
                        await to_session.send(message)
                if not self._is_ending:
                    self.lost.set()
            except _TooMuch as error:
                self.reason = str(error)
                self.lost.set()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # the session has ended, by our will

    async def _lines(self, stdout: anyio.abc.ByteReceiveStream) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        length = 0
        async for chunk in stdout:
            self._unasked_bytes += len(chunk)
            if self._unasked_bytes > MAX_UNASKED_BYTES:
                raise _TooMuch(f"it sent more than {MAX_UNASKED_BYTES} bytes without being asked")
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                yield b"".join([*parts, line])
                parts, length = [], 0
            parts.append(rest)
            length += len(rest)
            if length > MAX_MESSAGE:
                raise _TooMuch(f"it sent a line of more than {MAX_MESSAGE} bytes")

    def _message(self, line: bytes) -> SessionMessage | None:
        self._unasked_messages += 1
        if self._unasked_messages > MAX_UNASKED_MESSAGES:
            raise _TooMuch(f"it sent more than {MAX_UNASKED_MESSAGES} messages without being asked")
        try:
            return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(line))
        except ValueError:
            self._garbage += bool(line.strip())
            if self._garbage > MAX_GARBAGE:
                what = ascii(line[:80].decode(errors="replace"))
                raise _TooMuch(f"it prints what is no message, as {what}") from None
            return None

    async def _write(
        self,
        process: anyio.abc.Process,
        from_session: MemoryObjectReceiveStream[SessionMessage],
    ) -> None:
        assert process.stdin
        async for item in from_session:
            self._unasked_bytes = self._unasked_messages = 0
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await process.stdin.send(text.encode() + b"\n")
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                self.lost.set()
                return

    async def _keep_stderr(self, process: anyio.abc.Process) -> None:
        assert process.stderr
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for chunk in process.stderr:
                self._stderr.append(chunk[-N_STDERR:])


@dataclass
class HttpTransport:
    """A server that is reached by an address; nothing tells us when it has gone."""

    server: HttpServer
    lost: anyio.Event = field(default_factory=anyio.Event)
    reason: str = "the server does not answer"
    stderr: str = ""

    @asynccontextmanager
    async def streams(self) -> AsyncGenerator[TransportStreams, None]:
        # A compressed body could be small on the way and endless here.
        headers = {**self.server.headers, "Accept-Encoding": "identity"}
        timeout = httpx2.Timeout(30.0, read=300.0)
        transport = _Limited(httpx2.AsyncHTTPTransport())
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout, transport=transport) as client,
            streamable_http_client(
                self.server.url, http_client=client, max_sse_event_size=MAX_MESSAGE
            ) as streams,
        ):
            yield streams


class _TooMuch(Exception):
    """The server sends more than anybody asked for."""


class _Limited(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.DecodingError("a compressed answer, which we did not ask for")
        response.stream = _Counted(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        n_bytes = 0
        async for chunk in self._inner:
            n_bytes += len(chunk)
            if n_bytes > MAX_UNASKED_BYTES:
                raise httpx2.ReadError(f"an answer of more than {MAX_UNASKED_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _end(process: anyio.abc.Process) -> None:
    """Asks the server to leave by closing its stdin, then ends it and its children."""
    assert process.stdin
    with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.aclose()
    with anyio.move_on_after(GRACE):
        await process.wait()
    await terminate_posix_process_tree(process, GRACE)
    with anyio.move_on_after(GRACE):
        await process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.aclose()
    # A child that has left the group can hold a pipe open; nothing public closes our end of it.
    transport = getattr(getattr(process, "_process", None), "_transport", None)
    if transport:
        transport.close()
