"""Whether the app may be served at an address at all."""

from collections.abc import Iterable

from assistant.access.addresses import is_loopback
from assistant.access.store import AccessStore
from assistant.access.ways import SignInWay
from assistant.errors import NobodyCanSignIn

ALL_ADDRESSES = "*"


def can_anybody_sign_in(store: AccessStore, ways: Iterable[SignInWay] = ()) -> bool:
    return any(each.configured for each in ways) or bool(store.users())


def check_serving(address: str | None, store: AccessStore, ways: Iterable[SignInWay] = ()) -> None:
    """Refuses an address that others reach while nobody could sign in; None means all addresses."""
    if address is not None and (address == "localhost" or is_loopback(address)):
        return
    if not can_anybody_sign_in(store, ways):
        raise NobodyCanSignIn(address=address or ALL_ADDRESSES)
