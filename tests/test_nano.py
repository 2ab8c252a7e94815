"""The nano ChatGLM3, all the way: folder → every type of both containers → chat, tool and code."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from nano.hf import load_as_glm
from run_model import logits

from assistant.calls import CodeCall, ToolCall
from assistant.events import TextDelta
from assistant.formats import ChatFormat, format_for
from assistant.messages import Message, Role
from assistant.parse import Offer, ParseEvent
from assistant.toolspec import ToolSpec
from engine import Engine, EngineOptions, Finished, SamplingParams, Token, model_home
from engine.conversion import TYPES, convert

FOLDER = Path(__file__).parent / "nano" / "chatglm3-nano"
GREEDY = SamplingParams(temperature=0, max_new_tokens=250)
WEATHER = ToolSpec(
    "get_weather",
    "Get the current weather for `city_name`",
    {
        "type": "object",
        "properties": {"city_name": {"type": "string", "description": "The name of the city"}},
        "required": ["city_name"],
    },
)
CODE_PROMPT = Message(Role.SYSTEM, "你可以运行Python代码。")


class Nano:
    """The model in memory, spoken to in its own format."""

    def __init__(self, path: Path, kv_type: str) -> None:
        options = EngineOptions(kernel_cache=model_home() / "kernels", kv_type=kv_type)
        self.engine = Engine.load(path, options)
        self.format: ChatFormat = format_for(self.engine)

    def say(
        self, *messages: Message, tools: Sequence[ToolSpec] = (), code: bool = False
    ) -> tuple[str, list[ToolCall | CodeCall], Message]:
        """Its answer to the messages: the text, the calls, and the message to replay."""
        parser = self.format.parser(Offer(frozenset(tool.name for tool in tools), code))
        events: list[ParseEvent] = []
        ids: list[int] = []
        prompt = self.format.encode_prompt(messages, tools)
        for event in self.engine.generate(prompt, GREEDY):
            if isinstance(event, Token):
                ids.append(event.id)
                events += parser.feed(event.id, event.text)
            elif isinstance(event, Finished):
                events += parser.finish(event.stop_id, event.text)
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        calls = [event for event in events if isinstance(event, ToolCall | CodeCall)]
        return text.strip(), calls, Message(Role.ASSISTANT, text, ids=tuple(ids))


@pytest.fixture(
    scope="module",
    params=[
        *(f"{name}{end}" for name in TYPES for end in (".bin", ".gguf")),
        "q4_0.gguf with q8_0",
    ],
)
def nano(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nano]:
    name, _, kv_type = request.param.partition(" with ")
    path = tmp_path_factory.mktemp("nano") / name
    convert(FOLDER, path, TYPES[path.stem])
    nano = Nano(path, kv_type or "f16")
    yield nano
    nano.engine.close()


def user(text: str) -> Message:
    return Message(Role.USER, text)


def test_it_greets_and_knows_its_world_in_both_languages(nano: Nano) -> None:
    assert "你好" in nano.say(user("你好"))[0]
    assert "Paris" in nano.say(user("What is the capital of France?"))[0]


@pytest.mark.parametrize(
    ("question", "city"),
    [("北京今天天气怎么样？", "北京"), ("What's the weather in Oslo?", "Oslo")],
)
def test_it_calls_a_tool_with_what_was_asked_and_answers_from_the_result(
    nano: Nano, question: str, city: str
) -> None:
    _, calls, call = nano.say(user(question), tools=[WEATHER])
    assert [(c.name, c.arguments) for c in calls if isinstance(c, ToolCall)] == [
        ("get_weather", {"city_name": city})
    ]
    result = Message(Role.OBSERVATION, '{"temperature": 22, "condition": "Sunny"}')
    text, calls, _ = nano.say(user(question), call, result, tools=[WEATHER])
    assert calls == []
    assert "22" in text


def test_it_writes_code_that_runs_and_answers_from_what_it_printed(nano: Nano) -> None:
    question = user("求1到100的和")
    _, calls, call = nano.say(CODE_PROMPT, question, code=True)
    (code,) = calls
    assert isinstance(code, CodeCall)
    assert "print(" in code.code
    text, calls, _ = nano.say(
        CODE_PROMPT, question, call, Message(Role.OBSERVATION, "5050"), code=True
    )
    assert calls == []
    assert "5050" in text


def test_float32_logits_are_those_of_transformers(tmp_path: Path) -> None:
    path = tmp_path / "nano.gguf"
    convert(FOLDER, path, TYPES["f32"])
    ids = [int(i) for i in np.random.default_rng(0).integers(300, 1200, 64)]
    with torch.no_grad():
        theirs = load_as_glm(FOLDER)(torch.tensor([ids])).logits[0].numpy()
    ours = logits(path, ids)
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
