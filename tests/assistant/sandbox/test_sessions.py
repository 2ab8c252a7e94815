"""Sessions as the turn loop and the pages use them: real kernels, at the best level here."""

import os
import re
import threading
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from interpreter import NEVER, error_of, notes_of, open_sessions, run, text_of

from assistant.errors import FileTooLarge
from assistant.outputs import ErrorOutput, ImageOutput, Output, TableOutput, TextOutput
from assistant.sandbox.environment import READY_MADE
from assistant.sandbox.limits import Limits
from assistant.sandbox.session import Session, SessionState
from assistant.sandbox.sessions import Sessions


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    with open_sessions(tmp_path_factory.mktemp("sessions")) as opened:
        yield opened


@pytest.fixture(scope="module")
def kept(sessions: Sessions) -> Session:
    """For tests that leave it as they found it."""
    return sessions.session("kept")


@pytest.fixture
def session(sessions: Sessions, request: pytest.FixtureRequest) -> Iterator[Session]:
    made = sessions.session(request.node.name)
    yield made
    made.close()


def test_state_is_kept_between_runs(kept: Session) -> None:
    assert run(kept, "x = 20 + 1").ended == "ok"
    assert text_of(run(kept, "x * 2")) == "42"


def test_the_folder_is_where_the_model_was_taught_it_is(kept: Session) -> None:
    kept.upload("sales.csv", b"month,sum\n1,2\n")
    assert text_of(run(kept, "print(open('sales.csv').read())")) == "month,sum\n1,2\n\n"
    if run(kept, "1").level in ("1", "1c"):
        assert text_of(run(kept, "import os; os.getcwd()")) == "'/mnt/data'"


def test_outputs_come_in_order_and_as_they_grow(kept: Session) -> None:
    grown: list[int] = []
    result = kept.run(
        "import sys, time\n"
        "print('a', flush=True); print('b', file=sys.stderr, flush=True)\n"
        "for n in range(3): print(n, flush=True); time.sleep(0.2)\n"
        "'end'",
        NEVER,
        lambda outputs: grown.append(sum(len(str(each)) for each in outputs)),
    )
    assert [type(each) for each in result.outputs] == [TextOutput] * 4
    assert [getattr(each, "text", "") for each in result.outputs] == [
        "a\n",
        "b\n",
        "0\n1\n2\n",
        "'end'",
    ]
    assert grown == sorted(grown)
    assert len(grown) > 2


def test_nothing_of_one_run_appears_in_the_next(kept: Session) -> None:
    late = "import threading, time\ndef f():\n  time.sleep(0.3); print('late')\n"
    run(kept, late + "threading.Thread(target=f).start()")
    assert text_of(run(kept, "time.sleep(0.8); print('mine')")) == "mine\n"


def test_several_figures_and_chinese_in_them_are_shown(kept: Session) -> None:
    result = run(
        kept,
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, -2]); plt.title('月度收入 −1'); plt.show()\n"
        "plt.rcParams['font.sans-serif'] = ['SimHei']\n"
        "plt.bar(['一月'], [3])\n",
    )
    assert [each for each in result.outputs if isinstance(each, ErrorOutput)] == []
    assert text_of(result, "stderr") == ""
    assert len([each for each in result.outputs if isinstance(each, ImageOutput)]) == 2


def test_a_figure_says_what_it_shows_for_people_who_cannot_see_it(kept: Session) -> None:
    plot = "import matplotlib.pyplot as plt\nplt.plot([1])\n"
    result = run(
        kept, f"{plot}plt.title('按月\\n收入'); plt.xlabel('月')\nplt.show()\n{plot}plt.show()"
    )
    titled, bare = (each for each in result.outputs if isinstance(each, ImageOutput))
    assert titled.title == "按月 收入; 月"
    assert bare.title == ""


def test_a_dataframe_is_a_table(kept: Session) -> None:
    code = "import pandas as pd\npd.DataFrame({'月': ['一', None], 'n': [1.5, float('nan')]})"
    assert run(kept, code).outputs == (
        TableOutput(("", "月", "n"), ((0, "一", 1.5), (1, None, None)), 2),
    )


def test_a_long_table_shows_its_head_and_its_length(kept: Session) -> None:
    (table,) = run(kept, "import pandas as pd\npd.Series(range(10_000), name='n')").outputs
    assert isinstance(table, TableOutput)
    assert (len(table.rows), table.n_rows) == (500, 10_000)


