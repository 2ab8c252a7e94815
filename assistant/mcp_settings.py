"""The file that lists MCP servers, in the shape that other clients use too.

    {"allowedCommands": ["uvx"],
     "mcpServers": {
       "files": {"command": "uvx", "args": ["some-server"], "env": {"TOKEN": "${MY_TOKEN}"},
                 "effects": {"read_file": "read"}},
       "search": {"url": "https://example.com/mcp", "headers": {"Authorization": "${MY_KEY}"}}}}

A server's own claim that a tool only reads is not believed: only `effects` here can let a tool run
without being asked for. A command that `allowedCommands` does not name is not started.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from assistant.errors import AssistantError, SettingsUnreadable
from assistant.marked import Marked, Where, describe, read_marked_json
from assistant.toolsource import Effects, Trouble
from engine import model_home

MAX_SERVERS = 32

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,39}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_STDIO = ("type", "command", "args", "env", "effects", "disabled")
_HTTP = ("type", "url", "headers", "effects", "disabled")


@dataclass(frozen=True)
class StdioServer:
    """A program that is started, and spoken to over its stdin and stdout."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    effects: Mapping[str, Effects] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self.env.values())


@dataclass(frozen=True)
class HttpServer:
    """A server that is reached over streamable HTTP."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    effects: Mapping[str, Effects] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(self.headers.values())


Server = StdioServer | HttpServer


@dataclass(frozen=True)
class McpSettings:
    """One server that is written wrongly does not take the others with it."""

    servers: tuple[Server, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def settings_path() -> Path:
    chosen = os.environ.get("ASSISTANT_MCP")
    return Path(chosen).expanduser() if chosen else model_home() / "mcp.json"


def read_settings(path: Path) -> McpSettings:
    """No file means no servers."""
    try:
        document = read_marked_json(path.read_text(encoding="utf-8"), str(path))
        allowed, servers = _top(document)
    except FileNotFoundError:
        return McpSettings()
    except (OSError, UnicodeDecodeError) as error:
        return McpSettings(
            troubles=(Trouble.of(path.name, SettingsUnreadable(path=path, reason=error)),)
        )
    except AssistantError as error:
        return McpSettings(troubles=(Trouble.of(path.name, error),))
    read, troubles = [], []
    for name in servers:
        try:
            server = _server(document, servers, name, allowed)
        except AssistantError as error:
            troubles.append(Trouble.of(name[:40], error))
        else:
            read += [server] if server else []
    return McpSettings(tuple(read), tuple(troubles))


def _top(document: Marked) -> tuple[Sequence[str], dict[str, object]]:
    top = document.object_at(document.value, ())
    document.only(top, (), ("mcpServers", "allowedCommands"))
    servers = document.object_at(top.get("mcpServers"), ("mcpServers",))
    if len(servers) > MAX_SERVERS:
        raise document.wrong(("mcpServers",), f"{len(servers)} servers", f"at most {MAX_SERVERS}")
    return _texts(document, top.get("allowedCommands", []), ("allowedCommands",)), servers


def _server(
    document: Marked, servers: dict[str, object], name: str, allowed: Sequence[str]
) -> Server | None:
    where = ("mcpServers", name)
    if not _NAME.fullmatch(name):
        expected = "a name of at most 40 letters, digits, '_', '.' and '-'"
        raise document.wrong(where, describe(name), expected)
    server = document.object_at(servers[name], where)
    if ("command" in server) == ("url" in server):
        found = "both" if "url" in server else "neither"
        raise document.wrong(where, found, '"command" or "url"')
    document.only(server, where, _STDIO if "command" in server else _HTTP)
    disabled = server.get("disabled", False)
    if not isinstance(disabled, bool):
        raise document.wrong((*where, "disabled"), describe(disabled), "true or false")
    read = _stdio if "command" in server else _http
    return None if disabled else read(document, server, where, allowed)


def _stdio(
    document: Marked, server: dict[str, object], where: Where, allowed: Sequence[str]
) -> Server:
    _check_type(document, server, where, ("stdio",))
    command = _text(document, server["command"], (*where, "command"))
    if command not in allowed:
        expected = f'a command that "allowedCommands" names: add {describe(command)} to that list'
        raise document.wrong((*where, "command"), describe(command), f"{expected} if you trust it")
    return StdioServer(
        str(where[-1]),
        command,
        tuple(_texts(document, server.get("args", []), (*where, "args"))),
        _filled(document, server.get("env", {}), (*where, "env")),
        _effects(document, server.get("effects", {}), (*where, "effects")),
    )


def _http(
    document: Marked, server: dict[str, object], where: Where, _allowed: Sequence[str]
) -> Server:
    _check_type(document, server, where, ("http", "streamable-http", "streamableHttp"))
    url = _text(document, server["url"], (*where, "url"))
    if not _is_address(url):
        expected = "an http:// or https:// address without a user's name in it"
        raise document.wrong((*where, "url"), "another kind of address", expected)
    headers = _filled(document, server.get("headers", {}), (*where, "headers"))
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not value.isprintable() or not value.isascii():
            expected = "a header's name, and one line of ASCII"
            raise document.wrong((*where, "headers", name), "another character", expected)
    effects = _effects(document, server.get("effects", {}), (*where, "effects"))
    return HttpServer(str(where[-1]), url, headers, effects)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_http and port_is_sound and parts.username is None and url.isprintable()


def _check_type(
    document: Marked, server: dict[str, object], where: Where, known: tuple[str, ...]
) -> None:
    if server.get("type", known[0]) not in known:
        raise document.wrong((*where, "type"), describe(server["type"]), describe(known[0]))


def _filled(document: Marked, values: object, where: Where) -> dict[str, str]:
    """Texts with `${NAME}` replaced by what the environment has."""
    filled = {}
    for key, value in document.object_at(values, where).items():
        if not isinstance(value, str):  # never shown: it may be a secret
            raise document.wrong((*where, key), type(value).__name__, "text")
        for name in _VARIABLE.findall(value):
            if name not in os.environ:
                expected = f"the environment variable {name} to be set"
                raise document.wrong((*where, key), "${" + name + "}", expected)
        filled[key] = _VARIABLE.sub(lambda match: os.environ[match[1]], value)
        if "\0" in key + filled[key] or "=" in key:
            raise document.wrong((*where, key), "a NUL, or = in a name", "neither")
    return filled


def _effects(document: Marked, values: object, where: Where) -> dict[str, Effects]:
    effects = {}
    for key, value in document.object_at(values, where).items():
        if not isinstance(value, str) or value not in list(Effects):
            raise document.wrong((*where, key), describe(value), f"one of {', '.join(Effects)}")
        effects[key] = Effects(value)
    return effects


def _text(document: Marked, value: object, where: Where) -> str:
    """Text that is used as it stands: a variable in it would silently not be replaced."""
    if not isinstance(value, str) or not value:
        raise document.wrong(where, describe(value), "text")
    if "\0" in value or _VARIABLE.search(value):
        raise document.wrong(where, "a variable", "none: they are read in env and headers only")
    return value


def _texts(document: Marked, value: object, where: Where) -> list[str]:
    if not isinstance(value, list):
        raise document.wrong(where, describe(value), "a list of texts")
    return [_text(document, item, (*where, i)) for i, item in enumerate(value)]
