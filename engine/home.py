"""The user's folder for what we download and compile."""

import os
from pathlib import Path

from engine.errors import CacheNotWritable


def model_home() -> Path:
    """`$ASSISTANT_HOME`, `$XDG_CACHE_HOME/assistant` or `~/.cache/assistant`; made if missing."""
    home = _chosen_folder()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CacheNotWritable(path=home, reason=error.strerror) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise CacheNotWritable(path=home, reason="no permission to write")
    return home


def _chosen_folder() -> Path:
    chosen = os.environ.get("ASSISTANT_HOME")
    if chosen:
        return _expand(chosen).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG rules say that a relative path there is to be ignored.
    return base / "assistant" if base.is_absolute() else _expand("~/.cache/assistant")


def _expand(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise CacheNotWritable(path=path, reason="this user has no home folder") from error
