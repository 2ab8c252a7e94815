"""A model file onto the Hub, against a loopback server that speaks its protocol."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import COMMIT
from hub_uploads import READ, WRITE, UploadHub
from huggingface_hub import close_session, constants

from assistant import cli
from assistant.terminal import ERROR, OK

# The library hands its files to httpx in a way that httpx would rather not see.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

DATA = b"GGUF" + bytes(range(256)) * 1000
REPO = "me/model"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", constants.HF_HUB_DISABLE_XET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()  # the session reads the proxies once
    with UploadHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", WRITE)
        yield server
    close_session()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model-q4_0.gguf"
    path.write_bytes(DATA)
    return path


def send(file: Path, *options: str) -> int:
    return cli.main(["upload", str(file), "--repo", REPO, "--lang", "en", *options])


def test_a_file_gets_to_the_hub_and_its_address_is_told(
    hub: UploadHub, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send(file) == OK
    assert hub.files == {f"{REPO}/model-q4_0.gguf": DATA}
    assert hub.repos == {REPO: False}
    assert len(hub.verified) == 1
    out, err = capsys.readouterr()
    assert out == f"{hub.url}/{REPO}/commit/{COMMIT}\n"
    assert "100%" in err  # the bar


def test_a_repository_can_be_made_private(hub: UploadHub, file: Path) -> None:
    assert send(file, "--private") == OK
    assert hub.repos == {REPO: True}


def test_a_repository_that_exists_is_used(hub: UploadHub, file: Path) -> None:
    hub.repos[REPO] = True
    assert send(file) == OK
    assert hub.repos == {REPO: True}
    assert hub.files[f"{REPO}/{file.name}"] == DATA


def test_a_large_file_goes_in_parts(hub: UploadHub, file: Path) -> None:
    hub.chunk_size = 100_000
    assert send(file) == OK
    assert len(hub.parts) == 3
    assert hub.files[f"{REPO}/{file.name}"] == DATA


@pytest.mark.parametrize("exists", [True, False])
def test_a_token_that_only_reads_is_told_so(
    hub: UploadHub,
    file: Path,
    exists: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.repos |= {REPO: False} if exists else {}
    monkeypatch.setenv("HF_TOKEN", READ)
    assert send(file) == ERROR
    assert capsys.readouterr().err.startswith(
        f"error: The token may not write to {REPO}: it is read-only, or the name is somebody else's"
    )
    assert not hub.files


def test_a_token_that_the_hub_does_not_know_is_told_so(
    hub: UploadHub,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mistyped")
    assert send(file) == ERROR
    err = capsys.readouterr().err
    assert f"{hub.url} does not know this token" in err
    assert "hf_mistyped" not in err


def test_without_a_token_nothing_is_sent(
    hub: UploadHub,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert cli.main(["upload", str(file), "--repo", REPO, "--lang", "zh"]) == ERROR
    assert f"请在 {hub.url}/settings/tokens 创建" in capsys.readouterr().err
    assert hub.asked_paths == []


def test_the_token_of_a_login_is_used(
    hub: UploadHub, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(WRITE)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert send(file) == OK


def test_a_storage_that_refuses_is_told_by_its_answer(
    hub: UploadHub, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.storage_status = 400
    assert send(file) == ERROR
    assert f"error: The file did not get to {REPO}: " in capsys.readouterr().err
    assert not hub.files


def test_a_name_that_no_repository_can_have_is_refused(
    hub: UploadHub, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["upload", str(file), "--repo", "a b/c", "--lang", "en"]) == ERROR
    assert "error: The file did not get to a b/c: " in capsys.readouterr().err
    assert hub.asked_paths == []


def test_where_nobody_listens_it_is_said(
    hub: UploadHub,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert send(file) == ERROR
    assert "error: The file did not get to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no model file at"),
        (b"SECRET=1\n", "its first bytes: found b'SECR', expected GGUF or ggml"),
        (b"", "its first bytes: found b''"),
    ],
)
def test_only_a_model_file_goes_out(
    hub: UploadHub,
    file: Path,
    content: bytes | None,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    assert send(file) == ERROR
    assert says in capsys.readouterr().err
    assert hub.asked_paths == []
