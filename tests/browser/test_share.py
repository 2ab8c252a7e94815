"""The whole way from the command to a phone, in a real browser, and what a stranger sees of it.

The tunnel is the stand-in's: TLS and the public name are real, the network in between is not.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from browsing import chromium
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect
from public_app import HOST, OPERATOR, PASSWORD, URL, USER, PublicApp, public_app

pytestmark = pytest.mark.browser

PREPARED = 600_000  # ms: a first start makes the environment
UPLOADS = "/_stcore/upload_file/"
PLOT = """```python
import matplotlib.pyplot as plt
rows = open("sales.csv").read().split()
plt.plot([1, 2])
plt.show()
print("rows", len(rows))
```
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublicApp]:
    with public_app(tmp_path_factory.mktemp("public")) as running:
        yield running


@pytest.fixture
def link(app: PublicApp) -> Iterator[str]:
    with app.shared() as (_, link):
        yield link


@pytest.fixture(scope="module")
def browser(app: PublicApp) -> Iterator[Browser]:
    port = app.stand_in.orders["port"]
    with chromium(f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{port}") as running:
        yield running


@contextmanager
def somebody(browser: Browser, *, phone: bool = False) -> Iterator[BrowserContext]:
    """A browser that has never been here; the stand-in's certificate is nobody's."""
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 900}
    context = browser.new_context(
        locale="en-US",
        ignore_https_errors=True,
        viewport={"width": size["width"], "height": size["height"]},
        is_mobile=phone,
        has_touch=phone,
    )
    yield context
    context.close()


def sign_in_by_link(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Ask anything")).to_be_visible()


def sign_in(page: Page, name: str) -> None:
    page.goto(URL)
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_label("Ask anything")).to_be_visible()


def expect_sign_in(page: Page) -> None:
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_visible()


def cookie_line(context: BrowserContext) -> str:
    return "; ".join(f"{each.get('name')}={each.get('value')}" for each in context.cookies())


def chat(app: PublicApp, page: Page) -> None:
    page.get_by_label("Ask anything").fill("Count")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    app.server.post("/fake/script", say="one ")
    expect(page.get_by_test_id("stChatMessage").last).to_contain_text("one")
    app.server.post("/fake/script", say="two", finish="stop")
    expect(page.get_by_test_id("stChatMessage").last).to_contain_text("one two")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()


def run_code(app: PublicApp, page: Page) -> tuple[str, str]:
    """Uploads, runs and plots; returns where the file went, and where the picture is."""
    puts: list[Request] = []
    page.on("request", lambda each: puts.append(each) if UPLOADS in each.url else None)
    page.goto(f"{URL}/interpreter")
    question = page.get_by_label("Ask anything, or drop files here")
    expect(question).to_be_visible(timeout=PREPARED)
    page.get_by_test_id("stExpandSidebarButton").click()
    box = page.get_by_test_id("stFileUploader").filter(has_text="Upload files").locator("input")
    data = b"month,revenue\n1,10\n"
    box.set_input_files({"name": "sales.csv", "mimeType": "text/csv", "buffer": data})
    expect(page.get_by_text("sales.csv · 19 B")).to_be_visible()
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    app.server.post("/fake/script", answers=[PLOT, "Plotted."])
    question.fill("Plot")
    page.get_by_test_id("stChatInputSubmitButton").click()
    answer = page.get_by_test_id("stChatMessage").last
    expect(answer).to_contain_text("Plotted.")
    expect(answer).to_contain_text("rows 2")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    picture = answer.get_by_role("img").first.get_attribute("src")
    assert picture is not None
    return urlsplit(puts[0].url).path, urlsplit(picture).path


def sign_out(page: Page) -> None:
    page.goto(f"{URL}/account")
    page.get_by_role("button", name="Sign out").click()
    expect_sign_in(page)


