"""Which other ways to sign in there are; and that a bad one keeps the app from starting."""

from pathlib import Path

import pytest

from assistant.access.configured import sign_in_ways
from assistant.access.oidc import OpenIdConnect
from assistant.access.proxy import HEADER, PROXIES, TrustedProxy
from assistant.access.store import AccessStore
from assistant.server import leave_if_open

SECRETS = """
[auth]
redirect_uri = "http://localhost:8501/oauth2callback"
cookie_secret = "x"
client_id = "id"
client_secret = "hidden"
server_metadata_url = "https://idp.example.org/.well-known/openid-configuration"
"""


def with_secrets(folder: Path, lines: str = SECRETS) -> Path:
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "secrets.toml").write_text(lines)
    return folder


def test_none_is_there_unless_it_is_set_up(tmp_path: Path, store: AccessStore) -> None:
    assert sign_in_ways(store, {}, tmp_path) == ()


def test_each_is_there_once_it_is_set_up(tmp_path: Path, store: AccessStore) -> None:
    ways = sign_in_ways(store, {HEADER: "X-Mail"}, with_secrets(tmp_path))
    assert [type(each) for each in ways] == [TrustedProxy, OpenIdConnect]


@pytest.mark.parametrize(
    ("environ", "lines", "named"),
    [({PROXIES: "10.0.0.5"}, SECRETS, HEADER), ({}, "[auth]\nclient_id = 3", "redirect_uri")],
)
def test_a_bad_setting_ends_the_program_before_it_serves_even_this_machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environ: dict[str, str],
    lines: str,
    named: str,
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(with_secrets(tmp_path, lines))
    with pytest.raises(SystemExit) as ended:
        leave_if_open("127.0.0.1")
    assert ended.value.code == 2
    assert named in capsys.readouterr().err
