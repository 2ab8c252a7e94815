"""A page of the public web, fetched so that no address leads into the machine's own network.

Every host is resolved here, all its addresses are checked, and the connection goes to the very
address that was checked, anew for each redirect. Not covered: where the environment names a proxy,
the proxy resolves the name once more, and by its own lights.
"""

import ipaddress
import os
import socket
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx2

from tools._declaration import ToolError

MAX_REDIRECTS = 5
MAX_BYTES = 5_000_000
SECONDS = 8  # of silence

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # carries an IPv4 address in its last 32 bits
_HEADERS = {"User-Agent": "Mozilla/5.0 (assistant; reads a page when asked)", "Accept": "text/*"}


@dataclass(frozen=True)
class Page:
    """What a server sent: at most MAX_BYTES of it."""

    url: str
    content_type: str
    charset: str
    data: bytes


def fetch(url: str) -> Page:
    try:
        target = httpx2.URL(url)
        with httpx2.Client(timeout=SECONDS, headers=_HEADERS) as client:
            for _ in range(MAX_REDIRECTS + 1):
                request = _request(client, target)
                response = client.send(request, stream=True)
                try:
                    if not response.is_redirect:
                        return _page(target, response)
                    target = target.join(response.headers["location"])
                finally:
                    response.close()
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        raise ToolError(f"{url} cannot be read: {error or type(error).__name__}.") from error
    raise ToolError(f"{url} redirects more than {MAX_REDIRECTS} times.")


def is_public(address: str) -> bool:
    """Whether this is an address of the internet, and of nothing nearer."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast


def _request(client: httpx2.Client, target: httpx2.URL) -> httpx2.Request:
    """A request that goes to an address that has been checked, under the host's own name."""
    if target.scheme not in ("http", "https") or not target.host:
        raise ToolError(f"{target} is no address of a web page; it begins with https://")
    is_proxied = target.scheme in getproxies() and not proxy_bypass(target.host)
    addresses = _resolve(target, is_proxied)
    if "WEB_ALLOW_PRIVATE" not in os.environ and not all(map(is_public, addresses)):
        raise ToolError(f"{target.host} is not on the public internet, and is not read.")
    if is_proxied:
        return client.build_request("GET", target)
    return client.build_request(
        "GET",
        target.copy_with(host=addresses[0], username=None, password=None),
        headers={"Host": target.netloc.decode()},
        extensions={"sni_hostname": target.host},
    )


def _resolve(target: httpx2.URL, is_proxied: bool) -> list[str]:
    port = target.port or {"http": 80, "https": 443}[target.scheme]
    try:
        found = socket.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if is_proxied:
            return []
        raise ToolError(
            f"{target.host} was not found; perhaps there is no network: {error.strerror}."
        ) from error
    found.sort(key=lambda each: each[0] is socket.AF_INET6)  # often without a route
    return [str(each[4][0]) for each in found]


def _page(target: httpx2.URL, response: httpx2.Response) -> Page:
    if response.is_error:
        raise ToolError(f"{target} answered {response.status_code} {response.reason_phrase}.")
    data = b""
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) >= MAX_BYTES:
            break
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Page(str(target), content_type, response.charset_encoding or "", data[:MAX_BYTES])
