"""Signing in by OpenID Connect, at a provider of the test's own; and what attackers send."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from access_files import Clock
from gated import BOB, OUTER, Caller, House, Reply
from oidc_stand_in import CLIENT, MAIL, SECRET, StandInProvider, signing_key

from assistant.access.cookies import SESSION
from assistant.access.gate import GateSettings
from assistant.access.oidc import COOKIE, START, OpenIdConnect
from assistant.access.oidc_settings import CALLBACK, OidcSettings, oidc_settings
from assistant.access.store import AccessStore
from assistant.access.visitor import VISITOR_HEADER, Access
from assistant.errors import BadAccessSetting
from assistant.texts import Language, text

HOME = f"{OUTER}:8501"


class Site:
    """A gate whose users sign in at a stand-in provider."""

    def __init__(self, folder: Path, provider: StandInProvider, clock: Clock) -> None:
        self.provider = provider
        self.clock = clock
        store = AccessStore(folder / "access.db")
        # OUTER is no loopback address, so it has to be https there.
        settings = OidcSettings(f"https://{HOME}{CALLBACK}", CLIENT, SECRET, provider.metadata_url)
        self.way = OpenIdConnect(store, settings, clock)
        hosts = frozenset({"elsewhere.example.org"})
        self.house = House(folder, (self.way,), GateSettings(hosts=hosts))
        self.house.store.add_user(MAIL, None, Access.USER)

    def browser(self) -> Caller:
        return self.house.stranger()

    def begin(self, browser: Caller, goto: str = "") -> str:
        """Where the browser is sent to sign in."""
        reply = browser.get(f"{START}?next={quote(goto, safe='')}" if goto else START)
        assert reply.status == 303
        return reply["location"]

    def come_back(self, browser: Caller, query: str) -> Reply:
        return browser.get(f"{CALLBACK}?{query}", sec_fetch_site="cross-site", **NAVIGATION)

    def sign_in(self, browser: Caller, goto: str = "") -> Reply:
        return self.come_back(browser, self.provider.log_in(self.begin(browser, goto)))

    def is_in(self, browser: Caller) -> bool:
        return browser.ask("GET", "/", {}).status == 200


NAVIGATION = {"sec_fetch_mode": "navigate"}


@pytest.fixture
def provider() -> Iterator[StandInProvider]:
    with StandInProvider(Clock()) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, provider: StandInProvider) -> Site:
    clock = provider.clock
    assert isinstance(clock, Clock)
    return Site(tmp_path, provider, clock)


def says(reply: Reply, key: str) -> bool:
    return text(Language.ENGLISH, key) in reply.text


# --- signing in


def test_whom_the_provider_names_has_a_session_like_any_other(site: Site) -> None:
    browser = site.browser()
    reply = site.sign_in(browser)
    assert (reply.status, reply["location"]) == (303, "/")
    assert site.is_in(browser)
    assert site.house.inside.headers()[VISITOR_HEADER] == MAIL
    site.house.store.end_sessions(MAIL)
    assert not site.is_in(browser)


def test_it_goes_on_to_the_page_that_was_asked_for(site: Site) -> None:
    assert site.sign_in(site.browser(), "/tools?c=1")["location"] == "/tools?c=1"


def test_the_sign_in_page_offers_it_and_says_where_it_leads(site: Site) -> None:
    page = site.browser().get("/signin").text
    assert f'href="{START}"' in page
    assert f"Sign in with {urlsplit(site.provider.url).netloc}" in page


def test_the_mail_address_is_the_users_however_it_is_written(site: Site) -> None:
    site.provider.claims["email"] = "Bob@Example.ORG"
    browser = site.browser()
    site.sign_in(browser)
    assert site.is_in(browser)


def test_a_session_that_was_planted_before_is_ended(site: Site) -> None:
    browser = site.house.signed_in(BOB)
    planted = browser.cookies[SESSION]
    site.sign_in(browser)
    assert browser.cookies[SESSION] != planted
    thief = site.browser()
    thief.cookies = {SESSION: planted}
    assert not site.is_in(thief)


def test_the_verifier_and_the_nonce_stay_between_the_browser_and_us(site: Site) -> None:
    browser = site.browser()
    asked = parse_qs(urlsplit(site.begin(browser)).query)
    assert asked["scope"] == ["openid email"]
    assert "code_verifier" not in asked
    line = browser.get(START).cookie_line(COOKIE)
    assert "HttpOnly" in line
    assert "SameSite=lax" in line
    assert "Max-Age=600" in line


def test_a_provider_that_wants_the_secret_in_the_body_gets_it_there(site: Site) -> None:
    site.provider.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    browser = site.browser()
    site.sign_in(browser)
    assert site.is_in(browser)
    assert site.provider.exchanged[0]["client_secret"] == SECRET


def test_a_new_key_of_the_providers_is_fetched(site: Site) -> None:
    site.sign_in(site.browser())
    site.provider.key = signing_key("two")
    site.provider.published = [site.provider.key]
    browser = site.browser()
    site.sign_in(browser)
    assert site.is_in(browser)


def test_keys_of_a_kind_that_we_do_not_know_are_passed_over(site: Site) -> None:
    site.provider.other_keys = [{"kty": "to come", "kid": "three"}]
    browser = site.browser()
    site.sign_in(browser)
    assert site.is_in(browser)


def test_the_cookie_of_a_sign_in_is_small_and_gone_at_its_end(site: Site) -> None:
    browser = site.browser()
    goto = "/" + "x" * 5000
    assert len(browser.get(f"{START}?next={goto}").cookie_line(COOKIE)) < 4096
    assert "Max-Age=0" in site.sign_in(browser).cookie_line(COOKIE)


def test_it_begins_where_the_browser_will_come_back_to(site: Site) -> None:
    browser = site.browser()
    browser.host = "elsewhere.example.org"
    reply = browser.get(f"{START}?next=/tools")
    assert reply["location"] == f"https://{HOME}{START}?next=%2Ftools"
    assert COOKIE not in reply.cookies


# --- attacks


def test_a_sign_in_that_another_browser_began_is_not_ended_here(site: Site) -> None:
    """An attacker who signs in and sends the last address on: the victim would be the attacker."""
    query = site.provider.log_in(site.begin(site.browser()))
    victim = site.browser()
    for _ in range(2):  # without a cookie, then with one of a sign-in of the victim's own
        reply = site.come_back(victim, query)
        assert (reply.status, says(reply, "signin_oidc_stale")) == (403, True)
        site.begin(victim)
    assert not site.is_in(victim)
    assert site.provider.exchanged == []


@pytest.mark.parametrize("state", ["", "x", "%ff", "é"])
def test_a_wrong_state_is_refused(site: Site, state: str) -> None:
    browser = site.browser()
    query = site.provider.log_in(site.begin(browser))
    code = query.partition("&")[0]
    assert site.come_back(browser, f"{code}&state={quote(state)}").status == 403
    assert not site.is_in(browser)


@pytest.mark.parametrize("once", [True, False])
def test_a_code_and_its_cookie_are_good_once(site: Site, once: bool) -> None:
    site.provider.once = once
    browser = site.browser()
    query = site.provider.log_in(site.begin(browser))
    kept = dict(browser.cookies)
    site.come_back(browser, query)
    again = site.browser()
    again.cookies = kept
    assert says(site.come_back(again, query), "signin_oidc_stale")
    assert not site.is_in(again)
    assert len(site.provider.exchanged) == 1


def test_a_code_of_another_sign_in_is_refused_by_its_verifier(site: Site) -> None:
    theirs, browser = site.browser(), site.browser()
    stolen = site.provider.log_in(site.begin(theirs)).partition("&")[0]
    state = site.provider.log_in(site.begin(browser)).partition("&")[2]
    assert says(site.come_back(browser, f"{stolen}&{state}"), "signin_oidc_refused")
    assert not site.is_in(browser)


def test_a_sign_in_that_took_too_long_begins_again(site: Site) -> None:
    browser = site.browser()
    query = site.provider.log_in(site.begin(browser))
    site.clock.forward(600)
    assert says(site.come_back(browser, query), "signin_oidc_stale")


def test_a_cookie_that_we_did_not_sign_is_worth_nothing(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    strangers = Site(other, site.provider, site.clock)
    browser = strangers.browser()
    query = site.provider.log_in(strangers.begin(browser))
    here = site.browser()
    for cookie in (browser.cookies[COOKIE], browser.cookies[COOKIE][:-1], "x" * 5000, ""):
        here.cookies = {COOKIE: cookie}
        assert says(site.come_back(here, query), "signin_oidc_stale")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": "another-client", "azp": CLIENT},
        {"aud": [CLIENT, "another-client"]},  # without saying for whom it was made
        {"aud": [CLIENT, "another-client"], "azp": "another-client"},
        {"iss": "https://accounts.example.org"},
        {"exp": 1_800_000_000 - 61},
        {"iat": "yesterday"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email": ["bob@example.org"]},
        {"email": None},
    ],
)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    site: Site, claims: dict[str, Any]
) -> None:
    site.provider.claims = claims
    browser = site.browser()
    reply = site.sign_in(browser)
    assert (reply.status, says(reply, "signin_oidc_refused")) == (403, True)
    assert not site.is_in(browser)


@pytest.mark.parametrize("name", ["nonce", "aud", "iss", "exp", "iat", "sub", "email_verified"])
def test_an_id_token_that_leaves_something_out_is_refused(site: Site, name: str) -> None:
    site.provider.without = {name}
    browser = site.browser()
    assert says(site.sign_in(browser), "signin_oidc_refused")
    assert not site.is_in(browser)


@pytest.mark.parametrize("how", ["unsigned", "signed_with_the_secret", "signed_by_another"])
def test_an_id_token_that_the_provider_did_not_sign_is_refused(site: Site, how: str) -> None:
    site.provider.sign = getattr(site.provider, how)
    browser = site.browser()
    assert says(site.sign_in(browser), "signin_oidc_refused")
    assert not site.is_in(browser)


def test_a_key_that_is_published_for_sharing_secrets_signs_nothing(site: Site) -> None:
    """Who has the client's secret must not be able to name people."""
    site.provider.metadata["id_token_signing_alg_values_supported"] = ["HS256"]
    site.provider.sign = site.provider.signed_with_the_secret
    assert says(site.sign_in(site.browser()), "signin_oidc_refused")


