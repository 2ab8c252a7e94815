"""Which rounds are held to a rule: required and named calls in the first, none when withheld."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_tools import SEND, WEATHER, ScriptedTools, as_written
from turns import Played

from assistant import turn
from assistant.execute import Means
from assistant.formats import ChatFormat
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolspec import ToolSpec
from engine import Constraint, Tokenizer

AUTO = ToolChoice()
NONE = ToolChoice(ChoiceMode.NONE)
OSLO = as_written("get_weather", city="Oslo")
Rules = list[tuple[ToolChoice, list[str]]]


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Rules:
    """The choice and the tools of every rule that is asked for."""
    asked: Rules = []

    def note(
        chat_format: ChatFormat,
        tokenizer: Tokenizer,
        tools: Sequence[ToolSpec],
        choice: ToolChoice,
        *,
        code: bool,
    ) -> Constraint | None:
        asked.append((choice, [tool.name for tool in tools]))
        return None

    monkeypatch.setattr(turn, "constraint_for", note)
    return asked


@pytest.fixture
def means(tmp_path: Path) -> Means:
    tools = ScriptedTools(WEATHER, SEND)
    return Means(tuple(tools.tools()), tools, folder=tmp_path, constrain=True)


BOTH = ["get_weather", "send"]


@pytest.mark.parametrize(
    "choice", [ToolChoice(ChoiceMode.REQUIRED), ToolChoice(ChoiceMode.NAMED, "get_weather")]
)
@pytest.mark.parametrize("constrain", [True, False])
def test_a_call_is_required_in_the_first_round_only(
    means: Means, rules: Rules, choice: ToolChoice, constrain: bool
) -> None:
    Played(replace(means, choice=choice, constrain=constrain), OSLO, "22.")
    held = [(choice, BOTH), (AUTO, BOTH)] if constrain else [(choice, BOTH)]
    assert rules == held


def test_calls_are_constrained_unless_that_is_off(means: Means, rules: Rules) -> None:
    Played(replace(means, constrain=False), OSLO, "22.")
    assert rules == []
    Played(means, OSLO, "22.")
    assert rules == [(AUTO, BOTH), (AUTO, BOTH)]


def test_where_no_tools_are_chosen_none_are_told_of(means: Means, rules: Rules) -> None:
    played = Played(replace(means, choice=NONE), OSLO)
    assert "get_weather" not in played.fake.prompt_text().replace(OSLO, "")
    assert played.steps == []
    assert rules == []


def test_a_model_that_repeats_itself_is_held_to_answering(means: Means, rules: Rules) -> None:
    Played(means, OSLO, OSLO, OSLO, "22.")
    assert rules == [(AUTO, BOTH)] * 3 + [(NONE, [])]


def test_a_chat_is_held_to_nothing(rules: Rules) -> None:
    Played(Means(), "Hi")
    assert rules == []
