"""The process that one tool file runs in: `python -m tools._worker FILE`, started by the assistant.

It speaks JSON lines over the pipes it finds as standard input and output, and then gives both away,
so that a tool that prints, prints to the log. First it says which tools the file has; from then on
it answers one request after another. SIGUSR1 makes it write where it is, as plain text.

What it does not do: keep a tool from the machine. A tool is its author's program.
"""

import asyncio
import base64
import faulthandler
import importlib.util
import inspect
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools._declaration import AuthorError, Declaration, Example, ToolError, declared_in
from tools._interface import BadArguments, Interface
from tools._results import Wire, error_output, outputs_of, traceback_of
from tools._secrets import find_secret, masked, masked_bytes

MAX_FOUND = 200  # characters of a wrong result in an example's report


class Channel:
    """The pipes to the assistant. When it goes away, so do this process and its children."""

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        faulthandler.register(signal.SIGUSR1, file=self._out, all_threads=False)
        self._requests: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def receive(self) -> Mapping[str, object]:
        request: Mapping[str, object] = json.loads(self._requests.get())
        return request

    def send(self, message: Mapping[str, object]) -> None:
        line = memoryview(json.dumps(_sendable(message)).encode() + b"\n")
        while line:
            line = line[os.write(self._out, line) :]

    def _read(self) -> None:
        # The main thread takes the signal: it is the one whose place is asked for.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        with os.fdopen(self._in, "rb") as lines:
            for line in lines:
                self._requests.put(line)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _sendable(node: object) -> object:
    """Without secrets, and bytes as text."""
    match node:
        case str():
            return masked(node)
        case bytes():
            return base64.b64encode(masked_bytes(node)).decode()
        case Mapping():
            return {masked(str(key)): _sendable(value) for key, value in node.items()}
        case list() | tuple():
            return [_sendable(each) for each in node]
    return node


@dataclass(frozen=True)
class Tool:
    """A declared function that can be offered."""

    declaration: Declaration
    interface: Interface

    def describe(self) -> Wire:
        said = self.declaration
        return {
            "name": self.interface.name,
            "description": self.interface.description,
            "parameters": self.interface.schema,
            "effects": said.effects,
            "time_limit": said.time_limit,
            "result_limit": said.result_limit,
            "n_examples": len(said.examples),
        }

    def run(self, arguments: Mapping[str, object]) -> object:
        bound = self.interface.bind(arguments)
        result = self.declaration.function(**bound)
        return asyncio.run(_wait(result)) if inspect.isawaitable(result) else result


async def _wait(result: object) -> object:
    assert inspect.isawaitable(result)
    return await result


def load(file: Path) -> dict[str, Tool]:
    """Imports the file. Raises whatever it raises, and AuthorError."""
    module_name = f"tools.{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    declarations = declared_in(module_name)
    if not declarations:
        raise AuthorError(f"no function is marked with @tool; is it _{file.name}, a helper's file?")
    tools: dict[str, Tool] = {}
    for declaration in declarations:
        if declaration.name in tools:
            raise AuthorError(f"two tools of this file are named {declaration.name}")
        # The interface is read even where a secret is missing: its faults are to be seen.
        tool = Tool(declaration, Interface(declaration.function))
        if all(find_secret(name) for name in declaration.secrets):
            tools[declaration.name] = tool
    return tools


def trouble(error: BaseException) -> Wire:
    """Why the file gives no tools: a line, and the way there."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, AuthorError | ToolError):
        reason = str(error)
    elif isinstance(error, SystemExit):
        reason = "the file ends the process when it is imported"
    elif isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        reason = f"the package {package} is not installed; try: pip install {package}"
    return {"trouble": {"reason": reason, "detail": traceback_of(error)}}


def answer(tools: Mapping[str, Tool], request: Mapping[str, object]) -> Wire:
    tool = tools.get(str(request["name"]))
    if tool is None:
        error = ToolError(f"The tool {request['name']} is no longer in its file.")
        return {"outputs": [error_output(error)], "is_error": True}
    os.chdir(str(request["folder"]))
    if "example" in request:
        index = request["example"]
        assert isinstance(index, int)
        return {"fault": _try_example(tool, tool.declaration.examples[index])}
    arguments = request["arguments"]
    assert isinstance(arguments, dict)
    return _call(tool, arguments)


def _call(tool: Tool, arguments: Mapping[str, object]) -> Wire:
    try:
        return {"outputs": outputs_of(tool.run(arguments)), "is_error": False}
    except BadArguments as error:
        return {"outputs": [error_output(ToolError(str(error)))], "is_error": True}
    except BaseException as error:  # also sys.exit: whatever a tool does is a result
        return {"outputs": [error_output(error)], "is_error": True}


def _try_example(tool: Tool, example: Example) -> str:
    """What is wrong with an example, or nothing."""
    call = ", ".join(f"{name}={value!r}" for name, value in example.arguments.items())
    try:
        found = tool.run(example.arguments)
        expected = example.expected
        right = bool(expected(found)) if callable(expected) else found == expected
    except BaseException as error:
        return f"{tool.interface.name}({call}) raised {type(error).__name__}: {error}"[:MAX_FOUND]
    if right:
        return ""
    rule = "which its check refuses" if callable(expected) else f"not {expected!r}"
    return f"{tool.interface.name}({call}) gave {found!r}, {rule}"[:MAX_FOUND]


def main() -> None:
    channel = Channel()
    try:
        tools = load(Path(sys.argv[1]))
    except BaseException as error:  # a user's file may raise anything
        channel.send(trouble(error))
        return
    channel.send({"tools": [tool.describe() for tool in tools.values()]})
    while True:
        channel.send(answer(tools, channel.receive()))


if __name__ == "__main__":
    main()
