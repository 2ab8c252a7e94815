"""One run of cloudflared, here of its stand-in: when it is up, why it is not, and its end."""

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest
from patience import PATIENCE, until
from tunnelling import NAMES, StandIn, is_alive

from assistant.errors import (
    AssistantError,
    TunnelEnded,
    TunnelRateLimited,
    TunnelRefused,
    TunnelUnreachable,
)
from assistant.tunnel import child, tunnel
from assistant.tunnel.cloudflared import Target
from assistant.tunnel.tunnel import Broken, Opened, Tunnel

Told = SimpleQueue[Opened | Broken]
TOKEN = base64.b64encode(json.dumps({"a": "1", "t": "2", "s": "3"}).encode()).decode()


@contextmanager
def opened(stand_in: StandIn, told: Told, target: Target | None = None) -> Iterator[Tunnel]:
    one = Tunnel(stand_in.bin / "cloudflared", target or Target(1), told.put)
    try:
        yield one
    finally:
        one.close()


def heard(told: Told) -> Opened | Broken:
    return told.get(timeout=PATIENCE)


def test_it_says_its_address_when_requests_come_in(tmp_path: Path) -> None:
    stand_in, told = StandIn(tmp_path), Told()
    with opened(stand_in, told) as one:
        assert heard(told) == Opened(one, f"https://{NAMES[0]}.trycloudflare.com")
        assert stand_in.status(f"{NAMES[0]}.trycloudflare.com", "/") == 502


def test_a_slow_start_is_waited_for(tmp_path: Path) -> None:
    stand_in, told = StandIn(tmp_path, wait="network"), Told()
    with opened(stand_in, told):
        stand_in.wait_for_start(1)
        assert told.empty()
        stand_in.go("network")
        assert isinstance(heard(told), Opened)


def test_a_named_tunnel_is_public_under_its_name(tmp_path: Path) -> None:
    stand_in, told = StandIn(tmp_path), Told()
    with opened(stand_in, told, Target(1, "chat.example.org", TOKEN)) as one:
        assert heard(told) == Opened(one, "https://chat.example.org")
        start = stand_in.wait_for_start(1)
        assert start.arguments[-1] == "run"
        assert start.variables["TUNNEL_TOKEN"] == TOKEN


def test_it_gets_none_of_our_variables_but_those_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNNEL_HTTP_HOST_HEADER", "localhost")
    stand_in, told = StandIn(tmp_path), Told()
    with opened(stand_in, told):
        assert "TUNNEL_HTTP_HOST_HEADER" not in stand_in.wait_for_start(1).variables


@pytest.mark.parametrize(
    ("case", "kind", "reason"),
    [
        ("rate-limit", TunnelRateLimited, "429"),
        ("no-network", TunnelUnreachable, "no such host"),
        ("exit", TunnelEnded, "exit code 1.*working directory"),
    ],
)
def test_why_it_did_not_come_up_is_named(
    case: str, kind: type[AssistantError], reason: str, tmp_path: Path
) -> None:
    stand_in, told = StandIn(tmp_path, case=case), Told()
    with opened(stand_in, told):
        broken = heard(told)
        assert isinstance(broken, Broken)
        with pytest.raises(kind, match=reason):
            raise broken.error


def test_a_token_that_is_not_accepted_is_named_and_not_shown(tmp_path: Path) -> None:
    stand_in, told = StandIn(tmp_path), Told()
    with opened(stand_in, told, Target(1, "chat.example.org", "secret!")):
        broken = heard(told)
        assert isinstance(broken, Broken)
        assert isinstance(broken.error, TunnelRefused)
        assert "secret!" not in str(broken.error)


def test_one_that_never_connects_says_why_meanwhile(tmp_path: Path) -> None:
    stand_in, told = StandIn(tmp_path, case="silent"), Told()
    with opened(stand_in, told) as one:
        until(lambda: isinstance(one.why(), TunnelUnreachable))
        assert told.empty()


def test_a_crash_is_told_once(tmp_path: Path) -> None:
    stand_in, told = StandIn(tmp_path), Told()
    with opened(stand_in, told) as one:
        heard(told)
        stand_in.crash()
        broken = heard(told)
        assert isinstance(broken, Broken)
        assert broken.tunnel is one
        assert isinstance(broken.error, TunnelEnded)
    assert told.empty()


def test_closing_ends_the_process_and_tells_nothing(tmp_path: Path) -> None:
    stand_in, told = StandIn(tmp_path), Told()
    with opened(stand_in, told):
        heard(told)
    assert not is_alive(stand_in.starts[0].pid)
    assert told.empty()


def test_one_that_will_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "ENDING", 0.2)
    stand_in, told = StandIn(tmp_path, case="stubborn"), Told()
    with opened(stand_in, told):
        heard(told)
    assert not is_alive(stand_in.starts[0].pid)


def test_what_cannot_be_started_is_told_as_an_end(tmp_path: Path) -> None:
    told = Told()
    one = Tunnel(tmp_path / "missing", Target(1), told.put)
    broken = heard(told)
    one.close()
    assert isinstance(broken, Broken)
    assert "cannot be started" in str(broken.error)


def fork(task: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            task()
        finally:
            os._exit(1)
    return pid


def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)

    def start_and_wait() -> None:
        command = [str(stand_in.bin / "cloudflared"), "tunnel", "--no-autoupdate"]
        rest = [
            "--config",
            "/dev/null",
            "--metrics",
            "x",
            "--grace-period",
            "2s",
            "--url",
            "http://127.0.0.1:1",
        ]
        with (tmp_path / "log").open("wb") as log:
            child.start([*command, *rest], os.environ, output=log)
            signal.pause()

    parent = fork(start_and_wait)
    start = stand_in.wait_for_start(1)
    assert is_alive(start.pid)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    until(lambda: not is_alive(start.pid))
