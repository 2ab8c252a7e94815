"""The file that lists MCP servers."""

import json
from pathlib import Path

import pytest

from assistant.mcp_settings import HttpServer, StdioServer, read_settings, settings_path
from assistant.toolsource import Effects


def written(folder: Path, text: str) -> Path:
    path = folder / "mcp.json"
    path.write_text(text, encoding="utf-8")
    return path


def reason(folder: Path, server: object, **top: object) -> str:
    """Why one server is refused; another beside it is not."""
    servers = {"good": {"url": "http://127.0.0.1/"}, "bad": server}
    settings = read_settings(written(folder, json.dumps({"mcpServers": servers, **top}, indent=1)))
    assert [each.name for each in settings.servers] == ["good"]
    (trouble,) = settings.troubles
    assert trouble.source == "bad"
    return trouble.reason


def test_both_kinds_of_servers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    path = written(
        tmp_path,
        """{"allowedCommands": ["uvx"],
        "mcpServers": {
            "near": {"command": "uvx", "args": ["x"], "env": {"A": "${MY_KEY}"},
                     "effects": {"get": "read"}},
            "off": {"command": "uvx", "disabled": true},
            "far": {"type": "http", "url": "https://example.com/mcp",
                    "headers": {"Authorization": "Bearer ${MY_KEY}"}}}}""",
    )
    settings = read_settings(path)
    assert settings.troubles == ()
    assert settings.servers == (
        StdioServer("near", "uvx", ("x",), {"A": "s3cret"}, {"get": Effects.READ}),
        HttpServer("far", "https://example.com/mcp", {"Authorization": "Bearer s3cret"}),
    )
    assert "s3cret" not in repr(settings)


def test_no_file_means_no_servers(tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "mcp.json")
    assert (settings.servers, settings.troubles) == ((), ())


def test_the_file_is_at_home_or_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    monkeypatch.delenv("ASSISTANT_MCP", raising=False)
    assert settings_path() == tmp_path / "mcp.json"
    monkeypatch.setenv("ASSISTANT_MCP", str(tmp_path / "other.json"))
    assert settings_path() == tmp_path / "other.json"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"mcpServers":\n {,}}', "line 2"),
        ("mcpServers: {}", "expected JSON"),
        ("[]", "found a list, expected an object"),
        ("{}", "mcpServers: found nothing"),
        ('{"mcpServers": {},\n "servers": {}}', "line 2: servers"),
        ('{"mcpServers": {},\n "allowedCommands": "uvx"}', "expected a list of texts"),
        ('{"mcpServers": {"a": {},\n "a": {}}}', "line 2: document: found 'a' a second time"),
        (json.dumps({"mcpServers": {f"s{i}": {} for i in range(33)}}), "found 33 servers"),
        ('{"mcpServers": "\\ud800"}', "expected JSON"),
    ],
)
def test_a_file_that_is_wrong_gives_no_servers(tmp_path: Path, text: str, said: str) -> None:
    settings = read_settings(written(tmp_path, text))
    assert settings.servers == ()
    (trouble,) = settings.troubles
    assert trouble.source == "mcp.json"
    assert said in trouble.reason


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_bytes(b"\xff\xfe")
    (trouble,) = read_settings(path).troubles
    assert "cannot be read" in trouble.reason
    (trouble,) = read_settings(tmp_path).troubles
    assert "cannot be read" in trouble.reason


@pytest.mark.parametrize("allowed", [[], ["npx"], ["/bin/uvx"]])
def test_a_command_runs_only_if_the_file_allows_exactly_it(
    tmp_path: Path, allowed: list[str]
) -> None:
    said = reason(tmp_path, {"command": "uvx"}, allowedCommands=allowed)
    assert 'add "uvx" to that list' in said
    assert "line 7" in said


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (7, "found 7, expected an object"),
        ({}, 'found neither, expected "command" or "url"'),
        ({"command": "uvx", "url": "http://x/"}, "found both"),
        ({"command": ""}, 'found "", expected text'),
        ({"command": "uvx", "arg": []}, 'found "arg", expected one of'),
        ({"command": "uvx", "args": "x"}, "expected a list of texts"),
        ({"command": "uvx", "args": ["${TOKEN}"]}, "they are read in env and headers only"),
        ({"command": "uvx", "type": "sse"}, 'found "sse", expected "stdio"'),
        ({"command": "uvx", "disabled": "no"}, "expected true or false"),
        ({"command": "uvx", "env": {"A": 7}}, "env.A: found int, expected text"),
        ({"command": "uvx", "env": {"A": "${NO_SUCH}"}}, "NO_SUCH to be set"),
        ({"command": "uvx", "env": {"A=B": "x"}}, "a NUL, or = in a name"),
        ({"command": "uvx", "effects": {"a": "safe"}}, "expected one of none, read"),
        ({"url": "ftp://x/"}, "expected an http:// or https:// address"),
        ({"url": "http://me:secret@x/"}, "found another kind of address"),
        ({"url": "http://x:99999/"}, "found another kind of address"),
        ({"url": "http://x/", "headers": {"A B": "x"}}, "a header's name"),
        ({"url": "http://x/", "headers": {"A": "x\r\nB: y"}}, "one line of ASCII"),
        ({"url": "http://x/", "env": {}}, 'found "env", expected one of'),
        ({"url": "http://x/", "type": "sse"}, 'found "sse", expected "http"'),
    ],
)
def test_a_server_that_is_written_wrongly_is_refused_alone(
    tmp_path: Path, server: object, said: str
) -> None:
    assert said in reason(tmp_path, server, allowedCommands=["uvx"])


def test_a_name_that_could_be_mistaken_for_more_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '{"mcpServers": {"a b<br>": {"url": "http://x/"}}}')
    (trouble,) = read_settings(path).troubles
    assert "a name of at most 40" in trouble.reason