@pytest.mark.parametrize("mail", ["eve@example.org", "bob@example.org.evil.org", "B\u212aB"])
def test_who_is_no_user_here_does_not_come_in(site: Site, mail: str) -> None:
    site.provider.claims["email"] = mail
    browser = site.browser()
    assert says(site.sign_in(browser), "signin_oidc_unknown")
    assert not site.is_in(browser)


def test_letters_that_only_become_a_users_are_not_the_users(site: Site) -> None:
    """The Kelvin sign in lower case is a k."""
    site.house.store.add_user("k@example.org", None, Access.USER)
    site.provider.claims["email"] = "\u212a@example.org"
    browser = site.browser()
    assert says(site.sign_in(browser), "signin_oidc_unknown")
    assert not site.is_in(browser)


@pytest.mark.parametrize(
    "goto", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_it_never_goes_on_to_another_site(site: Site, goto: str) -> None:
    assert site.sign_in(site.browser(), goto)["location"] == "/"


@pytest.mark.parametrize("query", ["error=access_denied&state={}", "state={}", "code=&state={}"])
def test_coming_back_without_a_code_is_a_no(site: Site, query: str) -> None:
    browser = site.browser()
    state = parse_qs(urlsplit(site.begin(browser)).query)["state"][0]
    assert says(site.come_back(browser, query.format(state)), "signin_oidc_refused")
    assert site.provider.exchanged == []


def test_an_answer_of_another_provider_is_refused(site: Site) -> None:
    browser = site.browser()
    query = site.provider.log_in(site.begin(browser))
    reply = site.come_back(browser, f"{query}&iss=https%3A%2F%2Fevil.example")
    assert says(reply, "signin_oidc_refused")
    assert site.provider.exchanged == []


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "authorization_endpoint"])
@pytest.mark.parametrize("url", ["http://idp.example.org/x", "ftp://127.0.0.1/", None, 3])
def test_a_provider_that_would_have_secrets_sent_in_the_clear_is_not_used(
    site: Site, name: str, url: object
) -> None:
    site.provider.metadata[name] = url
    assert says(site.browser().get(START), "signin_oidc_down")


