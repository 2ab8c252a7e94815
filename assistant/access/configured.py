"""The other ways to sign in that this machine's owner has set up."""

import os
from collections.abc import Mapping
from pathlib import Path

from assistant.access.oidc import OpenIdConnect
from assistant.access.oidc_settings import oidc_settings
from assistant.access.proxy import trusted_proxy
from assistant.access.store import AccessStore
from assistant.access.ways import SignInWay


def sign_in_ways(
    store: AccessStore, environ: Mapping[str, str] = os.environ, *folders: Path
) -> tuple[SignInWay, ...]:
    """By the environment, and by the secrets where Streamlit looks for them.

    Raises BadAccessSetting: who meant to let people in by one must learn that it would not work.
    """
    ways: list[SignInWay] = []
    proxy = trusted_proxy(store, environ)
    if proxy is not None:
        ways.append(proxy)
    settings = oidc_settings(*(folders or (Path.cwd(), Path.home())))
    if settings is not None:
        ways.append(OpenIdConnect(store, settings))
    return tuple(ways)
