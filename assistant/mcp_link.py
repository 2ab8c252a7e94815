"""One MCP server: connected when somebody needs it, and again after it has died, ever later."""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import anyio
import mcp_types
from mcp.client import Client, ClientSession, IncomingMessage
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError

from assistant.errors import ServerLost
from assistant.mcp_offer import MAX_TOOLS, NOTHING, Offer, read_offer
from assistant.mcp_settings import HttpServer, Server
from assistant.mcp_transport import HttpTransport, StdioTransport
from assistant.toolsource import Trouble

Transport = StdioTransport | HttpTransport

MAX_PAGES = 20
MIN_SECRET = 6  # characters; a shorter one would black out ordinary words


@dataclass(frozen=True)
class Limits:
    """In seconds."""

    connect: float = 30.0
    call: float = 60.0
    ping: float = 5.0  # that a server may take to show that it lives, after a call that did not end
    first_retry: float = 1.0
    last_retry: float = 60.0
    between_lists: float = 1.0


class ServerFault(Exception):
    """A call got no answer; the message says why, without secrets."""


class Link:
    """Made in any thread; `offer` is read from any; all else runs in the loop's."""

    def __init__(self, server: Server, limits: Limits) -> None:
        self.server = server
        self.offer: Offer = NOTHING  # replaced whole
        self.remote_names: Mapping[str, str] = {}  # kept when the server dies: a call wakes it
        self._limits = limits
        self._session: ClientSession | None = None
        self._transport: Transport | None = None
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._list_changed = anyio.Event()
        self._retry_at = -math.inf
        self._retry_delay = limits.first_retry
        self._connecting = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wanted.wait()
            started = anyio.current_time()
            reason = await self._hold()
            if anyio.current_time() - started > self._limits.last_retry:
                self._retry_delay = self._limits.first_retry
            self._retry_at = anyio.current_time() + self._retry_delay
            self._retry_delay = min(2 * self._retry_delay, self._limits.last_retry)
            stderr = self._transport.stderr if self._transport else ""
            lost = ServerLost(reason=self._shown(reason))
            trouble = Trouble.of(self.server.name, lost, self._shown(stderr))
            self.offer = Offer({}, {}, (trouble,))
            self._wanted = anyio.Event()
            self._connecting = False
            self._settled.set()

    def want(self) -> None:
        """Connects soon, unless that is so or it has just failed."""
        if self._session or self._connecting or anyio.current_time() < self._retry_at:
            return
        self._connecting = True
        self._settled = anyio.Event()
        self._wanted.set()

    async def call(self, name: str, arguments: dict[str, object]) -> mcp_types.CallToolResult:
        """`name` is the server's own for the tool."""
        self.want()
        if self._connecting:
            await self._settled.wait()
        session, transport = self._session, self._transport
        if session is None or transport is None:
            raise ServerFault("; ".join(trouble.reason for trouble in self.offer.troubles))
        params = mcp_types.CallToolRequestParams(name=name, arguments=arguments)
        try:
            with anyio.fail_after(self._limits.call):
                # Not `call_tool`: it checks the answer by the server's own schema, whose patterns
                # could run for ever.
                return await session.send_request(
                    mcp_types.CallToolRequest(params=params), mcp_types.CallToolResult
                )
        except TimeoutError:
            await self._drop_unless_alive(session, transport)
            raise ServerFault(f"no answer within {self._limits.call:g} s") from None
        except Exception as error:
            reason = self._fault(error, transport)
            raise ServerFault(self._shown(reason)) from error

    async def _hold(self) -> str:
        """Connects and stays so for as long as it lasts. Why it ended."""
        transport = self._transport = _transport(self.server)
        client = Client(
            transport.streams(),
            cache=None,
            message_handler=self._notice,
            client_info=mcp_types.Implementation(name="assistant", version="1"),
        )
        try:
            with anyio.fail_after(self._limits.connect) as connecting:
                async with client:
                    await self._list(client)
                    connecting.deadline = math.inf
                    self._session = client.session
                    self._connecting = False
                    self._settled.set()
                    await self._stay(client, transport)
            return transport.reason
        except TimeoutError:
            return f"it did not connect within {self._limits.connect:g} s"
        except Exception as error:
            return transport.reason if transport.lost.is_set() else _reason(error)
        finally:
            self._session = None

    async def _stay(self, client: Client, transport: Transport) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._list_again, client)
            tasks.start_soon(self._listen, client)
            await transport.lost.wait()
            tasks.cancel_scope.cancel()

    async def _list(self, client: Client) -> None:
        tools: list[mcp_types.Tool] = []
        cursor = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None or len(tools) > MAX_TOOLS:
                break
        offer = read_offer(self.server, tools, self._limits.call)
        self.remote_names = offer.remote_names
        self.offer = offer

    async def _list_again(self, client: Client) -> None:
        while True:
            await self._list_changed.wait()
            self._list_changed = anyio.Event()
            with anyio.fail_after(self._limits.connect):
                await self._list(client)
            await anyio.sleep(self._limits.between_lists)

    async def _listen(self, client: Client) -> None:
        """A newer server tells of changes only to who listens; not all of them let one."""
        with suppress(ListenNotSupportedError, SubscriptionLost, MCPError):
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    self._list_changed.set()

    async def _notice(self, message: IncomingMessage) -> None:
        if isinstance(message, mcp_types.ToolListChangedNotification):
            self._list_changed.set()

    def _fault(self, error: Exception, transport: Transport) -> str:
        """What a call's failure means, and whether the connection is lost with it."""
        if isinstance(error, MCPError) and not _is_lost(error):
            return f"the server refuses the call: {error.message}"
        if isinstance(error, ValueError):
            return f"the server's answer is not as MCP has it: {_reason(error)}"
        self._drop(transport)
        return f"the connection was lost during the call: {transport.reason}"

    async def _drop_unless_alive(self, session: ClientSession, transport: Transport) -> None:
        try:
            with anyio.fail_after(self._limits.ping):
                await session.send_ping()
        except MCPError as error:
            if _is_lost(error):  # any other refusal is an answer too
                self._drop(transport)
        except Exception:  # whatever a stranger's server trips up in the client: no answer came
            self._drop(transport)

    def _drop(self, transport: Transport) -> None:
        if self._transport is transport:
            self._session = None
            transport.lost.set()

    def _shown(self, text: str) -> str:
        """Without what came from the environment: a server may print what it was given."""
        for secret in self.server.secrets:
            for part in {secret, *re.split(r"\s+", secret)}:
                if len(part) >= MIN_SECRET:
                    text = text.replace(part, "***")
        return text[:2_000]


def _transport(server: Server) -> Transport:
    return HttpTransport(server) if isinstance(server, HttpServer) else StdioTransport(server)


def _is_lost(error: MCPError) -> bool:
    """Also what stands for a session that an HTTP server has forgotten: it was started anew."""
    return error.code in (mcp_types.CONNECTION_CLOSED, mcp_types.INVALID_REQUEST)


def _reason(error: BaseException) -> str:
    """The first cause, in one line: task groups wrap it, and a validator's says more in three."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, MCPError):
        return error.message
    lines = [line.strip() for line in str(error).splitlines()]
    return f"{type(error).__name__}: {'; '.join(lines[:3])}"
