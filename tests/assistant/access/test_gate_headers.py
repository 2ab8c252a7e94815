"""What every response tells browsers and caches on the way."""

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit
from gated import BOB, House, Reply
from starlette.responses import PlainTextResponse

from assistant.access.headers import PAGES


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.close()


def everything(house: House) -> dict[str, Reply]:
    return {
        "a page": house.local().get("/"),
        "the sign-in page": house.stranger().get("/signin"),
        "sent to sign in": house.stranger().get("/"),
        "refused": house.stranger().ask("GET", "/media/x.png"),
        "malformed": house.stranger().ask("GET", "//"),
        "another host": house.stranger().ask("GET", "/", {"host": "evil.example"}),
        "not found": house.stranger().get("/signin/no/such"),
        "an image": house.local().get("/media/x.png"),
    }


def test_every_response_has_them(house: House) -> None:
    for name, reply in everything(house).items():
        assert reply["x-content-type-options"] == "nosniff", name
        assert "frame-ancestors" in reply["content-security-policy"], name
        assert "object-src 'none'" in PAGES
        assert reply["referrer-policy"] in ("no-referrer", "same-origin"), name
        assert reply["cross-origin-resource-policy"] == "same-origin", name
        assert reply["cross-origin-opener-policy"] == "same-origin", name
        assert not reply["strict-transport-security"], name


def test_what_needs_a_sign_in_is_kept_in_no_cache_on_the_way(house: House) -> None:
    """Cloudflare keeps files by their ending, and would hand them to anybody."""

    cacheable = PlainTextResponse("x", headers={"Cache-Control": "public, max-age=9999"})

    for name, reply in everything(house).items():
        assert reply["cache-control"] == "no-store", name
    house.gate._app = cacheable
    assert house.signed_in(BOB).get("/media.png")["cache-control"] == "no-store"


def test_streamlits_own_scripts_may_be_kept(house: House) -> None:
    house.gate._app = PlainTextResponse("x", headers={"Cache-Control": "public, immutable"})
    assert "immutable" in house.signed_in(BOB).get("/static/js/x.js")["cache-control"]


def test_behind_tls_browsers_are_told_to_stay_there(house: House) -> None:
    house.share()
    for path in ("/signin", "/health"):
        reply = house.tunnelled().get(path)
        assert reply["strict-transport-security"].startswith("max-age="), path
    assert not house.stranger().get("/signin")["strict-transport-security"]


def test_our_own_pages_run_nothing_and_load_nothing_from_elsewhere(house: House) -> None:
    policy = house.stranger().get("/signin")["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_pages_run_no_script_that_was_slipped_in() -> None:
    directives = dict(each.strip().split(" ", 1) for each in PAGES.split(";"))
    assert "unsafe-inline" not in directives["script-src"]
    assert "'unsafe-eval'" not in directives["script-src"]
    assert directives["default-src"] == "'self'"
    assert directives["img-src"] == "'self' data: blob:"
    assert "http:" not in PAGES
    assert "https:" not in PAGES
    assert "*" not in PAGES


def test_the_one_script_in_streamlits_page_is_known_by_its_hash() -> None:
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    assert [f"'sha256-{each}'" for each in hashes] == re.findall(r"'sha256-[^']*'", PAGES)