def test_a_phone_comes_in_does_its_work_alone_and_is_out_after_signing_out(
    app: PublicApp, browser: Browser, link: str
) -> None:
    with somebody(browser, phone=True) as context:
        page = context.new_page()
        sign_in_by_link(page, link)
        expect(page.get_by_text(f"Public at {URL} since")).to_be_visible()
        expect(page.get_by_role("button", name="Stop sharing")).to_be_visible()
        chat(app, page)
        uploaded, picture = run_code(app, page)
        cookie = cookie_line(context)
        assert app.stand_in.status(HOST, picture, Cookie=cookie) == 200
        others = app.cookie_of(USER)
        assert app.stand_in.status(HOST, "/account", Cookie=others) == 200
        assert app.stand_in.status(HOST, picture, Cookie=others) == 404
        assert app.stand_in.status(HOST, uploaded, "PUT", Cookie=others) == 404
        assert app.stand_in.status(HOST, uploaded, "DELETE", Cookie=others) == 404
        other_tab, work = context.new_page(), page.url
        sign_out(other_tab)
        page.reload()
        expect_sign_in(page)
        page.goto(work)
        expect_sign_in(page)
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("was used already")
    for kept in ("", cookie):  # a copy of the cookie is worth nothing either
        assert app.stand_in.status(HOST, picture, Cookie=kept) == 401
        assert app.stand_in.status(HOST, uploaded, "PUT", Cookie=kept) == 401
        assert app.stand_in.status(HOST, uploaded, "DELETE", Cookie=kept) == 401


def test_a_stranger_with_the_address_sees_the_sign_in_and_nothing_else(
    app: PublicApp, browser: Browser, link: str
) -> None:
    got: list[tuple[str, int]] = []
    with somebody(browser) as context:
        page = context.new_page()
        page.on("response", lambda each: got.append((urlsplit(each.url).path, each.status)))
        for path in ("/", "/interpreter", "/tools", "/?c=anything", "/account"):
            page.goto(URL + path)
            expect_sign_in(page)
        assert page.locator("script").count() == 0
        refused = page.goto(f"{URL}/_stcore/health")
        assert refused is not None
        assert HOST in page.url
        expect_sign_in(page)
    shown = {path for path, status in got if status == 200}
    assert shown <= {"/signin", "/signin/style.css"}


def test_a_user_sees_nothing_of_the_operators_and_cannot_stop_the_sharing(
    app: PublicApp, browser: Browser, link: str
) -> None:
    with somebody(browser) as hers, somebody(browser) as his:
        page = hers.new_page()
        sign_in_by_link(page, link)
        chat(app, page)
        expect(page).to_have_url(re.compile("c="))
        other = his.new_page()
        sign_in(other, USER)
        expect(other.get_by_text("Public at")).to_have_count(0)
        expect(other.get_by_role("button", name="Stop sharing")).to_have_count(0)
        other.goto(page.url)
        expect(other.get_by_label("Ask anything")).to_be_visible()
        expect(other).not_to_have_url(page.url)
        expect(other.get_by_test_id("stChatMessage")).to_have_count(0)
        expect(other.get_by_text("one two")).to_have_count(0)


def test_stop_on_the_page_ends_the_sharing_and_the_command(
    app: PublicApp, browser: Browser
) -> None:
    with app.shared() as (running, link), somebody(browser, phone=True) as context:
        page = context.new_page()
        sign_in_by_link(page, link)
        page.get_by_role("button", name="Stop sharing").click()
        running.hear("asked on the page")
        assert running.code == 0
        assert app.store.sharing() is None
        with pytest.raises(Exception, match="ERR_CONNECTION_REFUSED"):
            context.new_page().goto(URL)
    with somebody(browser) as here:
        page = here.new_page()
        page.goto(app.server.url)  # at this machine no login is needed any more
        expect(page.get_by_label("Ask anything")).to_be_visible()
        assert OPERATOR not in page.get_by_test_id("stSidebar").inner_text()
