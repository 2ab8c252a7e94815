"""Tool rounds of real models: the nano ChatGLM3, and the starter against a stand-in weather."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_tools import ScriptedTools, gave, tool
from weather_service import TEMPERATURE, weather_service

from assistant import Assistant, Mode, ModelLoader, Permission
from assistant.loading import Failed, Ready
from assistant.messages import CallState, Message, Role
from assistant.outputs import JsonOutput
from assistant.toolbox import Toolbox
from assistant.toolfolder import FolderTools
from assistant.toolsource import ToolSource
from engine.conversion import TYPES, convert

NANO = Path(__file__).parents[1] / "nano" / "chatglm3-nano"


def answer(model: Path, source: ToolSource, question: str, *, constrain: bool) -> list[Message]:
    """The messages of one turn, greedily; every tool may run."""
    assistant = Assistant(ModelLoader(), Toolbox([source]))
    try:
        assistant.open_model(model)
        state = assistant.model_state
        while not isinstance(state, Ready | Failed):
            state = assistant.wait_model(state)
        conversation = assistant.new_conversation(Mode.TOOLS)
        conversation.settings = replace(
            conversation.settings,
            temperature=0.0,
            max_new_tokens=256,
            constrain_calls=constrain,
            permissions={each.name: Permission.ALWAYS for each in source.tools()},
        )
        assistant.ask(conversation.id, question).wait()
        return list(conversation.messages)
    finally:
        assistant.close()


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nano") / "nano.gguf"
    convert(NANO, path, TYPES["q8_0"])
    return path


@pytest.mark.parametrize("constrain", [True, False])
def test_the_nano_model_calls_a_tool_and_answers_from_its_result(
    nano: Path, constrain: bool
) -> None:
    weather = tool("get_weather", city_name="string")
    about = "Get the current weather for `city_name`"
    weather = replace(weather, spec=replace(weather.spec, description=about))
    result = JsonOutput({"temperature": 22, "condition": "Sunny"})
    source = ScriptedTools(weather, get_weather=lambda _: gave(result))
    messages = answer(nano, source, "北京今天天气怎么样？", constrain=constrain)
    assert source.calls == [("get_weather", {"city_name": "北京"})]
    assert messages[1].metadata == "get_weather"
    assert [message.role for message in messages[2:]] == [Role.OBSERVATION, Role.ASSISTANT]
    assert "22" in messages[-1].content


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[FolderTools]:
    """The shipped tools, with the weather of a stand-in."""
    with weather_service() as address:
        monkeypatch.setenv("WEATHER_URL", address)
        folder = FolderTools()
        assert folder.wait_settled(300)
        yield folder
        folder.close()


@pytest.mark.starter
def test_the_starter_asks_for_the_weather_and_says_the_temperature(
    starter: Path, folder: FolderTools
) -> None:
    messages = answer(starter, folder, "今天北京的天气怎么样？", constrain=True)
    steps = [message.step for message in messages if message.step is not None]
    assert steps[0].state is CallState.DONE
    assert str(TEMPERATURE).lstrip("-") in messages[-1].content
