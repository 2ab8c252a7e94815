"""Who the gate lets in, to what, and what it tells those it does not."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gated import ALICE, BOB, OUTER, PUBLIC, Caller, House, Inside, call, error_of
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from assistant.access.cookies import SESSION, Signatures
from assistant.access.gate import Gate
from assistant.access.store import AccessStore
from assistant.access.visitor import ACCESS_HEADER, VISITOR_HEADER, Access, Visitor
from assistant.access.ways import Button, Reception
from assistant.texts import Language

EVERYTHING = [
    "/",
    "/tools",
    "/no/such/page",
    "/_stcore/health",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/_stcore/upload_file/session/file",
    "/_stcore/script-health-check",
    "/_stcore/agent/interact",
    "/_stcore/bidi-components/x",
    "/component/x/index.html",
    "/media/0123456789abcdef.png",
    "/static/js/index.js",
    "/app/static/x.png",
    "/favicon.png",
    "/auth/login",
    "/oauth2callback",
    "/v1",
    "/v1/models",
    "/v1/chat/completions",
    "/account",
    "/account/keys",
    "/account/keys/revoke",
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.close()


def cookies_worth_nothing(house: House, elsewhere: House) -> dict[str, str]:
    good = house.cookie(house.store.begin_session(BOB, 3600.0))
    signed_out = house.store.begin_session(BOB, 3600.0)
    house.store.end_session(signed_out)
    expired = house.store.begin_session(BOB, -1.0)
    token, _, signature = good.rpartition(".")
    return {
        "none": "",
        "empty": f"{SESSION}=",
        "not signed": f"{SESSION}={token}",
        "signature cut": f"{SESSION}={good[:-1]}",
        "signature of another": f"{SESSION}={token[:-1]}x.{signature}",
        "expired": f"{SESSION}={house.cookie(expired)}",
        "signed out": f"{SESSION}={house.cookie(signed_out)}",
        "made up": f"{SESSION}={house.cookie('a' * 43)}",
        "of another server": f"{SESSION}={elsewhere.cookie(elsewhere.store.begin_session(BOB))}",
        "another server's signature": (
            f"{SESSION}={elsewhere.cookie(house.store.begin_session(BOB))}"
        ),
        "the name that only TLS has": f"__Host-{SESSION}={good}",
        "not ASCII": f"{SESSION}=\xff\xfe.\xff",
        "long": f"{SESSION}=" + "a" * 100_000,
        "a form's": f"{SESSION}={Signatures(house.store.secret()).form_cookie('')}",
    }


KINDS = [
    *("none", "empty", "not signed", "signature cut", "signature of another", "expired"),
    *("signed out", "made up", "of another server", "another server's signature"),
    *("the name that only TLS has", "not ASCII", "long", "a form's"),
]


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("elsewhere"))
    yield house
    house.store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_opens_without_a_cookie_of_an_open_sign_in(
    house: House, elsewhere: House, kind: str
) -> None:
    found = cookies_worth_nothing(house, elsewhere)
    assert set(found) == set(KINDS)
    cookie = {"cookie": found[kind]} if found[kind] else {}

    async def try_all() -> None:
        stranger = house.stranger()
        for path in EVERYTHING:
            for method in METHODS:
                reply = await stranger.ask_now(method, path, cookie)
                assert (reply.status, error_of(reply)) == (401, "not_signed_in"), (method, path)
            phone = await call(stranger, path, cookie)
            assert phone.status == 401, path

    asyncio.run(try_all())
    assert house.inside.seen == []


@pytest.mark.parametrize("path", ["/", "/tools?c=1&b=%2F", "/no/such/page", "/account"])
def test_a_person_is_sent_to_the_sign_in_page_and_back_after_it(house: House, path: str) -> None:
    reply = house.stranger().get(path)
    assert reply.status == 303
    assert reply["location"].startswith("/signin?next=/")
    again = house.signed_in(BOB).get(reply["location"])
    assert (again.status, again["location"]) == (303, path)


def test_a_page_whose_sign_in_has_ended_can_show_what_to_do(house: House) -> None:
    """Streamlit shows the answer to its own question whether the server is well."""
    reply = house.stranger().ask("GET", "/_stcore/health", {"accept-language": "zh-CN"})
    assert (reply.status, "重新加载" in reply.text) == (401, True)
    assert "load this page again" in house.stranger().ask("GET", "/_stcore/health").text
    assert "Authorization: Bearer" in house.stranger().ask("GET", "/v1/models").text


def test_a_visitor_is_let_in_with_name_and_role_in_the_headers(house: House) -> None:
    for name, role in ((ALICE, "operator"), (BOB, "user")):
        assert house.signed_in(name).get("/").status == 200
        said = house.inside.headers()
        assert (said[VISITOR_HEADER], said[ACCESS_HEADER]) == (name, role)


def test_somebody_at_this_machine_needs_no_login_and_is_an_operator_without_a_name(
    house: House,
) -> None:
    assert house.local().get("/").status == 200
    said = house.inside.headers()
    assert (said[VISITOR_HEADER], said[ACCESS_HEADER]) == ("", "operator")


@pytest.mark.parametrize("spelling", [VISITOR_HEADER, VISITOR_HEADER.title()])
def test_nobody_says_themselves_who_they_are(house: House, spelling: str) -> None:
    forged = {spelling: "alice", ACCESS_HEADER.upper(): "operator"}
    assert house.stranger().ask("GET", "/", forged).status == 401
    house.signed_in(BOB).ask("GET", "/", {VISITOR_HEADER: ["alice", "alice"], **forged})
    found = [
        (name, value)
        for name, value in house.inside.seen[-1]["headers"]
        if name.lower().startswith(b"x-assistant")
    ]
    assert found == [(b"x-assistant-visitor", b"bob"), (b"x-assistant-access", b"user")]
    house.local().ask("GET", "/", forged)
    assert house.inside.headers()[VISITOR_HEADER] == ""


def test_health_is_open_but_carries_no_visitor(house: House) -> None:
    assert house.stranger().ask("GET", "/health", {ACCESS_HEADER: "operator"}).status == 200
    assert ACCESS_HEADER not in house.inside.headers()


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/agent/interact"])
def test_what_is_for_operators_is_not_for_users(house: House, path: str) -> None:
    assert house.signed_in(BOB).ask("GET", path).status == 403
    assert house.signed_in(ALICE).ask("GET", path).status == 200


# --- /v1


def test_the_api_opens_by_a_key_and_by_nothing_else(house: House) -> None:
    key = house.store.make_key(BOB, "test")
    visitor = house.signed_in(BOB)
    assert visitor.ask("POST", "/v1/models").status == 401  # a cookie could be a page's doing
    assert house.stranger().ask("POST", "/v1/models", {"authorization": f"Bearer {key}"}).status
    assert house.inside.headers()[VISITOR_HEADER] == BOB
    for wrong in (key[:-1], key + "x", key.removeprefix("sk-"), "", "sk-", "\xff"):
        for spelling in (f"Bearer {wrong}", f"Basic {key}", key, f"Bearer{key}"):
            reply = house.stranger().ask("GET", "/v1/models", {"authorization": spelling})
            assert (reply.status, reply["www-authenticate"]) == (401, "Bearer")
    assert len(house.inside.seen) == 1


def test_a_key_opens_nothing_but_the_api(house: House) -> None:
    said = {"authorization": f"Bearer {house.store.make_key(ALICE, 'test')}"}
    for path in EVERYTHING:
        if not path.startswith("/v1"):
            assert house.stranger().ask("GET", path, said).status == 401, path


def test_a_revoked_key_opens_nothing(house: House) -> None:
    key = house.store.make_key(BOB, "test")
    house.store.revoke_key(BOB, house.store.keys(BOB)[0].id)
    assert house.stranger().ask("GET", "/v1/x", {"authorization": f"Bearer {key}"}).status == 401


def test_the_api_needs_no_key_at_this_machine(house: House) -> None:
    assert house.local().ask("POST", "/v1/models").status == 200


# --- while the app is shared


def test_while_it_is_shared_everybody_signs_in(house: House) -> None:
    house.share()
    for caller in (house.local(), house.tunnelled(), house.stranger()):
        assert caller.ask("GET", "/").status == 401
    assert house.signed_in(ALICE, house.local()).get("/").status == 200
    assert house.signed_in(ALICE, house.tunnelled(), "__Host-").get("/").status == 200


def test_behind_tls_only_a_cookie_that_no_neighbour_can_plant_counts(house: House) -> None:
    house.share()
    assert house.signed_in(ALICE, house.tunnelled()).ask("GET", "/").status == 401


def test_once_it_is_shared_no_more_the_public_address_is_unknown(house: House) -> None:
    house.share()
    caller = house.signed_in(ALICE, house.tunnelled(), "__Host-")
    assert caller.get("/").status == 200
    house.store.end_sharing()
    assert caller.get("/").status == 421
    assert house.local().get("/").status == 200


# --- nobody could sign in


def test_without_a_user_others_are_told_what_to_do_and_let_in_nowhere(tmp_path: Path) -> None:
    store, inside = AccessStore(tmp_path / "access.db"), Inside()
    gate = Gate(inside, store)
    stranger = Caller(gate)
    for path in [*EVERYTHING, "/signin", "/signin/link/x", "/health"]:
        reply = stranger.get(path)
        assert reply.status == 403, path
        assert "python -m assistant user add" in reply.text
    assert "还没有用户" in stranger.get("/", accept_language="zh-CN,zh;q=0.9,en;q=0.8").text
    assert inside.seen == []
    assert Caller(gate, "127.0.0.1", "127.0.0.1", "127.0.0.1").get("/").status == 200
    store.close()


def test_if_the_file_of_users_is_gone_nobody_gets_in(house: House) -> None:
    visitor = house.signed_in(ALICE)
    (house.folder / "access.db").rename(house.folder / "moved.db")
    for caller in (visitor, house.local(), house.stranger()):
        reply = caller.get("/")
        assert (reply.status, error_of(reply)) == (503, "unavailable")
        assert str(house.folder) not in reply.text


def test_names_are_told_from_loopback_only_by_the_server_itself(house: House) -> None:
    for host in ("localhost", "127.0.0.1:9", "[::1]:8501", "LOCALHOST"):
        assert Caller(house.gate, "::1", "::1", host).get("/").status == 200
        assert Caller(house.gate, OUTER, OUTER, host).ask("GET", "/").status == 401
    assert PUBLIC not in house.stranger().get("/").text


# --- other ways


class _Header:
    """A way that believes a header."""

    configured = True
    buttons = (Button({Language.ENGLISH: "By <post>", Language.CHINESE: "邮"}, "/post/begin"),)

    def routes(self, reception: Reception) -> list[Route]:
        async def begin(request: Request) -> Response:
            return await reception.welcome(request, BOB, request.query_params.get("next", ""))

        async def fail(request: Request) -> Response:
            return await reception.sorry(request, "signin_link_bad", 400)

        return [Route("/post/begin", begin), Route("/post/fail", fail)]

    def relays(self, scope: Scope) -> bool:
        return False

    async def identify(self, scope: Scope) -> Visitor | None:
        said = dict(scope["headers"]).get(b"cf-access-authenticated-user-email", b"").decode()
        return Visitor(said, Access.USER) if said else None


@pytest.fixture
def header_house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, ways=(_Header(),))
    yield house
    house.store.close()


SAID = {"cf-access-authenticated-user-email": BOB}


def test_a_way_may_say_who_somebody_is_but_not_for_the_api(header_house: House) -> None:
    stranger = header_house.stranger()
    assert stranger.ask("GET", "/", SAID).status == 200
    assert header_house.inside.headers()[VISITOR_HEADER] == BOB
    assert stranger.ask("GET", "/").status == 401
    assert stranger.ask("GET", "/v1/models", SAID).status == 401
    assert "sign out there" in stranger.ask("GET", "/account", SAID).text


def test_through_a_quick_tunnel_no_header_says_who_somebody_is(header_house: House) -> None:
    """Nobody in such a tunnel signs people in, or takes the header out of what they send."""
    header_house.share()
    assert header_house.tunnelled().ask("GET", "/", SAID).status == 401
    named = "https://chat.example.org"
    header_house.store.beat(named)
    caller = replace(header_house.tunnelled(), host="chat.example.org")
    assert caller.ask("GET", "/", SAID).status == 200


def test_a_ways_routes_are_open_and_can_begin_a_session(header_house: House) -> None:
    caller = header_house.stranger()
    assert 'href="/post/begin">By &lt;post&gt;</a>' in caller.get("/signin").text
    reply = caller.get("/post/begin?next=/tools")
    assert (reply.status, reply["location"]) == (303, "/tools")
    assert caller.get("/").status == 200
    failed = header_house.stranger().get("/post/fail")
    assert failed.status == 400
    assert "used already" in failed.text
