"""One tool file in processes of its own: whatever it does, the call has a result."""

import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Queue

import PIL.Image as Picture
import pytest
from tool_files import NEVER, PATIENCE, save

from assistant.outputs import ErrorOutput, FileOutput, ImageOutput, TextOutput, observation
from assistant.toolprocess import MAX_LINE
from assistant.toolsource import Effects, ToolInfo, ToolResult, Trouble
from assistant.toolworker import MAX_ARGUMENTS, MAX_PROCESSES, ToolWorker

Open = Callable[..., "Tools"]


class Tools:
    """A loaded file."""

    def __init__(self, file: Path) -> None:
        self.worker = ToolWorker(file, PATIENCE)
        self.folder = file.parent
        found = self.worker.load()
        assert not isinstance(found, Trouble), found
        self.offered = {each.info.name: each for each in found}

    def call(
        self, name: str, arguments: Mapping[str, object], cancelled: threading.Event = NEVER
    ) -> ToolResult:
        return self.worker.call(self.offered[name].info, arguments, self.folder, cancelled)

    def failed(self, name: str = "f", /, **arguments: object) -> str:
        """What the model is told of a call that fails."""
        result = self.call(name, arguments)
        assert result.is_error
        return observation(result.outputs, 4000)

    def said(self, name: str = "f", /, **arguments: object) -> str:
        result = self.call(name, arguments)
        assert not result.is_error, result
        return observation(result.outputs, 4000)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Saves a file and loads it."""
    workers: list[ToolWorker] = []

    def open_file(body: str) -> Tools:
        tools = Tools(save(tmp_path, "a.py", body))
        workers.append(tools.worker)
        return tools

    yield open_file
    for worker in workers:
        worker.close()


def trouble(file: Path, import_limit: float = PATIENCE) -> Trouble:
    worker = ToolWorker(file, import_limit)
    try:
        found = worker.load()
    finally:
        worker.close()
    assert isinstance(found, Trouble), found
    assert "\n" not in found.reason
    return found


# --- what is offered ----------------------------------------------------------------------------


def test_a_file_says_which_tools_it_has(opened: Open) -> None:
    tools = opened(
        "@tool(effects='read', time_limit=7, result_limit=9, examples=[Example({'n': 1}, 2)])\n"
        "def add(n: int) -> int:\n  'Adds.'\n  return n + 1\n"
        "@tool\ndef other() -> None: ...\n"
        "def helper() -> None: ...\n"
    )
    assert list(tools.offered) == ["add", "other"]
    add = tools.offered["add"]
    assert add.n_examples == 1
    assert add.info == ToolInfo(add.info.spec, "a.py", Effects.READ, 7.0, 9)
    assert add.info.spec.description == "Adds."
    assert add.info.spec.parameters["required"] == ["n"]


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        ("def f(", "SyntaxError: '(' was never closed", "def f("),
        ("1 / 0", "ZeroDivisionError: division by zero", "1 / 0"),
        ("import no_such_package.inner", "try: pip install no_such_package", "import no_such"),
        ("from tools import nothing", "ImportError: cannot import name", "import nothing"),
        ("raise SystemExit", "ends the process when it is imported", "raise SystemExit"),
        ("def f() -> None: ...", "no function is marked with @tool", ""),
        ("@tool\ndef f(*a: int): ...", "takes any number of values; name each", "AuthorError"),
        ("@tool\ndef f(a): ...", "f: the parameter a has no type hint", "AuthorError"),
        ("@tool(effects='x')\ndef f(): ...", "effects is 'x'", "effects='x'"),
        ("@tool\ndef f(): ...\n@tool\ndef f(): ...", "two tools of this file are named f", ""),
        ("os._exit(3)", "its process ended with exit code 3", ""),
        ("os.kill(os.getpid(), 9)", "its process ended by signal 9", ""),
        ("raise BaseException('line\\nline')", "BaseException: line", "raise BaseException"),
    ],
)
def test_a_file_that_cannot_be_imported_is_a_trouble(
    tmp_path: Path, body: str, reason: str, detail: str
) -> None:
    found = trouble(save(tmp_path, "a.py", body))
    assert found.source == "a.py"
    assert reason in found.reason
    assert detail in found.detail


def test_an_endless_loop_at_import_is_a_trouble_that_says_where(tmp_path: Path) -> None:
    found = trouble(save(tmp_path, "a.py", "def wait():\n  while True: pass\nwait()\n"), 2)
    assert found.reason == "importing it was stopped after 2 seconds, its time limit"
    assert 'a.py", line 4 in wait' in found.detail


def test_a_tool_whose_secret_is_not_set_is_not_offered_and_no_trouble(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "@tool(secrets=['SOME_KEY'])\ndef f() -> str: return secret('SOME_KEY')"
    assert opened(body).offered == {}
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    assert opened(body).said() == "[secret]"


# --- calls that are well ------------------------------------------------------------------------


def test_a_call_gives_what_the_function_returns(opened: Open) -> None:
    tools = opened("@tool\ndef f(a: int, b: list[str]) -> str: return f'{a + 1} {b}'")
    assert tools.said(a="1", b=("x",)) == "2 ['x']"


def test_an_async_function_is_waited_for(opened: Open) -> None:
    tools = opened(
        "import asyncio\n@tool\nasync def f(n: int) -> int:\n  await asyncio.sleep(0)\n  return n"
    )
    assert tools.said(n=5) == "5"


def test_a_tool_runs_in_the_conversations_folder(opened: Open, tmp_path: Path) -> None:
    tools = opened("@tool\ndef f() -> str: return os.getcwd()")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tools.folder = tmp_path / name
        assert tools.said() == str(tmp_path / name)


def test_what_a_tool_prints_is_neither_its_result_nor_in_its_way(
    opened: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    tools = opened(
        "print('at import')\n"
        "@tool\ndef f() -> str:\n"
        "  print('from Python')\n  sys.__stdout__.flush()\n"
        "  os.write(1, b'from below')\n  os.system('echo from a child')\n"
        "  return 'result ' + repr(sys.stdin.read())"
    )
    assert tools.said() == "result ''"
    tools.worker.close()
    out, err = capfd.readouterr()
    assert out == ""
    for words in ("at import", "from Python", "from below", "from a child"):
        assert words in err


def test_pictures_and_files_arrive(opened: Open) -> None:
    tools = opened(
        "import io\nfrom PIL import Image as Pil\n"
        "@tool\ndef f() -> list:\n"
        "  data = io.BytesIO()\n  Pil.new('RGB', (3, 2)).save(data, 'JPEG')\n"
        "  return ['a picture', Image(data.getvalue()), File('../a.txt', b'x')]"
    )
    text, image, file = tools.call("f", {}).outputs
    assert text == TextOutput("a picture")
    assert isinstance(image, ImageOutput)
    assert Picture.open(io.BytesIO(image.data)).size == (3, 2)
    assert (image.width, image.height) == (3, 2)
    assert file == FileOutput("a.txt", b"x")


def test_calls_at_the_same_time_do_not_wait_for_each_other(opened: Open, tmp_path: Path) -> None:
    # Each call waits for the other one's file: one after the other they would never end.
    tools = opened(
        "@tool\ndef f(mine: str, other: str) -> str:\n"
        "  open(mine, 'w').close()\n"
        "  while not os.path.exists(other): time.sleep(0.01)\n"
        "  return 'both'"
    )
    results: Queue[str] = Queue()
    for pair in (("a", "b"), ("b", "a")):
        given = dict(zip(("mine", "other"), pair, strict=True))
        threading.Thread(target=lambda given=given: results.put(tools.said(**given))).start()
    assert [results.get(timeout=PATIENCE) for _ in range(2)] == ["both", "both"]


def test_a_process_is_used_again_and_ended_when_it_has_rested(opened: Open) -> None:
    tools = opened("@tool\ndef f() -> int: return os.getpid()")
    pid = tools.said()
    assert tools.said() == pid
    tools.worker.rest(longest=0.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert tools.said() != pid


# --- calls that are not -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "f was not run. a is missing."),
        ({"a": 1, "b": 2}, "f was not run. b is no parameter (there are: a)."),
        ({"a": "many"}, "a is 'many' (str), expected a valid integer"),
        ({"a": [1]}, "a is [1] (list), expected a valid integer"),
        ({"a": "x" * MAX_ARGUMENTS}, f"the arguments have {MAX_ARGUMENTS + 9} characters"),
        ({"a": 10**5000}, "f was not run"),
        ({"a": {1, 2}}, "f was not run: Object of type set is not JSON serializable"),
    ],
)
def test_wrong_arguments_are_told_and_nothing_is_run(
    opened: Open, arguments: dict[str, object], said: str
) -> None:
    tools = opened("@tool\ndef f(a: int) -> None: open('it ran', 'w')")
    assert said in tools.failed(**arguments)
    assert not (tools.folder / "it ran").exists()


def test_a_tool_that_raises_is_told_with_its_own_lines(opened: Open) -> None:
    tools = opened(
        "@tool\ndef f() -> None:\n  raise KeyError('city')\n"
        "@tool\ndef g() -> None:\n  raise ToolError('Say which city.')\n"
        "@tool\ndef h() -> None:\n  sys.exit('bye')"
    )
    told = tools.failed()
    assert told.startswith("Traceback")
    assert told.endswith("KeyError: 'city'")
    assert "raise KeyError" in told
    assert "_worker" not in told
    assert tools.failed("g") == "ToolError: Say which city."
    assert tools.failed("h").endswith("SystemExit: bye")


def test_a_tool_that_hangs_is_ended_with_its_children_and_told_where(opened: Open) -> None:
    tools = opened(
        "import subprocess\n"
        "@tool(time_limit=2)\ndef f() -> None:\n"
        "  child = subprocess.Popen(['sleep', '1000'])\n"
        "  open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "  while True: pass\n"
    )
    told = tools.failed()
    assert told.endswith("TimeLimit: f failed: it was stopped after 2 seconds, its time limit.")
    assert 'a.py", line 8 in f' in told
    for pid in (tools.folder / "pids").read_text().split():
        wait_until(partial(has_ended, int(pid)))


def test_a_cancelled_call_ends_at_once(opened: Open) -> None:
    tools = opened(
        "@tool(time_limit=600)\ndef f() -> None:\n"
        "  os.mkfifo('begun')\n  open('begun', 'w').close()\n  time.sleep(600)"
    )
    cancelled = threading.Event()
    results: Queue[ToolResult] = Queue()
    threading.Thread(target=lambda: results.put(tools.call("f", {}, cancelled))).start()
    wait_for_file(tools.folder / "begun")
    (tools.folder / "begun").read_text()  # the tool is past this line now
    cancelled.set()
    [output] = results.get(timeout=PATIENCE).outputs
    assert output == ErrorOutput("Cancelled", "f failed: it was stopped by the user.")


def test_a_tool_that_ends_its_process_fails_and_the_next_call_has_a_new_one(opened: Open) -> None:
    tools = opened(
        "@tool\ndef f(how: str) -> str:\n"
        "  if how == 'exit': os._exit(7)\n"
        "  if how == 'kill': os.kill(os.getpid(), signal.SIGKILL)\n"
        "  if how == 'crash':\n    import ctypes\n    ctypes.string_at(0)\n"
        "  return 'well'"
    )
    assert "its process ended with exit code 7" in tools.failed(how="exit")
    assert "its process ended by signal 9" in tools.failed(how="kill")
    assert "its process ended by signal 11" in tools.failed(how="crash")
    assert tools.said(how="live") == "well"


def test_a_tool_that_returns_too_much_is_cut_or_refused(opened: Open) -> None:
    tools = opened(
        "@tool\ndef text() -> str: return 'x' * 100_000_000\n"
        "@tool\ndef many() -> list: return ['x' * 1000] * 100_000\n"
        "@tool\ndef file() -> File: return File('a', bytes(100_000_000))\n"
        "@tool\ndef raw() -> bytes: return bytes(100_000_000)\n"
        "@tool\ndef loud() -> None: raise ValueError('x' * 100_000_000)"
    )
    [text] = tools.call("text", {}).outputs
    assert isinstance(text, TextOutput)
    assert len(text.text) < 250_000
    assert "99800000 characters left out" in text.text
    assert "at most 1000000" in tools.failed("many")
    assert "100000000 bytes; at most 20000000" in tools.failed("file")
    assert "returned 100000000 bytes, which cannot be shown" in tools.failed("raw")
    [error] = tools.call("loud", {}).outputs
    assert isinstance(error, ErrorOutput)
    assert len(error.message) + len(error.traceback) < 500_000


CHANNEL = (
    "def channel() -> int:\n"
    "  import gc\n  found = gc.get_objects()\n"
    "  return next(each._out for each in found if type(each).__name__ == 'Channel')\n"
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (r"b'garbage\n'", "it answered what cannot be read: b'garbage'"),
        (r"b'\xff\xfe\n'", "it answered what cannot be read"),
        (r"b'[1]\n'", "it answered what cannot be read: b'[1]'"),
        (r"b'[' * 100_000 + b'\n'", "it answered what cannot be read"),
        (r"b'{}\n'", "it returned NoneType where a list should be"),
        (r"""b'{"outputs": [{"kind": "film"}]}\n'""", "an output of the kind 'film'"),
    ],
)
def test_a_process_that_talks_nonsense_is_not_believed(opened: Open, said: str, told: str) -> None:
    tools = opened(CHANNEL + f"@tool\ndef f() -> None:\n  os.write(channel(), {said})")
    assert told in tools.failed()


def test_a_process_that_floods_its_channel_is_ended(opened: Open) -> None:
    tools = opened(
        CHANNEL + "@tool\ndef f() -> None:\n"
        "  while True: os.write(channel_, b'x' * 1_000_000)\nchannel_ = channel()"
    )
    assert f"its answer has more than {MAX_LINE} bytes" in tools.failed()


def test_a_secret_is_masked_in_results_files_and_tracebacks(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PIN", "sesame")
    tools = opened(
        "@tool\ndef f() -> dict: return {'all': [secret('MY_PIN')], secret('MY_PIN'): 1}\n"
        "@tool\ndef g() -> File: return File('a', secret('MY_PIN').encode())\n"
        "@tool\ndef h() -> None: raise ValueError('refused: ' + secret('MY_PIN'))\n"
        "@tool\ndef i() -> str: return secret('NO_SUCH')"
    )
    assert tools.said() == '{"all": ["[secret]"], "[secret]": 1}'
    assert tools.call("g", {}).outputs == (FileOutput("a", b"[secret]"),)
    assert tools.failed("h").endswith("ValueError: refused: [secret]")
    assert "sesame" not in tools.failed("h")
    assert "The secret NO_SUCH is not set" in tools.failed("i")


def test_a_tool_that_is_no_longer_in_its_file_is_told(opened: Open, tmp_path: Path) -> None:
    tools = opened("@tool\ndef f() -> None: ...")
    tools.worker.rest(longest=0.0)
    save(tmp_path, "a.py", "@tool\ndef g() -> None: ...")
    assert tools.failed() == "ToolError: The tool f is no longer in its file."
    tools.worker.rest(longest=0.0)
    (tmp_path / "a.py").unlink()
    assert "f failed: its file is broken now: FileNotFoundError" in tools.failed()


def test_no_more_processes_than_the_limit_and_a_call_that_waits_can_be_cancelled(
    opened: Open,
) -> None:
    tools = opened(
        "@tool(time_limit=600)\ndef f(n: int) -> None:\n"
        "  open(f'begun{n}', 'w').close()\n  time.sleep(600)"
    )
    cancelled = threading.Event()
    results: Queue[ToolResult] = Queue()
    for n in range(MAX_PROCESSES):
        call = lambda n=n: results.put(tools.call("f", {"n": n}, cancelled))  # noqa: E731
        threading.Thread(target=call).start()
    for n in range(MAX_PROCESSES):
        wait_for_file(tools.folder / f"begun{n}")
    at_once = threading.Event()
    at_once.set()
    [output] = tools.call("f", {"n": 99}, at_once).outputs
    assert isinstance(output, ErrorOutput)
    assert output.message == "f failed: it was stopped by the user before it began."
    cancelled.set()
    for _ in range(MAX_PROCESSES):
        assert results.get(timeout=PATIENCE).is_error


def test_closing_ends_calls_that_run(opened: Open) -> None:
    tools = opened(
        "@tool(time_limit=600)\ndef f() -> None:\n  open('begun', 'w')\n  time.sleep(600)"
    )
    results: Queue[ToolResult] = Queue()
    threading.Thread(target=lambda: results.put(tools.call("f", {}))).start()
    wait_for_file(tools.folder / "begun")
    tools.worker.close()
    assert results.get(timeout=PATIENCE).is_error
    assert (
        tools.failed()
        == "Removed: f failed: its file was changed or removed just now; call it again."
    )


def test_a_process_goes_with_the_program_that_started_it(opened: Open) -> None:
    # Its end of the pipe is all it has of us; losing that is how it learns that we died.
    tools = opened("@tool\ndef f() -> int: return os.getpid()")
    pid = int(tools.said())
    [(_, process)] = tools.worker._idle
    assert process._process.stdin is not None
    process._process.stdin.close()
    wait_until(partial(has_ended, pid))


# --- examples -----------------------------------------------------------------------------------


def test_examples_are_told_when_they_fail(opened: Open) -> None:
    tools = opened(
        "@tool(time_limit=2, examples=[\n"
        "  Example({'n': 1}, 2), Example({'n': 1}, 3), Example({'n': 1}, lambda r: r > 5),\n"
        "  Example({'n': 'x'}, 0), Example({'n': -1}, 0), Example({'n': -2}, 0),\n"
        "  Example({'n': 1}, lambda r: r.no_such), Example({'n': 5}, lambda r: r == 6)])\n"
        "def f(n: int) -> int:\n"
        "  while n == -1: pass\n"
        "  if n == -2: os._exit(1)\n"
        "  return n + 1\n"
    )
    faults = tools.worker.try_examples(tools.offered["f"])
    assert [fault.partition(":")[0][8:] for fault in faults] == ["2", "3", "4", "5", "6", "7"]
    wrong, refused, argument, slow, dead, broken = faults
    assert "f(n=1) gave 2, not 3" in wrong
    assert "f(n=1) gave 2, which its check refuses" in refused
    assert "BadArguments: f was not run. n is 'x'" in argument
    assert "stopped after 2 seconds" in slow
    assert "its process ended with exit code 1" in dead
    assert "AttributeError" in broken


def test_an_example_runs_in_an_empty_folder_that_goes_with_it(opened: Open, tmp_path: Path) -> None:
    tools = opened(
        "@tool(examples=[Example({}, [])] * 2)\n"
        "def f() -> list:\n  found = os.listdir()\n  open('left', 'w').close()\n  return found"
    )
    assert tools.worker.try_examples(tools.offered["f"]) == ()
    assert not (tmp_path / "left").exists()


def wait_for_file(path: Path) -> None:
    wait_until(path.exists)


def wait_until(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come to be")


def has_ended(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state in "ZX"
    return True
