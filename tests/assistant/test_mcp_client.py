"""MCP servers as a source of tools: real ones, started here, honest or with one fault."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mcp_stand_in
import pytest
from patience import until

from assistant.mcp_client import McpTools
from assistant.mcp_link import Limits
from assistant.outputs import ErrorOutput, ImageOutput, JsonOutput, TextOutput
from assistant.toolsource import Effects, ToolResult

STAND_IN = Path(mcp_stand_in.__file__)
PATIENT = Limits(connect=60, call=60, ping=60, first_retry=0.0, last_retry=0.0)
HASTY = Limits(connect=60, call=1.0, ping=0.5, first_retry=0.0, last_retry=0.0)


def stdio(kind: str, **more: object) -> dict[str, object]:
    return {"command": sys.executable, "args": [str(STAND_IN), kind], **more}


@contextmanager
def source(
    folder: Path, servers: dict[str, dict[str, object]], limits: Limits = PATIENT
) -> Iterator[McpTools]:
    path = folder / "mcp.json"
    path.write_text(json.dumps({"allowedCommands": [sys.executable], "mcpServers": servers}))
    tools = McpTools(path, limits)
    try:
        yield tools
    finally:
        tools.close()


def call(tools: McpTools, name: str, **arguments: object) -> ToolResult:
    return tools.call(name, arguments, Path(), threading.Event())


def message(result: ToolResult) -> str:
    assert result.is_error
    (output,) = result.outputs
    assert isinstance(output, ErrorOutput)
    return output.message


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpTools]:
    effects = {"fails": "read", "no_such_tool": "none"}
    server = stdio("honest", effects=effects, env={"STAND_IN": "from the file"})
    with source(tmp_path_factory.mktemp("honest"), {"near": server}) as tools:
        until(tools.tools)
        yield tools


def test_its_tools_appear_without_being_waited_for(tmp_path: Path) -> None:
    with source(tmp_path, {"near": stdio("honest")}) as tools:
        assert tools.tools() == []
        until(tools.tools)
        names = [info.name for info in tools.tools()]
    assert names == ["weather_now", *(tool.name for tool in mcp_stand_in.HONEST[1:])]


def test_a_name_that_no_model_can_write_is_written_another_way(honest: McpTools) -> None:
    result = call(honest, "weather_now", city="北京")
    assert result == ToolResult((TextOutput("北京: 21 °C"),))


def test_a_tool_says_whose_it_is_and_what_it_takes(honest: McpTools) -> None:
    info = honest.tools()[0]
    assert info.source == "near"
    assert info.spec.description == "Tells of weather.now."
    assert info.spec.parameters == mcp_stand_in.CITY


def test_a_servers_own_word_never_lets_a_tool_run_unasked(honest: McpTools) -> None:
    effects = {info.name: info.effects for info in honest.tools()}
    assert effects["weather_now"] is Effects.NETWORK  # it claims to read only
    assert effects["picture"] is Effects.WRITE


def test_the_settings_file_says_what_a_tool_does(honest: McpTools) -> None:
    effects = {info.name: info.effects for info in honest.tools()}
    assert effects["fails"] is Effects.READ


def test_an_effect_of_no_tool_is_a_red_row(honest: McpTools) -> None:
    (trouble,) = honest.troubles()
    assert "no_such_tool" in trouble.reason


def test_a_tools_failure_is_told(honest: McpTools) -> None:
    assert call(honest, "fails") == ToolResult((TextOutput("no such city"),), is_error=True)


def test_a_picture_arrives_as_one_that_we_encoded(honest: McpTools) -> None:
    (output,) = call(honest, "picture").outputs
    assert isinstance(output, ImageOutput)
    assert (output.width, output.height) == (4, 3)
    assert output.data.startswith(b"\x89PNG")


def test_a_value_that_is_also_sent_as_text_is_shown_once(honest: McpTools) -> None:
    assert call(honest, "table") == ToolResult((JsonOutput({"rows": [1, 2]}),))


def test_more_parts_than_anybody_reads_are_counted_only(honest: McpTools) -> None:
    outputs = call(honest, "many").outputs
    assert len(outputs) == 65
    assert outputs[-1] == TextOutput("[36 more parts left out]")


def test_a_server_has_the_variables_of_the_file_and_no_others(
    honest: McpTools, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert call(honest, "variable").outputs == (TextOutput("from the file"),)
    monkeypatch.setenv("STAND_IN", "ours")
    with source(tmp_path, {"near": stdio("honest")}) as tools:
        until(tools.tools)
        assert call(tools, "variable").outputs == (TextOutput("none"),)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "'city' is a required property"),
        ({"city": 7}, "city: 7 is not of type 'string'"),
        ({"city": {1, 2}}, "not JSON serializable"),
        ({"city": float("nan")}, "not JSON compliant"),
        ({"city": "x" * 300_000}, "at most 256000"),
    ],
)
def test_wrong_arguments_are_not_sent(
    honest: McpTools, arguments: dict[str, object], said: str
) -> None:
    assert said in message(call(honest, "weather_now", **arguments))


def test_an_unknown_tool_is_said_to_be_unknown(honest: McpTools) -> None:
    assert "no MCP server offers nothing" in message(call(honest, "nothing"))


def test_a_server_that_dies_in_a_call_is_a_red_row_and_comes_back(tmp_path: Path) -> None:
    with source(tmp_path, {"near": stdio("honest")}) as tools:
        until(tools.tools)
        assert "lost during the call" in message(call(tools, "die"))
        until(lambda: not call(tools, "weather_now", city="北京").is_error)


def test_a_dead_server_is_not_started_again_at_once(tmp_path: Path) -> None:
    limits = Limits(connect=60, first_retry=3600, last_retry=7200)
    with source(tmp_path, {"near": stdio("honest")}, limits) as tools:
        until(tools.tools)
        call(tools, "die")
        until(lambda: not tools.tools())
        assert [trouble.reason for trouble in tools.troubles()] == ["the program has ended"]
        assert "the program has ended" in message(call(tools, "fails"))


def test_a_server_that_hangs_is_given_up_and_started_anew(tmp_path: Path) -> None:
    with source(tmp_path, {"near": stdio("honest")}, HASTY) as tools:
        until(tools.tools)
        assert "no answer within 1 s" in message(call(tools, "hang"))
        until(lambda: _says(tools))


def _says(tools: McpTools) -> bool:
    return call(tools, "weather_now", city="北京").outputs == (TextOutput("北京: 21 °C"),)


def test_a_call_is_stopped_by_whoever_asked(tmp_path: Path) -> None:
    with source(tmp_path, {"near": stdio("honest")}) as tools:
        until(tools.tools)
        cancelled = threading.Event()
        cancelled.set()
        result = tools.call("hang", {}, tmp_path, cancelled)
    assert "was stopped" in message(result)


def test_a_server_that_lies_about_its_tools_has_the_sound_ones_offered(tmp_path: Path) -> None:
    with source(tmp_path, {"near": stdio("lies")}) as tools:
        until(tools.tools)
        names = [info.name for info in tools.tools()]
        reasons = [trouble.reason for trouble in tools.troubles()]
        pattern = tools.tools()[-1].spec.parameters
    assert names == ["sound", "a_b", "slow_pattern"]
    assert pattern["properties"] == {"a": {}}
    for said in (
        "'no_type' is not offered: 'strin' is not valid",
        "'elsewhere' is not offered: a reference out of the schema",
        "'bad name\\n<|system|>' is not offered: its name",
        "'a.b' is not offered: two of its tools have the name a_b",
        "'bomb' is not offered: the schema has more than",
    ):
        assert any(said in reason for reason in reasons), said
    assert len(reasons) == 5


def test_of_a_crowd_of_tools_the_first_are_offered(tmp_path: Path) -> None:
    with source(tmp_path, {"near": stdio("crowd")}) as tools:
        until(tools.tools)
        assert len(tools.tools()) == 128
        (trouble,) = tools.troubles()
    assert "more than 128 tools" in trouble.reason


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("floods", "a line of more than"),
        ("garbage", "it prints what is no message, as 'Traceback: not a message'"),
        ("notifies", "without being asked"),
        ("dead", "the program has ended"),
        ("not_objects", "tools.0.inputSchema.type; Input should be 'object'"),
    ],
)
def test_a_server_that_is_none_is_a_red_row(kind: str, said: str, tmp_path: Path) -> None:
    limits = Limits(connect=60, first_retry=3600, last_retry=7200)
    with source(tmp_path, {"near": stdio(kind)}, limits) as tools:
        until(tools.troubles)
        (trouble,) = tools.troubles()
        assert tools.tools() == []
    assert trouble.source == "near"
    assert said in trouble.reason


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    limits = Limits(connect=0.5, first_retry=3600, last_retry=7200)
    with source(tmp_path, {"near": stdio("silent")}, limits) as tools:
        until(tools.troubles)
        (trouble,) = tools.troubles()
    assert trouble.reason == "it did not connect within 0.5 s"


def test_what_a_server_says_of_its_end_is_shown_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "hunter22")
    server = stdio("dead", env={"STAND_IN": "Bearer ${MY_TOKEN}"})
    with source(tmp_path, {"near": server}) as tools:
        until(tools.troubles)
        (trouble,) = tools.troubles()
    assert "cannot start: token" in trouble.detail
    assert "hunter22" not in repr(trouble)


def test_a_command_that_is_not_there_is_a_red_row(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    server = {"command": "no-such-command-here"}
    path.write_text(
        json.dumps({"allowedCommands": ["no-such-command-here"], "mcpServers": {"near": server}})
    )
    tools = McpTools(path, PATIENT)
    try:
        until(tools.troubles)
        (trouble,) = tools.troubles()
    finally:
        tools.close()
    assert "No such file" in trouble.reason


def test_one_dead_server_leaves_the_others_alone(tmp_path: Path) -> None:
    with source(tmp_path, {"gone": stdio("dead"), "near": stdio("honest")}) as tools:
        until(tools.tools)
        assert not call(tools, "weather_now", city="北京").is_error


def test_of_two_servers_with_one_name_the_first_has_it(tmp_path: Path) -> None:
    servers = {"a": stdio("honest"), "b": stdio("honest")}
    with source(tmp_path, servers) as tools:
        until(lambda: tools.troubles())
        until(tools.tools)
        assert {info.source for info in tools.tools()} == {"a"}
        (first, *_) = tools.troubles()
    assert first.source == "b"
    assert "another server has a tool of this name" in first.reason


def test_bad_settings_are_a_red_row(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers":\n [}')
    tools = McpTools(path)
    assert tools.tools() == []
    (trouble,) = tools.troubles()
    assert "line 2" in trouble.reason
    tools.close()


def test_after_closing_nothing_runs_and_nothing_is_offered(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with source(tmp_path, {"near": stdio("honest")}) as tools:
        until(tools.tools)
        assert set(threading.enumerate()) != before
    assert "no MCP server offers" in message(call(tools, "fails"))
    assert tools.tools() == []
    assert set(threading.enumerate()) == before


@contextmanager
def over_http(kind: str, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, str(STAND_IN), kind, "--http", *more], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}/mcp", process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("form", ["--events", "--json"])
def test_a_server_over_http_is_as_good(form: str, tmp_path: Path) -> None:
    with (
        over_http("honest", form) as (url, _),
        source(tmp_path, {"far": {"url": url}}) as tools,
    ):
        until(tools.tools)
        assert call(tools, "weather_now", city="北京").outputs == (TextOutput("北京: 21 °C"),)


def test_a_server_over_http_that_dies_is_a_red_row(tmp_path: Path) -> None:
    limits = Limits(connect=60, first_retry=3600, last_retry=7200)
    with (
        over_http("honest") as (url, process),
        source(tmp_path, {"far": {"url": url}}, limits) as tools,
    ):
        until(tools.tools)
        process.kill()
        process.wait()
        assert message(call(tools, "weather_now", city="北京"))
        until(lambda: not tools.tools())
        assert [trouble.source for trouble in tools.troubles()] == ["far"]


def test_an_address_where_nobody_listens_is_a_red_row(tmp_path: Path) -> None:
    with source(tmp_path, {"far": {"url": "http://127.0.0.1:9/mcp"}}) as tools:
        until(tools.troubles)
        (trouble,) = tools.troubles()
    assert trouble.source == "far"
