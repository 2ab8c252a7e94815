"""Other ways to come in than a password, a link or a key: what each tells the gate.

A way looks at a request's headers (`identify`, as behind a proxy that signs people in), or has
routes of its own that end in a session (as with OpenID Connect), or both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from assistant.access.visitor import Visitor
from assistant.texts import Language


@dataclass(frozen=True)
class Button:
    """What the sign-in page offers: a plain link, so `path` has to answer GET."""

    labels: dict[Language, str]
    path: str


class Reception(Protocol):
    """What the gate does for a way's routes."""

    async def welcome(self, request: Request, name: str, goto: str) -> Response:
        """Begin a session for this user, who must exist, and go on to `goto`, if it is ours."""
        ...

    async def sorry(self, request: Request, text: str, status_code: int = 403) -> Response:
        """The sign-in page with an error: `text` is a key of `assistant.texts`."""
        ...


class SignInWay(Protocol):
    @property
    def configured(self) -> bool:
        """Whether anybody could come in by it; where not, the gate asks for nothing else."""
        ...

    @property
    def buttons(self) -> Sequence[Button]: ...

    def routes(self, reception: Reception) -> Sequence[Route]:
        """Served before anybody has signed in, after the gate's checks of Host and Origin.

        `request.url` has the scheme and the host that the browser sees.
        """
        ...

    def relays(self, scope: Scope) -> bool:
        """Whether a proxy of this way may have passed it on, so that it can be any stranger's.

        Asked of what looks like a request of somebody at this machine, who needs no login.
        """
        ...

    async def identify(self, scope: Scope) -> Visitor | None:
        """Who a request's headers say, if they can be believed; asked at each request.

        For as long as a WebSocket is open it is asked again, every few seconds: be quick.
        """
        ...
