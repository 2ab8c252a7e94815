"""The gate: one ASGI middleware in front of everything, HTTP and WebSocket alike.

Nothing behind it is reached without a visitor but `/health`, which tells strangers one word. What
it lets in carries the visitor's name and role in headers that nobody outside can set.

Not covered: who may read another's conversation (pages check that), what a visitor who was let in
may do there, headers that come slowly and connections that say nothing (uvicorn, the tunnel), and
a proxy on this machine that hides itself (see `door`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.access import bodies, paths
from assistant.access.account import Account
from assistant.access.admission import Admission, Refused
from assistant.access.admit import Admitter
from assistant.access.asked import Asked, Malformed
from assistant.access.bodies import Body
from assistant.access.cookies import Signatures
from assistant.access.doorkeeper import Doorkeeper
from assistant.access.frames import told
from assistant.access.handing import handed_in, without_resumption
from assistant.access.headers import guarded
from assistant.access.ledger import Ledger
from assistant.access.refusals import answer, refuse_socket
from assistant.access.serving import can_anybody_sign_in
from assistant.access.signin import SignIn
from assistant.access.sockets import OpenSocket, SocketLimits, Sockets
from assistant.access.store import AccessStore
from assistant.access.throttle import network
from assistant.access.visitor import LOCAL, Access, Visitor
from assistant.access.ways import SignInWay

log = logging.getLogger(__name__)

STREAMLITS_UPLOAD: Final = 200 * 2**20


@dataclass(frozen=True)
class GateSettings:
    hosts: frozenset[str] = frozenset()  # names that this server has besides the loopback ones
    upload_bytes: Callable[[], int] = lambda: STREAMLITS_UPLOAD
    body_seconds: float = bodies.SECONDS_WITHOUT_BYTES
    sockets: SocketLimits = field(default_factory=SocketLimits)


class Gate:
    def __init__(
        self,
        app: ASGIApp,
        store: AccessStore,
        ways: Sequence[SignInWay] = (),
        settings: GateSettings | None = None,
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        self._app = app
        self._store = store
        self._ways = ways
        self._settings = settings or GateSettings()
        self._ledger = Ledger()
        self._sockets = Sockets(self._settings.sockets)
        signatures = Signatures(store.secret())
        self._admitter = Admitter(store, signatures, ways, self._settings.hosts)
        signin = SignIn(store, signatures, doorkeeper or Doorkeeper(store), self._sockets, ways)
        others = [route for way in ways for route in way.routes(signin)]
        routes = [*signin.routes(), *Account(store, signatures).routes(), *others]
        self._own_segments = {_segment(each.path) for each in routes}
        self._own = ExceptionMiddleware(Router(routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    # --- HTTP

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        is_secure = False
        try:
            admission = await self._admitter.admit(scope)
            is_secure = admission.is_secure
            await self._answer(admission, scope, receive, sending)
        except Refused as refused:
            if has_begun:
                raise
            _note(refused, scope)
            response = answer(refused, _asked(scope))
            await response(scope, receive, guarded(send, is_ours=True, is_secure=is_secure))

    async def _answer(
        self, admission: Admission, scope: Scope, receive: Receive, send: Send
    ) -> None:
        path = admission.asked.path
        is_own = _segment(path) in self._own_segments
        if not (is_own and _segment(path) != "account"):
            self._check_allowed(admission)
        elif admission.visitor is None:
            self._check_not_hopeless()
        most = self._most(path, is_own)
        if bodies.is_too_long(admission.asked.header(b"content-length"), most):
            raise Refused(413, "The request is too large.")
        body = Body(receive, most, self._settings.body_seconds)
        guard = guarded(send, is_ours=is_own, is_secure=admission.is_secure)
        handed = handed_in(scope, admission)
        await (self._own if is_own else self._app)(handed, body.receive, guard)

    def _check_allowed(self, admission: Admission) -> None:
        """Whether this visitor may have what is asked; raises Refused if not."""
        path, visitor = admission.asked.path, admission.visitor
        if visitor is None:
            self._check_not_hopeless()
            if path not in paths.OPEN or admission.asked.is_socket:
                if paths.is_api(path):
                    raise Refused(401, "Send a key of yours: Authorization: Bearer sk-...")
                raise Refused(401, "Sign in first.", "signin_first")
        elif visitor != LOCAL:
            if paths.is_for_operators(path) and visitor.access is not Access.OPERATOR:
                raise Refused(403, "This is for operators.")
            owned = paths.owned(path)
            if owned is not None and not self._ledger.may_have(visitor.name, owned):
                raise Refused(404, "There is nothing here.")

    def _check_not_hopeless(self) -> None:
        """Where nobody could sign in, say what to do instead of asking."""
        if not can_anybody_sign_in(self._store, self._ways):
            reason = "There is no user yet: python -m assistant user add NAME"
            raise Refused(403, reason, "signin_nobody")

    def _most(self, path: str, is_own: bool) -> int:
        if is_own:
            return bodies.OURS
        owned = paths.owned(path)
        is_upload = owned is not None and owned.session != ""
        return self._settings.upload_bytes() + bodies.OVERHEAD if is_upload else bodies.OTHERS

    # --- WebSocket

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            admission = await self._admitter.admit(scope)
            self._check_allowed(admission)
            assert admission.visitor is not None
            socket = self._open(admission, admission.visitor, scope, receive, send)
        except Refused as refused:
            _note(refused, scope)
            await refuse_socket(refused, scope, send)
            return
        try:
            await self._app(self._handed_socket(admission, scope), socket.receive, socket.send)
        finally:
            self._sockets.close(socket)

    def _open(
        self, admission: Admission, visitor: Visitor, scope: Scope, receive: Receive, send: Send
    ) -> OpenSocket:
        client = network(admission.client)
        if not self._sockets.has_room(visitor, client):
            raise Refused(429, "Too many connections. Close some pages first.")

        async def is_still_in() -> bool:
            try:
                return (await self._admitter.admit(scope)).visitor == visitor
            except Refused:
                return False

        async def sending(message: Message) -> None:
            if visitor != LOCAL and (frame := message.get("bytes")):
                self._ledger.write(visitor.name, told(frame))
            await send(message)

        return self._sockets.open(visitor, client, receive, sending, is_still_in)

    def _handed_socket(self, admission: Admission, scope: Scope) -> Scope:
        handed = handed_in(scope, admission)
        visitor = admission.visitor
        if visitor is None or visitor == LOCAL:
            return handed
        return without_resumption(
            handed, lambda session: self._ledger.may_resume(visitor.name, session)
        )


def _segment(path: str) -> str:
    """A path's first part."""
    return path[1:].partition("/")[0]


def _note(refused: Refused, scope: Scope) -> None:
    """In the log without the path, which may hold a link's token; who only has to sign in, not."""
    if refused.status_code not in (401, 404):
        client = (scope.get("client") or ("nowhere",))[0]
        log.info("refused %d %s: from %s", refused.status_code, refused.kind, client)


def _asked(scope: Scope) -> Asked | None:
    try:
        return Asked(scope)
    except Malformed:
        return None
