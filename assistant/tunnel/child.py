"""Programs that we start, and that must not outlive us."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

LEASH = Path(__file__).with_name("leash.py")


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: int | IO[bytes],
    folder: Path | None = None,
) -> "subprocess.Popen[bytes]":
    """Starts it on the leash. From the main thread: Linux ends it with the thread that starts it.

    It gets a session of its own, so that Ctrl-C comes to us alone and we end it in our order.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[bytes]", patience: float) -> None:
    """By SIGTERM, and after `patience` seconds by SIGKILL; it is gone when this returns."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
