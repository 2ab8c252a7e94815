"""Tool files as people save them, for tests of what runs them."""

import threading
from pathlib import Path

HEAD = """\
import os, signal, sys, time
from tools import Example, File, Image, Table, ToolError, secret, tool
"""
PATIENCE = 120.0  # seconds; a busy machine is slow, not wrong
NEVER = threading.Event()


def save(folder: Path, name: str, body: str) -> Path:
    """Saves a file as an editor does: at once, under its name."""
    folder.mkdir(exist_ok=True)
    draft = folder / f"_{name}.draft"
    draft.write_text(HEAD + body, encoding="utf-8")
    return draft.replace(folder / name)
