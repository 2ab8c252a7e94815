"""Who looks at a page: what is another's stays out of it, whoever the connection comes from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

import assistant
from assistant import (
    ACCESS_HEADER,
    LOCAL,
    VISITOR_HEADER,
    Access,
    Assistant,
    Conversation,
    Visitor,
)

MAIN = Path(__file__).parents[2] / "pages" / "main.py"
ANN = Visitor("ann", Access.USER)
BOB = Visitor("bob", Access.USER)
EVE = Visitor("eve", Access.OPERATOR)
NOBODY = None  # the connection is gone
SECRET = "Ann's secret"


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    yield
    assistant.install(None)


@pytest.fixture
def behind(tmp_path: Path) -> Assistant:
    found = assistant_on(FakeEngine("ok", "ok", "ok"), tmp_path)
    assistant.install(found)
    return found


class Tab:
    """A browser tab, whose connection may become somebody else's."""

    def __init__(self, patch: pytest.MonkeyPatch, visitor: Visitor | None, app: AppTest) -> None:
        self._patch = patch
        self.app = app
        self.become(visitor)

    def become(self, visitor: Visitor | None) -> None:
        headers = {"Host": "localhost"} if visitor else {}
        if visitor and visitor.name:
            headers |= {VISITOR_HEADER: visitor.name, ACCESS_HEADER: visitor.access.value}
        self._patch.setattr(ContextProxy, "headers", headers)

    def run(self) -> None:
        self.app.run()
        assert not self.app.exception

    @property
    def id(self) -> str:
        found = self.app.query_params["c"]
        return found if isinstance(found, str) else found[0]

    def shows(self, words: str) -> bool:
        drawn = [*self.app.text, *self.app.markdown, *self.app.code]
        return any(words in str(each.value) for each in drawn)


def opened(patch: pytest.MonkeyPatch, visitor: Visitor | None, **query: str) -> Tab:
    """A tab with the app's page."""
    tab = Tab(patch, visitor, AppTest.from_file(str(MAIN), default_timeout=60))
    tab.app.query_params.update(query)
    tab.run()
    return tab


def said(behind: Assistant, owner: str, question: str = SECRET) -> Conversation:
    conversation = behind.new_conversation(owner=owner)
    behind.ask(conversation.id, question).wait()
    return conversation


def test_a_page_begins_a_conversation_of_its_visitors(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = opened(monkeypatch, ANN)
    assert behind.conversation(tab.id, ANN).owner == "ann"


@pytest.mark.parametrize("visitor", [BOB, EVE, LOCAL])
def test_somebody_elses_conversation_is_not_opened_by_its_address(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch, visitor: Visitor
) -> None:
    theirs = said(behind, "ann")
    tab = opened(monkeypatch, visitor, c=theirs.id)
    assert tab.id != theirs.id
    assert not tab.shows(SECRET)
    foreign = [error.value for error in tab.app.error]
    unknown = [error.value for error in opened(monkeypatch, visitor, c="made-up").app.error]
    assert foreign == unknown != []


@pytest.mark.parametrize(("owner", "visitor"), [("ann", ANN), ("", EVE), ("", LOCAL)])
def test_ones_own_conversation_is_opened_by_its_address(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch, owner: str, visitor: Visitor
) -> None:
    own = said(behind, owner)
    tab = opened(monkeypatch, visitor, c=own.id)
    assert tab.id == own.id
    assert tab.shows(SECRET)


@pytest.mark.parametrize("other", [BOB, LOCAL, NOBODY, Visitor("ann", Access.OPERATOR)])
def test_a_session_that_comes_to_somebody_else_forgets_all_and_shows_nothing(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch, other: Visitor | None
) -> None:
    tab = opened(monkeypatch, ANN, c=said(behind, "ann").id)
    tab.app.session_state["mine"] = SECRET
    tab.become(other)
    tab.run()
    assert not tab.shows(SECRET)
    assert tab.app.chat_input.len == 0
    assert other is NOBODY or "mine" not in tab.app.session_state


def test_what_somebody_else_pressed_before_the_page_looked_does_nothing(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = said(behind, "ann")
    tab = opened(monkeypatch, ANN, c=own.id)
    tab.become(BOB)
    tab.app.button(key="clear").click()
    tab.run()
    assert own.messages != ()


@pytest.mark.parametrize("key", ["clear", "regenerate"])
def test_what_the_owner_presses_is_done(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    own = said(behind, "ann")
    before = own.revision
    tab = opened(monkeypatch, ANN, c=own.id)
    tab.app.button(key=key).click()
    tab.run()
    assert own.revision > before


def timer_alone() -> None:
    """What a timer of the page runs, without the rest of it."""
    import streamlit as st

    from assistant import Access, Language, Visitor, instance
    from pages.parts import transcript

    conversation = instance().conversation(st.session_state["id"], Visitor("ann", Access.USER))
    shown = (conversation.revision, *transcript._around(conversation, conversation.job))
    transcript.draw_live(conversation, shown, Language.ENGLISH)


@pytest.mark.parametrize(("visitor", "is_shown"), [(ANN, True), (BOB, False), (NOBODY, False)])
def test_a_pages_timer_draws_for_nobody_but_whom_the_page_was_begun_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visitor: Visitor | None, is_shown: bool
) -> None:
    engine = FakeEngine()
    behind = assistant_on(engine, tmp_path)
    assistant.install(behind)
    own = behind.new_conversation(owner="ann")
    job = behind.ask(own.id, "Hi")
    engine.generations[0].say(SECRET)
    next(event for event in job.events() if SECRET in job.snapshot().text)
    tab = Tab(monkeypatch, visitor, AppTest.from_function(timer_alone, default_timeout=60))
    tab.app.session_state["id"] = own.id
    tab.app.session_state["visitor"] = ANN
    tab.run()
    assert tab.shows(SECRET) is is_shown
    job.cancel()
    job.wait()


def test_without_a_connection_nothing_is_done(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script may still run when its browser has gone, and must not take that for the machine."""
    tab = opened(monkeypatch, NOBODY)
    assert "c" not in tab.app.query_params
    assert (tab.app.chat_input.len, tab.app.segmented_control.len) == (0, 0)


def test_who_signed_in_sees_their_name_and_the_way_to_their_account(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    [link] = opened(monkeypatch, Visitor("a_b@x.org", Access.USER)).app.get("link_button")
    assert link.proto.label.replace("\\", "") == "a_b@x.org"
    assert link.proto.url == "/account"


def test_where_nobody_signs_in_there_is_no_account(
    behind: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened(monkeypatch, LOCAL).app.get("link_button") == []
