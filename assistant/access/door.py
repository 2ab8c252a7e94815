"""By which door a request came: from this machine, through the tunnel, or from elsewhere.

Who connects to a loopback address is a process of this machine. uvicorn may have replaced the
client's address by one that such a process forwarded, but never the server's; so that the server's
address is loopback is what counts.

Not covered: a proxy on this machine that passes strangers on under the Host `localhost` and without
any header that says so. It cannot be told from a browser here; let it keep the Host that was asked.
"""

from urllib.parse import urlsplit

from assistant.access.addresses import is_loopback, read_address
from assistant.access.asked import Asked, Host, read_host
from assistant.access.sharing import Sharing

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
CLIENT_HEADER = b"cf-connecting-ip"  # set by Cloudflare, whatever the client sent
_FORWARDED = frozenset({b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip"})
_FORWARDED_STARTS = (b"cf-", b"x-forwarded-", b"x-original-")
_QUICK_TUNNELS = ".trycloudflare.com"
_TLS_PORT, _PORT = 443, 80


def is_local(asked: Asked, sharing: Sharing | None) -> bool:
    """Whether somebody at this machine asks, where no login is needed."""
    return (
        sharing is None
        and is_loopback(asked.server)
        and is_loopback(asked.client)
        and asked.host is not None
        and asked.host.name in LOOPBACK_NAMES
        and not any(map(_says_forwarded, asked.header_names()))
    )


def is_through_tunnel(asked: Asked, sharing: Sharing | None) -> bool:
    """Whether it was asked of the public address, by way of a process here: the tunnel's."""
    return (
        sharing is not None
        and is_loopback(asked.server)
        and asked.host is not None
        and is_host_of(asked.host, sharing.url)
    )


def is_unguarded(asked: Asked, sharing: Sharing | None) -> bool:
    """Whether it came by a tunnel that never has a proxy in it that signs people in.

    What such a proxy would say in a header, anybody can say there.
    """
    return (
        is_through_tunnel(asked, sharing)
        and asked.host is not None
        and asked.host.name.endswith(_QUICK_TUNNELS)
    )


def is_secure(asked: Asked, sharing: Sharing | None) -> bool:
    """Whether the browser came by TLS."""
    if asked.scheme in ("https", "wss"):
        return True
    if is_through_tunnel(asked, sharing):
        assert sharing is not None
        return sharing.url.startswith("https:")
    return is_loopback(asked.server) and asked.header(b"x-forwarded-proto") == "https"


def client(asked: Asked, sharing: Sharing | None) -> str:
    """Whose tries and sockets these are. What was forwarded counts through the tunnel only."""
    if is_through_tunnel(asked, sharing) and read_address(asked.header(CLIENT_HEADER)):
        return asked.header(CLIENT_HEADER)
    if is_loopback(asked.server) and not is_loopback(asked.client):
        return asked.server  # whatever a process here forwarded: nobody vouches for it
    return asked.client


def is_host_of(host: Host, url: str) -> bool:
    """Whether a Host header means the host of this URL."""
    parts = urlsplit(url)
    wanted = read_host(parts.netloc)
    port = _TLS_PORT if parts.scheme == "https" else _PORT
    return wanted is not None and (host.name, host.port or port) == (
        wanted.name,
        wanted.port or port,
    )


def _says_forwarded(name: bytes) -> bool:
    return name in _FORWARDED or name.startswith(_FORWARDED_STARTS)
