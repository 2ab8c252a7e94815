"""Fetching from the Hub, against a loopback server that also misbehaves."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from huggingface_hub import close_session, constants

from engine.download import Part, SourceFailed
from engine.hub import HubSource

DATA = bytes(range(256)) * 4096  # 1 MiB
ADDRESS = "owner/name/file.bin"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()  # the session reads the proxies once
    with HubServer({ADDRESS: DATA}) as server:
        yield server
    close_session()


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return _part(tmp_path)


def _part(tmp_path: Path) -> Part:
    return Part(tmp_path / "file.part", len(DATA), lambda _done: None)


def _source(endpoint: str, pauses: tuple[float, ...] = (0, 0)) -> HubSource:
    return HubSource("owner/name", "file.bin", endpoint, pauses)


def _assert_is_data(part: Part) -> None:
    arrived = part.path.read_bytes()
    assert len(arrived) == part.done == len(DATA)
    assert hashlib.sha256(arrived).digest() == hashlib.sha256(DATA).digest()


def test_a_file_arrives_over_the_hubs_redirection(hub: HubServer, part: Part) -> None:
    _source(hub.url).fill(part)
    _assert_is_data(part)
    assert hub.resolved == ["GET /owner/name/resolve/main/file.bin"]
    assert hub.downloads == [""]


def test_an_endpoint_may_end_with_a_slash() -> None:
    assert _source("http://mirror/").where == "http://mirror/owner/name/resolve/main/file.bin"


def test_without_an_endpoint_the_library_knows_where() -> None:
    where = HubSource("owner/name", "file.bin").where
    assert where == f"{constants.ENDPOINT}/owner/name/resolve/main/file.bin"


def test_a_cut_connection_is_taken_up_where_it_broke(hub: HubServer, part: Part) -> None:
    hub.cuts = [300_000, 200_000]
    _source(hub.url).fill(part)
    _assert_is_data(part)
    assert hub.downloads == ["", "bytes=300000-", "bytes=500000-"]


def test_a_connection_that_ends_early_without_a_word_is_taken_up_too(
    hub: HubServer, part: Part
) -> None:
    hub.says_size = False
    hub.cuts = [300_000]
    _source(hub.url).fill(part)
    _assert_is_data(part)


def test_a_later_process_takes_up_what_an_earlier_one_left(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA[:700_000])
    part = _part(tmp_path)
    _source(hub.url).fill(part)
    _assert_is_data(part)
    assert hub.downloads == ["bytes=700000-"]


def test_a_whole_part_asks_for_nothing(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA)
    _source(hub.url).fill(_part(tmp_path))
    assert hub.resolved == []


def test_a_server_that_ignores_ranges_is_begun_afresh(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA[:700_000])
    part = _part(tmp_path)
    hub.ignores_range = True
    _source(hub.url).fill(part)
    _assert_is_data(part)


def test_a_server_that_always_breaks_at_the_same_place_is_given_up(
    hub: HubServer, part: Part
) -> None:
    hub.ignores_range = True
    hub.cuts = [300_000] * 100
    with pytest.raises(SourceFailed):
        _source(hub.url, pauses=(0, 0)).fill(part)
    assert len(hub.downloads) == 4  # one that brought something, one at once, one a pause


def test_each_advance_earns_new_patience(hub: HubServer, part: Part) -> None:
    hub.cuts = [100_000, 0, 0, 100_000, 0, 0]
    _source(hub.url, pauses=(0, 0)).fill(part)
    _assert_is_data(part)


def test_a_range_that_begins_elsewhere_is_refused(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(DATA[:700_000])
    hub.range_shift = 1
    with pytest.raises(SourceFailed, match="from 700001, expected 1048576 from 700000"):
        _source(hub.url).fill(_part(tmp_path))
    assert (tmp_path / "file.part").stat().st_size == 700_000


@pytest.mark.parametrize("n_bytes", [len(DATA) - 1, len(DATA) + 1])
def test_a_file_of_another_size_is_refused_before_it_is_written(
    hub: HubServer, part: Part, n_bytes: int
) -> None:
    hub.files[ADDRESS] = (DATA + b"x")[:n_bytes]
    with pytest.raises(SourceFailed, match=f"offers {n_bytes} bytes"):
        _source(hub.url).fill(part)
    assert not part.path.exists()


def test_an_endless_answer_is_stopped_at_the_files_size(hub: HubServer, part: Part) -> None:
    hub.files[ADDRESS] = DATA * 3
    hub.says_size = False
    with pytest.raises(SourceFailed, match="sends more"):
        _source(hub.url).fill(part)
    assert part.path.stat().st_size <= len(DATA)


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_refusal_is_told_by_its_number(hub: HubServer, part: Part, status: int) -> None:
    hub.status = status
    with pytest.raises(SourceFailed, match=f"it answers {status}"):
        _source(hub.url).fill(part)


def test_where_nobody_listens_it_is_given_up_without_a_pause(part: Part) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        with pytest.raises(SourceFailed, match="refused"):
            _source(f"http://127.0.0.1:{unused.getsockname()[1]}", pauses=(3600,)).fill(part)


@pytest.mark.parametrize("endpoint", ["nonsense", "http://127.0.0.1:x", "ftp://127.0.0.1"])
def test_an_endpoint_that_is_no_address_is_a_failed_source(part: Part, endpoint: str) -> None:
    with pytest.raises(SourceFailed):
        _source(endpoint).fill(part)


def test_the_librarys_offline_switch_is_kept(
    hub: HubServer, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceFailed, match="offline"):
        _source(hub.url).fill(part)
    assert hub.resolved == []
