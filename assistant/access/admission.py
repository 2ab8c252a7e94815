"""Who a request is from, and by what right: found once, then asked by whoever answers it."""

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from starlette.types import Scope

from assistant.access.asked import Asked
from assistant.access.cookies import Jar
from assistant.access.door import is_secure
from assistant.access.sharing import Sharing
from assistant.access.visitor import Visitor
from assistant.texts import Language

_KEY: Final = "assistant.admission"


class Refused(Exception):
    """The gate's no: a status, a reason in English for programs, and perhaps a text for people."""

    _KINDS: ClassVar = {
        400: "bad_request",
        401: "not_signed_in",
        403: "forbidden",
        404: "not_found",
        408: "too_slow",
        413: "too_large",
        421: "wrong_host",
        429: "too_many",
    }

    def __init__(self, status_code: int, reason: str, text: str = "") -> None:
        super().__init__(reason)
        self.status_code = status_code
        self.reason = reason
        self.text = text

    @property
    def kind(self) -> str:
        return self._KINDS.get(self.status_code, "unavailable")


@dataclass(frozen=True)
class Admission:
    asked: Asked
    sharing: Sharing | None
    client: str  # the address that tries and sockets are counted by
    visitor: Visitor | None = None
    token: str = ""  # of the sign-in that the cookie holds

    @classmethod
    def of(cls, scope: Scope) -> Self:
        found = scope[_KEY]
        assert isinstance(found, cls)
        return found

    def put_into(self, scope: Scope) -> None:
        scope[_KEY] = self

    @property
    def is_secure(self) -> bool:
        return is_secure(self.asked, self.sharing)

    @property
    def jar(self) -> Jar:
        return Jar(self.asked.cookies, self.is_secure)

    @property
    def language(self) -> Language:
        return preferred_language(self.asked.header(b"accept-language"))


def preferred_language(accepted: str) -> Language:
    """Of our two, the one that `Accept-Language` names first; English if it names neither."""
    for each in accepted.lower().split(","):
        tag = each.partition(";")[0].strip()
        if tag.startswith(("zh", "en")):
            return Language.of_locale(tag)
    return Language.ENGLISH
