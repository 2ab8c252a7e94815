"""What is needed to sign people in by OpenID Connect: the section that `st.login` reads too."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from assistant.access.addresses import is_loopback
from assistant.errors import BadAccessSetting

CALLBACK: Final = "/oauth2callback"
_SECRETS: Final = Path(".streamlit/secrets.toml")


@dataclass(frozen=True)
class OidcSettings:
    """`[auth]` of `.streamlit/secrets.toml`; its `cookie_secret` is Streamlit's alone."""

    redirect_uri: str
    client_id: str
    client_secret: str
    server_metadata_url: str

    def __post_init__(self) -> None:
        for name in ("redirect_uri", "server_metadata_url"):
            if not is_trustworthy(getattr(self, name)):
                found = repr(getattr(self, name))
                raise BadAccessSetting(
                    name=_named(name), found=found, expected="an https: URL, or one on loopback"
                )
        if urlsplit(self.redirect_uri).path != CALLBACK:
            expected = f"a URL whose path is {CALLBACK}"
            raise BadAccessSetting(
                name=_named("redirect_uri"), found=repr(self.redirect_uri), expected=expected
            )

    @property
    def provider(self) -> str:
        """Where people sign in, as they are told."""
        return urlsplit(self.server_metadata_url).netloc


def oidc_settings(*folders: Path) -> OidcSettings | None:
    """From the first folder that has them, if one does; raises BadAccessSetting."""
    for folder in folders:
        section = _section(folder / _SECRETS)
        if section is not None:
            return _settings(section)
    return None


def is_trustworthy(url: object) -> bool:
    """Whether nobody on the way can read or change what is sent there."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    is_here = host == "localhost" or is_loopback(host)
    return parts.scheme == "https" or (parts.scheme == "http" and is_here)


def _section(path: Path) -> Mapping[str, Any] | None:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # what the file says stays out of the message
        reason = f"{type(error).__name__}"
        raise BadAccessSetting(name=path, found=reason, expected="a readable TOML file") from None
    section = found.get("auth")
    return section if isinstance(section, dict) else None


def _settings(section: Mapping[str, Any]) -> OidcSettings:
    values = {name: section.get(name) for name in OidcSettings.__dataclass_fields__}
    for name, value in values.items():
        if not isinstance(value, str) or not value:
            expected = "a text there; one provider, in [auth] itself"
            raise BadAccessSetting(name=_named(name), found="none", expected=expected)
    return OidcSettings(**{name: str(value) for name, value in values.items()})


def _named(setting: str) -> str:
    return f"{_SECRETS}, [auth] {setting}"
