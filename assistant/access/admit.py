"""Finding out who a request is from; or refusing to look at it any further."""

import logging
from collections.abc import Sequence

from anyio.to_thread import run_sync
from starlette.types import Scope

from assistant.access import door, origins, paths
from assistant.access.admission import Admission, Refused
from assistant.access.asked import Asked, Malformed
from assistant.access.cookies import SESSION, Jar, Signatures
from assistant.access.sharing import Sharing
from assistant.access.store import AccessStore
from assistant.access.visitor import LOCAL, Visitor
from assistant.access.ways import SignInWay
from assistant.errors import AssistantError

log = logging.getLogger(__name__)


class Admitter:
    def __init__(
        self,
        store: AccessStore,
        signatures: Signatures,
        ways: Sequence[SignInWay],
        hosts: frozenset[str],
    ) -> None:
        self._store = store
        self._signatures = signatures
        self._ways = ways
        self._hosts = hosts

    async def admit(self, scope: Scope) -> Admission:
        """Who asks, which may be nobody known; raises Refused for what nobody may ask."""
        try:
            asked = Asked(scope)
        except Malformed as error:
            raise Refused(400, f"This request is malformed: {error}.") from None
        try:
            return await self._admit(asked, scope)
        except AssistantError as error:  # the file of users cannot be read: nobody gets in
            log.error("%s", error)
            raise Refused(503, "Who may come in cannot be looked up now.") from error

    async def _admit(self, asked: Asked, scope: Scope) -> Admission:
        sharing = self._store.sharing()
        if not origins.is_host_known(asked, sharing, self._hosts):
            raise Refused(421, "This server has no such name. Names it has: ASSISTANT_HOSTS.")
        if origins.is_from_elsewhere(asked, sharing):
            raise Refused(403, "This request was sent by a page of another site.")
        client = door.client(asked, sharing)
        is_relayed = any(each.configured and each.relays(scope) for each in self._ways)
        if door.is_local(asked, sharing) and not is_relayed:
            return Admission(asked, sharing, client, LOCAL)
        visitor, token = await self._visitor(asked, sharing, scope)
        return Admission(asked, sharing, client, visitor, token)

    async def _visitor(
        self, asked: Asked, sharing: Sharing | None, scope: Scope
    ) -> tuple[Visitor | None, str]:
        """The visitor, and the token of the sign-in if it was by a cookie."""
        if paths.is_api(asked.path):
            key = asked.bearer
            return (await run_sync(self._store.key_visitor, key) if key else None), ""
        jar = Jar(asked.cookies, door.is_secure(asked, sharing))
        token = self._signatures.session_token(jar.get(SESSION))
        if token and (visitor := self._store.session(token)):
            return visitor, token
        if door.is_unguarded(asked, sharing):
            return None, ""
        for way in self._ways:
            if way.configured and (visitor := await way.identify(scope)):
                return visitor, ""
        return None, ""
