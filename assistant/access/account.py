"""The page on which a visitor sees who they are here, and makes and revokes keys."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from assistant.access import signin_page
from assistant.access.admission import Admission
from assistant.access.cookies import Signatures
from assistant.access.forms import Stationery, go_on, read_form
from assistant.access.store import AccessStore
from assistant.errors import UnknownKey
from assistant.texts import say, text

log = logging.getLogger(__name__)

MOST_KEYS: Final = 20  # of one user


class Account:
    def __init__(self, store: AccessStore, signatures: Signatures) -> None:
        self._store = store
        self._stationery = Stationery(signatures)

    def routes(self) -> list[Route]:
        return [
            Route("/account", self._show, methods=["GET"]),
            Route("/account/keys", self._checked(self._make), methods=["POST"]),
            Route("/account/keys/revoke", self._checked(self._revoke), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        return await self._page(request)

    def _checked(
        self, answer: Callable[[Request, str, dict[str, str]], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """A route for forms of ours only, of visitors who have a name."""

        async def checked(request: Request) -> Response:
            admission, form = Admission.of(request.scope), await read_form(request)
            if not self._stationery.is_own(admission, form):
                error = text(admission.language, "signin_stale")
                return await self._page(request, error=error, status_code=403)
            if admission.visitor is None or not admission.visitor.name:
                return go_on("/account")
            return await answer(request, admission.visitor.name, form)

        return checked

    async def _make(self, request: Request, name: str, form: dict[str, str]) -> Response:
        if len(await run_sync(self._store.keys, name)) >= MOST_KEYS:
            error = text(Admission.of(request.scope).language, "keys_full")
            return await self._page(request, error=error, status_code=409)
        made = await run_sync(self._store.make_key, name, form.get("label", ""))
        log.info("key made: for %s", name)
        return await self._page(request, made=made)

    async def _revoke(self, request: Request, name: str, form: dict[str, str]) -> Response:
        try:
            await run_sync(self._store.revoke_key, name, form.get("id", ""))
        except UnknownKey as error:
            said = say(error, Admission.of(request.scope).language)
            return await self._page(request, error=said, status_code=404)
        log.info("key revoked: of %s", name)
        return go_on("/account")

    async def _page(
        self, request: Request, *, made: str = "", error: str = "", status_code: int = 200
    ) -> Response:
        admission = Admission.of(request.scope)
        assert admission.visitor is not None  # the gate lets nobody else here
        keys = await run_sync(self._store.keys, admission.visitor.name)
        paper, cookie = self._stationery.paper(admission)
        page = signin_page.account(paper, admission.visitor, keys, made, error)
        return self._stationery.page(admission, page, cookie, status_code)
