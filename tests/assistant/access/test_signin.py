"""Coming in by password and by link, and leaving; and what does not get anybody in."""

import logging
import re
import statistics
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from gated import ALICE, BOB, PASSWORD, PUBLIC, STRANGER, Caller, House

from assistant.access.cookies import FORM, SESSION, Signatures
from assistant.access.doorkeeper import Doorkeeper
from assistant.access.gate import Gate
from assistant.access.sessions import WEEK

STALE = "This form is too old"
WRONG = "The name or the password is wrong."


class _House(House):
    """Its failed sign-ins are slowed by a clock that the test moves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.store.set_password(BOB, PASSWORD)
        keeper = Doorkeeper(self.store, self.clock)
        self.gate = Gate(self.inside, self.store, doorkeeper=keeper)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[_House]:
    house = _House(tmp_path)
    yield house
    house.store.close()


def is_in(caller: Caller) -> bool:
    return caller.get("/").status == 200


# --- by password


def test_the_right_password_opens_and_leads_to_where_one_wanted_to_go(house: _House) -> None:
    caller = house.stranger()
    reply = caller.sign_in(" BOB ", goto="/tools?c=1")
    assert (reply.status, reply["location"]) == (303, "/tools?c=1")
    assert is_in(caller)


def test_the_cookie_cannot_be_read_by_scripts_and_ends(house: _House) -> None:
    caller = house.stranger()
    line = caller.sign_in(BOB).cookie_line(SESSION)
    assert {"HttpOnly", "SameSite=lax", "Path=/", f"Max-Age={WEEK:.0f}"} <= set(line.split("; "))
    assert "Secure" not in line  # without TLS browsers would drop it
    assert "Domain" not in line
    house.clock.now += WEEK - 1
    assert is_in(caller)
    house.clock.now += 1
    assert not is_in(caller)


def test_behind_tls_the_cookies_are_for_this_host_and_tls_alone(house: _House) -> None:
    house.share()
    caller = house.tunnelled()
    reply = caller.sign_in(BOB)
    for line in (reply.cookie_line(f"__Host-{SESSION}"), caller.get("/account")["set-cookie"]):
        assert line.startswith("__Host-")
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(line.split("; "))
        assert "Domain" not in line
    assert is_in(caller)


@pytest.mark.parametrize(
    ("name", "password"),
    [(BOB, "wrong"), (BOB, ""), (BOB, PASSWORD + " "), ("nobody", PASSWORD), ("", ""), (ALICE, "")],
)
def test_a_wrong_name_or_password_gets_the_same_answer(
    house: _House, name: str, password: str
) -> None:
    caller = house.stranger()
    reply = caller.sign_in(name, password)
    assert reply.status == 403
    assert SESSION not in reply.cookies
    assert errors(reply.text) == [WRONG]
    assert not is_in(caller)


def test_an_answer_tells_nobody_who_exists(house: _House) -> None:
    """But for the name that was typed and the form's own token, it is the same."""

    def answer(name: str) -> tuple[object, ...]:
        caller = house.stranger()
        house.clock.now += 3_700
        reply = caller.sign_in(name, "wrong password")
        body = re.sub(r'value="[^"]*"', "", reply.text)
        return reply.status, body, sorted(name for name, _ in reply.headers)

    assert answer(BOB) == answer("bop")
    assert answer(ALICE) == answer("malice")  # alice has no password


def test_a_name_that_nobody_has_is_as_much_work(house: _House) -> None:
    """Work, which a busy machine does not change: argon2's is tens of milliseconds."""

    def took(name: str) -> float:
        times = []
        for number in range(5):
            caller = house.stranger()
            caller.client = f"198.51.100.{number}"
            form = caller.form()
            house.clock.now += 100_000
            start = time.process_time()
            caller.post("/signin", {"form": form, "name": name, "password": "wrong password"})
            times.append(time.process_time() - start)
        return statistics.median(times)

    took(BOB)
    known, unknown = took(BOB), took("nobody")
    assert 1 / 3 < known / unknown < 3


def test_guesses_are_slowed_for_an_address_and_for_a_name(house: _House) -> None:
    caller = house.stranger()
    statuses = [caller.sign_in(f"name{number}", "wrong").status for number in range(6)]
    assert statuses[:3] == [403] * 3
    assert 429 in statuses
    refused = caller.sign_in(BOB)
    assert refused.status == 429
    assert int(refused["retry-after"]) >= 1
    assert not is_in(caller)
    house.clock.now += 3_700
    assert caller.sign_in(BOB).status == 303


def test_guesses_at_one_name_from_many_addresses_are_slowed_however_it_is_spelled(
    house: _House,
) -> None:
    statuses = []
    for number, name in enumerate(["bob", "BOB", "Bob", "bOb", " bob", "boB"]):
        caller = house.stranger()
        caller.client = f"203.0.113.{number}"
        statuses.append(caller.sign_in(name, "wrong").status)
    assert statuses[-1] == 429


