"""Where in a call the text stands: within a string, within a key, and which keys there were.

It reads what a grammar has let through, so it need not check anything.
"""

from dataclasses import dataclass, field

_BACKSLASH = ord("\\")
_CLOSES = {ord(")"): ord("("), ord("]"): ord("["), ord("}"): ord("{")}


@dataclass
class _Bracket:
    kind: int
    before_key: bool
    keys: set[bytes] = field(default_factory=set)


class CallScan:
    """`quote` is that of the string it stands in, b"" outside of strings."""

    def __init__(self) -> None:
        self.quote = b""
        self.escaped = False
        self.string = bytearray()
        self._open: list[_Bracket] = []

    @property
    def earlier_keys(self) -> set[bytes]:
        """Of the object that a key is being written or awaited in; else there are none."""
        inside = bool(self._open) and self._open[-1].before_key
        return self._open[-1].keys if inside else set()

    def feed(self, data: bytes) -> None:
        for byte in data:
            if self.quote:
                self._in_string(byte)
            else:
                self._outside(byte)

    def _in_string(self, byte: int) -> None:
        if self.escaped:
            self.escaped = False
        elif byte == _BACKSLASH:
            self.escaped = True
        elif byte == self.quote[0]:
            self._end_string()
            return
        self.string.append(byte)

    def _end_string(self) -> None:
        if self._open and self._open[-1].before_key:
            self._open[-1].keys.add(bytes(self.string))
            self._open[-1].before_key = False
        self.quote = b""
        self.string.clear()

    def _outside(self, byte: int) -> None:
        character = chr(byte)
        if character in "\"'":
            self.quote = bytes([byte])
        elif character in "([{":
            self._open.append(_Bracket(byte, before_key=character == "{"))
        elif byte in _CLOSES and self._open and self._open[-1].kind == _CLOSES[byte]:
            self._open.pop()
        elif character == "," and self._open:
            self._open[-1].before_key = self._open[-1].kind == ord("{")
