"""cloudflared itself: where it is, and how it is told what to do.

It gets what it needs and nothing else: an empty configuration, since a `config.yml` that somebody
wrote for another tunnel would answer for ours, and none of our variables but those listed, since
every option has one (TUNNEL_HTTP_HOST_HEADER would rewrite the Host that the gate goes by).
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAME = "cloudflared"
GRACE = "2s"  # for requests under way when it is told to end

# What finding a name server, a proxy and the roots of trust may take.
KEPT_VARIABLES = (
    *("PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


@dataclass(frozen=True)
class Target:
    """What is made public, and under which name; without a name a new one is given each time."""

    port: int
    hostname: str = ""
    token: str = field(default="", repr=False)


def find(home: Path) -> Path | None:
    """The one on PATH, or the one in the assistant's home, fetched or put there by a person."""
    found = shutil.which(NAME) or shutil.which(home / NAME)
    return Path(found).absolute() if found else None


def command_line(program: Path, target: Target) -> list[str]:
    """The token is not in it: any user of the machine can read a command line."""
    general = [
        *(str(program), "tunnel", "--no-autoupdate", "--config", os.devnull),
        *("--metrics", "127.0.0.1:0", "--grace-period", GRACE),
        *("--url", f"http://127.0.0.1:{target.port}"),
    ]
    return [*general, "run"] if target.token else general


def environment(target: Target, ours: Mapping[str, str]) -> dict[str, str]:
    kept = {name: ours[name] for name in KEPT_VARIABLES if name in ours}
    return kept | ({"TUNNEL_TOKEN": target.token} if target.token else {})
