"""Tools of MCP servers, beside ours: a source like any other, with one thread for all of them."""

import concurrent.futures
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from assistant.errors import ServerToolTaken
from assistant.foreign_schema import mistake
from assistant.mcp_content import as_tool_result
from assistant.mcp_link import Limits, Link, ServerFault
from assistant.mcp_settings import read_settings, settings_path
from assistant.outputs import ErrorOutput
from assistant.toolsource import ToolInfo, ToolResult, Trouble

MAX_ARGUMENTS = 256_000  # characters
POLL = 0.05  # seconds between two looks at whether a call is to be ended


class McpTools:
    """Reads the settings and connects when it is first asked what there is."""

    def __init__(self, path: Path | None = None, limits: Limits | None = None) -> None:
        self._path = path
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._links: tuple[Link, ...] = ()
        self._settings_troubles: tuple[Trouble, ...] = ()
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()
        self._tasks: list[concurrent.futures.Future[None]] = []
        self._is_open: bool | None = None  # None: not yet

    def tools(self) -> Sequence[ToolInfo]:
        self._wake()
        return [info for info, _ in self._offered().values()]

    def troubles(self) -> Sequence[Trouble]:
        self._wake()
        taken = self._offered()
        troubles = [*self._settings_troubles]
        for link in self._links:
            offer = link.offer
            troubles += offer.troubles
            for name in offer.tools:
                if taken.get(name, (None, link))[1] is not link:
                    troubles.append(Trouble.of(link.server.name, ServerToolTaken(name=name)))
        return troubles

    def call(
        self, name: str, arguments: Mapping[str, object], folder: Path, cancelled: threading.Event
    ) -> ToolResult:
        self._wake()
        link = self._link_of(name)
        if link is None or self._portal is None:
            return _failed("UnknownTool", f"no MCP server offers {name} now")
        try:
            sent = _as_json(arguments)
            info = link.offer.tools.get(name)
            wrong = mistake(info.spec.parameters, sent) if info else None
        except (TypeError, ValueError, RecursionError) as error:
            return _failed("BadArguments", str(error))
        if wrong:
            return _failed("BadArguments", wrong)
        future = self._portal.start_task_soon(link.call, link.remote_names[name], sent)
        while not concurrent.futures.wait([future], POLL).done:
            if cancelled.is_set():
                future.cancel()
                return _failed("Cancelled", "the call was stopped before it was answered")
        try:
            return as_tool_result(future.result())
        except ServerFault as error:
            return _failed("ServerFault", f"{link.server.name}: {error}")
        except concurrent.futures.CancelledError:
            return _failed("Cancelled", "the server is being closed")

    def close(self) -> None:
        with self._lock:
            self._is_open = False
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self._links = ()
            self._portal = None
            self._stack.close()

    def _wake(self) -> None:
        with self._lock:
            if self._is_open is None:
                self._open()
            if self._portal:
                self._portal.start_task_soon(self._want)

    def _open(self) -> None:
        self._is_open = True
        settings = read_settings(self._path or settings_path())
        self._settings_troubles = settings.troubles
        self._links = tuple(Link(server, self._limits) for server in settings.servers)
        if self._links:
            self._portal = self._stack.enter_context(start_blocking_portal(name="mcp"))
            self._tasks = [self._portal.start_task_soon(link.run) for link in self._links]

    async def _want(self) -> None:
        for link in self._links:
            link.want()

    def _offered(self) -> dict[str, tuple[ToolInfo, Link]]:
        """Of two servers with a tool of one name, the first in the settings has it."""
        offered: dict[str, tuple[ToolInfo, Link]] = {}
        for link in self._links:
            for name, info in link.offer.tools.items():
                offered.setdefault(name, (info, link))
        return offered

    def _link_of(self, name: str) -> Link | None:
        """A server that has died keeps its tools' names, so that a call can bring it back."""
        if name in (offered := self._offered()):
            return offered[name][1]
        return next((link for link in self._links if name in link.remote_names), None)


def _as_json(arguments: Mapping[str, object]) -> dict[str, object]:
    text = json.dumps(dict(arguments), ensure_ascii=False, allow_nan=False)
    if len(text) > MAX_ARGUMENTS:
        raise ValueError(f"the arguments have {len(text)} characters; at most {MAX_ARGUMENTS} fit")
    sent: dict[str, object] = json.loads(text)
    return sent


def _failed(name: str, message: str) -> ToolResult:
    return ToolResult((ErrorOutput(name, message),), is_error=True)
