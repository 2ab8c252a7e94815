"""The process's one assistant.

A plain module variable: any visitor can clear Streamlit's caches, and must not unload the model.
"""

import logging
import os
import threading
from pathlib import Path

from assistant.access.store import open_store
from assistant.assistant import Assistant
from assistant.exposure import Exposure
from assistant.loading import ModelLoader
from assistant.mcp_client import McpTools
from assistant.toolbox import Toolbox
from assistant.toolfolder import FolderTools
from engine import EngineError, asked_threads

log = logging.getLogger(__name__)

_lock = threading.Lock()
_instance: Assistant | None = None


def instance() -> Assistant:
    """The assistant; the first call reads the environment and starts to load the model."""
    global _instance
    with _lock:
        if _instance is None:
            toolbox = Toolbox([FolderTools(), McpTools()])
            _instance = Assistant(_loader(), toolbox, exposure=Exposure(open_store()))
            path = os.environ.get("MODEL")
            _instance.open_model(Path(path).expanduser() if path else None)
        return _instance


def _loader() -> ModelLoader:
    """With the threads that the environment asks for; a wrong number there is no reason to die."""
    try:
        return ModelLoader(threads=asked_threads(os.environ))
    except EngineError as error:
        log.error("%s", error)
        return ModelLoader()


def install(assistant: Assistant | None) -> None:
    """Puts another assistant in its place, as tests do with a scripted engine."""
    global _instance
    with _lock:
        _instance = assistant
