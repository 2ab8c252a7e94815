"""The interpreter page in a real browser: scripted answers, real code at the best level here."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from browsing import Server, serve, stop_button
from playwright.sync_api import Browser, Locator, Page, Request, expect

pytestmark = pytest.mark.browser

PREPARED = 600_000  # ms: a first start makes the environment
PLOT = """```python
import pandas as pd
import matplotlib.pyplot as plt
sales = pd.read_csv("sales.csv")
sales.plot(x="month", y="revenue", title="按月收入")
plt.show()
sales.to_csv("total.csv", index=False)
sales
```
"""
LOOP = "```python\nprint('begun', flush=True)\nwhile True:\n    pass\n```\n"
HOSTILE = """```python
from IPython.display import HTML, Javascript, Markdown, display
display(HTML("<b>bold</b><script>document.title = 'owned'</script><img src='http://evil.invalid/1'>"))
display(Javascript("document.title = 'owned'; fetch('http://evil.invalid/2')"))
display(Markdown("![x](http://evil.invalid/3)"))
print("<img src=http://evil.invalid/4 onerror=alert(1)> ![x](http://evil.invalid/5)")
```
"""
FIGURES = """```python
import altair
import pandas as pd
import plotly.express as px
table = pd.DataFrame({"month": ["一月", "二月"], "revenue": [10, 30]})
px.bar(table, x="month", y="revenue", title="<b>按月</b>收入").show()
display(altair.Chart(table).mark_bar().encode(x="month", y="revenue"))
linked = {"data": [{"type": "bar", "y": [1], "name": "<a href='http://evil.invalid/7'>x</a>"}]}
plain = "instead of a figure with a link"
display({"application/vnd.plotly.v1+json": linked, "text/plain": plain}, raw=True)
```
"""
COLOURED = """```python
raise ValueError("<img src=http://evil.invalid/6 onerror=alert(1)> :red[x] `y`")
```
"""
SAVE = """```python
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.savefig("plot.png")
plt.close()
```
"""
TRANSFER = """files => {
    const transfer = new DataTransfer();
    for (const [name, text] of Object.entries(files)) transfer.items.add(new File([text], name));
    return transfer;
}"""
PASTE = f"""files => document.activeElement.dispatchEvent(new ClipboardEvent(
    "paste", {{clipboardData: ({TRANSFER})(files), bubbles: true, cancelable: true}}))"""
SALES = b"month,revenue\n1,10\n2,30\n3,20\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("tests/browser/fake_app.py") as running:
        yield running


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(f"{server.url}/interpreter")
    expect(question(page)).to_be_visible(timeout=PREPARED)
    yield page
    context.close()


def question(page: Page) -> Locator:
    return page.get_by_label("Ask anything, or drop files here")


def ask(server: Server, page: Page, asked: str, *answers: str) -> None:
    server.post("/fake/script", answers=list(answers))
    question(page).fill(asked)
    page.keyboard.press("Enter")


def answered(page: Page) -> Locator:
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    return page.get_by_test_id("stChatMessage").last


def uploader(page: Page, label: str = "Upload files") -> Locator:
    return page.get_by_test_id("stFileUploader").filter(has_text=label)


def upload(page: Page, name: str, data: bytes, label: str = "Upload files") -> None:
    box = uploader(page, label).locator("input")
    box.set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})


def downloaded(page: Page, label: str) -> Path:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label).first.click()
    return Path(waiting.value.path())


def test_a_file_is_uploaded_plotted_and_its_result_downloaded(server: Server, page: Page) -> None:
    upload(page, "sales.csv", SALES)
    expect(page.get_by_text("sales.csv · 29 B")).to_be_visible()
    ask(server, page, "Plot the revenue", PLOT, "Here is the plot.")
    answer = answered(page)
    expect(answer.get_by_role("img").first).to_be_visible()
    expect(answer.get_by_test_id("stDataFrame")).to_be_visible()
    expect(answer).to_contain_text("Here is the plot.")
    assert downloaded(page, "Download total.csv").read_bytes() == SALES
    with zipfile.ZipFile(downloaded(page, "Download all (ZIP)")) as archive:
        assert sorted(archive.namelist()) == ["sales.csv", "total.csv"]
    page.get_by_text("sales.csv · 29 B").click()
    expect(page.get_by_test_id("stSidebar").get_by_test_id("stDataFrame")).to_be_visible()
    page.get_by_role("button", name="Delete sales.csv").click()
    expect(page.get_by_text("sales.csv · 29 B")).to_have_count(0)


def test_stop_stops_a_loop_and_the_session_lives_on(server: Server, page: Page) -> None:
    ask(server, page, "Loop", LOOP, "Never said.")
    expect(page.get_by_text("begun", exact=True)).to_be_visible()
    stop_button(page).click()
    answer = answered(page)
    expect(answer).to_contain_text("Python · stopped")
    expect(answer).not_to_contain_text("Never said.")
    ask(server, page, "And now?", "```python\nprint(6 * 7)\n```\n", "Done.")
    expect(answered(page)).to_contain_text("42")


def test_a_block_is_edited_and_run_again_from_the_keyboard(server: Server, page: Page) -> None:
    ask(server, page, "Compute", "```python\nx = 6\nprint(x * 7)\n```\n", "Done.")
    answer = answered(page)
    expect(answer).to_contain_text("42")
    page.get_by_role("button", name="Edit and run").focus()
    page.keyboard.press("Enter")
    editor = answer.get_by_role("textbox", name="Code")
    editor.fill("x = 7\nprint(x * 7)")
    page.keyboard.press("Control+Enter")
    expect(answer).to_contain_text("49")
    expect(answer).not_to_contain_text("42")
    page.get_by_text("Variables").click()
    expect(page.get_by_test_id("stSidebar").get_by_test_id("stDataFrame")).to_be_visible()


def test_html_and_scripts_of_code_do_not_run_and_call_nobody(server: Server, page: Page) -> None:
    called: list[str] = []
    page.on("request", lambda request: called.append(request.url))
    ask(server, page, "Attack", HOSTILE, "The end.")
    answer = answered(page)
    expect(answer).to_contain_text("The end.")
    page.reload()
    expect(answered(page)).to_contain_text("evil.invalid/4")
    page.wait_for_load_state("networkidle")
    assert [url for url in called if not url.startswith((server.url, "data:", "blob:"))] == []
    assert page.title() == "Assistant"
    assert page.locator("[data-testid=stChatMessage] script, iframe").count() == 0


def test_a_session_is_exported_and_rebuilt_from_its_notebook(server: Server, page: Page) -> None:
    ask(server, page, "Compute", "```python\nx = 6\nprint('is', x)\n```\n", "It is 6.")
    expect(answered(page)).to_contain_text("It is 6.")
    exported = downloaded(page, "Export .ipynb").read_bytes()
    nbformat.validate(json.loads(exported))
    old = page.url
    page.goto(f"{server.url}/interpreter")
    expect(page).not_to_have_url(old)
    page.get_by_role("button", name="Clear").click()
    upload(page, "session.ipynb", exported, "Import .ipynb")
    expect(page.get_by_test_id("stChatMessage").first).to_contain_text("Compute")
    expect(page.get_by_text("is 6", exact=True)).to_be_visible()
    page.get_by_role("button", name="Run all again").click()
    # Counted: while the page is drawn anew, what was drawn before may stand beside it for a moment.
    expect(page.get_by_text(re.compile(r"\d s · "))).to_have_count(1)
    expect(page.get_by_text("is 6", exact=True)).to_be_visible()


def test_files_come_several_at_once_by_drop_and_by_paste(server: Server, page: Page) -> None:
    files = {"notes.txt": "<b>bold</b> text", "data.json": '{"a": [1]}', "更多.csv": "x,y\n1,2\n"}
    dropped = page.evaluate_handle(TRANSFER, files)
    zone = uploader(page).get_by_test_id("stFileUploaderDropzone")
    zone.dispatch_event("drop", {"dataTransfer": dropped})
    sidebar = page.get_by_test_id("stSidebar")
    for shown in ("notes.txt · 16 B", "data.json · 10 B", "更多.csv · 8 B"):
        expect(sidebar.get_by_text(shown)).to_be_visible()
    question(page).focus()
    uploads: list[str] = []

    def are_up(request: Request) -> bool:
        uploads.extend([request.url] if request.method == "PUT" else [])
        return len(uploads) == 2

    with page.expect_event("requestfinished", are_up):
        page.evaluate(PASTE, {"one.txt": "1", "two.txt": "22"})
    server.post("/fake/script", answers=["Seen."])
    question(page).fill("Look")
    page.get_by_role("button", name="Send message").click()
    expect(answered(page)).to_contain_text("Seen.")
    expect(sidebar.get_by_text("one.txt · 1 B")).to_be_visible()
    expect(sidebar.get_by_text("two.txt · 2 B")).to_be_visible()
    sidebar.get_by_text("notes.txt · 16 B").click()
    expect(sidebar.get_by_text("<b>bold</b> text")).to_be_visible()
    sidebar.get_by_text("data.json · 10 B").click()
    expect(sidebar.get_by_test_id("stJson")).to_be_visible()
    with zipfile.ZipFile(downloaded(page, "Download all (ZIP)")) as archive:
        assert sorted(archive.namelist()) == sorted([*files, "one.txt", "two.txt"])


def test_a_picture_that_code_saves_is_shown_among_the_files(server: Server, page: Page) -> None:
    ask(server, page, "Save", SAVE, "Saved.")
    expect(answered(page).get_by_role("button", name="Download plot.png")).to_be_visible()
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_text(re.compile(r"plot\.png · ")).click()
    expect(sidebar.get_by_role("img").last).to_be_visible()


def test_figures_can_be_moved_in_and_call_nobody(server: Server, page: Page) -> None:
    called: list[str] = []
    page.on("request", lambda request: called.append(request.url))
    ask(server, page, "Draw", FIGURES, "Drawn.")
    answer = answered(page)
    expect(answer).to_contain_text("Drawn.")
    expect(answer.locator(".js-plotly-plot")).to_have_count(1)
    expect(answer.locator(".js-plotly-plot .gtitle")).to_contain_text("按月")
    expect(answer.get_by_test_id("stVegaLiteChart")).to_be_visible()
    expect(answer.get_by_text("instead of a figure with a link", exact=True)).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert answer.locator("a").count() == 0
    assert [url for url in called if not url.startswith((server.url, "data:", "blob:"))] == []


def test_an_error_has_its_colours_and_nothing_in_it_is_markup(server: Server, page: Page) -> None:
    ask(server, page, "Fail", COLOURED, "Failed.")
    answer = answered(page)
    expect(answer).to_contain_text("Failed.")
    pre = answer.locator("pre[style]")
    expect(pre).to_contain_text("<img src=http://evil.invalid/6 onerror=alert(1)> :red[x] `y`")
    expect(pre.get_by_text("ValueError", exact=True)).to_have_css("color", "rgb(179, 38, 30)")
    assert answer.locator("pre img, pre a, pre script").count() == 0


def test_all_is_run_again_after_a_restart_and_says_the_same(server: Server, page: Page) -> None:
    upload(page, "sales.csv", SALES)
    expect(page.get_by_text("sales.csv · 29 B")).to_be_visible()
    first = "```python\nrows = open('sales.csv').read().split()\nprint('rows', len(rows))\n```\n"
    second = "```python\nprint('last', rows[-1])\n```\n"
    ask(server, page, "Count", first, second, "Counted.")
    expect(answered(page)).to_contain_text("Counted.")
    page.get_by_role("button", name="Restart").click()
    page.get_by_text("Variables").click()
    expect(page.get_by_text("There are none, or code is running.")).to_be_visible()
    page.get_by_role("button", name="Run all again").click()
    expect(page.get_by_test_id("stSidebar").get_by_test_id("stDataFrame")).to_be_visible()
    for said in ("rows 4", "last 3,20"):
        expect(page.get_by_text(said, exact=True)).to_have_count(1)
