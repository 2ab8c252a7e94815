"""The cookies by which a browser is known again, signed by this server's secret.

Behind TLS their names begin with `__Host-`: browsers take such a cookie only from this very host,
by TLS and for all paths, so that no neighbour under the same domain can plant one.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadSignature, Signer
from starlette.requests import cookie_parser
from starlette.responses import Response

SESSION: Final = "assistant"
FORM: Final = "assistant-form"
_LONGEST: Final = 512  # no cookie of ours is longer; hashing more would be somebody else's wish


@dataclass(frozen=True)
class Jar:
    """The cookies of one request, and the way to set them in its response."""

    sent: str
    is_secure: bool

    def name(self, kind: str) -> str:
        return f"__Host-{kind}" if self.is_secure else kind

    def get(self, kind: str) -> str:
        name = self.name(kind)
        return cookie_parser(self.sent).get(name, "") if name in self.sent else ""

    def put(self, response: Response, kind: str, value: str, seconds: int | None = None) -> None:
        """Without `seconds`, until the browser is closed."""
        response.set_cookie(
            self.name(kind),
            value,
            max_age=seconds,
            path="/",
            secure=self.is_secure,
            httponly=True,
            samesite="lax",
        )

    def remove(self, response: Response, kind: str) -> None:
        self.put(response, kind, "", 0)


class Signatures:
    """Signs values for cookies and forms. Comparison takes the same time for any guess."""

    def __init__(self, secret: bytes) -> None:
        self._session = _signer(secret, "session cookie")
        self._nonce = _signer(secret, "form cookie")
        self._form = _signer(secret, "form field")

    def session_cookie(self, token: str) -> str:
        return self._session.sign(token).decode()

    def session_token(self, cookie: str) -> str:
        """The token in a session's cookie; empty if it is not one of ours."""
        return _unsigned(self._session, cookie)

    def form_cookie(self, sent: str) -> str:
        """The browser's, if it has one of ours already: two open forms must both be good."""
        return (
            sent
            if _unsigned(self._nonce, sent)
            else self._nonce.sign(secrets.token_urlsafe(16)).decode()
        )

    def form_field(self, cookie: str) -> str:
        """What a form shown to the browser with this cookie brings back."""
        return self._form.sign(cookie).decode().rpartition(".")[2]

    def is_own_form(self, cookie: str, field: str) -> bool:
        """Whether this browser was shown the form: another site can send one, but not read ours."""
        return bool(_unsigned(self._nonce, cookie) and _unsigned(self._form, f"{cookie}.{field}"))


def _signer(secret: bytes, purpose: str) -> Signer:
    return Signer(
        secret, salt=f"assistant: {purpose}", key_derivation="hmac", digest_method=hashlib.sha256
    )


def _unsigned(signer: Signer, value: str) -> str:
    if len(value) > _LONGEST:
        return ""
    try:
        return signer.unsign(value.encode("latin-1", "replace")).decode("ascii", "replace")
    except BadSignature:
        return ""
