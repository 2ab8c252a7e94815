"""Waiting for what another thread or process does, however long this machine is busy elsewhere."""

import threading
import time
from collections.abc import Callable

PATIENCE = 120.0  # seconds


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        pause.wait(0.02)