# --- a provider that is down


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_a_provider_that_fails_is_said_and_the_password_still_works(site: Site, path: str) -> None:
    site.provider.broken = {path}
    browser = site.browser()
    reply = browser.get(START)
    if reply.status == 303:
        reply = site.come_back(browser, site.provider.log_in(reply["location"]))
    assert (reply.status, says(reply, "signin_oidc_down")) == (502, True)
    site.house.store.set_password(BOB, "correct horse battery")
    browser.sign_in(BOB)
    assert site.is_in(browser)


def test_a_provider_that_does_not_answer_is_let_be_for_a_moment(site: Site) -> None:
    site.provider.broken = {"/.well-known/openid-configuration"}
    for _ in range(3):
        assert site.browser().get(START).status == 502
    assert len(site.provider.asked) == 1
    site.provider.broken = set()
    site.clock.forward(6)
    assert site.browser().get(START).status == 303


def test_what_a_provider_says_of_itself_is_asked_again_after_an_hour(site: Site) -> None:
    for _ in range(2):
        site.begin(site.browser())
    assert len(site.provider.asked) == 1
    site.clock.forward(3600)
    site.begin(site.browser())
    assert len(site.provider.asked) == 2


# --- settings

GOOD = {
    "redirect_uri": "http://localhost:8501/oauth2callback",
    "cookie_secret": "Streamlit's own",
    "client_id": "id",
    "client_secret": "hidden",
    "server_metadata_url": "https://idp.example.org/.well-known/openid-configuration",
}


