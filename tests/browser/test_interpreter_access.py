"""The interpreter page for people who use no mouse, hear the page, or read Chinese."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import ROOT, Server, serve
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.browser

PREPARED = 600_000  # ms: a first start makes the environment
SALES = b"month,revenue\n1,10\n2,30\n3,20\n"
PLOT = """```python
import pandas as pd
import matplotlib.pyplot as plt
sales = pd.read_csv("sales.csv")
sales.plot(x="month", y="revenue", title="按月收入")
plt.show()
sales
```
"""
OWN = "rows = open('sales.csv').read().split()\nopen('n.txt', 'w').write(str(len(rows)))"
# A control's line in the tree that a screen reader is given: its role and its name.
CONTROL = re.compile(
    r"- '?(button|link|textbox|switch|radio|slider|spinbutton|combobox|checkbox|menuitem)\b"
    r'(?: "((?:[^"\\]|\\.)*)")?'
)
NAMES = {"English", "Top-p", "Top-p Top-p"}  # the same in both languages
ENGLISH = re.compile(r"[A-Za-z]{3,}")
OURS = re.compile(r"Python|ipynb|CSV|ZIP|sales\.csv|Top-p|month")
STATUS = "#page-announcements"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("tests/browser/fake_app.py") as running:
        yield running


def opened(server: Server, browser: Browser, locale: str) -> Page:
    page = browser.new_context(locale=locale, viewport={"width": 1280, "height": 1000}).new_page()
    page.goto(f"{server.url}/interpreter")
    expect(page.get_by_test_id("stChatInputTextArea")).to_be_visible(timeout=PREPARED)
    return page


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    page = opened(server, browser, "en-US")
    yield page
    page.context.close()


@pytest.fixture
def chinese(server: Server, browser: Browser) -> Iterator[Page]:
    page = opened(server, browser, "zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    yield page
    page.context.close()


def uploader(page: Page) -> Locator:
    """That of files: the page has one for notebooks too, which for a moment stands alone."""
    box = page.get_by_test_id("stFileUploader")
    return box.filter(has_text=re.compile("Upload files|上传文件"))


def upload(page: Page) -> None:
    box = uploader(page).locator("input")
    box.set_input_files({"name": "sales.csv", "mimeType": "text/csv", "buffer": SALES})
    expect(page.get_by_text("sales.csv · 29 B")).to_be_visible()


def ask(server: Server, page: Page, *answers: str) -> Locator:
    server.post("/fake/script", answers=list(answers))
    page.get_by_test_id("stChatInputTextArea").fill("?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=re.compile("^(Regenerate|重新生成)$"))).to_be_visible()
    return page.get_by_test_id("stChatMessage").last


def tab_to(page: Page, wanted: Locator) -> None:
    """By the keyboard alone, from wherever the focus is."""
    expect(wanted).to_be_visible()
    for _ in range(80):
        if wanted.evaluate("element => element.contains(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{wanted} cannot be reached by Tab")


def summary(page: Page, label: str) -> Locator:
    return page.locator("summary").filter(has_text=label)


def button(page: Page, label: str) -> Locator:
    return page.get_by_role("button", name=label)


def test_a_cell_is_written_run_and_its_file_fetched_by_the_keyboard_alone(page: Page) -> None:
    upload(page)
    tab_to(page, summary(page, "Run code of your own"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("textbox", name="Code"))
    page.keyboard.insert_text(OWN)
    tab_to(page, button(page, "Run").and_(page.get_by_test_id("stBaseButton-primaryFormSubmit")))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Python · done")).to_be_visible()
    tab_to(page, button(page, "Download n.txt").first)
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert Path(waiting.value.path()).read_text() == "4"


def test_every_control_is_reached_by_tab(server: Server, page: Page) -> None:
    upload(page)
    ask(server, page, "```python\nx = 1\n```\n", "Done.")
    page.locator("body").focus()
    for wanted in (
        button(page, "Upload: Upload files"),
        summary(page, "sales.csv"),
        button(page, "Download all (ZIP)"),
        summary(page, "Variables"),
        button(page, "Run all again"),
        button(page, "Restart"),
        button(page, "Export .ipynb"),
        button(page, "Upload: Import .ipynb"),
        button(page, "Edit and run"),
        button(page, "Regenerate"),
        summary(page, "Run code of your own"),
        page.get_by_test_id("stChatInputTextArea"),
    ):
        tab_to(page, wanted)


def test_code_is_stopped_by_the_keyboard(server: Server, page: Page) -> None:
    server.post("/fake/script", answers=["```python\nwhile True: pass\n```\n", "Never said."])
    page.get_by_test_id("stChatInputTextArea").fill("Loop")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Python · running")).to_be_visible()
    stop = page.get_by_test_id("stBottom").get_by_role("button", name="Stop", exact=True)
    tab_to(page, stop)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Python · stopped")).to_be_visible()


def test_every_control_has_a_chinese_name_on_the_chinese_page(
    server: Server, chinese: Page
) -> None:
    upload(chinese)
    answer = ask(server, chinese, PLOT, "好了。")
    expect(answer.get_by_test_id("stDataFrame")).to_be_visible()
    answer.get_by_test_id("stDataFrame").hover()
    summary(chinese, "运行自己的代码").click()
    expect(chinese.get_by_role("textbox", name="代码")).to_be_visible()
    summary(chinese, "sales.csv").click()
    expect(button(chinese, "删除 sales.csv")).to_be_visible()
    tree = chinese.locator("body").aria_snapshot()
    controls = CONTROL.findall(tree)
    assert len(controls) > 35
    assert any(name.startswith("下载为 CSV：3 列 3 行的表格") for _, name in controls)
    wrong = [f"{role} {name!r}" for role, name in controls if not is_chinese(name)]
    assert wrong == []


def is_chinese(name: str) -> bool:
    return name in NAMES or (bool(name) and not ENGLISH.search(OURS.sub("", name)))


def test_streamlits_own_words_follow_the_pages_language(chinese: Page) -> None:
    zone = uploader(chinese).get_by_test_id("stFileUploaderDropzone")
    expect(zone).to_contain_text("选择文件")
    expect(zone).to_contain_text("每个文件最多 128 MB")
    expect(zone.get_by_role("button", name="选择文件: 上传文件")).to_be_visible()
    chinese.get_by_text("English").click()
    expect(zone).to_contain_text("128MB per file")
    expect(zone.get_by_role("button", name="Upload: Upload files")).to_be_visible()
    expect(chinese.locator("html")).to_have_attribute("lang", "en")
    chinese.get_by_text("中文").click()
    expect(zone).to_contain_text("每个文件最多 128 MB")


def test_what_the_model_says_is_never_changed(server: Server, chinese: Page) -> None:
    answer = ask(server, chinese, "Upload")
    expect(answer.get_by_text("Upload", exact=True)).to_be_visible()
    expect(uploader(chinese).get_by_test_id("stFileUploaderDropzone")).to_contain_text("选择文件")


def test_a_figure_and_a_table_are_described(server: Server, page: Page) -> None:
    upload(page)
    answer = ask(server, page, PLOT, "Done.")
    figure = answer.get_by_role("img", name="Figure 1 of run 1")
    name = figure.get_attribute("alt") or ""
    assert re.fullmatch(r"Figure 1 of run 1, \d+ × \d+ pixels: 按月收入; month", name)
    expect(answer.get_by_text(re.compile(r"^Run 1 · \d+\.\d s · "))).to_be_visible()
    table = answer.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    assert "A table of 3 columns and 3 rows" in table.locator("..").inner_html()


def test_what_happens_is_told_to_people_who_hear_the_page(server: Server, page: Page) -> None:
    status = page.locator(STATUS)
    expect(status).to_have_attribute("aria-live", "polite")
    expect(status).to_have_text("")
    server.post("/fake/script", answers=["```python\nwhile True: pass\n```\n", "Done."])
    page.get_by_test_id("stChatInputTextArea").fill("Compute")
    page.keyboard.press("Enter")
    expect(status).to_have_text("Python: running")
    page.get_by_test_id("stBottom").get_by_role("button", name="Stop", exact=True).click()
    expect(status).to_have_text("Stopped")
    ask(server, page, "Done.")
    expect(status).to_have_text("The answer is complete")


def test_what_happens_is_told_though_what_was_before_still_stands(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<main><i data-page-says=''></i></main>")
    page.add_script_tag(path=ROOT / "assistant" / "page_words.js")
    main = page.locator("main")
    for _ in range(2):  # as Streamlit builds its main part anew within one run
        main.evaluate("it => it.innerHTML = '<i data-page-says=now></i><i data-page-says></i>'")
    main.evaluate("it => it.lastChild.remove()")
    expect(page.locator(STATUS)).to_have_text("now")
    page.close()


def test_a_file_that_is_too_large_is_refused_in_the_persons_language(
    chinese: Page, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(129 << 20)
    uploader(chinese).locator("input").set_input_files(large)
    expect(chinese.get_by_text("文件不能超过 128", exact=False)).to_be_visible()


def test_a_python_that_died_is_said_and_one_click_brings_all_back(
    server: Server, page: Page
) -> None:
    once = "open('once').close() if os.path.exists('once') else (open('once', 'w'), os._exit(3))"
    first, second = "import os\nx = 41", f"{once}\nprint(x + 1)"
    answers = [f"```python\n{code}\n```\n" for code in (first, second)]
    answer = ask(server, page, *answers, "It died.")
    expect(answer).to_contain_text("The Python process ended: exit code 3")
    warning = page.get_by_test_id("stSidebar").get_by_role("alert")
    expect(warning).to_contain_text("Python has ended: exit code 3.")
    button(page, "Run all again").click()
    expect(page.get_by_text("42", exact=True)).to_be_visible()
    expect(warning).to_have_count(0)


def test_a_table_is_sorted_and_downloaded(server: Server, page: Page) -> None:
    upload(page)
    code = "import pandas as pd\npd.read_csv('sales.csv')"
    answer = ask(server, page, f"```python\n{code}\n```\n", "Done.")
    table = answer.get_by_test_id("stDataFrame")
    expect(table).to_be_visible()
    assert revenues(page, table) == ["10", "30", "20"]
    box = table.locator("canvas").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.8, box["y"] + 15)  # the last column's head
    assert revenues(page, table) == ["10", "20", "30"]


def revenues(page: Page, table: Locator) -> list[str]:
    """The last column, as the person downloads it: by the way that a test can follow."""
    page.evaluate("delete window.showSaveFilePicker")
    table.hover()
    with page.expect_download() as waiting:
        table.get_by_role("button", name="Download as CSV").click()
    lines = Path(waiting.value.path()).read_text(encoding="utf-8-sig").split()
    return [line.rpartition(",")[2] for line in lines[1:]]


def test_outputs_stand_as_the_code_left_them(server: Server, page: Page) -> None:
    code = (
        "from IPython.display import clear_output, display\n"
        "print('gone')\nclear_output()\n"
        "shown = display('before', display_id=True)\nprint('between')\nshown.update('after')\n"
        "name = input('Who? ')"
    )
    answer = ask(server, page, f"```python\n{code}\n```\n", "Done.")
    expect(answer).to_contain_text("'after'")
    expect(answer).to_contain_text("between")
    expect(answer).to_contain_text("input() cannot be used here")
    results = answer.get_by_test_id("stCode").all_inner_texts()[1:]
    assert [result.strip() for result in results[:2]] == ["'after'", "between"]


@pytest.mark.parametrize("colour", ["", "\\x1b[31m"])
def test_long_output_is_whole_and_takes_no_more_than_a_screen(
    server: Server, page: Page, colour: str
) -> None:
    code = f"print(\"{colour}first\", *range(3000), 'last', sep='\\n')"
    answer = ask(server, page, f"```python\n{code}\n```\n", "Done.")
    said = answer.locator("pre").filter(has_text="2999").last
    expect(said).to_contain_text("last")
    height = said.evaluate("pre => pre.closest('[data-testid=stElementContainer]').clientHeight")
    assert 100 < height < 800