def test_failed_and_good_sign_ins_are_logged_without_secrets(
    house: _House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caller = house.stranger()
    caller.sign_in(BOB, "a wrong secret")
    caller.sign_in(BOB)
    link = house.store.make_link(BOB)
    other = house.stranger()
    other.post(f"/signin/link/{link}", {"form": other.form()})
    assert f"wrong password for bob from {STRANGER}" in caplog.text
    assert f"signed in by password: bob from {STRANGER}" in caplog.text
    assert f"signed in by link: bob from {STRANGER}" in caplog.text
    for secret in (PASSWORD, "a wrong secret", link, *caller.cookies.values()):
        assert secret not in caplog.text


# --- where to go on


@pytest.mark.parametrize(
    "goto",
    [
        *("//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example"),
        *("javascript:alert(1)", "/\t/evil.example", "/%0d%0aSet-Cookie:x=1\r\nX: 1", "evil", ""),
        *("/" + "a" * 5000, "/a\\b", "/ａ"),
    ],
)
def test_one_is_sent_on_to_this_server_only(house: _House, goto: str) -> None:
    reply = house.stranger().sign_in(BOB, goto=goto)
    assert (reply.status, reply["location"]) == (303, "/")


# --- forms that another site sent


def test_a_form_counts_only_from_the_browser_that_was_shown_it(house: _House) -> None:
    """Or a stranger could sign a victim in as the stranger, and read what the victim writes."""
    attacker, victim = house.stranger(), house.stranger()
    fields = {"form": attacker.form(), "name": BOB, "password": PASSWORD}
    for cookies in ({}, {FORM: "x"}, {FORM: victim_cookie(house)}):
        victim.cookies = cookies
        reply = victim.post("/signin", fields)
        assert (reply.status, SESSION in reply.cookies) == (403, False)
        assert STALE in reply.text


def victim_cookie(house: _House) -> str:
    return house.stranger().get("/signin").cookies[FORM]


@pytest.mark.parametrize("form", ["", "x", "x.y", "."])
def test_a_form_without_our_token_does_nothing(house: _House, form: str) -> None:
    caller = house.stranger()
    caller.get("/signin")
    fields = {"name": BOB, "password": PASSWORD, "form": form}
    assert STALE in caller.post("/signin", fields).text
    signed_in = house.signed_in(BOB)
    signed_in.get("/account")
    assert STALE in signed_in.post("/signout", {"form": form}).text
    assert is_in(signed_in)


def test_a_sessions_signature_is_none_for_a_form(house: _House) -> None:
    caller = house.signed_in(BOB)
    cookie = caller.cookies[SESSION]
    caller.cookies[FORM] = cookie
    field = Signatures(house.store.secret()).form_field(cookie)
    assert STALE in caller.post("/signout", {"form": field}).text


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "multipart/form-data; boundary=x"]
)
def test_only_a_form_is_a_form(house: _House, kind: str) -> None:
    caller = house.stranger()
    fields = {"form": caller.form(), "name": BOB, "password": PASSWORD}
    assert caller.post("/signin", fields, content_type=kind).status == 403


def test_two_open_pages_are_both_good(house: _House) -> None:
    caller = house.stranger()
    first, second = caller.form(), caller.form()
    caller.post("/signin", {"form": second, "name": BOB, "password": "wrong"})
    assert caller.post("/signin", {"form": first, "name": BOB, "password": PASSWORD}).status == 303


# --- sessions


def test_signing_in_makes_a_new_session_whatever_cookie_was_planted(house: _House) -> None:
    caller = house.stranger()
    planted = house.cookie("planted" * 6)
    caller.cookies[SESSION] = planted
    caller.sign_in(BOB)
    assert caller.cookies[SESSION] != planted
    assert not is_in(with_cookie(house, planted))


def test_signing_in_again_ends_the_session_there_was(house: _House) -> None:
    caller = house.stranger()
    caller.sign_in(BOB)
    first = caller.cookies[SESSION]
    link = house.store.make_link(ALICE)
    caller.post(f"/signin/link/{link}", {"form": caller.form("/account")})
    assert caller.cookies[SESSION] != first
    assert not is_in(with_cookie(house, first))
    assert is_in(caller)


def test_signing_out_ends_the_session_for_a_copy_of_the_cookie_too(house: _House) -> None:
    caller = house.stranger()
    caller.sign_in(BOB)
    copy = caller.cookies[SESSION]
    other = house.stranger()
    other.sign_in(BOB)
    reply = caller.post("/signout", {"form": caller.form("/account")})
    assert (reply.status, reply["location"]) == (303, "/signin")
    assert "Max-Age=0" in reply.cookie_line(SESSION)
    assert not is_in(with_cookie(house, copy))
    assert is_in(other)  # on another device


def test_signing_out_twice_leads_to_the_sign_in_page(house: _House) -> None:
    assert house.stranger().post("/signout", {}).status == 303


def test_nobody_signs_out_by_following_a_link(house: _House) -> None:
    caller = house.signed_in(BOB)
    assert caller.get("/signout").status == 405
    assert is_in(caller)


