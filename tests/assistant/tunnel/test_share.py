"""The command `share` as people run it, with a tiny app and the stand-in for cloudflared.

Every test ends with no process left, whatever ended the command.
"""

import argparse
import base64
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browsing import free_port
from patience import until
from running import Running
from tunnelling import NAMES, StandIn, is_alive
from web_server import web_server

from assistant.access.store import AccessStore
from assistant.errors import PortTaken
from assistant.texts import Language
from assistant.tunnel.application import Application
from assistant.tunnel.share import add_share, duration, hostname, port_number, risk, share

TESTS = Path(__file__).parents[2]
COMMAND = [sys.executable, str(TESTS / "share_command.py")]
APP = [sys.executable, str(TESTS / "shared_app.py")]
HOST = f"{NAMES[0]}.trycloudflare.com"
URL = f"https://{HOST}"
TOKEN = base64.b64encode(json.dumps({"a": "1", "t": "2", "s": "3"}).encode()).decode()


class Place:
    """A home with a user, a port, a stand-in, and everything that was started there."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.port = free_port()
        self.stand_in = StandIn(folder / "tunnel")
        self.store = AccessStore(self.home / "access.db")
        self.runs: list[Running] = []

    def environment(self, **more: str) -> dict[str, str]:
        own = {"PATH": self.stand_in.path, "ASSISTANT_HOME": str(self.home)}
        paths = f"{TESTS.parent}{os.pathsep}{TESTS}"
        return {**os.environ, **own, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", **more}

    def run(self, command: list[str], **environment: str) -> Running:
        self.runs.append(Running(command, self.environment(**environment)))
        return self.runs[-1]

    def share(self, *arguments: str, **environment: str) -> Running:
        return self.run([*COMMAND, "--port", str(self.port), *arguments], **environment)

    def start_app(self, **environment: str) -> Running:
        running = self.run([*APP, str(self.port)], **environment)
        until(lambda: Application(self.port).is_running)
        return running

    def app_is_gone(self) -> bool:
        try:
            return not Application(self.port).is_running
        except PortTaken:  # it ends in the middle of its answer
            return False

    def nothing_is_left(self) -> bool:
        tunnels = [start.pid for start in self.stand_in.starts]
        return self.app_is_gone() and not any(map(is_alive, tunnels))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    with closing(place.store):
        place.store.add_user("ann", None)
        yield place
        for run in place.runs:
            run.process.kill()
            assert run.code is not None


def test_it_prints_the_address_and_a_link_and_strangers_meet_the_sign_in(place: Place) -> None:
    running = place.share("--for", "2h")
    assert running.hear("Public address").split()[-1] == URL
    link = running.hear(f"{URL}/signin/link/").strip()
    running.hear("Public until")
    assert any("█" in line for line in running.said)
    assert place.stand_in.status(HOST, "/") == 303
    assert place.stand_in.status(HOST, "/signin") == 200
    user = place.store.use_link(link.rpartition("/")[2])
    assert user is not None
    assert user.name == "ann"
    assert running.end() == 130
    assert "Not public any more." in "".join(running.said)
    assert place.nothing_is_left()
    assert place.store.sharing() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_told_to_end_is_an_end_like_any_other(number: int, place: Place) -> None:
    running = place.share()
    running.hear("Public until")
    assert running.end(number) == 0
    assert place.nothing_is_left()


def test_it_ends_when_its_time_is_over(place: Place) -> None:
    running = place.share("--for", "1s")
    assert running.code == 0
    assert "the time is over" in "".join(running.said)
    assert place.nothing_is_left()


def test_it_ends_when_the_page_asks(place: Place) -> None:
    running = place.share()
    running.hear("Public until")
    place.store.ask_stop()
    running.hear("asked on the page")
    assert running.code == 0
    assert place.nothing_is_left()


def test_it_ends_with_the_shell_that_started_it(place: Place) -> None:
    command = shlex.join([*COMMAND, "--port", str(place.port)])
    shell = place.run(["sh", "-c", f"{command}; true"])
    shell.hear("Public until")
    shell.process.kill()
    shell.hear("its parent process has gone")
    shell.hear("Not public any more")
    until(place.nothing_is_left)
    assert place.store.sharing() is None


def test_killed_it_takes_the_tunnel_and_the_app_along(place: Place) -> None:
    running = place.share()
    running.hear("Public until")
    running.process.kill()
    until(place.nothing_is_left)


def test_an_app_that_runs_is_joined_and_stays(place: Place) -> None:
    place.start_app()
    running = place.share()
    running.hear("joined")
    running.hear("Public until")
    assert place.stand_in.status(HOST, "/") == 303
    assert running.end() == 130
    assert not is_alive(place.stand_in.starts[0].pid)
    assert not place.app_is_gone()


def test_an_app_whose_gate_stays_open_never_gets_a_tunnel(place: Place) -> None:
    place.start_app(OPEN_GATE="1")
    running = place.share()
    assert running.code == 1
    assert "without signing in" in "".join(running.said)
    assert place.stand_in.starts == []
    assert place.store.sharing() is None


def test_a_tunnel_that_crashes_is_followed_by_another_with_a_new_link(place: Place) -> None:
    running = place.share()
    first = running.hear("/signin/link/").strip()
    running.hear("Public until")
    place.stand_in.crash()
    running.hear("The tunnel broke")
    assert running.hear("Public address").split()[-1] == f"https://{NAMES[1]}.trycloudflare.com"
    assert running.hear("/signin/link/").strip() != first
    running.hear("Public until")
    sharing = place.store.sharing()
    assert sharing is not None
    assert sharing.url == f"https://{NAMES[1]}.trycloudflare.com"
    assert place.stand_in.status(f"{NAMES[1]}.trycloudflare.com", "/") == 303
    assert running.end() == 130
    assert place.nothing_is_left()


def test_a_rate_limit_is_said_and_ends_it(place: Place) -> None:
    place.stand_in.order(case="rate-limit")
    running = place.share()
    assert running.code == 1
    assert "429" in "".join(running.said)
    assert place.nothing_is_left()


def test_ctrl_c_while_the_tunnel_opens_leaves_nothing(place: Place) -> None:
    place.stand_in.order(wait="for ever")
    running = place.share()
    running.hear("Opening the tunnel")
    place.stand_in.wait_for_start(1)
    assert running.end() == 130
    assert place.nothing_is_left()


def test_ctrl_c_while_the_app_starts_leaves_nothing(place: Place) -> None:
    running = place.run([*COMMAND, "--port", str(place.port)], SLOW_APP=str(place.home))
    running.hear("Starting the app")
    until((place.home / "app.pid").exists)
    assert running.end() == 130
    assert not is_alive(int((place.home / "app.pid").read_text(encoding="utf-8")))
    assert place.stand_in.starts == []


def test_a_named_tunnel_needs_no_token_on_the_command_line(place: Place) -> None:
    running = place.share("--token", "--hostname", "chat.example.org", TUNNEL_TOKEN=TOKEN)
    assert running.hear("Public address").split()[-1] == "https://chat.example.org"
    assert TOKEN not in " ".join(place.stand_in.starts[0].arguments)
    assert running.end() == 130


def test_what_is_allowed_is_said_and_kept(place: Place) -> None:
    running = place.share("--allow", "risky-tools", "--allow", "operator-pages")
    running.hear("operator-pages, risky-tools")
    running.hear("Public until")
    sharing = place.store.sharing()
    assert sharing is not None
    assert {str(each) for each in sharing.allows} == {"risky-tools", "operator-pages"}
    assert running.end() == 130


def test_a_second_one_is_refused(place: Place) -> None:
    running = place.share()
    running.hear("Public until")
    second = place.share()
    assert second.code == 1
    assert str(running.process.pid) in "".join(second.said)
    assert running.end() == 130


def test_without_a_user_it_refuses_and_says_how_to_add_one(place: Place) -> None:
    place.store.remove_user("ann")
    running = place.share()
    assert running.code == 2
    assert "python -m assistant user add" in "".join(running.said)
    assert place.stand_in.starts == []


def test_something_else_on_the_port_is_left_alone(place: Place) -> None:
    with web_server() as server:
        place.port = server.port
        running = place.share()
        assert running.code == 1
    assert "--port" in "".join(running.said)
    assert place.stand_in.starts == []


def test_without_cloudflared_and_without_a_yes_nothing_is_fetched(place: Place) -> None:
    running = place.share(PATH=str(place.home))
    assert running.code == 1
    assert "--yes" in "".join(running.said)
    assert sorted(path.name for path in place.home.glob("cloudflared*")) == []


def test_it_speaks_chinese(place: Place) -> None:
    running = place.share("--lang", "zh")
    running.hear("公开地址")
    running.hear("登录链接")
    assert running.end() == 130


def test_the_command_line_has_it(place: Place) -> None:
    place.start_app()
    command = [sys.executable, "-m", "assistant", "share", "--lang", "en"]
    running = place.run([*command, "--port", str(place.port)])
    running.hear("Public until")
    assert running.end() == 130
    assert place.store.sharing() is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--for", "8d"],
        ["--for", "169h"],
        ["--for", "soon"],
        ["--for", "0m"],
        ["--port", "0"],
        ["--token", "x"],
        ["--hostname", "chat.example.org"],
        ["--hostname", "https://chat.example.org/", "--token", "x"],
        ["--allow", "everything"],
    ],
)
def test_wrong_usage_starts_nothing(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    add_share(parser.add_subparsers()).set_defaults(lang=Language.ENGLISH)
    with pytest.raises(SystemExit) as left:
        sys.exit(share(parser.parse_args(["share", *arguments]), ["no", "such", "program"]))
    assert left.value.code == 2


@pytest.mark.parametrize(
    ("spoken", "seconds"),
    [("30m", 1800), ("8h", 28800), ("2d", 172800), ("7d", 604800), ("45s", 45)],
)
def test_times_are_read_as_people_say_them(spoken: str, seconds: int) -> None:
    assert duration(spoken) == seconds


def test_names_are_read_as_they_are_meant() -> None:
    assert hostname("Chat.Example.org") == "chat.example.org"
    assert port_number("8501") == 8501
    assert risk("unsafe-interpreter").name == "UNSAFE_INTERPRETER"
