"""`python -m assistant user` and `key`."""

import getpass
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from access_files import PASSWORD

from assistant import cli
from assistant.access.store import AccessStore, open_store

ROOT = Path(__file__).parents[3]
DONE, REFUSED, WRONG_USAGE = 0, 1, 2
IN_TERMINAL = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Command:
    """Runs commands with a home folder of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def run(self, *arguments: str, piped: str = "", lang: str = "en") -> tuple[int, str, str]:
        """The exit code, and what was written where."""
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(piped))
        return self._main(arguments, lang)

    def run_typing(self, *arguments: str, typed: list[str]) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "stdin", Terminal())
        self._monkeypatch.setattr(getpass, "getpass", lambda _prompt: typed.pop(0))
        return self._main(arguments, "en")

    def _main(self, arguments: tuple[str, ...], lang: str) -> tuple[int, str, str]:
        code = cli.main([arguments[0], "--lang", lang, *arguments[1:]])
        return (code, *self._capfd.readouterr())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def command(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    return Command(monkeypatch, capfd)


@pytest.fixture
def store(home: Path) -> Iterator[AccessStore]:
    with closing(open_store()) as store:
        yield store


def test_a_user_is_added_with_a_password_from_a_pipe(command: Command, store: AccessStore) -> None:
    found = command.run("user", "add", "Ann", piped=PASSWORD + "\n")
    assert found == (DONE, "Added ann: operator.\n", "")
    assert store.check_password("ann", PASSWORD)
    command.run("user", "passwd", "ann", piped="from Windows\r\nmore")
    assert store.check_password("ann", "from Windows")


def test_in_a_terminal_the_password_is_asked_for_twice(
    command: Command, store: AccessStore
) -> None:
    code, out, err = command.run_typing("user", "add", "ann", typed=[PASSWORD, PASSWORD + "x"])
    assert (code, out) == (WRONG_USAGE, "")
    assert "not the same" in err
    assert store.users() == []
    assert command.run_typing("user", "add", "ann", typed=[PASSWORD, PASSWORD])[0] == DONE
    assert store.check_password("ann", PASSWORD)


def test_a_password_that_is_typed_does_not_show(home: Path) -> None:
    """In a real terminal of its own, as only there getpass hides anything."""
    main, side = pty.openpty()
    arguments = [str(side), sys.executable, "-m", "assistant", "user", "--lang", "en", "add", "ann"]
    with subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, *arguments],
        pass_fds=[side],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        os.close(side)  # so that reading ends with the process
        shown = read_until(main, "New password: ")
        os.write(main, PASSWORD.encode() + b"\n")
        shown += read_until(main, "Once more: ")
        os.write(main, PASSWORD.encode() + b"\n")
        shown += read_until(main, "Added ann")
    os.close(main)
    assert process.returncode == DONE
    assert PASSWORD not in shown


def read_until(terminal: int, words: str) -> str:
    shown = ""
    while words not in shown:
        shown += os.read(terminal, 1000).decode()
    return shown


@pytest.mark.parametrize(
    ("piped", "said"),
    [
        ("short\n", "at least 10 characters"),
        ("\n", "at least 10 characters"),
        ("x" * 1025 + "\n", "at most 1024 bytes"),
        ("x" * 100_000, "at most 1024 bytes"),
        ("", "No password could be read"),
    ],
)
def test_a_bad_password_adds_nobody_and_is_not_repeated(
    command: Command, store: AccessStore, piped: str, said: str
) -> None:
    code, out, err = command.run("user", "add", "ann", piped=piped)
    assert (code, out) == (WRONG_USAGE, "")
    assert said in err
    assert "short\n" not in err
    assert store.users() == []


def test_a_pipe_of_something_that_is_no_text_is_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff" * 20), "utf-8"))
    assert cli.main(["user", "--lang", "en", "add", "ann"]) == WRONG_USAGE
    assert "UTF-8" in capfd.readouterr().err


def test_what_is_wrong_with_a_name_is_said_before_a_password_is_asked_for(
    command: Command, store: AccessStore
) -> None:
    assert command.run_typing("user", "add", "../x", typed=[])[0] == WRONG_USAGE
    store.add_user("ann", None)
    code, _, err = command.run_typing("user", "add", "ANN", typed=[])
    assert code == REFUSED
    assert "user passwd ann" in err
    code, _, err = command.run_typing("user", "passwd", "bob", typed=[])
    assert (code, "no user 'bob'" in err) == (REFUSED, True)


def test_roles_and_users_without_a_password(command: Command, store: AccessStore) -> None:
    command.run("user", "add", "ann", "--no-password")
    assert command.run("user", "add", "bob", "--no-password")[1] == "Added bob: user.\n"
    out = command.run("user", "add", "eve", "--operator", piped=PASSWORD)[1]
    assert out == "Added eve: operator.\n"
    lines = [line.split("  ")[:-1] for line in command.run("user", "list")[1].splitlines()]
    assert [[each.strip() for each in line if each] for line in lines] == [
        ["ann", "operator", "no password"],
        ["bob", "user", "no password"],
        ["eve", "operator", "has a password"],
    ]


def test_the_list_for_programs(command: Command, store: AccessStore) -> None:
    assert command.run("user", "list", "--json")[:2] == (DONE, "[]\n")
    store.add_user("ann", None)
    (ann,) = json.loads(command.run("user", "list", "--json")[1])
    assert ann.pop("created") == store.users()[0].created
    assert ann == {"name": "ann", "access": "operator", "has_password": False}


def test_an_empty_list_says_what_to_do(command: Command) -> None:
    code, out, _ = command.run("user", "list")
    assert code == DONE
    assert "user add NAME" in out


def test_the_last_operator_stays_while_there_are_others(
    command: Command, store: AccessStore
) -> None:
    store.add_user("ann", None)
    store.add_user("bob", None)
    code, out, err = command.run("user", "remove", "ann")
    assert (code, out) == (REFUSED, "")
    assert "Add another operator first" in err
    assert command.run("user", "remove", "bob")[0] == DONE
    assert command.run("user", "remove", "ann")[0] == DONE
    assert command.run("user", "remove", "ann")[0] == REFUSED


def test_a_new_password_signs_out(command: Command, store: AccessStore) -> None:
    store.add_user("ann", None)
    token = store.begin_session("ann")
    code, out, _ = command.run("user", "passwd", "Ann", piped=PASSWORD)
    assert (code, out.startswith("ann has a new password")) == (DONE, True)
    assert store.session(token) is None
    assert store.check_password("ann", PASSWORD)


def test_a_link_is_printed_alone_and_signs_in_once(command: Command, store: AccessStore) -> None:
    store.add_user("ann", None)
    code, out, err = command.run("user", "link", "ann")
    assert code == DONE
    assert "10 minutes" in err
    path, _, token = out.strip().rpartition("/")
    assert path == "/signin/link"
    assert store.use_link(token) == store.user("ann")
    assert store.use_link(token) is None
    assert command.run("user", "link", "bob")[0] == REFUSED


def test_a_key_is_printed_alone_this_once_and_can_be_ended(
    command: Command, store: AccessStore
) -> None:
    store.add_user("ann", None)
    code, key, err = command.run("key", "add", "ann", "--label", "lap\x1b[1mtop")
    key = key.strip()
    assert code == DONE
    assert "not shown again" in err
    assert store.key_visitor(key)
    (shown,) = store.keys("ann")
    out = command.run("key", "list")[1]
    assert out.startswith(f"{shown.id}  ann  {key[:7]}…  ")
    assert "last used " in out
    assert key not in out
    assert "\x1b" not in out
    assert command.run("key", "revoke", shown.id)[:2] == (DONE, f"Key {shown.id} has ended.\n")
    assert store.key_visitor(key) is None
    assert command.run("key", "revoke", shown.id)[0] == REFUSED
    assert command.run("key", "list")[1] == "There are no keys.\n"


def test_a_key_nobody_has_used_says_so(command: Command, store: AccessStore) -> None:
    store.add_user("ann", None)
    store.add_user("bob", None)
    command.run("key", "add", "bob", "--label", "first")
    command.run("key", "add", "ann")
    lines = command.run("key", "list")[1].splitlines()
    assert ["never used" in line for line in lines] == [True, True]
    assert "first" in lines[1]
    assert command.run("key", "add", "eve")[0] == REFUSED


def test_all_of_it_is_said_in_chinese_too(command: Command, store: AccessStore) -> None:
    assert "已添加" in command.run("user", "add", "ann", piped=PASSWORD, lang="zh")[1]
    assert "已经有用户 ann" in command.run("user", "add", "ann", lang="zh")[2]
    assert "有密码" in command.run("user", "list", lang="zh")[1]
    assert "分钟内有效" in command.run("user", "link", "ann", lang="zh")[2]
    assert (
        "从未使用"
        in (command.run("key", "add", "ann"), command.run("key", "list", lang="zh"))[1][1]
    )


@pytest.mark.parametrize("arguments", [["user"], ["key"], ["user", "add"], ["user", "sing", "a"]])
def test_wrong_usage_is_told_apart(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == WRONG_USAGE


def test_a_file_that_is_not_ours_is_named_and_left(command: Command, home: Path) -> None:
    home.mkdir()
    (home / "access.db").write_bytes(b"something else")
    code, out, err = command.run("user", "list")
    assert (code, out) == (REFUSED, "")
    assert "access.db" in err
    assert (home / "access.db").read_bytes() == b"something else"


def test_a_home_that_cannot_be_written_to_is_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "file" / "home"))
    code, _, err = command.run("user", "list")
    assert code == REFUSED
    assert "ASSISTANT_HOME" in err


def test_the_language_may_be_said_last(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["user", "list", "--lang", "zh"]) == DONE
    assert "还没有用户" in capfd.readouterr().out
    assert cli.main(["user", "--lang", "zh", "list"]) == DONE
    assert "还没有用户" in capfd.readouterr().out
