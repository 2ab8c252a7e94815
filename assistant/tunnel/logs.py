"""What cloudflared's log says of its tunnel, line by line.

Requests from outside can put text of their own into the log, quoted within a line. So an address
counts only as the one thing in a row of the box that cloudflared draws around it, and only under
the domain where quick tunnels live.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_LINE = 8192  # bytes; the longest of its own lines has 600

_ADDRESS = re.compile(r"\S+ INF \| +(https://[a-z0-9][a-z0-9-]{0,62}\.trycloudflare\.com) +\|")
_CONNECTED = re.compile(r"\S+ INF Registered tunnel connection connIndex=\d+ .*")
_RATE_LIMIT = re.compile(
    r"\S+ ERR Error unmarshaling QuickTunnel response: .*(429 Too Many Requests|error code: 1015).*"
)
_BAD_TOKEN = re.compile(r"(Provided Tunnel token is not valid|\S+ ERR .*error=\"Unauthorized: ).*")
_NO_NETWORK = re.compile(
    r"failed to request quick Tunnel: .*"
    r"|\S+ ERR edge discovery: error looking up Cloudflare edge IPs: .*"
    r"|\S+ ERR Failed to (dial a quic|create new quic) connection .*"
    r"|\S+ ERR Unable to establish connection with Cloudflare edge .*"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Address:
    """The quick tunnel's public address, which may not answer yet."""

    url: str


@dataclass(frozen=True)
class Connected:
    """From here on requests come in."""


class Trouble(StrEnum):
    RATE_LIMIT = "rate limit"
    BAD_TOKEN = "bad token"  # noqa: S105  a kind of trouble, not a secret
    NO_NETWORK = "no network"


_TROUBLES = (
    (_RATE_LIMIT, Trouble.RATE_LIMIT),
    (_BAD_TOKEN, Trouble.BAD_TOKEN),
    (_NO_NETWORK, Trouble.NO_NETWORK),
)


def read_line(line: str) -> Address | Connected | Trouble | None:
    """None for a line that changes nothing, as most do."""
    line = clean(line)
    if found := _ADDRESS.fullmatch(line):
        return Address(found[1])
    if _CONNECTED.fullmatch(line):
        return Connected()
    return next((trouble for pattern, trouble in _TROUBLES if pattern.fullmatch(line)), None)


def clean(line: str) -> str:
    """Without colours, and without anything else that a terminal would obey."""
    line = _COLOURS.sub("", line).strip()
    return "".join(each if each.isprintable() else " " for each in line)


def is_complaint(line: str) -> bool:
    """An error, or a last word: those carry no time and level."""
    return bool(re.match(r"\S+ (ERR|FTL) |(?!\d{4}-\d\d-\d\dT)\S", line))
