"""What an MCP server says that it offers, checked tool by tool: a stranger wrote it.

The server's hints about a tool (`readOnlyHint` and the like) are claims. They never make a tool
run without being asked for: they only choose between the two kinds that ask. What makes it run at
once is the person's own settings file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mcp_types

from assistant.errors import ServerToolMissing, ServerToolRefused, ServerToolsTooMany
from assistant.foreign_schema import BadSchema, harmless
from assistant.mcp_settings import Server
from assistant.toolsource import Effects, ToolInfo, Trouble
from assistant.toolspec import ToolSpec

MAX_TOOLS = 128
MAX_NAME = 64
MAX_DESCRIPTION = 1_000

_REMOTE_NAME = re.compile(r"[A-Za-z0-9_./ :-]{1,128}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Offer:
    """The tools of one server, by the name that a model can write, and the server's own name."""

    tools: Mapping[str, ToolInfo]
    remote_names: Mapping[str, str]
    troubles: tuple[Trouble, ...] = ()


NOTHING = Offer({}, {})


def read_offer(server: Server, listed: Sequence[mcp_types.Tool], time_limit: float) -> Offer:
    tools: dict[str, ToolInfo] = {}
    remote_names: dict[str, str] = {}
    troubles = []
    for tool in listed[:MAX_TOOLS]:
        try:
            info = _info(server, tool, time_limit)
            if info.name in tools:
                raise BadSchema(f"two of its tools have the name {info.name}")
        except BadSchema as error:
            refusal = ServerToolRefused(name=ascii(tool.name[:60]), reason=error)
            troubles.append(Trouble.of(server.name, refusal))
        else:
            tools[info.name] = info
            remote_names[info.name] = tool.name
    if len(listed) > MAX_TOOLS:
        troubles.append(Trouble.of(server.name, ServerToolsTooMany(limit=MAX_TOOLS)))
    for name in server.effects.keys() - {tool.name for tool in listed}:
        troubles.append(Trouble.of(server.name, ServerToolMissing(name=name)))
    return Offer(tools, remote_names, tuple(troubles))


def _info(server: Server, tool: mcp_types.Tool, time_limit: float) -> ToolInfo:
    description = _CONTROL.sub("", tool.description or tool.title or "").strip()
    if len(description) > MAX_DESCRIPTION:
        description = description[:MAX_DESCRIPTION] + "…"
    spec = ToolSpec(_name(tool.name), description, harmless(tool.input_schema))
    effects = server.effects.get(tool.name) or _claimed(tool.annotations)
    return ToolInfo(spec, server.name, effects, time_limit)


def _name(remote: str) -> str:
    """A name as ChatGLM3 and Python can write it."""
    if not _REMOTE_NAME.fullmatch(remote):
        raise BadSchema("its name has other characters than letters, digits and _ . / : -")
    name = _NOT_IN_NAMES.sub("_", remote)
    name = "_" + name if name[0].isdigit() else name
    if len(name) > MAX_NAME:
        raise BadSchema(f"its name has {len(name)} characters; at most {MAX_NAME} fit")
    return name


def _claimed(hints: mcp_types.ToolAnnotations | None) -> Effects:
    only_reads = hints is not None and hints.read_only_hint is True
    return Effects.NETWORK if only_reads else Effects.WRITE