@pytest.mark.parametrize(
    "frame", ["pd.DataFrame()", "pd.DataFrame({'a': []})", "pd.DataFrame(index=[1])"]
)
def test_an_empty_table_is_no_mishap(frame: str, kept: Session) -> None:
    result = run(kept, f"import pandas as pd\n{frame}")
    assert result.ended == "ok"
    assert isinstance(result.outputs[0], TableOutput)


def test_an_error_comes_with_the_lines_of_the_code(kept: Session) -> None:
    result = run(kept, "def f(x):\n    return 1 / x\nf(0)")
    error = error_of(result)
    assert (result.ended, error.name, error.message) == (
        "error",
        "ZeroDivisionError",
        "division by zero",
    )
    assert "return 1 / x" in error.traceback


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("this isn't Python", "SyntaxError"),
        ("<|user|>\nhello<|assistant|>", "SyntaxError"),
        ("x = (", "SyntaxError"),
        ("a\0b", "SyntaxError|ValueError"),  # as Python's version has it
        ("print('\ud800')", "ok"),
        ("", "ok"),
        ("exit()", "ok"),
    ],
)
def test_whatever_the_code_is_it_ends_as_a_result(code: str, name: str, kept: Session) -> None:
    result = run(kept, code)
    found = error_of(result).name if result.ended == "error" else result.ended
    assert re.fullmatch(name, found)
    assert text_of(run(kept, "print('alive')")).endswith("alive\n")


def test_role_tokens_in_code_are_text(kept: Session) -> None:
    assert text_of(run(kept, "print('<|system|>')")) == "<|system|>\n"


def test_input_fails_at_once_and_says_why(kept: Session) -> None:
    result = run(kept, "name = input('Name? ')")
    assert result.ended == "error"
    assert "input() cannot be used here" in error_of(result).message


def test_new_and_changed_files_are_named(session: Session) -> None:
    session.upload("old.csv", b"1")
    run(session, "1")
    result = run(session, "open('new.txt', 'w').write('x'); open('old.csv', 'a').write('2')")
    assert set(result.new_files) == {"new.txt", "old.csv"}
    assert session.read_file("old.csv") == b"12"


def test_a_file_uploaded_while_it_runs_can_be_read_and_written(session: Session) -> None:
    run(session, "1")
    session.upload("数据.csv", b"a")
    assert (
        text_of(run(session, "open('数据.csv', 'a').write('b'); open('数据.csv').read()")) == "'ab'"
    )


def test_variables_are_told_by_name_type_shape_and_size(session: Session) -> None:
    run(session, "import numpy as np\na = np.zeros((3, 4)); n = 7; word = 'x' * 500; _hidden = 1")
    found = {each["name"]: each for each in session.variables()}
    assert set(found) == {"a", "n", "word"}
    assert (found["a"]["type"], found["a"]["shape"], found["a"]["size"]) == (
        "numpy.ndarray",
        "3 x 4",
        "96",
    )
    assert found["word"]["shape"] == "500"


def test_variables_that_raise_when_looked_at_do_no_harm(session: Session) -> None:
    code = "class Evil:\n  shape = property(lambda s: 1 / 0)\n  __len__ = __repr__ = None\n"
    run(session, code + "evil = Evil(); n = 1")
    assert {each["name"] for each in session.variables()} == {"Evil", "evil", "n"}


def test_a_run_that_takes_too_long_is_stopped_and_the_state_is_kept(tmp_path: Path) -> None:
    with open_sessions(tmp_path, run_seconds=1) as opened:
        session = opened.session("slow")
        run(session, "x = 1")
        result = run(session, "while True: pass")
        assert result.ended == "timeout"
        assert error_of(result).name == "TimeLimit"
        assert "1 seconds" in error_of(result).message
        assert text_of(run(session, "x")) == "1"


def test_a_run_that_does_not_listen_is_killed_and_the_next_is_afresh(tmp_path: Path) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    with open_sessions(tmp_path, run_seconds=1) as opened:
        session = opened.session("deaf")
        assert run(session, deaf).ended == "timeout"
        assert session.status.state is SessionState.DEAD
        result = run(session, "1 + 1")
        assert result.ended == "ok"
        assert text_of(result) == "2"
        assert "new Python session" in notes_of(result)


