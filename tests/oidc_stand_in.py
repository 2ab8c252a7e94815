"""An OpenID Connect provider on loopback, as honest or as hostile as a test wants it."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jws, jwt
from joserfc.jwk import OctKey, RSAKey
from loopback import Loopback

CLIENT, SECRET = "assistant-client", "a client's secret that is long enough"
MAIL = "bob@example.org"


@cache
def signing_key(name: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": name}, private=True)


class StandInProvider(Loopback):
    """`claims` are changed in each id_token; `sign` makes it. What was asked is kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.key = signing_key("one")
        self.published = [self.key]
        self.other_keys: list[dict[str, str]] = []
        self.claims: dict[str, Any] = {}
        self.without: set[str] = set()  # claims that are left out
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.metadata: dict[str, Any] = {}
        self.broken: set[str] = set()  # paths that answer 500
        self.once = True  # whether it refuses a code that comes again
        self.exchanged: list[dict[str, str]] = []
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self.serve(type("Handler", (_Handler,), {"provider": self}))

    @property
    def metadata_url(self) -> str:
        return f"{self.url}/.well-known/openid-configuration"

    def log_in(self, entrance: str) -> str:
        """A person signs in at the page a browser was sent to: the code and state to go back with.

        Returns the query of the address that the browser is sent back to.
        """
        asked = {name: value[0] for name, value in parse_qs(urlsplit(entrance).query).items()}
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        return f"code={code}&state={asked['state']}"

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        return f"{header}.{body}."

    def signed_with_the_secret(self, claims: dict[str, Any]) -> str:
        key = OctKey.import_key(SECRET)
        body = json.dumps(claims)
        return jws.serialize_compact({"alg": "HS256"}, body, key, algorithms=["HS256"])

    def signed_by_another(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, signing_key("a thief's"))

    def about(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
            **self.metadata,
        }

    def answer(self, path: str, body: dict[str, str], credentials: str) -> tuple[int, object]:
        self.asked.append(path)
        if path in self.broken:
            return 500, {"error": "broken"}
        if path == "/.well-known/openid-configuration":
            return 200, self.about()
        if path == "/keys":
            keys = [key.as_dict(private=False) for key in self.published]
            return 200, {"keys": [*self.other_keys, *keys]}
        if path == "/token":
            return self._token(body, credentials)
        return 404, {}

    def _token(self, body: dict[str, str], credentials: str) -> tuple[int, object]:
        self.exchanged.append(body)
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        in_body = (body.get("client_id"), body.get("client_secret")) == (CLIENT, SECRET)
        if credentials != f"Basic {wanted}" and not in_body:
            return 401, {"error": "invalid_client"}
        code = body["code"]
        asked = self._codes.pop(code, None) if self.once else self._codes.get(code)
        digest = hashlib.sha256(body["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        if asked["redirect_uri"] != body["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(self.clock())
        claims = {
            **{"iss": self.url, "sub": "1", "aud": CLIENT, "iat": now, "exp": now + 300},
            **{"nonce": asked["nonce"], "email": MAIL, "email_verified": True},
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if name not in self.without}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(kept)}


class _Handler(BaseHTTPRequestHandler):
    provider: StandInProvider

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer({name: value[0] for name, value in parse_qs(body).items()})

    def log_message(self, _format: str, *_args: object) -> None:
        """Nothing is printed."""

    def _answer(self, body: dict[str, str]) -> None:
        credentials = self.headers.get("Authorization", "")
        status, found = self.provider.answer(self.path, body, credentials)
        data = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
