"""IP addresses, as headers and sockets write them."""

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@lru_cache(maxsize=1024)
def read_address(text: str) -> Address | None:
    """An address, also in brackets, with a zone or as IPv6 writes an IPv4 one."""
    try:
        found = ipaddress.ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        return found.ipv4_mapped
    return found


def is_loopback(text: str) -> bool:
    address = read_address(text)
    return address is not None and address.is_loopback
