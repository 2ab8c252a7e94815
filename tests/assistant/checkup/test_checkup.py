"""`doctor --public` on a real gate: it passes one that is whole, and misses no hole in another."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from browsing import free_port
from gated import PASSWORD
from patience import until
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant import cli
from assistant.access.gate import Gate
from assistant.access.sharing import Allowance
from assistant.access.store import AccessStore
from assistant.access.users import User
from assistant.access.visitor import ACCESS_HEADER, Access
from assistant.checkup import command, machine
from assistant.checkup.findings import Finding, Verdict
from assistant.checkup.knocks import Reply
from assistant.texts import Language

URL = "https://quiet-river.trycloudflare.com"
Head = MutableMapping[str, str]


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """What is behind the gate: says yes to everything."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "streamlit"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    body: dict[str, Any] = {"state": "ready"}
    if (ACCESS_HEADER.encode(), Access.OPERATOR.encode()) in scope["headers"]:
        body["sandbox"] = {"state": "unprepared", "level": "1"}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


Wrap = Callable[[ASGIApp], ASGIApp]


@dataclass
class Place:
    """A home, an app that is served from it, and what the doctor says of it."""

    home: Path
    wrap: Wrap = lambda gate: gate
    server_store: AccessStore | None = None
    outside: int = 303
    stores: list[AccessStore] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = AccessStore(self.home / "access.db")

    def share(self, *allows: Allowance, url: str = URL) -> None:
        self.store.begin_sharing(url, 4e9, frozenset(allows), 1)

    def ask_outside(self, _host: str) -> Reply:
        headers = http.client.HTTPMessage()
        if self.outside == 303:
            headers["Location"] = "/signin?next=/"
        return Reply(self.outside, headers, b"")

    def examine(self) -> dict[str, Finding]:
        with served(self.wrap(Gate(inside, self.server_store or self.store))) as port:
            found = list(command.examine(self.store, port, self.home, self.ask_outside))
        assert len({each.check for each in found}) == len(found)
        return {each.check: each for each in found}

    def failed(self) -> set[str]:
        found = self.examine()
        return {name for name, each in found.items() if each.verdict is Verdict.FAILED}


