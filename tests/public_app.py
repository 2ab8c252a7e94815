"""The pages on the scripted engine, made public by the real `share` through the stand-in."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browsing import ROOT, Server, free_port, serve
from running import Running
from tunnelling import NAMES, StandIn

from assistant.access.cookies import SESSION, Signatures
from assistant.access.store import AccessStore
from assistant.access.visitor import Access
from assistant.sandbox.environment import READY_MADE, kernel_environment
from engine import model_home

HOST = f"{NAMES[0]}.trycloudflare.com"
URL = f"https://{HOST}"
OPERATOR, USER, PASSWORD = "ann", "bob", "correct horse battery"


class PublicApp:
    """A home with an operator and a user, the app in it, and a tunnel that can be opened."""

    def __init__(self, server: Server, store: AccessStore, home: Path, stand_in: StandIn) -> None:
        self.server = server
        self.store = store
        self.home = home
        self.stand_in = stand_in
        # Also here, to say what the model writes: in public everybody signs in.
        server.headers["Cookie"] = self.cookie_of(OPERATOR).removeprefix("__Host-")

    def cookie_of(self, name: str) -> str:
        """What a browser behind TLS sends once this user has signed in."""
        token = self.store.begin_session(name)
        return f"__Host-{SESSION}={Signatures(self.store.secret()).session_cookie(token)}"

    @contextmanager
    def shared(self) -> Iterator[tuple[Running, str]]:
        """The command, running, and the link that it printed."""
        port = self.server.url.rpartition(":")[2]
        command = [sys.executable, "-m", "assistant", "share", "--lang", "en", "--port", port]
        own = {"PATH": self.stand_in.path, "ASSISTANT_HOME": str(self.home)}
        own |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
        running = Running(command, {**os.environ, **own})
        try:
            link = running.hear(f"{URL}/signin/link/").strip()
            running.hear("Public until")
            yield running, link
        finally:
            running.end()


@contextmanager
def public_app(folder: Path) -> Iterator[PublicApp]:
    kernels = kernel_environment(model_home()).folder  # the one there is: a new home has none
    home = folder / "home"
    home.mkdir()
    stand_in = StandIn(folder / "tunnel", port=free_port(), names=NAMES[:1])
    store = AccessStore(home / "access.db")
    store.add_user(OPERATOR, PASSWORD)
    store.add_user(USER, PASSWORD, Access.USER)
    own = {"ASSISTANT_HOME": str(home), READY_MADE: str(kernels)}
    try:
        with serve("tests/browser/fake_app.py", **own) as server:
            yield PublicApp(server, store, home, stand_in)
    finally:
        store.close()
