"""`python -m assistant mcp`: our registered tools, for any MCP client, over stdio.

Whoever calls decides what may run: the client asks its person, helped by what each tool says that
it does to the world. A tool that reads files is given an empty folder: there is no conversation.
"""

import argparse
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.to_thread
import mcp_types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.session import ServerSession
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from assistant.mcp_content import as_call_result
from assistant.terminal import OK
from assistant.toolfolder import TOOLS, FolderTools
from assistant.toolsource import Effects, ToolInfo, ToolSource

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Context: TypeAlias = ServerRequestContext[dict[str, object]]

N_CALLS = 8  # at a time
SETTLE_LIMIT = 20.0  # seconds that a client waits for tools that are still being loaded
LOOK_EVERY = 1.0  # seconds between two looks at whether the tools are others


def add_mcp(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "mcp",
        help="offer the tools to an MCP client",
        description="Offer the tools to an MCP client, over stdin and stdout.",
    )
    command.set_defaults(run=serve_folder)
    command.add_argument("--folder", type=Path, default=TOOLS, metavar="DIR", help="default: tools")
    return command


def serve_folder(options: argparse.Namespace) -> int:
    tools = FolderTools(options.folder)
    try:
        serve(tools, lambda: tools.wait_settled(SETTLE_LIMIT))
    finally:
        tools.close()
    return OK


def serve(source: ToolSource, settle: Callable[[], object]) -> None:
    """Until stdin ends. `settle` returns when the source knows what it offers."""
    with tempfile.TemporaryDirectory(prefix="assistant-mcp-") as folder:
        anyio.run(_McpServer(source, settle, Path(folder)).run)


class _McpServer:
    def __init__(self, source: ToolSource, settle: Callable[[], object], folder: Path) -> None:
        self._source = source
        self._settle = settle
        self._folder = folder
        self._bus = InMemorySubscriptionBus()
        self._limiter = anyio.CapacityLimiter(N_CALLS)
        self._session: ServerSession | None = None  # of a client that is told of changes unasked

    async def run(self) -> None:
        server = Server(
            "assistant",
            version="1",
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_subscriptions_listen=ListenHandler(self._bus),
        )
        options = server.create_initialization_options(NotificationOptions(tools_changed=True))
        async with stdio_server() as (incoming, outgoing), anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell_changes)
            await server.run(incoming, outgoing, options)
            tasks.cancel_scope.cancel()

    async def _list_tools(
        self, context: Context, _params: mcp_types.PaginatedRequestParams | None
    ) -> mcp_types.ListToolsResult:
        await anyio.to_thread.run_sync(self._settle, abandon_on_cancel=True)
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            self._session = context.session
        return mcp_types.ListToolsResult(tools=[_listed(info) for info in self._source.tools()])

    async def _call_tool(
        self, _context: Context, params: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult:
        if params.name not in {info.name for info in self._source.tools()}:
            await anyio.to_thread.run_sync(self._settle, abandon_on_cancel=True)
        cancelled = threading.Event()

        def call() -> mcp_types.CallToolResult:
            arguments = params.arguments or {}
            return as_call_result(
                self._source.call(params.name, arguments, self._folder, cancelled)
            )

        try:
            return await anyio.to_thread.run_sync(
                call, abandon_on_cancel=True, limiter=self._limiter
            )
        finally:
            cancelled.set()  # a client that gives up ends the call

    async def _tell_changes(self) -> None:
        """A newer client hears of changes if it listens, an older one always."""
        known = tuple(self._source.tools())
        while True:
            await anyio.sleep(LOOK_EVERY)
            now = tuple(self._source.tools())
            if now != known:
                known = now
                await self._bus.publish(ToolsListChanged())
                if self._session:
                    await self._session.send_tool_list_changed()


def _listed(info: ToolInfo) -> mcp_types.Tool:
    return mcp_types.Tool(
        name=info.name,
        description=info.spec.description,
        input_schema=dict(info.spec.parameters),
        annotations=mcp_types.ToolAnnotations(
            read_only_hint=info.effects in (Effects.NONE, Effects.READ),
            destructive_hint=info.effects is Effects.WRITE,
            open_world_hint=info.effects is Effects.NETWORK,
        ),
    )
