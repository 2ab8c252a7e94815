"""Tools in the terminal: calls are told beside the answer, and a person there is asked."""

import io
import sys
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on, loader_of
from scripted_tools import SEND, WEATHER, ScriptedTools, as_written

from assistant import Language, Mode, cli
from assistant.terminal import OK, Terminal

OSLO = as_written("get_weather", city="Oslo")
MAIL = as_written("send", to="bo", text="Hi")


class Keyboard(io.StringIO):
    """A person at the keyboard, who types what is in it."""

    def isatty(self) -> bool:
        return True


def terminal(home: Path, tools: ScriptedTools, *script: str) -> Terminal:
    assistant = assistant_on(FakeEngine(*script), home, tools)
    return Terminal(assistant, assistant.new_conversation(Mode.TOOLS), Language.ENGLISH)


@pytest.fixture
def tools() -> ScriptedTools:
    return ScriptedTools(WEATHER, SEND)


def test_the_answer_goes_to_stdout_and_the_calls_beside_it(
    tools: ScriptedTools, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terminal(tmp_path, tools, f"Let me see. {OSLO}", "22.").answer("Weather?") == OK
    out, err = capsys.readouterr()
    assert out.split("\n") == ["Let me see. ", "22.", ""]
    assert err.splitlines() == ["→ get_weather(city='Oslo')", '← {"temperature": 22}']


@pytest.mark.parametrize(("typed", "n_calls"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_a_person_at_the_keyboard_is_asked(
    tools: ScriptedTools,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    n_calls: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    assert terminal(tmp_path, tools, MAIL, "ok").answer("Say Hi") == OK
    assert "Run send(to='bo', text='Hi')? [y/N]" in capsys.readouterr().out
    assert len(tools.calls) == n_calls


def test_where_nobody_can_be_asked_nothing_is_allowed(
    tools: ScriptedTools,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert terminal(tmp_path, tools, MAIL, "ok").answer("Say Hi") == OK
    assert tools.calls == []
    assert capsys.readouterr().out == "\nok\n"


@pytest.mark.parametrize("asked", [True, False])
def test_tools_are_offered_if_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    engine = FakeEngine("ok", context_length=20_000)
    monkeypatch.setattr(cli, "ModelLoader", lambda **_options: loader_of(engine, tmp_path))
    monkeypatch.setenv("ASSISTANT_MCP", str(tmp_path / "none.json"))
    assert cli.main(["chat", "-p", "Hi", *(["--tools"] if asked else [])]) == OK
    assert ('"name": "calculator"' in engine.prompt_text()) is asked
