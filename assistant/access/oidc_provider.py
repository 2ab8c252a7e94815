"""The OpenID Connect provider: where it signs people in, and what is believed of its answer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from assistant.access.oidc_settings import OidcSettings, is_trustworthy

_SCOPE: Final = "openid email"
_SECONDS: Final = 10.0  # for one request
_PATIENCE: Final = 5.0  # how long it is let be after it did not answer
_FRESH: Final = 3600.0  # how long what a provider says of itself is kept
_LEEWAY: Final = 60  # seconds that two clocks may differ
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# Signatures by a key that we do not have: never "none", never one made with the client's secret.
_ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
_KEY_TYPES: Final = ("RSA", "EC", "OKP")


class ProviderDown(Exception):
    """It does not answer, or not as a provider does."""


class NotBelieved(Exception):
    """What came back does not prove who somebody is. The message is for the log."""


@dataclass(frozen=True)
class Proof:
    """What only the browser that began a sign-in, and we, know of it."""

    nonce: str
    verifier: str


class Provider:
    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: Mapping[str, Any] | None = None
        self._tls = httpx2.create_ssl_context()  # once: it reads hundreds of certificates
        self._asking = asyncio.Lock()
        self._silent_until = 0.0

    async def entrance(self, state: str, proof: Proof) -> str:
        """Where to send a browser that wants to sign in."""
        metadata = await self._about()
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=state,
                nonce=proof.nonce,
                code_verifier=proof.verifier,
            )
        return str(url)

    async def mail(self, code: str, proof: Proof) -> str:
        """The verified address of whom the provider gave this code for."""
        metadata = await self._about()
        token = await self._exchange(metadata, code, proof)
        id_token = token.get("id_token")
        if not isinstance(id_token, str):
            raise NotBelieved("there is no id_token")
        claims = await self._claims(metadata, id_token, token.get("access_token"), proof)
        address = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(address, str):
            raise NotBelieved("the mail address is not verified")
        return address

    async def issuer(self) -> str:
        return str((await self._about())["issuer"])

    async def _exchange(
        self, metadata: Mapping[str, Any], code: str, proof: Proof
    ) -> Mapping[str, Any]:
        try:
            async with self._client(metadata) as client:
                token: Mapping[str, Any] = await client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=proof.verifier,
                )
        except OAuthError as error:
            raise NotBelieved(f"the code was refused: {error.error!r}") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise ProviderDown(f"its token endpoint: {type(error).__name__}") from error
        return token

    async def _claims(
        self, metadata: Mapping[str, Any], id_token: str, access_token: object, proof: Proof
    ) -> Mapping[str, Any]:
        """The id_token's, once its signature, issuer, audience, time and nonce are as they must."""
        try:
            signed = await self._verified(metadata, id_token)
            options = {
                "iss": {"essential": True, "value": metadata["issuer"]},
                "aud": {"essential": True, "value": self._settings.client_id},
            }
            known = {"nonce": proof.nonce, "client_id": self._settings.client_id}
            if isinstance(access_token, str):
                known["access_token"] = access_token
            claims = CodeIDToken(signed.claims, signed.header, options, known)
            claims.validate(int(self._clock()), _LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise NotBelieved(f"the id_token: {type(error).__name__}: {error}") from error
        return dict(claims)

    async def _verified(self, metadata: Mapping[str, Any], id_token: str) -> jwt.Token:
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        registry = JWSRegistry(
            algorithms=sorted(_ALGORITHMS.intersection(offered)), strict_check_header=False
        )
        try:
            return jwt.decode(id_token, await self._key_set(metadata), registry=registry)
        except InvalidKeyIdError:  # it may have new keys
            self._keys = None
            return jwt.decode(id_token, await self._key_set(metadata), registry=registry)

    async def _key_set(self, metadata: Mapping[str, Any]) -> KeySet:
        if self._keys is None:
            self._keys = await self._fetch(metadata["jwks_uri"])
        keys = [
            key
            for key in self._keys.get("keys", ())
            if key.get("kty") in _KEY_TYPES and key.get("use", "sig") == "sig"
        ]
        return KeySet.import_key_set({"keys": keys})

    async def _about(self) -> Mapping[str, Any]:
        """What the provider says of itself; asked anew from time to time.

        Anybody can make us ask, so it is done once at a time, and not at once again in vain.
        """
        async with self._asking:
            now = self._clock()
            if self._metadata is None or now - self._metadata[0] >= _FRESH:
                if now < self._silent_until:
                    raise ProviderDown("it did not answer a moment ago")
                self._silent_until = now + _PATIENCE
                self._metadata, self._keys = (now, await self._introduction()), None
                self._silent_until = 0.0
            return self._metadata[1]

    async def _introduction(self) -> Mapping[str, Any]:
        found = await self._fetch(self._settings.server_metadata_url)
        if not isinstance(found.get("issuer"), str):
            raise ProviderDown("its metadata name no issuer")
        for name in _ENDPOINTS:
            if not is_trustworthy(found.get(name)):
                raise ProviderDown(f"its metadata have no good {name}")
        return found

    async def _fetch(self, url: str) -> Mapping[str, Any]:
        try:
            async with httpx2.AsyncClient(timeout=_SECONDS, verify=self._tls) as client:
                response = await client.get(url)
            found = response.raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            raise ProviderDown(f"{url}: {type(error).__name__}") from error
        if not isinstance(found, dict):
            raise ProviderDown(f"{url}: no JSON object")
        return found

    def _client(self, metadata: Mapping[str, Any] | None = None) -> AsyncOAuth2Client:
        methods = (metadata or {}).get("token_endpoint_auth_methods_supported")
        basic, post = "client_secret_basic", "client_secret_post"
        return AsyncOAuth2Client(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            token_endpoint_auth_method=post if methods and basic not in methods else basic,
            scope=_SCOPE,
            redirect_uri=self._settings.redirect_uri,
            code_challenge_method="S256",
            timeout=_SECONDS,
            verify=self._tls,
        )
