"""The pages while the app has a public address: who is told, and what is off."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on
from scripted_sessions import ScriptedSessions, workbench_of
from scripted_tools import SEND, WEATHER, ScriptedTools
from sharing_stand_in import URL, ScriptedSharing, exposure_to
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

import assistant
from assistant import (
    ACCESS_HEADER,
    LOCAL,
    VISITOR_HEADER,
    Access,
    Allowance,
    Assistant,
    ModelLoader,
    Visitor,
)
from assistant.sandbox.level import Level
from assistant.toolsource import Trouble
from engine import DownloadFailed

MAIN = Path(__file__).parents[2] / "pages" / "main.py"
ANN = Visitor("ann", Access.USER)
EVE = Visitor("eve", Access.OPERATOR)
PAGES = ["chat.py", "tools.py", "interpreter.py"]


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    yield
    assistant.install(None)


@pytest.fixture
def shares() -> ScriptedSharing:
    return ScriptedSharing()


class Site:
    """The app, as it looks to one visitor after the other."""

    def __init__(
        self,
        home: Path,
        shares: ScriptedSharing,
        patch: pytest.MonkeyPatch,
        level: Level = Level.NAMESPACES,
    ) -> None:
        self._patch = patch
        self.tools = ScriptedTools(WEATHER, SEND)
        bench = workbench_of(ScriptedSessions(home, level))
        engine = FakeEngine("ok", context_length=20_000)
        self.behind = assistant_on(engine, home, self.tools, bench, exposure_to(shares))
        assistant.install(self.behind)
        bench.prepare()
        bench.wait()

    def page(self, visitor: Visitor, name: str = "chat.py", **query: str) -> AppTest:
        return page_of(self._patch, visitor, name, **query)


def page_of(
    patch: pytest.MonkeyPatch, visitor: Visitor, name: str = "chat.py", **query: str
) -> AppTest:
    headers = {"Host": "localhost"}
    if visitor.name:
        headers |= {VISITOR_HEADER: visitor.name, ACCESS_HEADER: visitor.access.value}
    patch.setattr(ContextProxy, "headers", headers)
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.query_params.update(query)
    run(app)
    if name != "chat.py":
        app.switch_page(name)
        run(app)
    return app


def run(app: AppTest) -> None:
    app.run()
    assert not app.exception


def plain(app: AppTest) -> str:
    drawn = [*app.markdown, *app.caption, *app.error, *app.info, *app.code, *app.text]
    return "\n".join(str(each.value) for each in drawn).replace("\\", "")


def buttons(app: AppTest) -> set[str | None]:
    return {button.key for button in app.button}


@pytest.fixture
def site(tmp_path: Path, shares: ScriptedSharing, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, shares, monkeypatch)


# --- who is told


@pytest.mark.parametrize("name", PAGES)
def test_an_operator_sees_on_every_page_that_the_app_is_public(
    site: Site, shares: ScriptedSharing, name: str
) -> None:
    shares.begin()
    app = site.page(EVE, name)
    assert URL in plain(app)
    assert "public_stop" in buttons(app)


@pytest.mark.parametrize(
    ("language", "since"), [("English", "since 2027-01-15"), ("中文", "自 2027-01-15")]
)
def test_an_operator_reads_since_when_and_until_when(
    site: Site, shares: ScriptedSharing, language: str, since: str
) -> None:
    shares.begin()
    app = site.page(EVE, lang=language)
    assert since in plain(app)


def test_an_operator_stops_it_from_the_page(site: Site, shares: ScriptedSharing) -> None:
    shares.begin()
    app = site.page(EVE)
    assert not shares.stop_asked
    app.button(key="public_stop").click()
    run(app)
    assert shares.stop_asked


@pytest.mark.parametrize("name", PAGES)
def test_a_user_is_shown_no_way_to_stop_it(site: Site, shares: ScriptedSharing, name: str) -> None:
    shares.begin()
    assert "public_stop" not in buttons(site.page(ANN, name))


@pytest.mark.parametrize("visitor", [LOCAL, EVE, ANN])
def test_nothing_is_said_while_the_app_is_not_public(site: Site, visitor: Visitor) -> None:
    app = site.page(visitor)
    assert "public_stop" not in buttons(app)
    assert "Public at" not in plain(app)


# --- what is off


def test_the_tools_page_says_why_a_tool_is_off(site: Site, shares: ScriptedSharing) -> None:
    shares.begin()
    app = site.page(EVE, "tools.py")
    ticks = {tick.label: tick.disabled for tick in app.checkbox}
    assert ticks == {"get_weather": False, "send": True}
    assert plain(app).count("Off while this app is public") == 1
    assert "1 of 2 tools offered" in plain(app)
    assert "Always call send" not in app.selectbox[0].options


@pytest.mark.parametrize("allows", [(), (Allowance.RISKY_TOOLS,)])
def test_a_tool_that_is_not_off_has_nothing_to_explain(
    site: Site, shares: ScriptedSharing, allows: tuple[Allowance, ...]
) -> None:
    if allows:
        shares.begin(*allows)
    app = site.page(EVE, "tools.py")
    assert not any(tick.disabled for tick in app.checkbox)
    assert "Off while" not in plain(app)


@pytest.mark.parametrize(("visitor", "is_shown"), [(EVE, True), (ANN, False)])
def test_what_is_wrong_inside_a_tools_file_is_for_operators(
    site: Site, visitor: Visitor, is_shown: bool
) -> None:
    site.tools.red.append(Trouble("bad.py", "SyntaxError", "/home/eve/tools/bad.py, line 3"))
    app = site.page(visitor, "tools.py")
    assert any("SyntaxError" in each.label for each in app.expander)
    assert ("/home/eve" in plain(app)) is is_shown


def test_in_public_nobody_uses_a_weak_sandbox(
    tmp_path: Path, shares: ScriptedSharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = Site(tmp_path, shares, monkeypatch, Level.WEAK)
    shares.begin()
    app = weak.page(EVE, "interpreter.py")
    assert "off while the app is public" in plain(app)
    assert app.chat_input.len == 0
    assert {"run_all", "restart"}.isdisjoint(buttons(app))


def test_in_public_a_weak_sandbox_is_used_if_the_sharing_says_so(
    tmp_path: Path, shares: ScriptedSharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = Site(tmp_path, shares, monkeypatch, Level.WEAK)
    shares.begin(Allowance.UNSAFE_INTERPRETER)
    app = weak.page(ANN, "interpreter.py")
    assert app.chat_input.len == 1
    assert "run_all" in buttons(app)


@pytest.mark.parametrize(
    ("visitor", "shared", "allows", "may"),
    [
        (LOCAL, False, (), True),
        (EVE, False, (), True),
        (ANN, False, (), False),
        (EVE, True, (), False),
        (EVE, True, (Allowance.OPERATOR_PAGES,), True),
        (ANN, True, (Allowance.OPERATOR_PAGES,), False),
    ],
)
def test_the_model_is_chosen_by_operators_and_in_public_only_if_the_sharing_says_so(
    tmp_path: Path,
    shares: ScriptedSharing,
    monkeypatch: pytest.MonkeyPatch,
    visitor: Visitor,
    shared: bool,
    allows: tuple[Allowance, ...],
    may: bool,
) -> None:
    def fetch(*_: object) -> Path:
        raise DownloadFailed(what="w", reason="no network", tried="/secret/path", remedy="y")

    loader = ModelLoader(lambda: tmp_path, fetch=fetch)
    behind = Assistant(loader, exposure=exposure_to(shares))
    assistant.install(behind)
    state = behind.model_state
    behind.open_model(None)
    while not isinstance(state, assistant.Failed):
        state = behind.wait_model(state)
    if shared:
        shares.begin(*allows)
    app = page_of(monkeypatch, visitor)
    assert bool(app.text_input.len) is may
    assert ("fetch_starter" in buttons(app)) is may
    assert ("/secret/path" in plain(app)) is may


# --- what only a hostile browser sends


def test_a_choice_that_is_none_of_those_offered_is_not_taken(site: Site) -> None:
    app = site.page(ANN, "tools.py")
    found = app.query_params["c"]
    conversation = site.behind.conversation(found if isinstance(found, str) else found[0], ANN)
    before = conversation.settings
    radio = next(each for each in app.radio if each.label == "May it run?")
    for widget in (app.selectbox[0], radio):
        widget.options.append("anything")
        widget.set_value("anything")
    run(app)
    after = conversation.settings
    assert after.tool_choice == before.tool_choice
    assert all(type(each) is assistant.Permission for each in after.permissions.values())
