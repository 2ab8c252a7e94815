"""A model file onto the Hugging Face Hub, or onto a mirror that speaks its protocol."""

from pathlib import Path

import httpx2
from huggingface_hub import CommitInfo, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError

from assistant.errors import (
    AssistantError,
    ModelNotFound,
    NoToken,
    TokenCannotWrite,
    TokenUnknown,
    UploadFailed,
)
from engine import BadModelFile

_MAGICS = (b"GGUF", b"ggml")


def upload(path: Path, repo: str, endpoint: str | None = None, *, private: bool = False) -> str:
    """Puts a file into a repository, which is made if needed; returns the commit's address.

    The library draws a bar. Whatever goes wrong is an AssistantError or an EngineError.
    """
    _check_model(path)
    hub = (endpoint or constants.ENDPOINT).rstrip("/")
    token = get_token()
    if token is None:
        raise NoToken(hub=hub)
    if hub != constants._HF_DEFAULT_ENDPOINT:  # mirrors speak Git LFS, not the Hub's own Xet
        constants.HF_HUB_DISABLE_XET = True
    try:
        return _send(HfApi(endpoint=hub, token=token), path, repo, private).commit_url
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        raise _refusal(error, repo, hub) from error


def _check_model(path: Path) -> None:
    """What is public stays public: nothing but a model goes out."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelNotFound(path=path) from error
    if magic not in _MAGICS:
        expected = "GGUF or ggml, with which model files begin"
        raise BadModelFile(path=path, where="its first bytes", found=magic, expected=expected)


def _send(api: HfApi, path: Path, repo: str, private: bool) -> CommitInfo:
    if not api.repo_exists(repo):
        api.create_repo(repo, private=private or None, exist_ok=True)
    return api.upload_file(path_or_fileobj=path, path_in_repo=path.name, repo_id=repo)


def _refusal(error: BaseException, repo: str, hub: str) -> AssistantError:
    # The library wraps what went wrong with the storage.
    inner = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    status = inner.response.status_code if isinstance(inner, HfHubHTTPError) else None
    if status == httpx2.codes.UNAUTHORIZED:
        return TokenUnknown(hub=hub)
    if status == httpx2.codes.FORBIDDEN:
        return TokenCannotWrite(repo=repo, hub=hub)
    reason = next((line for line in str(inner).splitlines() if line), type(inner).__name__)
    return UploadFailed(repo=repo, reason=reason.rstrip("."))
