"""The tools page in a real browser, on the scripted engine and real tools in a folder."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Server, serve, stop_button
from playwright.sync_api import Browser, Page, expect
from scripted_tools import as_written

pytestmark = pytest.mark.browser

NOTE = '''\
"""Writes a note."""

from pathlib import Path

from tools import tool


@tool(effects="write")
def write_note(title: str, copies: int = 1) -> str:
    """Keep a note

    Args:
        title: What it is called
        copies: How many
    """
    return f"kept {copies} of {title}"
'''
ADDED = '''\
from tools import Example, tool


@tool(effects="none", examples=[Example({"text": "abc"}, "cba")])
def reverse(text: str) -> str:
    """Turn a text around"""
    return text[::-1]
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    (folder / "note.py").write_text(NOTE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serve("tests/browser/fake_app.py", TOOLS_FOLDER=str(folder)) as running:
        yield running


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(f"{server.url}/tools")
    expect(page).to_have_url(re.compile("c="))
    expect(page.get_by_role("checkbox", name="write_note")).to_be_checked()
    yield page
    context.close()


def ask(page: Page, question: str) -> None:
    page.get_by_label("Ask anything").fill(question)
    page.keyboard.press("Enter")


def last(page: Page) -> str:
    return page.get_by_test_id("stChatMessage").last.inner_text()


def test_a_person_edits_an_argument_and_the_call_runs_as_edited(server: Server, page: Page) -> None:
    call = as_written("write_note", title="milk", copies=3)
    server.post("/fake/script", answers=[call, "Kept."])
    ask(page, "Keep a note about bread")
    expect(page.get_by_text("Run write_note?")).to_be_visible()
    form = page.get_by_test_id("stForm")
    expect(form.get_by_text("not said by you")).to_have_count(2)
    form.get_by_role("textbox", name="title").fill("bread")
    form.get_by_role("button", name="Run", exact=True).click()
    answer = page.get_by_test_id("stChatMessage").last
    expect(answer).to_contain_text("Kept.")
    expect(answer).to_contain_text("with the arguments as you changed them")
    answer.get_by_text("write_note(").click()
    expect(answer.get_by_text("kept 3 of bread")).to_be_visible()


def test_a_question_survives_a_refresh_and_can_be_declined_from_the_keyboard(
    server: Server, page: Page
) -> None:
    call = as_written("write_note", title="milk")
    server.post("/fake/script", answers=[call, "All right."])
    ask(page, "Note?")
    expect(page.get_by_role("button", name="Decline")).to_be_visible()
    page.reload()
    decline = page.get_by_role("button", name="Decline")
    expect(decline).to_be_visible()
    decline.focus()
    page.keyboard.press("Enter")
    answer = page.get_by_test_id("stChatMessage").last
    expect(answer).to_contain_text("All right.")
    expect(answer).to_contain_text("declined")


def test_stop_ends_the_wait_for_a_person(server: Server, page: Page) -> None:
    server.post("/fake/script", answers=[as_written("write_note", title="milk")])
    ask(page, "Note?")
    expect(page.get_by_role("button", name="Decline")).to_be_visible()
    stop_button(page).click()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
    expect(page.get_by_role("button", name="Decline")).to_have_count(0)


def test_a_saved_file_is_there_without_a_restart_and_a_broken_one_is_a_red_row(
    page: Page, folder: Path
) -> None:
    (folder / "reverse.py").write_text(ADDED, encoding="utf-8")
    expect(page.get_by_role("checkbox", name="reverse")).to_be_checked()
    expect(page.get_by_text("examples pass")).to_be_visible()
    (folder / "broken.py").write_text("def f(:\n", encoding="utf-8")
    row = page.get_by_text("broken.py: ")
    expect(row).to_be_visible()
    row.click()
    expect(page.get_by_text("def f(:")).to_be_visible()
    expect(page.get_by_role("checkbox", name="write_note")).to_be_checked()


def test_each_page_keeps_its_conversation_when_one_goes_to_the_other_and_back(
    server: Server, page: Page
) -> None:
    server.post("/fake/script", answers=["Here."])
    ask(page, "Where?")
    answer = page.get_by_test_id("stChatMessage").last
    expect(answer).to_contain_text("Here.")
    page.get_by_role("link", name="Chat").click()
    expect(page.get_by_text("Hello, what shall we talk about?")).to_be_visible()
    page.get_by_role("link", name="Tools").click()
    expect(answer).to_contain_text("Here.")


def test_every_control_has_a_name(server: Server, page: Page) -> None:
    server.post("/fake/script", answers=[as_written("write_note", title="milk"), "ok"])
    ask(page, "Note?")
    expect(page.get_by_role("button", name="Decline")).to_be_visible()
    for role in ("button", "textbox", "slider", "spinbutton", "radio", "checkbox", "combobox"):
        for control in page.get_by_role(role).all():
            named = page.get_by_role(role, name="").and_(control)
            assert named.count() == 0 or control.inner_text() or control.get_attribute("aria-label")
    stop_button(page).click()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()