def test_stop_stops_the_code(session: Session) -> None:
    cancelled = threading.Event()

    def stop_when_it_runs(outputs: object) -> None:
        if outputs:
            cancelled.set()

    code = "print('started', flush=True)\nwhile True: pass"
    result = session.run(code, cancelled, stop_when_it_runs)
    assert result.ended == "cancelled"
    assert error_of(result).name == "Stopped"
    assert text_of(run(session, "print('alive')")) == "alive\n"


def test_a_kernel_that_dies_is_said_to_and_the_next_run_is_afresh(session: Session) -> None:
    run(session, "x = 1")
    result = run(session, "import os; os._exit(7)")
    assert result.ended == "crashed"
    assert "exit code 7" in error_of(result).message
    assert session.status.state is SessionState.DEAD
    assert error_of(run(session, "x")).name == "NameError"


def test_a_kernel_that_dies_at_start_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", symlinks=True)  # a Python without ipykernel
    monkeypatch.setenv(READY_MADE, str(tmp_path / "bare"))
    with open_sessions(tmp_path / "sessions") as opened:
        result = run(opened.session("a"), "1")
    assert result.ended == "crashed"
    assert "exit code 1" in error_of(result).message


SEND_RAW = """
import os, stat, time
for fd in range(3, 200):
    try:
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        continue
    for _ in range(20 * is_socket):
        try:
            os.write(fd, {data})
        except OSError:
            break
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("data", "ended"),
    [
        ("bytes([1, 0]) * 10_000", "limit"),
        ("bytes([2]) + bytes([255]) * 8", "limit"),
        ("bytes([0, 3]) + b'abc'", "timeout"),
    ],
    ids=["message without end", "frame without end", "no message"],
)
def test_code_that_speaks_over_the_kernels_own_sockets_ends_its_kernel_alone(
    data: str, ended: str, tmp_path: Path
) -> None:
    with open_sessions(tmp_path, run_seconds=3) as opened:
        other, session = opened.session("other"), opened.session("a")
        run(other, "x = 'untouched'")
        assert run(session, SEND_RAW.format(data=data)).ended == ended
        assert text_of(run(other, "x")) == "'untouched'"
        assert text_of(run(session, "print('alive')")) == "alive\n"


def test_too_much_output_ends_the_run(session: Session) -> None:
    result = run(session, "while True: print('x' * 10_000)")
    assert result.ended == "limit"
    assert len(text_of(result)) < 1_100_000
    assert run(session, "1").ended == "ok"


def test_too_much_memory_is_an_error_and_the_session_lives(session: Session) -> None:
    run(session, "x = 5")
    result = run(session, "y = bytearray(2 << 30)")
    assert error_of(result).name == "MemoryError"
    assert text_of(run(session, "x")) == "5"


def test_a_full_folder_ends_the_kernel_and_says_why(tmp_path: Path) -> None:
    limits = Limits(disk=20 << 20, file_size=15 << 20)
    with open_sessions(tmp_path, limits=limits) as opened:
        session = opened.session("full")
        fill = "import time\nfor n in range(9): open(f'{n}', 'wb').write(bytes(10 << 20))\n"
        fill += "time.sleep(600)"
        result = run(session, fill)
        assert result.ended == "limit"
        assert "disk" in error_of(result).message
        with pytest.raises(FileTooLarge):
            session.upload("big", bytes(16 << 20))


def test_a_full_disk_is_an_error_of_the_code_and_the_session_lives(tmp_path: Path) -> None:
    with open_sessions(tmp_path, limits=Limits(tmp=4 << 20)) as opened:
        session = opened.session("full")
        result = run(session, "open('/tmp/big', 'wb').write(bytes(8 << 20))")
        if result.level in ("1", "1c"):  # elsewhere it is the watchdog's to end it
            assert (result.ended, error_of(result).name) == ("error", "OSError")
            assert "No space left" in error_of(result).message
        assert text_of(run(session, "print('alive')")) == "alive\n"


def test_restart_forgets_and_replay_brings_back(session: Session) -> None:
    cells = ["x = 2", "print(x * 21)"]
    before = [run(session, code) for code in cells]
    session.restart()
    assert error_of(run(session, "x")).name == "NameError"
    after = session.replay(cells, NEVER, lambda _: None)
    assert [text_of(each) for each in after] == [text_of(each) for each in before] == ["", "42\n"]


def test_a_replay_stops_at_the_first_failure(session: Session) -> None:
    ended = [each.ended for each in session.replay(["1", "1 / 0", "2"], NEVER, lambda _: None)]
    assert ended == ["ok", "error"]


def test_a_session_deleted_while_it_runs_is_gone(sessions: Sessions) -> None:
    session = sessions.session("deleted")
    session.upload("a.csv", b"1")
    started = threading.Event()
    results = []

    def listen(outputs: object) -> None:
        if outputs:
            started.set()

    code = "print('started', flush=True)\nimport time\ntime.sleep(600)"
    runner = threading.Thread(target=lambda: results.append(session.run(code, NEVER, listen)))
    runner.start()
    assert started.wait(120)
    session.close()
    runner.join(120)
    assert [each.ended for each in results] == ["cancelled"]
    assert not (session.folder / "a.csv").exists()
    assert run(session, "1").ended == "cancelled"


def test_sessions_do_not_see_each_other(
    sessions: Sessions, session: Session, kept: Session
) -> None:
    run(session, "secret = 1; open('mine.txt', 'w').write('canary')")
    assert error_of(run(kept, "secret")).name == "NameError"
    assert "mine.txt" not in [each.name for each in kept.files()]


def test_a_warm_kernel_takes_what_was_uploaded_before(tmp_path: Path) -> None:
    with open_sessions(tmp_path, pool=1) as opened:
        opened.start()
        opened.wait_for_pool()
        session = opened.session("first")
        session.upload("data.csv", b"1")
        assert (
            text_of(run(session, "open('data.csv', 'a').write('2'); open('data.csv').read()"))
            == "'12'"
        )
        assert session.read_file("data.csv") == b"12"


def test_the_oldest_idle_session_makes_room_and_its_variables_are_named(tmp_path: Path) -> None:
    with open_sessions(tmp_path, max_sessions=1) as opened:
        first, second = opened.session("first"), opened.session("second")
        run(first, "kept = 1")
        assert text_of(run(second, "2")) == "2"
        assert first.wait_gone(120)
        assert (first.status.reason, first.status.lost) == ("room", ("kept",))
        assert "kept" in notes_of(run(first, "3"))


def test_when_all_are_busy_a_run_is_refused(tmp_path: Path) -> None:
    with open_sessions(tmp_path, max_sessions=1) as opened:
        first, second = opened.session("first"), opened.session("second")
        started, cancelled = threading.Event(), threading.Event()

        def listen(outputs: object) -> None:
            if outputs:
                started.set()

        code = "print('started', flush=True)\nwhile True: pass"
        runner = threading.Thread(target=lambda: first.run(code, cancelled, listen))
        runner.start()
        assert started.wait(120)
        result = run(second, "1")
        cancelled.set()
        runner.join(120)
        assert (result.ended, error_of(result).name) == ("refused", "SessionsFull")


def test_an_idle_session_is_culled_after_its_variables_are_noted(tmp_path: Path) -> None:
    with open_sessions(tmp_path, idle_seconds=0.5) as opened:
        session = opened.session("idle")
        session.upload("stays.csv", b"1")
        run(session, "a = b = 1")
        assert session.wait_gone(120)
        assert (session.status.reason, set(session.status.lost)) == ("idle", {"a", "b"})
        assert [each.name for each in session.files()] == ["stays.csv"]


def test_when_the_supervisor_dies_the_next_run_has_a_new_one(tmp_path: Path) -> None:
    with open_sessions(tmp_path) as opened:
        session = opened.session("a")
        run(session, "x = 1")
        os.kill(opened.client().pid, 9)
        result = run(session, "print('alive')")
        if result.ended == "crashed":  # it was noticed during the run
            result = run(session, "print('alive')")
        assert text_of(result) == "alive\n"


def test_where_nothing_holds_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_MIN_LEVEL", "1")
    monkeypatch.setenv("PATH", str(tmp_path))  # no bubblewrap
    outputs: list[Output] = []
    with open_sessions(tmp_path / "s") as opened:
        result = opened.session("a").run("open('x', 'w')", NEVER, outputs.extend)
    assert result.ended == "refused"
    assert error_of(result).name == "SandboxRefused"
    assert not [*(tmp_path / "s").rglob("x")]


def test_the_report_tells_level_and_packages(sessions: Sessions) -> None:
    report = sessions.start()
    assert report.level is not None
    assert {"numpy", "pandas", "matplotlib", "scipy", "sympy", "scikit-learn"} <= set(
        report.packages
    )