def test_a_removed_user_is_out_at_once(house: _House) -> None:
    caller = house.signed_in(BOB)
    house.store.remove_user(BOB)
    assert not is_in(caller)


def with_cookie(house: _House, cookie: str) -> Caller:
    caller = house.stranger()
    caller.cookies[SESSION] = cookie
    return caller


# --- by link


def use(caller: Caller, link: str) -> int:
    return caller.post(f"/signin/link/{link}", {"form": caller.form()}).status


def test_a_link_shows_a_button_and_the_button_signs_in(house: _House) -> None:
    link = house.store.make_link(BOB)
    for _ in range(3):  # programs that preview messages look first
        assert house.stranger().ask("GET", f"/signin/link/{link}").status == 200
        assert house.stranger().ask("HEAD", f"/signin/link/{link}").status == 200
    caller = house.stranger()
    page = caller.get(f"/signin/link/{link}").text
    assert f'action="/signin/link/{link}"' in page
    assert not is_in(caller)
    assert use(caller, link) == 303
    assert is_in(caller)


def test_a_link_works_once(house: _House) -> None:
    link = house.store.make_link(BOB)
    assert use(house.stranger(), link) == 303
    late = house.stranger()
    assert use(late, link) == 403
    assert not is_in(late)


def test_a_link_works_for_ten_minutes(house: _House) -> None:
    links = [house.store.make_link(BOB), house.store.make_link(BOB)]
    house.clock.now += 599
    assert use(house.stranger(), links[0]) == 303
    house.clock.now += 1
    assert use(house.stranger(), links[1]) == 403


def test_a_link_that_was_never_made_looks_the_same(house: _House) -> None:
    used = house.store.make_link(BOB)
    use(house.stranger(), used)
    pages = []
    for link in (used, "x" * 43, "x" * 5000):
        caller = house.stranger()
        reply = caller.post(f"/signin/link/{link}", {"form": caller.form()})
        pages.append((reply.status, errors(reply.text)))
    assert len({str(each) for each in pages}) == 1


def test_a_link_is_not_used_up_by_another_sites_form(house: _House) -> None:
    link = house.store.make_link(BOB)
    caller = house.stranger()
    assert STALE in caller.post(f"/signin/link/{link}", {}).text
    cross = {"origin": "https://evil.example"}
    assert caller.ask("POST", f"/signin/link/{link}", cross).status == 403
    assert use(caller, link) == 303


# --- the page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.errors: list[str] = []
        self._in_alert = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_alert = dict(attrs).get("role") == "alert"

    def handle_data(self, data: str) -> None:
        if self._in_alert:
            self.errors.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_alert = False


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    return reader


def errors(page: str) -> list[str]:
    return read(page).errors


@pytest.mark.parametrize(
    ("accepted", "language", "word"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN", "密码"),
        ("fr, zh-TW;q=0.5", "zh-CN", "密码"),
        ("en-GB,zh;q=0.9", "en", "Password"),
        ("fr", "en", "Password"),
        ("", "en", "Password"),
        ("\xff;;,,=", "en", "Password"),
    ],
)
def test_the_page_speaks_the_browsers_language(
    house: _House, accepted: str, language: str, word: str
) -> None:
    page = house.stranger().get("/signin", accept_language=accepted).text
    assert f'<html lang="{language}">' in page
    assert word in page


def test_the_page_is_for_phones_screen_readers_and_password_managers(house: _House) -> None:
    tags = read(house.stranger().get("/signin").text).tags
    shown = [each for tag, each in tags if tag == "input" and each.get("type") != "hidden"]
    labelled = {each["for"] for tag, each in tags if tag == "label"}
    assert {each["id"] for each in shown} == labelled == {"name", "password"}
    assert [each["autocomplete"] for each in shown] == ["username", "current-password"]
    assert any(tag == "meta" and each.get("name") == "viewport" for tag, each in tags)
    assert not any(
        tag == "script" or any(name.startswith("on") for name in each) for tag, each in tags
    )
    style = house.stranger().ask("GET", "/signin/style.css")
    assert (style.status, style["content-type"]) == (200, "text/css; charset=utf-8")
    assert "prefers-color-scheme: dark" in style.text


@pytest.mark.parametrize(
    "hostile", ['"><script>alert(1)</script>', "'><img src=x>", "</main>&amp;"]
)
def test_what_was_typed_is_shown_as_text(house: _House, hostile: str) -> None:
    caller = house.stranger()
    reply = caller.sign_in(hostile, goto="/" + hostile.replace(" ", ""))
    tags = read(reply.text).tags
    assert {tag for tag, _ in tags} & {"script", "img"} == set()
    values = [each.get("value") for tag, each in tags if each.get("name") == "name"]
    assert values == [hostile.lower()]


def test_who_is_in_already_is_sent_on(house: _House) -> None:
    for caller in (house.signed_in(BOB), house.local()):
        reply = caller.get("/signin?next=/tools")
        assert (reply.status, reply["location"]) == (303, "/tools")
    assert PUBLIC not in house.stranger().get("/signin").text
