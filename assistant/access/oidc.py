"""Signing in by OpenID Connect: off to the provider, back with a code, then a session of ours.

Authorization code flow with PKCE. What belongs to one sign-in (state, nonce, verifier, where to go
on) is kept by the browser itself, in a signed cookie for ten minutes, so a sign-in that was begun
elsewhere cannot be ended here. Each is ended once. From then on the session is one like any other:
sign-out, removal of the user and ownership are the same as with a password. Who signs in has to be
a user here, under the address that the provider has verified.

Not covered: signing out at the provider; and who holds a mail address later than its user here.
"""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from assistant.access.admission import Admission
from assistant.access.door import is_host_of
from assistant.access.forms import own_path
from assistant.access.oidc_provider import NotBelieved, Proof, Provider, ProviderDown
from assistant.access.oidc_settings import CALLBACK, OidcSettings
from assistant.access.store import AccessStore
from assistant.access.visitor import Visitor
from assistant.access.ways import Button, Reception
from assistant.texts import Language, text

log = logging.getLogger(__name__)

COOKIE: Final = "assistant-oidc"
START: Final = "/signin/oidc"
_SECONDS: Final = 600
_BYTES: Final = 32  # of each value that nobody may guess


@dataclass(frozen=True)
class Flow:
    """One sign-in, between its beginning and its end."""

    state: str
    nonce: str
    verifier: str
    goto: str
    until: float

    @property
    def proof(self) -> Proof:
        return Proof(self.nonce, self.verifier)


class OpenIdConnect:
    """A `SignInWay`."""

    configured = True

    def __init__(
        self,
        store: AccessStore,
        settings: OidcSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._provider = Provider(settings, clock)
        self._seal = URLSafeSerializer(
            store.secret(),
            salt="assistant: oidc",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._ended: dict[str, float] = {}  # states that came back, until they are too old anyway

    @property
    def buttons(self) -> Sequence[Button]:
        host = self._settings.provider
        labels = {each: text(each, "signin_oidc", host=host) for each in Language}
        return [Button(labels, START)]

    def relays(self, scope: Scope) -> bool:
        return False

    async def identify(self, scope: Scope) -> Visitor | None:
        """Nobody: it ends in a session."""
        return None

    def routes(self, reception: Reception) -> Sequence[Route]:
        async def begin(request: Request) -> Response:
            return await self._begin(request, reception)

        async def end(request: Request) -> Response:
            response = await self._end(request, reception)
            Admission.of(request.scope).jar.remove(response, COOKIE)
            return response

        return [Route(START, begin, methods=["GET"]), Route(CALLBACK, end, methods=["GET"])]

    async def _begin(self, request: Request, reception: Reception) -> Response:
        goto = own_path(request.query_params.get("next", "/"))
        home = urlsplit(self._settings.redirect_uri)
        asked = Admission.of(request.scope).asked.host
        if asked is None or not is_host_of(asked, self._settings.redirect_uri):
            # The cookie has to be where the browser comes back to.
            again = f"{home.scheme}://{home.netloc}{START}?{urlencode({'next': goto})}"
            return RedirectResponse(again, status_code=303)
        state, nonce, verifier = (secrets.token_urlsafe(_BYTES) for _ in range(3))
        flow = Flow(state, nonce, verifier, goto, self._clock() + _SECONDS)
        try:
            entrance = await self._provider.entrance(state, flow.proof)
        except ProviderDown as error:
            log.error("OpenID Connect: the provider does not answer: %s", error)
            return await reception.sorry(request, "signin_oidc_down", 502)
        response = RedirectResponse(entrance, status_code=303)
        cookie = self._seal.dumps(astuple(flow))
        assert isinstance(cookie, str)
        Admission.of(request.scope).jar.put(response, COOKIE, cookie, _SECONDS)
        return response

    async def _end(self, request: Request, reception: Reception) -> Response:
        flow = self._flow(request)
        if flow is None:
            return await reception.sorry(request, "signin_oidc_stale")
        try:
            mail = await self._mail(request, flow)
        except ProviderDown as error:
            log.error("OpenID Connect: the provider does not answer: %s", error)
            return await reception.sorry(request, "signin_oidc_down", 502)
        except NotBelieved as error:
            log.warning("OpenID Connect: sign-in refused: %s", error)
            return await reception.sorry(request, "signin_oidc_refused")
        user = self._store.user(mail)
        if user is None:
            log.warning("OpenID Connect: sign-in refused: no such user")
            return await reception.sorry(request, "signin_oidc_unknown")
        log.info("signed in by OpenID Connect: %s", user.name)
        return await reception.welcome(request, user.name, flow.goto)

    async def _mail(self, request: Request, flow: Flow) -> str:
        asked = request.query_params
        if "error" in asked or not asked.get("code"):
            raise NotBelieved(f"it came back without a code: {asked.get('error', '')[:80]!r}")
        issuer = await self._provider.issuer()
        if asked.get("iss", issuer) != issuer:
            raise NotBelieved("it came back from another provider")
        return await self._provider.mail(asked["code"], flow.proof)

    def _flow(self, request: Request) -> Flow | None:
        """The sign-in that this browser began and that now comes back, which it does once."""
        now = self._clock()
        flow = self._unsealed(Admission.of(request.scope).jar.get(COOKIE))
        sent = request.query_params.get("state", "")
        if flow is None or not hmac.compare_digest(flow.state.encode(), sent.encode()):
            return None
        self._ended = {state: until for state, until in self._ended.items() if until > now}
        if flow.until <= now or flow.state in self._ended:
            return None
        self._ended[flow.state] = flow.until
        return flow

    def _unsealed(self, cookie: str) -> Flow | None:
        try:
            return Flow(*self._seal.loads(cookie))
        except BadData:
            return None
