"""The routes by which somebody comes in, and leaves."""

import logging
from collections.abc import Sequence

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assistant.access import signin_page
from assistant.access.admission import Admission
from assistant.access.cookies import SESSION, Signatures
from assistant.access.doorkeeper import Doorkeeper
from assistant.access.forms import Stationery, go_on, own_path, read_form
from assistant.access.sessions import WEEK
from assistant.access.sockets import Sockets
from assistant.access.store import AccessStore
from assistant.access.throttle import network
from assistant.access.ways import SignInWay
from assistant.errors import TooManyAttempts, WrongPassword
from assistant.texts import say, text

log = logging.getLogger(__name__)

_STYLE_HEADERS = {"Cache-Control": "public, max-age=86400, immutable"}


class SignIn:
    """Also the ways' `Reception`."""

    def __init__(
        self,
        store: AccessStore,
        signatures: Signatures,
        doorkeeper: Doorkeeper,
        sockets: Sockets,
        ways: Sequence[SignInWay],
    ) -> None:
        self._store = store
        self._signatures = signatures
        self._doorkeeper = doorkeeper
        self._sockets = sockets
        self._ways = ways
        self._stationery = Stationery(signatures)

    def routes(self) -> list[Route]:
        return [
            Route("/signin", self._show, methods=["GET"]),
            Route("/signin", self._try, methods=["POST"]),
            Route(signin_page.STYLE_PATH, self._style),
            Route("/signin/link/{token}", self._show_link, methods=["GET"]),
            Route("/signin/link/{token}", self._use_link, methods=["POST"]),
            Route("/signout", self._leave, methods=["POST"]),
        ]

    async def welcome(self, request: Request, name: str, goto: str) -> Response:
        """A new session, whatever token the browser came with: a planted one is worth nothing."""
        admission = Admission.of(request.scope)
        await self._end_session(admission)
        token = await run_sync(self._store.begin_session, name, WEEK)
        response = go_on(goto)
        admission.jar.put(
            response, SESSION, self._signatures.session_cookie(token), seconds=int(WEEK)
        )
        return response

    async def sorry(self, request: Request, text: str, status_code: int = 403) -> Response:
        return self._sorry(request, self._say(request, text), status_code)

    async def _show(self, request: Request) -> Response:
        goto = own_path(request.query_params.get("next", "/"))
        if Admission.of(request.scope).visitor:
            return go_on(goto)
        return self._sorry(request, "", 200, goto)

    async def _try(self, request: Request) -> Response:
        admission, form = Admission.of(request.scope), await read_form(request)
        goto = own_path(form.get("next", "/"))
        if not self._stationery.is_own(admission, form):
            return self._sorry(request, self._say(request, "signin_stale"), 403, goto)
        name = form.get("name", "").strip().lower()
        check = self._doorkeeper.check
        try:
            user = await run_sync(check, name, form.get("password", ""), admission.client)
        except WrongPassword as error:
            return self._sorry(request, say(error, admission.language), 403, goto, name)
        except TooManyAttempts as error:
            response = self._sorry(request, say(error, admission.language), 429, goto, name)
            response.headers["Retry-After"] = str(error.fields["seconds"])
            return response
        return await self.welcome(request, user.name, goto)

    async def _style(self, _request: Request) -> Response:
        return Response(signin_page.STYLE, media_type="text/css", headers=_STYLE_HEADERS)

    async def _show_link(self, request: Request) -> Response:
        """Only a button: programs that look at a link in a message must not use it up."""
        admission = Admission.of(request.scope)
        paper, cookie = self._stationery.paper(admission)
        page = signin_page.use_link(paper, request.url.path)
        return self._stationery.page(admission, page, cookie)

    async def _use_link(self, request: Request) -> Response:
        admission, form = Admission.of(request.scope), await read_form(request)
        if not self._stationery.is_own(admission, form):
            return self._sorry(request, self._say(request, "signin_stale"))
        user = await run_sync(self._store.use_link, request.path_params["token"])
        if user is None:
            log.warning("sign-in failed: no such link, from %s", network(admission.client))
            return self._sorry(request, self._say(request, "signin_link_bad"))
        log.info("signed in by link: %s from %s", user.name, network(admission.client))
        return await self.welcome(request, user.name, "/")

    async def _leave(self, request: Request) -> Response:
        admission, form = Admission.of(request.scope), await read_form(request)
        if admission.visitor and not self._stationery.is_own(admission, form):
            return self._sorry(request, self._say(request, "signin_stale"))
        await self._end_session(admission)
        response = go_on("/signin")
        admission.jar.remove(response, SESSION)
        return response

    async def _end_session(self, admission: Admission) -> None:
        if admission.visitor and admission.token:
            await run_sync(self._store.end_session, admission.token)
            self._sockets.end_session(admission.visitor.session)
            log.info("signed out: %s", admission.visitor.name)

    def _say(self, request: Request, key: str) -> str:
        return text(Admission.of(request.scope).language, key)

    def _sorry(
        self,
        request: Request,
        error: str,
        status_code: int = 403,
        goto: str = "/",
        name: str = "",
    ) -> Response:
        admission = Admission.of(request.scope)
        paper, cookie = self._stationery.paper(admission)
        buttons = [each for way in self._ways if way.configured for each in way.buttons]
        page = signin_page.sign_in(paper, goto, error, name, buttons)
        return self._stationery.page(admission, page, cookie, status_code)
