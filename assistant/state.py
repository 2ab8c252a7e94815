"""The process's one assistant.

A plain module variable: any visitor can clear Streamlit's caches, and must not unload the model.
"""

import gc
import logging
import os
import sys
import threading
from functools import partial
from pathlib import Path

from assistant.access.store import open_store
from assistant.assistant import Assistant
from assistant.exposure import Exposure
from assistant.loading import Failed, ModelLoader, Ready
from assistant.mcp_client import McpTools
from assistant.sandbox.probe import UNSAFE_OPTION
from assistant.toolbox import Toolbox
from assistant.toolfolder import FolderTools
from assistant.workbench import Workbench
from engine import EngineError, asked_kv_type, asked_threads, model_home

log = logging.getLogger(__name__)

_lock = threading.Lock()
_instance: Assistant | None = None


def instance() -> Assistant:
    """The assistant; the first call reads the environment and starts to load the model."""
    global _instance
    with _lock:
        if _instance is None:
            toolbox = Toolbox([FolderTools(), McpTools()])
            workbench = Workbench(model_home, unsafe=UNSAFE_OPTION in sys.argv[1:])
            exposure = Exposure(open_store())
            _instance = Assistant(_loader(), toolbox, workbench, exposure)
            path = os.environ.get("MODEL")
            _instance.open_model(Path(path).expanduser() if path else None)
            threading.Thread(target=_keep, args=(_instance,), name="keep", daemon=True).start()
            workbench.foresee(partial(_wait_settled, _instance))
        return _instance


def _wait_settled(assistant: Assistant) -> None:
    """Until there is a model, or none: its loading comes before whatever can wait."""
    state = assistant.model_state
    while not isinstance(state, Ready | Failed):
        state = assistant.wait_model(state)


def _keep(assistant: Assistant) -> None:
    """Has the collector pass over what lives as long as the process.

    Looking through its 400,000 objects takes 0.1 s, in which no page, request or step of the
    model moves.
    """
    _wait_settled(assistant)
    gc.collect()
    gc.freeze()


def _loader() -> ModelLoader:
    """As the environment asks for; what is wrong there is no reason to die."""
    try:
        return ModelLoader(threads=asked_threads(os.environ), kv_type=asked_kv_type(os.environ))
    except EngineError as error:
        log.error("%s", error)
        return ModelLoader()


def install(assistant: Assistant | None) -> None:
    """Puts another assistant in its place, as tests do with a scripted engine."""
    global _instance
    with _lock:
        _instance = assistant
