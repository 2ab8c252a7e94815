"""One tool file and the processes that run it. None of its code runs in this process.

A process is started when a call finds none idle, does one call at a time, and is kept for the next
until it has been idle for a while. One that hangs, dies or talks nonsense is ended.
"""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import ToolFileWrong, ToolNotImported
from assistant.toolprocess import NAP, Fault, ToolProcess
from assistant.toolresults import Garbled, failure, read_info, read_result
from assistant.toolsource import ToolInfo, ToolResult, Trouble

MAX_PROCESSES = 3  # of one file at a time; further calls wait
MAX_IDLE = 120.0  # seconds
MAX_ARGUMENTS = 100_000  # characters of JSON
MAX_REASON = 300  # characters
MAX_EXAMPLES = 100

Ask = Callable[[ToolProcess, threading.Event], Mapping[str, object]]


@dataclass(frozen=True)
class Offered:
    """A tool of a file, and how many examples it has."""

    info: ToolInfo
    n_examples: int


class ToolWorker:
    """Runs the calls of one file, from any number of threads."""

    def __init__(self, file: Path, import_limit: float) -> None:
        self.file = file
        self._import_limit = import_limit
        self._slots = threading.Semaphore(MAX_PROCESSES)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, ToolProcess]] = []
        self._busy: set[ToolProcess] = set()
        self._retired = False
        self._never = threading.Event()

    def load(self) -> tuple[Offered, ...] | Trouble:
        """What the file offers. The process stays for the examples, or for a first call."""
        try:
            process, hello = self._start(self._never)
        except Fault as fault:
            error = ToolNotImported(reason=_line(fault.message))
            return Trouble.of(self.file.name, error, fault.detail)
        try:
            found = _read_hello(hello, self.file.name)
        except Garbled as error:
            wrong = ToolFileWrong(reason=_line(f"the file's process said {error}"))
            found = Trouble.of(self.file.name, wrong)
        self._give_back(process, is_sound=not isinstance(found, Trouble))
        return found

    def call(
        self,
        tool: ToolInfo,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        """Runs one call; every fault of the tool is a result."""
        try:
            given = json.loads(json.dumps(dict(arguments)))
            n = len(json.dumps(given))
        except (TypeError, ValueError, RecursionError) as error:
            return failure("BadArguments", f"{tool.name} was not run: {error}.")
        if n > MAX_ARGUMENTS:
            message = f"the arguments have {n} characters; at most {MAX_ARGUMENTS}"
            return failure("BadArguments", f"{tool.name} was not run: {message}.")
        request = {"name": tool.name, "arguments": given, "folder": str(folder)}
        try:
            return read_result(self._ask(request, tool.time_limit, cancelled))
        except Fault as fault:
            return failure(fault.name, f"{tool.name} failed: {fault.message}.", fault.detail)
        except Garbled as error:
            return failure("Garbled", f"{tool.name} failed: it returned {error}.")

    def try_examples(self, tool: Offered) -> tuple[str, ...]:
        """What is wrong with each example that fails. Each runs in an empty folder of its own."""
        found = [self._try_example(tool.info, index) for index in range(tool.n_examples)]
        return tuple(filter(None, found))

    def rest(self, longest: float = MAX_IDLE) -> None:
        """Ends processes that have been idle for longer than that."""
        since = time.monotonic() - longest
        with self._lock:
            tired = [process for used, process in self._idle if used < since]
            self._idle = [(used, process) for used, process in self._idle if used >= since]
        for process in tired:
            process.close()

    def retire(self) -> None:
        """Takes no new place: what runs may finish, and nothing is kept after it."""
        with self._lock:
            self._retired = True
            idle, self._idle = self._idle, []
        for _, process in idle:
            process.close()

    def close(self) -> None:
        """Ends everything now."""
        self.retire()
        with self._lock:
            busy = list(self._busy)
        for process in busy:
            process.end()

    def _try_example(self, tool: ToolInfo, index: int) -> str:
        with tempfile.TemporaryDirectory(prefix="example-") as folder:
            request = {"name": tool.name, "example": index, "folder": folder}
            try:
                fault = self._ask(request, tool.time_limit, self._never).get("fault")
            except Fault as error:
                return f"example {index + 1}: {error.message}"
        return f"example {index + 1}: {fault}"[: 2 * MAX_REASON] if fault != "" else ""

    def _ask(
        self, request: Mapping[str, object], seconds: float, cancelled: threading.Event
    ) -> Mapping[str, object]:
        while not self._slots.acquire(timeout=NAP):
            if cancelled.is_set():
                raise Fault("Cancelled", "it was stopped by the user before it began")
        try:
            process = self._take_idle() or self._start_for_call(cancelled)
            is_sound = False
            try:
                answer = process.ask(request, seconds, cancelled)
                is_sound = True
            finally:
                self._give_back(process, is_sound=is_sound)
            return answer
        finally:
            self._slots.release()

    def _take_idle(self) -> ToolProcess | None:
        with self._lock:
            if not self._idle:
                return None
            process = self._idle.pop()[1]
            self._busy.add(process)
            return process

    def _start_for_call(self, cancelled: threading.Event) -> ToolProcess:
        process, hello = self._start(cancelled)
        trouble = hello.get("trouble")
        if isinstance(trouble, dict):  # the file was well when it was loaded
            self._give_back(process, is_sound=False)
            detail = str(trouble.get("detail"))
            raise Fault("BrokenFile", f"its file is broken now: {trouble.get('reason')}", detail)
        return process

    def _start(self, cancelled: threading.Event) -> tuple[ToolProcess, Mapping[str, object]]:
        """A new process, and what it says of itself."""
        try:
            process = ToolProcess(self.file)
        except OSError as error:
            raise Fault("NoProcess", f"no process could be started: {error}") from error
        with self._lock:
            self._busy.add(process)
            retired = self._retired
        try:
            if retired:
                raise Fault("Removed", "its file was changed or removed just now; call it again")
            return process, process.receive(self._import_limit, cancelled)
        except BaseException:
            self._give_back(process, is_sound=False)
            raise

    def _give_back(self, process: ToolProcess, *, is_sound: bool) -> None:
        with self._lock:
            self._busy.discard(process)
            keep = is_sound and not self._retired
            if keep:
                self._idle.append((time.monotonic(), process))
        if not keep:
            process.close()


def _read_hello(hello: Mapping[str, object], source: str) -> tuple[Offered, ...] | Trouble:
    trouble = hello.get("trouble")
    if isinstance(trouble, dict):
        wrong = ToolFileWrong(reason=_line(trouble.get("reason")))
        return Trouble.of(source, wrong, str(trouble.get("detail")))
    found = []
    tools = hello.get("tools")
    for each in tools if isinstance(tools, list) else ():
        if not isinstance(each, dict):
            raise Garbled(f"{type(each).__name__} where a tool should be")
        n_examples = each.get("n_examples")
        if not isinstance(n_examples, int) or not 0 <= n_examples <= MAX_EXAMPLES:
            raise Garbled(f"{n_examples!r} examples; at most {MAX_EXAMPLES}")
        found.append(Offered(read_info(each, source), n_examples))
    return tuple(found)


def _line(words: object) -> str:
    return " ".join(str(words).split())[:MAX_REASON]
