"""Where cloudflared is found, and what it is told."""

import os
from pathlib import Path

import pytest

from assistant.tunnel.cloudflared import Target, command_line, environment, find


def put(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / "cloudflared"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o700)
    return program


def test_the_one_on_path_comes_before_the_one_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find(tmp_path / "home") is None
    in_home = put(tmp_path / "home")
    assert find(tmp_path / "home") == in_home
    assert find(tmp_path / "home") != put(tmp_path / "bin")
    assert find(tmp_path / "home") == tmp_path / "bin" / "cloudflared"


def test_a_file_that_may_not_run_is_not_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    put(tmp_path).chmod(0o600)
    assert find(tmp_path) is None


def test_a_quick_tunnel_is_asked_for_with_nobodys_configuration() -> None:
    assert command_line(Path("/bin/cloudflared"), Target(8501)) == [
        *("/bin/cloudflared", "tunnel", "--no-autoupdate", "--config", "/dev/null"),
        *("--metrics", "127.0.0.1:0", "--grace-period", "2s", "--url", "http://127.0.0.1:8501"),
    ]


def test_a_token_travels_where_no_other_user_of_the_machine_sees_it() -> None:
    target = Target(8501, "chat.example.org", "secret")
    assert command_line(Path("/bin/cloudflared"), target)[-1] == "run"
    assert "secret" not in " ".join(command_line(Path("/bin/cloudflared"), target))
    assert environment(target, {})["TUNNEL_TOKEN"] == "secret"
    assert "secret" not in repr(target)


def test_of_our_variables_it_gets_only_those_it_needs() -> None:
    ours = {
        "PATH": os.environ["PATH"],
        "HTTPS_PROXY": "http://proxy:3128",
        "TUNNEL_HTTP_HOST_HEADER": "localhost",
        "TUNNEL_TOKEN": "of another tunnel",
        "NO_TLS_VERIFY": "true",
        "HF_TOKEN": "secret",
    }
    assert set(environment(Target(8501), ours)) == {"PATH", "HTTPS_PROXY"}
