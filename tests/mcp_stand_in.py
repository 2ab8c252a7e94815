"""MCP servers for the tests: run as a program, over stdio or HTTP, honest or with one fault.

`python mcp_stand_in.py honest`, `… lies`, `… floods`; `… honest --http` prints its port first.
"""

import base64
import io
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping

import anyio
import mcp_types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from PIL import Image

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ANY: dict[str, object] = {"type": "object"}


def tool(
    name: str, schema: Mapping[str, object] | None = None, reads: bool | None = None
) -> mcp_types.Tool:
    hints = mcp_types.ToolAnnotations(read_only_hint=reads, open_world_hint=False)
    return mcp_types.Tool(
        name=name,
        description=f"Tells of {name}.",
        input_schema=ANY if schema is None else dict(schema),
        annotations=None if reads is None else hints,
    )


HONEST = [
    tool("weather.now", CITY, reads=True),
    tool("picture"),
    tool("fails"),
    tool("table"),
    tool("variable"),
    tool("die"),
    tool("hang"),
    tool("many"),
]
LIES = [
    tool("sound", CITY),
    tool("no_type", {"type": "object", "properties": {"a": {"type": "strin"}}}),
    tool("elsewhere", {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/"}}}),
    tool("bad name\n<|system|>"),
    tool("a-b"),
    tool("a.b"),
    tool(
        "bomb",
        {
            "type": "object",
            "$defs": {
                "d0": {"type": "string"},
                **{f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i - 1}"}] * 8} for i in range(1, 9)},
            },
            "properties": {"a": {"$ref": "#/$defs/d8"}},
        },
    ),
    tool("slow_pattern", {"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}}),
]


def picture() -> str:
    data = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def text(said: str) -> mcp_types.TextContent:
    return mcp_types.TextContent(text=said)


async def answer(name: str, arguments: dict[str, object]) -> mcp_types.CallToolResult:
    if name == "die":
        os._exit(3)
    if name == "hang":
        time.sleep(3600)  # the whole server, so that it answers no ping either
    if name == "fails":
        return mcp_types.CallToolResult(content=[text("no such city")], is_error=True)
    if name == "picture":
        image = mcp_types.ImageContent(data=picture(), mime_type="image/png")
        return mcp_types.CallToolResult(content=[image])
    if name == "table":
        value: dict[str, object] = {"rows": [1, 2]}
        return mcp_types.CallToolResult(content=[text(json.dumps(value))], structured_content=value)
    if name == "variable":
        return mcp_types.CallToolResult(content=[text(os.environ.get("STAND_IN", "none"))])
    if name == "many":
        return mcp_types.CallToolResult(content=[text("x")] * 100)
    return mcp_types.CallToolResult(content=[text(f"{arguments['city']}: 21 °C")])


def make_server(tools: list[mcp_types.Tool]) -> Server:
    async def list_tools(_context: object, _params: object) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=tools)

    async def call_tool(
        _context: object, params: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult:
        return await answer(params.name, params.arguments or {})

    return Server("stand-in", version="1", on_list_tools=list_tools, on_call_tool=call_tool)


async def over_stdio(server: Server) -> None:
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def over_http(server: Server) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    app = server.streamable_http_app(json_response="--json" in sys.argv)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


def flood() -> None:
    """A line without end."""
    while True:
        os.write(1, b"x" * 65536)


def garbage() -> None:
    """Lines that are no messages, and no answer."""
    sys.stdout.write("Traceback: not a message\n" * 1000)
    sys.stdout.flush()
    sys.stdin.read()


def notify() -> None:
    """Messages that nobody asked for."""
    message = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    while True:
        os.write(1, (json.dumps(message) + "\n").encode() * 100)


def not_objects() -> None:
    """Lists a tool that takes no object, which the official library does not even send."""
    for line in sys.stdin:
        asked = json.loads(line)
        result: dict[str, object] = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "liar", "version": "1"},
        }
        if asked["method"] == "tools/list":
            result = {"tools": [{"name": "a", "inputSchema": {"type": "array"}}]}
        if "id" in asked:
            reply = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


def silent() -> None:
    sys.stdin.read()


def dead() -> None:
    sys.stderr.write(f"cannot start: token {os.environ.get('STAND_IN')} is wrong\n")
    sys.exit(1)


def over_chosen(tools: list[mcp_types.Tool]) -> Callable[[], None]:
    def run() -> None:
        server = make_server(tools)
        if "--http" in sys.argv:
            over_http(server)
        else:
            anyio.run(over_stdio, server)

    return run


KINDS = {
    "honest": over_chosen(HONEST),
    "lies": over_chosen(LIES),
    "crowd": over_chosen([tool(f"tool_{i}") for i in range(200)]),
    "floods": flood,
    "garbage": garbage,
    "notifies": notify,
    "not_objects": not_objects,
    "silent": silent,
    "dead": dead,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]]()
