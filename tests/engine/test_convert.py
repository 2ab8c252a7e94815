"""`python -m engine.convert`: a file and a summary, or one line that says what is wrong."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chatglm_folder import chatglm3
from huggingface_hub import close_session
from repository_server import REPO, RepositoryServer

from engine import convert
from engine.quants import QuantType

SOUND = chatglm3()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return SOUND.write(tmp_path / "tiny")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RepositoryServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    close_session()  # the session reads the proxies once
    published = SOUND.write(tmp_path / "published")
    with RepositoryServer(
        {path.name: path.read_bytes() for path in published.iterdir()}
    ) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        yield running
    close_session()


def test_it_writes_the_type_asked_for_and_says_so(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.bin"
    assert convert.main(["-i", str(folder), "-t", "q8_0", "-o", str(output)]) == 0
    assert output.read_bytes() == SOUND.ggml(QuantType.Q8_0).packed()
    said = capsys.readouterr().out
    assert "136.1 kB" in said
    assert "each second" in said
    assert "query_key_value" not in said


def test_verbose_lists_every_tensor(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert.main(["-i", str(folder), "-o", str(tmp_path / "out.gguf"), "-v"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("blk.1.attn_qkv.weight", "128 x 64", "q4_0", "4.6 kB"))


@pytest.mark.parametrize("source", ["hf", "modelscope"])
def test_a_name_is_downloaded_first(tmp_path: Path, server: RepositoryServer, source: str) -> None:
    output = tmp_path / "out.bin"
    assert convert.main(["-i", REPO, "--source", source, "-o", str(output)]) == 0
    assert output.read_bytes() == SOUND.ggml(QuantType.Q4_0).packed()
    assert server.asked


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere", "no folder"), ("./no/where", "no folder"), ("owner/other", "Could not fetch")],
)
def test_errors_are_one_line_and_a_status(
    tmp_path: Path,
    server: RepositoryServer,
    capsys: pytest.CaptureFixture[str],
    name: str,
    message: str,
) -> None:
    assert convert.main(["-i", name, "-o", str(tmp_path / "out.bin")]) == 1
    said = capsys.readouterr().err
    assert "error: " in said
    assert message in said
    assert not (tmp_path / "out.bin").exists()


def test_an_existing_file_is_kept_unless_forced(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.bin"
    output.write_text("precious")
    assert convert.main(["-i", str(folder), "-o", str(output)]) == 1
    assert "--force" in capsys.readouterr().err
    assert output.read_text() == "precious"
    assert convert.main(["-i", str(folder), "-o", str(output), "--force"]) == 0
    assert output.read_bytes()[:4] == b"ggml"


def test_ctrl_c_is_no_traceback(
    tmp_path: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "convert", interrupt)
    assert convert.main(["-i", str(folder), "-o", str(tmp_path / "out.bin")]) == 130
    assert "nothing was left half written" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["-i", "x"], ["-i", "x", "-o", "y", "-t", "q3_k"]])
def test_a_wrong_command_line_is_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        convert.main(arguments)
    assert "usage: python -m engine.convert" in capsys.readouterr().err


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "engine.convert", "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "--source" in ran.stdout
