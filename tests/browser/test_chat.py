"""The chat page in a real browser, on the scripted engine: the test writes the answers."""

import re
from collections.abc import Iterator

import pytest
from browsing import Server, serve, stop_button
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

HOSTILE = """\
![a](http://evil.invalid/1.png) [![b](http://evil.invalid/2.png)](http://evil.invalid)
<img src="http://evil.invalid/3.png"><script>document.title = "owned"</script>

![c][ref]

[ref]: http://evil.invalid/4.png

| ` | ![d](http://evil.invalid/5.png) | ` |
|---|---|---|

- x

  ```
![e](http://evil.invalid/6.png)

:color[f]{background="url(http://evil.invalid/7.png)"}

```mermaid
graph TD
    A@{ img: "http://evil.invalid/8.png", label: "x" }
```

The end.
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("tests/browser/fake_app.py") as running:
        yield running


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(server.url)
    expect(page).to_have_url(re.compile("c="))
    yield page
    context.close()


def ask(page: Page, question: str) -> None:
    page.get_by_label("Ask anything").fill(question)
    page.keyboard.press("Enter")
    expect(stop_button(page)).to_be_visible()


def expect_answer(page: Page, text: str) -> None:
    expect(page.get_by_test_id("stChatMessage").last).to_contain_text(text)


def test_an_answer_streams_and_survives_a_refresh_and_a_second_tab(
    server: Server, page: Page
) -> None:
    ask(page, "Count")
    server.post("/fake/script", read=[310, 820, 9.0])
    expect(page.get_by_text("Reading: 310/820 tokens, about 9 s left")).to_be_visible()
    server.post("/fake/script", say="one ")
    expect_answer(page, "one")
    page.reload()
    expect_answer(page, "one")
    server.post("/fake/script", say="two ")
    expect_answer(page, "one two")
    other = page.context.new_page()
    other.goto(page.url)
    expect_answer(other, "one two")
    server.post("/fake/script", say="three", finish="stop")
    for tab in (page, other):
        expect_answer(tab, "one two three")
        expect(tab.get_by_role("button", name="Regenerate")).to_be_visible()


def test_stop_stops_the_engine(server: Server, page: Page) -> None:
    ask(page, "Count")
    server.post("/fake/script", say="one")
    expect_answer(page, "one")
    stop_button(page).click()
    expect(page.get_by_text("Stopped · 3 tokens")).to_be_visible()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    generations = server.get("/fake/seen")
    assert isinstance(generations, list)
    assert generations[-1]["cancelled"]


def test_an_idle_tab_learns_what_another_one_asks(server: Server, page: Page) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_label("Ask anything")).to_be_visible()
    ask(page, "Count")
    server.post("/fake/script", say="one", finish="stop")
    expect_answer(other, "one")


def test_formulas_and_code_are_drawn(server: Server, page: Page) -> None:
    ask(page, "Show")
    formulas = "\\(a^2\\) and\n\n\\[\nb^2\n\\]\n\nand $c^2$, for $5 and $6\n\n"
    server.post("/fake/script", say=formulas + "```python\nimport os\n```\n", finish="stop")
    message = page.get_by_test_id("stChatMessage").last
    expect(message.locator(".katex-mathml")).to_have_count(3)
    expect(message).to_contain_text("for $5 and $6")
    expect(message.locator("pre .token.keyword")).to_have_text("import")


def test_a_hostile_answer_calls_nobody(server: Server, page: Page) -> None:
    called: list[str] = []
    page.on("request", lambda request: called.append(request.url))
    ask(page, "Attack")
    server.post("/fake/script", say=HOSTILE, finish="stop")
    expect_answer(page, "The end.")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    page.reload()
    expect_answer(page, "The end.")
    page.wait_for_load_state("networkidle")
    assert [url for url in called if not url.startswith((server.url, "data:", "blob:"))] == []
    assert page.title() == "Assistant"


def test_a_refused_question_stays_in_the_box(server: Server, page: Page) -> None:
    long = "x" * 5000
    page.get_by_label("Ask anything").fill(long)
    page.keyboard.press("Enter")
    expect(page.get_by_text("the context holds 4096")).to_be_visible()
    expect(page.get_by_label("Ask anything")).to_have_value(long)


def test_the_page_speaks_the_browsers_language(server: Server, browser: Browser) -> None:
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(server.url)
    expect(page.get_by_label("输入问题")).to_be_visible()
    page.get_by_role("radio", name="English").click()
    expect(page.get_by_label("Ask anything")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Ask anything")).to_be_visible()
    context.close()


def test_every_control_has_a_name(server: Server, page: Page) -> None:
    ask(page, "Count")
    server.post("/fake/script", say="one", finish="length")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    for role in ("button", "textbox", "slider", "spinbutton", "radio"):
        for control in page.get_by_role(role).all():
            named = page.get_by_role(role, name="").and_(control)
            assert named.count() == 0 or control.inner_text() or control.get_attribute("aria-label")


def test_a_question_can_be_asked_and_stopped_from_the_keyboard(server: Server, page: Page) -> None:
    box = page.get_by_label("Ask anything")
    box.focus()
    page.keyboard.type("Count")
    page.keyboard.press("Enter")
    expect(stop_button(page)).to_be_visible()
    stop_button(page).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
