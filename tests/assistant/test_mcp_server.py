"""`python -m assistant mcp`, spoken to by the official client and by ours."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import mcp_types
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from patience import PATIENCE, until

from assistant.mcp_client import McpTools
from assistant.mcp_link import Limits
from assistant.outputs import JsonOutput, TextOutput

ROOT = Path(__file__).parents[2]
SOUND = '''\
"""Three tools."""
from tools import File, Image, tool


@tool(effects="none")
def add(a: int, b: int) -> int:
    """Adds.

    Args:
        a: the first
        b: the second
    """
    print("noise on stdout")
    return a + b


@tool(effects="write")
def store(text: str) -> dict[str, int]:
    """Stores a text."""
    return {"length": len(text)}


@tool(effects="network")
def fetch() -> str:
    """Fetches."""
    raise ValueError("no network")
'''
MORE = '''\
from tools import tool


@tool(effects="none")
def later() -> str:
    """Came later."""
    return "late"
'''


def parameters(folder: Path) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "assistant", "mcp", "--folder", str(folder)],
        env={"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "sound.py").write_text(SOUND)
    return folder


def with_client(folder: Path, mode: str, use: Callable[[Client], Awaitable[None]]) -> None:
    async def run() -> None:
        with anyio.fail_after(PATIENCE):
            async with Client(stdio_client(parameters(folder)), mode=mode) as client:
                await use(client)

    anyio.run(run)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_official_client_lists_and_calls_our_tools(folder: Path, mode: str) -> None:
    async def use(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"add", "store", "fetch"}
        assert tools["add"].description == "Adds."
        properties = tools["add"].input_schema["properties"]
        assert properties["a"] == {"type": "integer", "description": "the first"}
        added = await client.call_tool("add", {"a": 20, "b": 22})
        assert not added.is_error
        assert isinstance(added.content[0], mcp_types.TextContent)
        assert "42" in added.content[0].text
        stored = await client.call_tool("store", {"text": "北京"})
        assert stored.structured_content == {"length": 2}

    with_client(folder, mode, use)


def test_what_a_tool_does_to_the_world_is_said(folder: Path) -> None:
    async def use(client: Client) -> None:
        said = {}
        for tool in (await client.list_tools()).tools:
            hints = tool.annotations
            assert hints
            said[tool.name] = (hints.read_only_hint, hints.destructive_hint, hints.open_world_hint)
        assert said == {
            "add": (True, False, False),
            "store": (False, True, False),
            "fetch": (False, False, True),
        }

    with_client(folder, "auto", use)


def test_every_fault_is_an_answer(folder: Path) -> None:
    async def use(client: Client) -> None:
        for name, arguments in [("fetch", {}), ("none", {}), ("add", {"a": "x", "b": 1})]:
            answer = await client.call_tool(name, arguments)
            assert answer.is_error
            assert answer.content

    with_client(folder, "auto", use)


def test_nothing_but_the_protocol_is_on_stdout(folder: Path) -> None:
    asked: list[dict[str, object]] = [
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        },
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}},
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "assistant", "mcp", "--folder", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdin
        assert process.stdout
        for message in asked:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(PATIENCE) == 0
    assert [answer["id"] for answer in answers] == [1, 2]
    assert "3" in answers[1]["result"]["content"][0]["text"]


def test_our_client_uses_our_server_and_hears_of_a_new_tool(folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "mcp.json"
    server = {
        "command": sys.executable,
        "args": ["-m", "assistant", "mcp", "--folder", str(folder)],
        "env": {"PYTHONPATH": str(ROOT)},
    }
    settings.write_text(
        json.dumps({"allowedCommands": [sys.executable], "mcpServers": {"ours": server}})
    )
    tools = McpTools(settings, Limits(connect=PATIENCE, call=PATIENCE))
    try:
        until(lambda: names(tools) == {"add", "store", "fetch"})
        result = tools.call("store", {"text": "abc"}, tmp_path, threading.Event())
        assert result.outputs == (JsonOutput({"length": 3}),)
        (folder / "more.py").write_text(MORE)
        until(lambda: "later" in names(tools))
        result = tools.call("later", {}, tmp_path, threading.Event())
        assert result.outputs == (TextOutput("late"),)
    finally:
        tools.close()


def names(tools: McpTools) -> set[str]:
    return {info.name for info in tools.tools()}
