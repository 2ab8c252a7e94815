"""Sampled calls under constraint, counted: `python -m tests.constrained_calls --model FILE`.

Every call is read by the app's own parser and checked against its tool's schema by `jsonschema`.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema

from assistant.calls import CallError, ToolCall
from assistant.formats import ChatFormat, format_for
from assistant.grammar import constraint_for
from assistant.grammar_vocabulary import Mask
from assistant.messages import Message, Role
from assistant.parse import Offer, ParseEvent
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolspec import ToolSpec
from engine import (
    Constraint,
    Engine,
    EngineOptions,
    Finished,
    FinishReason,
    SamplingParams,
    Token,
    model_home,
)

TEXT: dict[str, object] = {"type": "string"}
WHOLE: dict[str, object] = {"type": "integer"}
POINT: dict[str, object] = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x", "y"],
    "additionalProperties": False,
}
REF_POINT: dict[str, object] = {"$ref": "#/$defs/Point"}
TREE: dict[str, object] = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "maxLength": 12},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "maxItems": 3},
    },
    "required": ["label"],
}


def tool(
    name: str, properties: Mapping[str, object], optional: Sequence[str] = (), **more: object
) -> ToolSpec:
    required = [each for each in properties if each not in optional]
    schema = {"type": "object", "properties": properties, "required": required, **more}
    return ToolSpec(name, f"Use {name}", schema)


TOOLS = (
    tool("get_weather", {"city_name": {"type": "string", "description": "The city"}}),
    tool(
        "random_number",
        {
            "seed": WHOLE,
            "range": {"type": "array", "prefixItems": [WHOLE, WHOLE], "minItems": 2, "maxItems": 2},
        },
    ),
    tool("now", {"zone": {"anyOf": [TEXT, {"type": "null"}], "default": None}}, ["zone"]),
    tool(
        "convert",
        {
            "value": {"type": "number"},
            "unit": {"enum": ["celsius", "摄氏度", 'it\'s "hot"', 3, None, True]},
            "digits": {"type": "integer", "minimum": 0, "maximum": 12, "default": 2},
            "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.75},
        },
        ["digits", "share"],
    ),
    tool(
        "plan",
        {
            "steps": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 4},
            "when": {"type": "string", "format": "date"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}/[0-9]{3}$"},
            "urgent": {"type": "boolean"},
        },
        ["when", "code", "urgent"],
    ),
    tool(
        "draw",
        {"at": REF_POINT, "path": {"type": "array", "items": REF_POINT}},
        ["path"],
        **{"$defs": {"Point": POINT}},
    ),
    tool(
        "tag",
        {
            "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
            "by": {"anyOf": [WHOLE, {"type": "array", "items": WHOLE}, {"type": "boolean"}]},
        },
        ["by"],
    ),
    tool(
        "grow",
        {"tree": {"$ref": "#/$defs/Tree"}, "extra": {}},
        ["extra"],
        **{"$defs": {"Tree": TREE}},
    ),
)
N_BESIDE = 4
QUESTIONS = ("北京今天的天气怎么样？", "Use a tool, please.", "生成一个随机数，范围是0到100")


class Timed:
    """A constraint and the time that its masks took; `begun` is what the prompt has of the call."""

    def __init__(self, constraint: Constraint, begun: Sequence[int]) -> None:
        self._constraint = constraint
        self._begun = list(begun)
        self.seconds: list[float] = []

    def allowed(self, output: Sequence[int], left: int) -> Mask | None:
        started = time.perf_counter()
        mask = self._constraint.allowed([*self._begun, *output], left)
        self.seconds.append(time.perf_counter() - started)
        return mask


@dataclass
class Tally:
    """What came of the calls; `wrong` names every failure with the text that failed."""

    calls: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    mask_seconds: list[float] = field(default_factory=list)
    n_tokens: int = 0


def as_json(value: object) -> object:
    """Python's tuples are JSON's arrays."""
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


class Caller:
    """One model, asked for calls."""

    def __init__(self, engine: Engine, max_new_tokens: int, temperature: float) -> None:
        self._engine = engine
        self._format: ChatFormat = format_for(engine)
        self._params = SamplingParams(
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            stop_ids=self._format.stop_ids,
        )
        self.tally = Tally()

    def ask(
        self, question: str, tools: Sequence[ToolSpec], choice: ToolChoice, begun: str = ""
    ) -> None:
        """One call, counted: a required one, or one that has begun as `begun`."""
        tokenizer = self._engine.tokenizer
        constraint = constraint_for(self._format, tokenizer, tools, choice)
        assert constraint is not None
        begun_ids = tokenizer.encode(begun) if begun else []
        timed = Timed(constraint, begun_ids)
        prompt = self._format.encode_prompt([Message(Role.USER, question)], tools)
        parser = self._format.parser(Offer(frozenset(each.name for each in tools)))
        stream = tokenizer.stream()
        events = [event for each in begun_ids for event in parser.feed(each, stream.feed(each))]
        finished: Finished | None = None
        text = begun
        generation = self._engine.generate([*prompt, *begun_ids], self._params, timed)
        for event in generation:
            if isinstance(event, Token):
                text += event.text
                events += parser.feed(event.id, event.text)
                if begun and any(isinstance(each, ToolCall | CallError) for each in events):
                    generation.cancel()
            elif isinstance(event, Finished):
                finished = event
                events += parser.finish(event.stop_id, event.text)
        assert finished is not None
        self.tally.n_tokens += finished.stats.output_tokens
        self.tally.mask_seconds += timed.seconds
        if begun and not any(isinstance(each, ToolCall | CallError) for each in events):
            return  # it went on as text: {"name": "get_weatherman
        for problem in problems(events, finished, {each.name: each for each in tools}):
            self.tally.wrong.append(f"{problem}: {text!r}")
        self.tally.calls.update(each.name for each in events if isinstance(each, ToolCall))

    def beginning(self, number: int, name: str) -> str:
        """One of the ways in which a call of this tool is begun."""
        syntax = self._format.call_syntax()
        assert syntax is not None
        return syntax.forms[number % len(syntax.forms)].before + name


def problems(
    events: Sequence[ParseEvent], finished: Finished, tools: Mapping[str, ToolSpec]
) -> Iterator[str]:
    """What is wrong with an answer that must be one valid call."""
    if finished.reason not in (FinishReason.STOP, FinishReason.CANCELLED):
        yield f"ended by {finished.reason}: {finished.error}"
    calls = [event for event in events if isinstance(event, ToolCall)]
    errors = [event for event in events if isinstance(event, CallError)]
    if len(calls) != 1 or errors:
        yield f"parse: {len(calls)} calls, {[error.reason for error in errors]}"
    for call in calls:
        if call.name not in tools:
            yield f"the name {call.name}"
            continue
        validator = jsonschema.Draft202012Validator(
            tools[call.name].parameters,
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )
        for error in validator.iter_errors(as_json(call.arguments)):
            yield f"schema: {error.message}"


def run(
    caller: Caller,
    n_calls: int,
    on_progress: Callable[[int], None] | None = None,
    *,
    begun: bool = False,
) -> Tally:
    """Two of three calls are of a tool that is named; some run beside each other.

    If `begun`, nothing is required: each answer is given its beginning, up to a tool's name.
    """

    def ask(number: int) -> None:
        tool = TOOLS[number % len(TOOLS)]
        named = ToolChoice(ChoiceMode.NAMED, tool.name)
        choice = named if number % 3 else ToolChoice(ChoiceMode.REQUIRED)
        question = QUESTIONS[number % len(QUESTIONS)]
        if begun:
            caller.ask(question, TOOLS, ToolChoice(), caller.beginning(number, tool.name))
        else:
            caller.ask(question, TOOLS, choice)

    with ThreadPoolExecutor(N_BESIDE) as pool:
        asked = [pool.submit(ask, number) for number in range(n_calls)]
        for n_done, answer in enumerate(asked, 1):
            answer.result()
            if on_progress:
                on_progress(n_done)
    return caller.tally


def report(tally: Tally, n_asked: int, seconds: float) -> str:
    """What a person reads, at the end or on the way there."""
    masks = sorted(tally.mask_seconds)
    mean, p99 = sum(masks) / len(masks), masks[int(0.99 * len(masks))]
    parse = sum(not each.startswith("schema") for each in tally.wrong)
    return (
        f"{n_asked} calls asked for, {tally.calls.total()} read: {sorted(tally.calls.items())}\n"
        f"{parse} parse failures, {len(tally.wrong) - parse} schema failures\n"
        f"{tally.n_tokens} tokens, {1e3 * seconds / tally.n_tokens:.2f} ms each, all in all\n"
        f"masks: mean {1e3 * mean:.3f} ms, p99 {1e3 * p99:.3f}, most {1e3 * masks[-1]:.3f}; "
        f"{100 * sum(masks) / seconds:.2f} % of the time\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--tokens", type=int, default=160, help="at most, for a call")
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--begun", action="store_true", help="calls that nobody requires")
    arguments = parser.parse_args()
    engine = Engine.load(arguments.model, EngineOptions(kernel_cache=model_home() / "kernels"))
    caller = Caller(engine, arguments.tokens, arguments.temperature)
    started = time.perf_counter()

    def show(n_done: int) -> None:
        if n_done % 100 == 0:
            sys.stdout.write(report(caller.tally, n_done, time.perf_counter() - started))
            sys.stdout.flush()

    tally = run(caller, arguments.calls, show, begun=arguments.begun)
    sys.stdout.write(report(tally, arguments.calls, time.perf_counter() - started))
    for line in tally.wrong[:20]:
        sys.stdout.write(f"  {line[:600]}\n")
    engine.close()
    return bool(tally.wrong)


if __name__ == "__main__":
    sys.exit(main())