@contextmanager
def served(app: ASGIApp) -> Iterator[int]:
    config = uvicorn.Config(app, "127.0.0.1", 0, log_level="error", ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    place.store.add_user("ann", PASSWORD)
    yield place
    for each in (place.store, place.server_store):
        if each is not None:
            each.close()


def around(passes: Callable[[Scope], bool]) -> Wrap:
    """A way around the gate."""

    def wrap(gate: ASGIApp) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            goes = scope["type"] in ("http", "websocket") and passes(scope)
            await (inside if goes else gate)(scope, receive, send)

        return app

    return wrap


def under(*starts: str) -> Callable[[Scope], bool]:
    return lambda scope: scope["type"] == "http" and scope["path"].startswith(starts)


def said(scope: Scope, name: bytes) -> bytes:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers.get(name, b"")


def answering(change: Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]) -> Wrap:
    """A gate whose responses have other headers."""

    def wrap(gate: ASGIApp) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def changed(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = change(list(message["headers"]))
                await send(message)

            await gate(scope, receive, changed)

        return app

    return wrap


def without_header(name: bytes) -> Wrap:
    return answering(lambda lines: [each for each in lines if each[0].lower() != name])


def without_flag(flag: bytes) -> Wrap:
    return answering(
        lambda lines: [
            (name, value.replace(flag, b"") if name.lower() == b"set-cookie" else value)
            for name, value in lines
        ]
    )


def not_hearing(*names: bytes) -> Wrap:
    """A gate that does not look at these headers of requests."""

    def wrap(gate: ASGIApp) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            kept = [each for each in scope.get("headers", []) if each[0].lower() not in names]
            await gate({**scope, "headers": kept}, receive, send)

        return app

    return wrap


def known_host(gate: ASGIApp) -> ASGIApp:
    """A gate that takes every Host for its own."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope.get("headers", [])
        host = b"quiet-river.trycloudflare.com"
        changed = [(name, host if name == b"host" else value) for name, value in headers]
        await gate({**scope, "headers": changed}, receive, send)

    return app


def test_a_whole_app_in_public_passes_every_check(place: Place) -> None:
    place.share()
    found = place.examine()
    assert {each.verdict for each in found.values()} == {Verdict.OK}
    assert found["page"].seen == "GET /: 303 → /signin?next=/"
    assert found["sandbox"].seen == "1"
    assert found["sharing"].seen.startswith(URL)
    assert place.store.sharing() is not None


def test_a_whole_app_that_is_not_shared_passes_and_says_what_it_could_not_see(
    place: Place,
) -> None:
    found = place.examine()
    assert {name for name, each in found.items() if each.verdict is not Verdict.OK} == {"outside"}
    assert found["outside"].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("check", "hole"),
    [
        ("page", around(lambda scope: scope["type"] == "http" and scope["path"] == "/")),
        ("upload", around(under("/_stcore/upload_file"))),
        ("media", around(under("/media"))),
        ("static", around(under("/static"))),
        ("metrics", around(under("/_stcore/metrics"))),
        ("api", around(under("/v1"))),
        ("socket", around(lambda scope: scope["type"] == "websocket")),
        ("forged", around(lambda scope: b"made-up" in said(scope, b"cookie"))),
        ("host", known_host),
        ("headers", without_header(b"content-security-policy")),
        ("headers", without_header(b"x-content-type-options")),
        ("headers", without_header(b"referrer-policy")),
        ("headers", without_header(b"strict-transport-security")),
        ("headers", without_header(b"cache-control")),
        ("cookie", without_flag(b"; HttpOnly")),
        ("cookie", without_flag(b"; Secure")),
        ("cookie", without_flag(b"; SameSite=lax")),
        ("cookie", without_flag(b"Max-Age=604800")),
        ("origin", not_hearing(b"origin", b"sec-fetch-site")),
        ("cross_site", not_hearing(b"origin", b"sec-fetch-site")),
    ],
)
def test_a_hole_in_the_gate_is_found(place: Place, check: str, hole: Wrap) -> None:
    place.share()
    place.wrap = hole
    assert check in place.failed()


def test_an_app_that_tells_strangers_of_itself_is_found(place: Place) -> None:
    place.share()

    def wrap(gate: ASGIApp) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if under("/health")(scope):
                headers = [(ACCESS_HEADER.encode(), Access.OPERATOR.encode())]
                await inside({**scope, "headers": headers}, receive, send)
            else:
                await gate(scope, receive, send)

        return app

    place.wrap = wrap
    assert place.failed() == {"health"}


class Careless(AccessStore):
    """One whose links last and whose sessions never end."""

    def use_link(self, token: str) -> User | None:
        super().use_link(token)
        return self.user("ann")

    def end_session(self, token: str) -> None:
        """Forgets to."""


def test_links_that_last_and_sign_outs_that_end_nothing_are_found(place: Place) -> None:
    place.share()
    place.server_store = Careless(place.home / "access.db")
    assert place.failed() == {"link_once", "sign_out"}


def test_an_app_with_another_home_is_found(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    place.server_store = AccessStore(other / "access.db")
    place.server_store.add_user("ann", PASSWORD)
    found = place.examine()
    assert found["comes_in"].verdict is Verdict.FAILED
    assert found["sign_out"].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("allowance", Allowance)
def test_each_risk_that_was_allowed_is_said(place: Place, allowance: Allowance) -> None:
    place.share(allowance)
    assert place.failed() == {allowance.name.lower()}


def test_weak_isolation_fails_only_where_it_was_allowed(place: Place) -> None:
    health = {"sandbox": {"level": "unsafe"}}
    assert machine.sandbox(health, None).verdict is Verdict.OK
    place.share()
    assert machine.sandbox(health, place.store.sharing()).verdict is Verdict.OK
    place.share(Allowance.UNSAFE_INTERPRETER)
    assert machine.sandbox(health, place.store.sharing()).verdict is Verdict.FAILED
    assert machine.sandbox({}, place.store.sharing()).verdict is Verdict.UNKNOWN


def test_without_an_operator_it_fails(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        assert place.failed() == {"users"}
    finally:
        place.store.close()


def test_files_that_others_may_read_or_replace_are_found(place: Place) -> None:
    (place.home / "access.db").chmod(0o640)
    assert machine.files(place.home).verdict is Verdict.FAILED
    (place.home / "access.db").chmod(0o600)
    assert machine.files(place.home).verdict is Verdict.OK
    place.home.chmod(0o770)
    assert machine.files(place.home).verdict is Verdict.FAILED


def test_statistics_that_are_not_off_are_found(tmp_path: Path) -> None:
    assert machine.statistics(tmp_path, {}).verdict is Verdict.FAILED
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / machine.CONFIG).write_text("[browser]\ngatherUsageStats = false\n")
    assert machine.statistics(tmp_path, {}).verdict is Verdict.OK
    assert machine.statistics(tmp_path, {machine.STATISTICS: "true"}).verdict is Verdict.FAILED
    (tmp_path / machine.CONFIG).write_text("[browser]\ngatherUsageStats = true\n")
    assert machine.statistics(tmp_path, {}).verdict is Verdict.FAILED
    assert machine.statistics(command.FOLDER, {}).verdict is Verdict.OK


def test_something_else_behind_the_public_address_is_found(place: Place) -> None:
    place.share()
    place.outside = 200
    assert place.failed() == {"outside"}


def test_an_address_out_of_reach_is_said_to_be_that(place: Place) -> None:
    place.share()

    def ask(_host: str) -> Reply:
        raise OSError("no network")

    found = list(command.examine(place.store, free_port(), place.home, ask))
    outside = next(each for each in found if each.check == "outside")
    assert outside.verdict is Verdict.UNKNOWN
    assert "no network" in outside.seen


def test_the_command_prints_each_check_with_what_to_do_and_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(place.home))
    asked = ["doctor", "--public", "--port", str(free_port())]
    assert cli.main([*asked, "--lang", "en"]) == 1
    written = capsys.readouterr().out
    assert "✓ There is an operator who can sign in · 1, operators: 1" in written
    assert "✗ The app answers on its port · " in written
    assert "    Start the app, or say its port by --port" in written
    assert "A stranger sees nothing: no app answers." in written
    assert cli.main([*asked, "--lang", "zh"]) == 1
    assert "陌生人什么也看不到" in capsys.readouterr().out
    assert cli.main([*asked, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["checks"]
    assert {"check": "users", "verdict": "ok", "seen": "1, operators: 1"} in rows


def test_the_command_passes_a_good_app_and_says_what_strangers_see(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(place.home))
    with served(Gate(inside, place.store)) as port:
        assert cli.main(["doctor", "--public", "--port", str(port), "--lang", "en"]) == 0
    written = capsys.readouterr().out
    assert "A stranger with the address sees the sign-in page, and nothing else." in written
    assert "No check failed." in written
    assert "✗" not in written


def test_strangers_inside_are_said_loudly(place: Place) -> None:
    found = [Finding("page", Verdict.FAILED, "GET /: 200")]
    said_lines = list(command.lines(found, Language.ENGLISH))
    assert "A stranger sees what has a cross above, without a sign-in!" in said_lines
    assert any("End share at once" in each for each in said_lines)
