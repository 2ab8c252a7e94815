"""A command as people run it, and what it says, line by line."""

import signal
import subprocess
import threading
from queue import SimpleQueue

from patience import PATIENCE


class Running:
    """A command, and what it says."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def hear(self, text: str) -> str:
        """The next line with it."""
        while line := self._lines.get(timeout=PATIENCE):
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"it never said {text!r}, but: {''.join(self.said)}")

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.code

    @property
    def code(self) -> int:
        """Its exit code, when all has been said."""
        self._reader.join()
        while not self._lines.empty():
            self.said.append(self._lines.get())
        return self.process.wait()
