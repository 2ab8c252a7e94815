"""For whom a request is, and whose page sent it: Host, Origin and Sec-Fetch-Site."""

from urllib.parse import urlsplit

from assistant.access.addresses import read_address
from assistant.access.asked import Asked, read_host
from assistant.access.door import LOOPBACK_NAMES, is_host_of, is_secure
from assistant.access.sharing import Sharing


def read_hosts(listed: str) -> frozenset[str]:
    """The names in `ASSISTANT_HOSTS`, separated by commas."""
    return frozenset(each.strip().lower() for each in listed.split(",") if each.strip())


def is_host_known(asked: Asked, sharing: Sharing | None, listed: frozenset[str]) -> bool:
    """Whether this server has that name: any other is a page that had its own name point here."""
    host = asked.host
    if host is None:
        return False
    if host.name in LOOPBACK_NAMES or host.name in listed:
        return True
    if sharing is not None and is_host_of(host, sharing.url):
        return True
    address = read_address(host.name)
    return address is not None and address == read_address(asked.server)


def is_from_elsewhere(asked: Asked, sharing: Sharing | None) -> bool:
    """Whether a page of another origin sent it; to follow a link from there is all it may do."""
    site = asked.header(b"sec-fetch-site")
    if site not in ("", "same-origin", "none") and not _is_followed_link(asked):
        return True
    origin = asked.header(b"origin")
    return bool(origin) and not _is_own(origin, asked, sharing)


def _is_followed_link(asked: Asked) -> bool:
    return asked.is_read and asked.header(b"sec-fetch-mode") == "navigate"


def _is_own(origin: str, asked: Asked, sharing: Sharing | None) -> bool:
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or asked.host is None:
        return False
    if is_secure(asked, sharing) and parts.scheme != "https":
        return False  # somebody in between who speaks in the clear
    spelled = read_host(parts.netloc)
    return (
        spelled is not None
        and origin == f"{parts.scheme}://{parts.netloc}"
        and is_host_of(asked.host, origin)
    )
