"""Where the app may be served before anybody could sign in."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from starlette.routing import Route
from starlette.types import Scope

from assistant.access.serving import check_serving
from assistant.access.store import AccessStore
from assistant.access.visitor import Visitor
from assistant.access.ways import Button, Reception
from assistant.errors import NobodyCanSignIn


class _Way:
    """One that lets nobody in, and is set up or not."""

    buttons: Sequence[Button] = ()

    def __init__(self, *, configured: bool) -> None:
        self.configured = configured

    def routes(self, reception: Reception) -> list[Route]:
        return []

    def relays(self, scope: Scope) -> bool:
        return False

    async def identify(self, scope: Scope) -> Visitor | None:
        return None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AccessStore]:
    store = AccessStore(tmp_path / "access.db")
    yield store
    store.close()


OPEN = [None, "", "0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example.org", "unix://x"]


@pytest.mark.parametrize("address", OPEN)
def test_others_are_not_served_before_somebody_could_sign_in(
    store: AccessStore, address: str | None
) -> None:
    with pytest.raises(NobodyCanSignIn, match="python -m assistant user add"):
        check_serving(address, store, [_Way(configured=False)])
    check_serving(address, store, [_Way(configured=True)])
    store.add_user("ann", None)
    check_serving(address, store)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_alone_is_always_served(store: AccessStore, address: str) -> None:
    check_serving(address, store)
