"""JSON over a stream socket, each message with its length before it and none longer than agreed."""

import contextlib
import json
import socket
import threading
from typing import Any

MAX_MESSAGE = 64 << 20
_LENGTH = 4


class Channel:
    """Any thread may send; one thread receives."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()

    def send(self, message: object) -> None:
        """Raises OSError when the other side is gone."""
        data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        if len(data) > MAX_MESSAGE:
            raise ValueError(f"a message of {len(data)} bytes; at most {MAX_MESSAGE} may be sent")
        with self._sending:
            self._socket.sendall(len(data).to_bytes(_LENGTH, "big") + data)

    def receive(self) -> dict[str, Any]:
        """The next message. EOFError when there will be none, or none that can be believed."""
        size = int.from_bytes(self._exactly(_LENGTH), "big")
        if size > MAX_MESSAGE:
            raise EOFError
        try:
            message = json.loads(self._exactly(size))
        except (ValueError, RecursionError) as error:
            raise EOFError from error
        if not isinstance(message, dict):
            raise EOFError
        return message

    def close(self) -> None:
        """Wakes the receiver, too."""
        with contextlib.suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _exactly(self, n_bytes: int) -> bytes:
        parts = bytearray()
        while len(parts) < n_bytes:
            try:
                part = self._socket.recv(min(n_bytes - len(parts), 1 << 20))
            except OSError as error:
                raise EOFError from error
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)
