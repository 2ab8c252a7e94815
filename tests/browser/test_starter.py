"""The whole way, as a person goes it: the real launcher, engine and starter model in a browser."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import chromium, serve, stop_button
from playwright.sync_api import Page, expect
from weather_service import TEMPERATURE, weather_service

pytestmark = [pytest.mark.browser, pytest.mark.starter]

READY = 1_800_000  # ms: a first start fetches 1.1 GB and compiles
ANSWERED = 300_000


@pytest.fixture
def page(starter: Path) -> Iterator[Page]:
    """The page of a fresh server, which finds the starter by itself unless STARTER names it."""
    model = {"MODEL": os.environ["STARTER"]} if "STARTER" in os.environ else {}
    with (
        weather_service() as weather,
        serve("streamlit_app.py", WEATHER_URL=weather, **model) as server,
        chromium() as browser,
    ):
        page = browser.new_context(locale="en-US").new_page()
        page.goto(server.url)
        expect(page.get_by_label("Ask anything")).to_be_visible(timeout=READY)
        yield page


def ask(page: Page, question: str) -> None:
    page.get_by_label("Ask anything").fill(question)
    page.keyboard.press("Enter")


def test_a_person_asks_reads_stops_and_refreshes(page: Page) -> None:
    page.get_by_role("slider", name="Temperature").focus()
    page.keyboard.press("Home")  # greedy
    ask(page, "What is the capital of France? Answer in one word.")
    answer = page.get_by_test_id("stChatMessage").last
    expect(answer).to_contain_text("Paris", timeout=ANSWERED)
    expect(page.get_by_text(re.compile(r"\d tokens/s"))).to_be_visible()

    ask(page, "Count from 1 to 300, one number a line.")
    stop = stop_button(page)
    expect(answer).to_contain_text("3", timeout=ANSWERED)
    page.reload()
    expect(stop).to_be_visible()
    expect(answer).to_contain_text("3")
    stop.click()
    expect(page.get_by_text(re.compile(r"Stopped · \d+ tokens"))).to_be_visible()
    expect(page.get_by_role("button", name="Continue")).to_be_visible()


def test_a_person_allows_a_call_and_reads_the_temperature(page: Page) -> None:
    page.get_by_role("link", name="Tools").click()
    for name in ("get_weather", "text_statistics"):  # the last file's too: all are offered then
        expect(page.get_by_role("checkbox", name=name)).to_be_checked(timeout=READY)
    page.get_by_role("slider", name="Temperature").focus()
    page.keyboard.press("Home")  # greedy
    ask(page, "今天北京的天气怎么样？")
    expect(page.get_by_text("Run get_weather?")).to_be_visible(timeout=ANSWERED)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible(timeout=ANSWERED)
    answer = page.get_by_test_id("stChatMessage").last
    expect(answer).to_contain_text(str(TEMPERATURE).lstrip("-"))
    expect(answer).to_contain_text("get_weather(city_name='北京') · done")
