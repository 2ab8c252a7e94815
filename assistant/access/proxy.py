"""A proxy in front that signs people in, such as Cloudflare Access: its header says who they are.

`ASSISTANT_PROXY_HEADER` names the header, such as `Cf-Access-Authenticated-User-Email`. It is
believed only from `ASSISTANT_PROXIES`, addresses or networks with commas between them; from this
machine, if none are named. Whom it names has to be a user here:
`python -m assistant user add mail@example.org --no-password`.

What this relies on: nobody but the proxy reaches the port, and the proxy strips the header from
what comes in. Whoever can connect from one of those addresses, which on this machine is every
process, can say that they are anybody; the header is not signed, and a signature that comes with
it is not looked at. Where this machine is believed, nobody at it gets in without the header or a
login either, because a browser here cannot be told from a proxy here.

Signing out is the proxy's: what is done here lasts until the next request.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence

from starlette.routing import Route
from starlette.types import Scope

from assistant.access.addresses import Address, is_loopback, read_address
from assistant.access.store import AccessStore
from assistant.access.visitor import ACCESS_HEADER, VISITOR_HEADER, Visitor
from assistant.access.ways import Button, Reception
from assistant.errors import BadAccessSetting

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HEADER, PROXIES = "ASSISTANT_PROXY_HEADER", "ASSISTANT_PROXIES"
_THIS_MACHINE = "127.0.0.0/8, ::1"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_OTHERS = frozenset(
    {
        *("authorization", "connection", "content-length", "cookie", "forwarded", "host", "origin"),
        *("user-agent", "x-forwarded-for", VISITOR_HEADER, ACCESS_HEADER),
    }
)  # headers that say something else, and that any client may send
_FORWARDED_FOR = b"x-forwarded-for"


class TrustedProxy:
    """A `SignInWay` without pages: the proxy has them."""

    configured = True
    buttons: Sequence[Button] = ()

    def __init__(self, store: AccessStore, header: str, proxies: Sequence[Network]) -> None:
        self._store = store
        self._header = header.lower().encode()
        self._proxies = tuple(proxies)

    def routes(self, reception: Reception) -> Sequence[Route]:
        return ()

    def relays(self, scope: Scope) -> bool:
        return self._is_proxy(_peer(scope))

    async def identify(self, scope: Scope) -> Visitor | None:
        """Whom the header names, if it is there once, the proxy sent it, and it is a user."""
        named = [value for name, value in scope["headers"] if name.lower() == self._header]
        if len(named) != 1 or not named[0].isascii() or not self._is_proxy(_peer(scope)):
            return None
        user = self._store.user(named[0].decode())
        return None if user is None else Visitor(user.name, user.access)

    def _is_proxy(self, peer: Address | None) -> bool:
        return peer is not None and any(peer in network for network in self._proxies)


def trusted_proxy(store: AccessStore, environ: Mapping[str, str]) -> TrustedProxy | None:
    """The one that the environment names, if it does; raises BadAccessSetting."""
    header, proxies = environ.get(HEADER, "").strip(), environ.get(PROXIES, "").strip()
    if not header:
        if proxies:
            raise BadAccessSetting(name=HEADER, found="nothing", expected=f"it beside {PROXIES}")
        return None
    if not _NAME.fullmatch(header.lower()) or header.lower() in _OTHERS:
        expected = "the name of a header that only the proxy sets"
        raise BadAccessSetting(name=HEADER, found=repr(header), expected=expected)
    return TrustedProxy(store, header, read_networks(proxies or _THIS_MACHINE))


def read_networks(listed: str) -> list[Network]:
    """Addresses and networks with commas between them; never all there are."""
    return [_network(each.strip()) for each in listed.split(",")]


def _network(text: str) -> Network:
    expected = "addresses or networks such as 10.0.0.5 or 10.1.0.0/16, with commas between them"
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise BadAccessSetting(name=PROXIES, found=repr(text), expected=expected) from None
    if network.prefixlen == 0:
        raise BadAccessSetting(name=PROXIES, found=f"everybody ({text})", expected=expected)
    return network


def _peer(scope: Scope) -> Address | None:
    """Who connected, which is not always who `scope` says.

    uvicorn puts in what a process of this machine, or one that it was told to trust, forwarded; an
    address that was also forwarded may be no more than that.
    """
    server, client = scope.get("server"), scope.get("client")
    if server and is_loopback(server[0]):
        return ipaddress.IPv4Address("127.0.0.1")  # nobody else can connect to it
    if not client:
        return None
    forwarded = [value for name, value in scope["headers"] if name.lower() == _FORWARDED_FOR]
    if client[0].encode() in b",".join(forwarded):
        return None
    return read_address(client[0])
