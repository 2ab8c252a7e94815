"""A model's whole repository, fetched by name from the Hugging Face Hub or from ModelScope.

Only what a conversion reads is fetched. What has arrived stays, so that a broken-off download goes
on where it stopped; the Hub gives no checksum for small files, which are then known by their size.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Protocol

import httpx2
from huggingface_hub import HfApi, get_session
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

from engine.download import (
    DownloadListener,
    DownloadProgress,
    WantedFile,
    fetch,
    named_write_errors,
)
from engine.errors import DownloadFailed
from engine.hub import HubSource

_SMALL = (
    "config.json",
    "tokenizer*",
    "tokenization_chatglm.py",
    "chat_template.jinja",
    "*.index.json",
)
_SAFETENSORS, _PICKLED = "model*.safetensors", "pytorch_model*.bin"
_MODELSCOPE = "https://www.modelscope.cn"
_MAX_SMALL = 1 << 28
_SECONDS = 30.0
_TIMEOUT = httpx2.Timeout(_SECONDS, connect=5)
_HTTP_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled)
_REMEDY = "Check the name and the network and start again: what has arrived is kept."


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository; the checksum may be unknown."""

    path: str
    size: int
    sha256: str | None


class Repository(Protocol):
    """A place that has a model's files."""

    @property
    def name(self) -> str:
        """The place and the model, fit for a folder's name."""

    @property
    def where(self) -> str:
        """What a person who looks for the model needs to know."""

    def files(self) -> list[RemoteFile]: ...

    def source(self, path: str) -> HubSource: ...


@dataclass(frozen=True)
class HubRepository:
    """A repository on the Hub; `endpoint` None is the Hub itself."""

    repo: str
    endpoint: str | None = None

    @property
    def name(self) -> str:
        return "hf--" + self.repo.replace("/", "--")

    @property
    def where(self) -> str:
        return f"{self.endpoint or 'the Hugging Face Hub'}, {self.repo}"

    def files(self) -> list[RemoteFile]:
        # Not `list_repo_tree`, which tries for 20 s where there is no network.
        info = HfApi(endpoint=self.endpoint).model_info(
            self.repo, files_metadata=True, timeout=_SECONDS
        )
        return [
            RemoteFile(each.rfilename, each.size or 0, each.lfs.sha256 if each.lfs else None)
            for each in info.siblings or ()
        ]

    def source(self, path: str) -> HubSource:
        return HubSource(self.repo, path, self.endpoint)


@dataclass(frozen=True)
class ModelScopeSource(HubSource):
    """A file on ModelScope, which serves ranges as the Hub does."""

    @property
    def name(self) -> str:
        return "ModelScope"

    @property
    def where(self) -> str:
        query = httpx2.QueryParams({"Revision": "master", "FilePath": self.file})
        return f"{self.endpoint}/api/v1/models/{self.repo}/repo?{query}"


@dataclass(frozen=True)
class ModelScopeRepository:
    """A repository on ModelScope."""

    repo: str
    endpoint: str = _MODELSCOPE

    @property
    def name(self) -> str:
        return "modelscope--" + self.repo.replace("/", "--")

    @property
    def where(self) -> str:
        return f"{self.endpoint}, {self.repo}"

    def files(self) -> list[RemoteFile]:
        url = f"{self.endpoint}/api/v1/models/{self.repo}/repo/files"
        query = {"Revision": "master", "Recursive": "true"}
        answer = get_session().get(url, params=query, timeout=_TIMEOUT)
        answer.raise_for_status()
        return [
            RemoteFile(str(each["Path"]), int(each["Size"]), each.get("Sha256") or None)
            for each in answer.json()["Data"]["Files"]
            if each.get("Type") != "tree"
        ]

    def source(self, path: str) -> ModelScopeSource:
        return ModelScopeSource(self.repo, path, self.endpoint)


def named_repository(name: str, source: str) -> Repository:
    """The repository of that name; endpoints are read from the environment here, once."""
    if source == "modelscope":
        endpoint = os.environ.get("MODELSCOPE_ENDPOINT", _MODELSCOPE).rstrip("/")
        return ModelScopeRepository(name, endpoint)
    return HubRepository(name, os.environ.get("HF_ENDPOINT") or None)


def fetch_repository(
    repository: Repository, home: Path, listener: DownloadListener | None = None
) -> Path:
    """The folder in `home` that holds the repository's files, fetched first where missing."""
    folder = home / "checkpoints" / repository.name
    files = needed_files(_listed(repository))
    if not files:
        raise _failed(repository, "it has no weights that a conversion could read")
    total, before = sum(file.size for file in files), 0
    for file in files:
        _fetch_file(repository, file, folder, _shifted(listener, before, total))
        before += file.size
    return folder


def needed_files(files: Iterable[RemoteFile]) -> list[RemoteFile]:
    """What a conversion reads, small files first; none if there are no weights."""
    top = [file for file in files if file.path == PurePosixPath(file.path).name]
    weights = _matching(top, (_SAFETENSORS,)) or _matching(top, (_PICKLED,))
    small = [file for file in _matching(top, _SMALL) if file not in weights]
    return [*small, *weights] if weights else []


def _matching(files: Iterable[RemoteFile], patterns: Sequence[str]) -> list[RemoteFile]:
    return [file for file in files if any(fnmatch(file.path, pattern) for pattern in patterns)]


def _listed(repository: Repository) -> list[RemoteFile]:
    try:
        return repository.files()
    except (*_HTTP_ERRORS, HfHubHTTPError, HFValidationError) as error:
        raise _failed(repository, _first_line(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _failed(repository, f"its answer is not a list of files ({error})") from error


def _fetch_file(
    repository: Repository, file: RemoteFile, folder: Path, listener: DownloadListener | None
) -> None:
    path, source = folder / file.path, repository.source(file.path)
    if file.sha256 is not None:
        fetch(WantedFile(path, file.size, file.sha256), [source], listener, remedy=_REMEDY)
    elif not path.exists() or path.stat().st_size != file.size:
        _fetch_small(repository, source, path, file.size)
        if listener is not None:
            listener(DownloadProgress(file.size, file.size, source.name))


def _fetch_small(repository: Repository, source: HubSource, path: Path, size: int) -> None:
    if size > _MAX_SMALL:
        raise _failed(repository, f"{path.name} has no checksum")
    try:
        answer = get_session().get(source.where, timeout=_TIMEOUT, follow_redirects=True)
        answer.raise_for_status()
    except _HTTP_ERRORS as error:
        raise _failed(repository, f"{path.name}: {_first_line(error)}") from error
    if len(answer.content) != size:
        raise _failed(repository, f"{path.name} has {len(answer.content)} bytes, not {size}")
    part = path.with_name(path.name + ".part")
    with named_write_errors(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(answer.content)
        part.replace(path)


def _shifted(listener: DownloadListener | None, before: int, total: int) -> DownloadListener | None:
    """One file's progress as the whole repository's."""
    if listener is None:
        return None
    return lambda progress: listener(
        DownloadProgress(before + progress.done, total, progress.source, None)
    )


def _failed(repository: Repository, reason: str) -> DownloadFailed:
    return DownloadFailed(
        what=repository.name, reason=reason, tried=repository.where, remedy=_REMEDY
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
