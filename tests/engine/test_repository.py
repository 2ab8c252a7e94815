"""Fetching a model by name, against a loopback server that speaks for both places."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chatglm_folder import chatglm3
from huggingface_hub import close_session
from repository_server import REPO, RepositoryServer

from engine.checkpoint import open_checkpoint
from engine.download import DownloadProgress
from engine.errors import DownloadFailed
from engine.repository import (
    HubRepository,
    ModelScopeRepository,
    RemoteFile,
    fetch_repository,
    named_repository,
    needed_files,
)

EXTRA = {"README.md": b"read me", "pytorch_model.bin": b"the same again", "sub/config.json": b"{}"}
Maker = Callable[[str, str], HubRepository | ModelScopeRepository]
places = pytest.mark.parametrize(
    "place", [HubRepository, ModelScopeRepository], ids=["hub", "modelscope"]
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RepositoryServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()  # the session reads the proxies once
    folder = chatglm3().write(tmp_path / "published", shards=2)
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())} | EXTRA
    large = frozenset(name for name in files if name.endswith((".safetensors", ".model")))
    with RepositoryServer(files, large) as running:
        yield running
    close_session()


@places
def test_a_model_is_fetched_whole_and_without_what_nobody_reads(
    tmp_path: Path, server: RepositoryServer, place: Maker
) -> None:
    folder = fetch_repository(place(REPO, server.url), tmp_path)
    assert open_checkpoint(folder).shards.keys() == chatglm3().tensors.keys()
    assert (folder / "tokenizer.model").read_bytes() == chatglm3().tokenizer
    fetched = {each.split()[0] for each in server.asked}
    assert fetched == server.files.keys() - EXTRA.keys()
    server.asked.clear()
    assert fetch_repository(place(REPO, server.url), tmp_path) == folder
    assert server.asked == []


@places
def test_what_broke_off_goes_on_where_it_stopped(
    tmp_path: Path, server: RepositoryServer, place: Maker
) -> None:
    shard = "model-00001-of-00002.safetensors"
    server.cuts[shard] = 1000
    folder = fetch_repository(place(REPO, server.url), tmp_path)
    assert (folder / shard).read_bytes() == server.files[shard]
    assert [each for each in server.asked if shard in each] == [shard, f"{shard} bytes=1000-"]


@places
def test_progress_counts_the_whole_model(
    tmp_path: Path, server: RepositoryServer, place: Maker
) -> None:
    seen: list[DownloadProgress] = []
    fetch_repository(place(REPO, server.url), tmp_path, seen.append)
    total = sum(len(data) for name, data in server.files.items() if name not in EXTRA)
    assert {progress.total for progress in seen} == {total}
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert seen[-1].done == total


@places
def test_an_unknown_name_is_refused(tmp_path: Path, server: RepositoryServer, place: Maker) -> None:
    with pytest.raises(DownloadFailed, match=r"owner/other.*Check the name"):
        fetch_repository(place("owner/other", server.url), tmp_path)


@pytest.mark.parametrize("listing", [b"", b"nonsense", b"{}", b'{"Data": {"Files": [3]}}'])
def test_a_list_that_is_none_is_refused(
    tmp_path: Path, server: RepositoryServer, listing: bytes
) -> None:
    server.listing = listing
    with pytest.raises(DownloadFailed, match="not a list of files"):
        fetch_repository(ModelScopeRepository(REPO, server.url), tmp_path)


@places
def test_a_repository_without_weights_is_refused(
    tmp_path: Path, server: RepositoryServer, place: Maker
) -> None:
    server.files = {"config.json": b"{}", "sub/model.safetensors": b""}
    with pytest.raises(DownloadFailed, match="no weights"):
        fetch_repository(place(REPO, server.url), tmp_path)


def test_a_place_that_does_not_answer_is_named(tmp_path: Path) -> None:
    for place in (HubRepository, ModelScopeRepository):
        with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1:9"):
            fetch_repository(place(REPO, "http://127.0.0.1:9"), tmp_path)


def test_a_small_file_of_the_wrong_size_is_refused(
    tmp_path: Path, server: RepositoryServer
) -> None:
    repository = HubRepository(REPO, server.url)
    files = dict(server.files)
    listed = repository.files()
    server.files = {**files, "config.json": b"{}"}

    class Stale(HubRepository):
        def files(self) -> list[RemoteFile]:
            return listed

    with pytest.raises(DownloadFailed, match=r"config\.json has 2 bytes"):
        fetch_repository(Stale(REPO, server.url), tmp_path)


def test_names_that_lead_out_of_the_folder_are_left_out() -> None:
    weights = RemoteFile("model.safetensors", 1, None)
    names = (
        "../model.safetensors",
        "/config.json",
        "tokenizer/../../config.json",
        "model/../x.bin",
    )
    assert needed_files([weights, *(RemoteFile(name, 1, None) for name in names)]) == [weights]


def test_pickled_weights_are_fetched_where_there_are_no_others() -> None:
    names = ("pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json", "config.json")
    files = [RemoteFile(name, 1, None) for name in (*names, "optimizer.bin", "model.onnx")]
    assert {file.path for file in needed_files(files)} == set(names)


def test_places_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://scope/")
    assert named_repository("a/b", "hf") == HubRepository("a/b", "http://mirror")
    assert named_repository("a/b", "modelscope") == ModelScopeRepository("a/b", "http://scope")
    source = named_repository("a/b", "modelscope").source("x y.bin")
    assert source.where.startswith("http://scope/api/v1/models/a/b/repo?Revision=master&FilePath=x")
    for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):
        monkeypatch.delenv(name)
    assert named_repository("a/b", "hf") == HubRepository("a/b", None)
    assert os.sep not in named_repository("a/b", "modelscope").name
