"""Tools whose results a test writes, and code that a test plays."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from assistant.coderunner import CodeResult, OutputListener
from assistant.literals import Value
from assistant.outputs import ErrorOutput, JsonOutput, Output, TextOutput
from assistant.toolsource import Effects, ToolInfo, ToolResult, Trouble
from assistant.toolspec import ToolSpec

Answer = Callable[[Mapping[str, object]], ToolResult]


def spec(name: str, **types: str) -> ToolSpec:
    """A tool whose parameters are all required."""
    properties = {parameter: {"type": kind} for parameter, kind in types.items()}
    parameters = {"type": "object", "properties": properties, "required": list(types)}
    return ToolSpec(name, f"What {name} does", parameters)


def tool(name: str, effects: Effects = Effects.NONE, limit: int = 4000, **types: str) -> ToolInfo:
    return ToolInfo(spec(name, **types), f"{name}.py", effects, result_limit=limit)


WEATHER = tool("get_weather", city="string")
SEND = tool("send", Effects.WRITE, to="string", text="string")


def gave(*outputs: Output) -> ToolResult:
    return ToolResult(outputs)


def failed(message: str) -> ToolResult:
    return ToolResult((ErrorOutput("ValueError", message),), is_error=True)


class ScriptedTools:
    """A source of tools. `answers` says what each gives; the calls are kept."""

    def __init__(self, *tools: ToolInfo, **answers: Answer) -> None:
        self.registered: list[ToolInfo] = list(tools)
        self.answers = answers
        self.calls: list[tuple[str, Mapping[str, object]]] = []
        self.red: list[Trouble] = []
        self.folders: list[Path] = []
        self.closed = False

    def tools(self) -> Sequence[ToolInfo]:
        return tuple(self.registered)

    def troubles(self) -> Sequence[Trouble]:
        return tuple(self.red)

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        self.calls.append((name, arguments))
        self.folders.append(folder)
        if name not in {tool.name for tool in self.registered}:
            return failed(f"{name} is gone")
        if name in self.answers:
            return self.answers[name](arguments)
        return gave(JsonOutput({"temperature": 22}))

    def close(self) -> None:
        self.closed = True


class HangingTools(ScriptedTools):
    """A call goes on until it is cancelled."""

    def __init__(self, *tools: ToolInfo) -> None:
        super().__init__(*tools)
        self.started = threading.Event()

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        self.calls.append((name, arguments))
        self.started.set()
        cancelled.wait()
        return gave(TextOutput("half"))


class ScriptedCode:
    """Code that gives what the test says."""

    def __init__(self, *results: CodeResult) -> None:
        self.results = list(results)
        self.ran: list[str] = []

    def run(self, code: str, cancelled: threading.Event, listener: OutputListener) -> CodeResult:
        self.ran.append(code)
        result = self.results.pop(0)
        for n_outputs in range(1, len(result.outputs)):
            listener(result.outputs[:n_outputs])
        return result


def printed(*lines: str) -> CodeResult:
    outputs = tuple(TextOutput(line, "stdout") for line in lines)
    return CodeResult(outputs, "ok", 0.1, "scripted", ())


def as_written(name: str, **arguments: Value) -> str:
    """A call as ChatML's models write it."""
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"