def written(folder: Path, lines: str) -> Path:
    (folder / ".streamlit").mkdir(parents=True)
    (folder / ".streamlit" / "secrets.toml").write_text(lines, encoding="utf-8")
    return folder


def section(**changes: str | None) -> str:
    values = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return "[auth]\n" + "\n".join(f'{name} = "{value}"' for name, value in values.items())


def test_the_section_that_streamlit_reads_is_all_it_needs(tmp_path: Path) -> None:
    found = oidc_settings(tmp_path / "nowhere", written(tmp_path / "here", section()))
    assert found is not None
    assert (found.client_id, found.provider) == ("id", "idp.example.org")


def test_without_the_section_there_is_no_such_way(tmp_path: Path) -> None:
    assert oidc_settings(written(tmp_path, '[other]\nauth = "x"')) is None


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        (section(client_id=None), "client_id"),
        (section(client_secret=""), "client_secret"),
        ("[auth]\n[auth.google]\nclient_id = 'x'", "redirect_uri"),
        (section(redirect_uri="http://chat.example.org/oauth2callback"), "redirect_uri"),
        (section(redirect_uri="https://chat.example.org/"), "redirect_uri"),
        (section(redirect_uri="http://localhost:{port}/oauth2callback"), "redirect_uri"),
        (section(redirect_uri="https://u@chat.example.org/oauth2callback"), "redirect_uri"),
        (section(server_metadata_url="http://idp.example.org/x"), "server_metadata_url"),
        (section(server_metadata_url="file:///etc/passwd"), "server_metadata_url"),
        ("[auth", "secrets.toml"),
    ],
)
def test_a_bad_section_is_named_and_not_repeated(tmp_path: Path, lines: str, where: str) -> None:
    with pytest.raises(BadAccessSetting) as raised:
        oidc_settings(written(tmp_path, lines))
    assert where in str(raised.value)
    assert "hidden" not in str(raised.value)
