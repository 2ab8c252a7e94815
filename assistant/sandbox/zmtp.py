"""ZeroMQ's wire protocol (ZMTP 3.0), the few pages of it that talk to a kernel.

libzmq bounds the size of a frame but not the number of frames in one message, so a kernel that
always says "more to come" fills its receiver's memory. Here whole messages are bounded, no thread
and no reconnecting hides behind a socket, and a peer that breaks the rules is cut off.
"""

import socket
from collections.abc import Iterator, Sequence

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4
MAX_FRAMES = 32
CHUNK = 1 << 18


class ProtocolError(Exception):
    """The peer does not speak ZMTP, or sends more than may be sent."""


class Peer:
    """A connected socket to a bound one of libzmq's; `kind` is DEALER or SUB."""

    def __init__(self, connected: socket.socket, kind: str, max_message: int) -> None:
        self._socket = connected
        self._max_message = max_message
        self._buffer = bytearray()
        self._greeted = self._ready = False
        self._unsent = b""  # libzmq hangs up on a message that comes before its own READY is out
        self._frames: list[bytes] = []
        self.received = 0  # bytes, of which the caller may have enough
        ready = (
            b"\x05READY" + _property(b"Socket-Type", kind.encode()) + _property(b"Identity", b"")
        )
        connected.sendall(GREETING + bytes([COMMAND, len(ready)]) + ready)
        if kind == "SUB":
            self.send([b"\x01"])  # subscribes to everything

    @property
    def is_ready(self) -> bool:
        """Whether the other side has shaken hands."""
        return self._ready

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, frames: Sequence[bytes]) -> None:
        """Raises OSError when the peer is gone, or does not read for the socket's timeout."""
        last = len(frames) - 1
        data = b"".join(_header(frame, i < last) + frame for i, frame in enumerate(frames))
        if self._ready:
            self._socket.sendall(data)
        else:
            self._unsent += data

    def receive(self) -> Iterator[list[bytes]]:
        """What has come, once the socket is readable: whole messages. EOFError at the end."""
        data = self._socket.recv(CHUNK)
        if not data:
            raise EOFError
        self.received += len(data)
        self._buffer += data
        if self._greeted or self._take_greeting():
            yield from self._take_messages()

    def _take_greeting(self) -> bool:
        if len(self._buffer) < len(GREETING):
            return False
        if self._buffer[0] != 0xFF or self._buffer[10] < 3:
            raise ProtocolError("not ZMTP 3")
        del self._buffer[: len(GREETING)]
        self._greeted = True
        return True

    def _take_messages(self) -> Iterator[list[bytes]]:
        """The caller may stop listening at any of them: it will not come again."""
        start = 0
        try:
            while (taken := self._frame(start)) is not None:
                flags, body, start = taken
                if flags & COMMAND:
                    self._take_command()
                    continue
                self._frames.append(body)
                if not flags & MORE:
                    whole, self._frames = self._frames, []
                    yield whole
        finally:
            del self._buffer[:start]

    def _take_command(self) -> None:
        """The first one is READY; the others are of no use to us."""
        self._ready = True
        if self._unsent:
            self._socket.sendall(self._unsent)
            self._unsent = b""

    def _frame(self, start: int) -> tuple[int, bytes, int] | None:
        """Flags and body of the frame at `start` and where it ends, if all of it is here."""
        n_size = 8 if self._buffer[start : start + 1] and self._buffer[start] & LONG else 1
        body = start + 1 + n_size
        if len(self._buffer) < body:
            return None
        size = int.from_bytes(self._buffer[start + 1 : body], "big")
        whole = size + sum(map(len, self._frames))
        if whole > self._max_message or len(self._frames) >= MAX_FRAMES:
            raise ProtocolError("a message is too long")
        if len(self._buffer) < body + size:
            return None
        return self._buffer[start], bytes(self._buffer[body : body + size]), body + size


def _header(frame: bytes, more: bool) -> bytes:
    flags = MORE if more else 0
    if len(frame) < 256:
        return bytes([flags, len(frame)])
    return bytes([flags | LONG]) + len(frame).to_bytes(8, "big")


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
