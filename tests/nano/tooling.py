"""Tool dialogues: tools in the system message, a call with arguments from the question, the answer.

A tool's spelling varies (name, parameters, descriptions, which others stand beside it), so the call
has to be read from the system message and not from memory. The first spelling is the usual one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .chat import UNKNOWN_EN, UNKNOWN_ZH, chat_turn, system
from .dialogue import Message, Turn, fenced, observation, say, user
from .toolcases import (
    Case,
    calculator,
    clock,
    file,
    light,
    message,
    page,
    random_number,
    search,
    statistics,
    stock,
    today,
    units,
    weather,
)
from .values import Values

PREAMBLE = (
    "Answer the following questions as best as you can. You have access to the following tools:"
)


@dataclass(frozen=True)
class Param:
    names: tuple[str, ...]
    type: str
    about: tuple[str, ...]


@dataclass(frozen=True)
class Tool:
    names: tuple[str, ...]
    about: tuple[str, ...]
    params: tuple[Param, ...]
    case: Callable[[Values, bool], Case]


TOOLS = (
    Tool(
        ("random_number_generator", "random_number", "random_int"),
        (
            "Generates a random number x, s.t. range[0] <= x < range[1]",
            "Generate a random number",
            "生成一个随机数",
        ),
        (
            Param(
                ("seed",), "int", ("The random seed used by the generator", "The seed", "随机种子")
            ),
            Param(
                ("range", "interval"),
                "tuple[int, int]",
                ("The range of the generated numbers", "随机数的范围"),
            ),
        ),
        random_number,
    ),
    Tool(
        ("get_weather", "weather", "query_weather"),
        (
            "Get the current weather for `city_name`",
            "Get the weather of a city",
            "查询一个城市的天气",
        ),
        (
            Param(
                ("city_name", "city", "location"),
                "str",
                ("The name of the city to be queried", "The city", "城市的名字"),
            ),
        ),
        weather,
    ),
    Tool(
        ("calculator", "calculate", "evaluate"),
        ("Evaluates an arithmetic expression", "Do a calculation", "计算一个算式"),
        (Param(("expression", "formula"), "str", ("The expression to evaluate", "要计算的算式")),),
        calculator,
    ),
    Tool(
        ("get_date", "get_current_date", "today"),
        ("Get the current date", "Returns today's date", "查询今天的日期"),
        (),
        today,
    ),
    Tool(
        ("get_stock_price", "stock_price", "track"),
        ("Get the current price of a stock", "追踪股票的实时价格"),
        (Param(("symbol", "ticker"), "str", ("The symbol of the stock", "需要追踪的股票代码")),),
        stock,
    ),
    Tool(
        ("send_message", "send_text"),
        ("Send a message to someone", "给一个人发消息"),
        (
            Param(("to", "name"), "str", ("Who gets the message", "收消息的人")),
            Param(("text", "content"), "str", ("The text of the message", "消息的内容")),
        ),
        message,
    ),
    Tool(
        ("convert_units", "convert_unit", "convert"),
        ("Convert a value from one unit to another", "换算单位"),
        (
            Param(("value", "amount"), "float", ("The value to convert", "要换算的数")),
            Param(("source", "from_unit"), "str", ("The unit to convert from", "原来的单位")),
            Param(("target", "to_unit"), "str", ("The unit to convert to", "目标单位")),
        ),
        units,
    ),
    Tool(
        ("current_time", "get_time", "get_current_time"),
        ("Get the current time in a time zone", "查询一个时区的时间"),
        (Param(("timezone", "zone"), "str", ("The name of the time zone", "时区的名字")),),
        clock,
    ),
    Tool(
        ("read_page", "fetch_page", "open_url"),
        ("Read a web page", "读取一个网页"),
        (Param(("url", "address"), "str", ("The address of the page", "网页的地址")),),
        page,
    ),
    Tool(
        ("read_file", "open_file"),
        ("Read a text file", "读取一个文件"),
        (Param(("path", "file_name"), "str", ("The path of the file", "文件的路径")),),
        file,
    ),
    Tool(
        ("text_statistics", "count_words"),
        ("Count the words and characters of a text", "统计一段文字的词数和字数"),
        (Param(("text",), "str", ("The text to count", "要统计的文字")),),
        statistics,
    ),
    Tool(
        ("set_light", "switch_light"),
        ("Turn the light of a room on or off", "打开或关上一个房间的灯"),
        (
            Param(("room", "place"), "str", ("The name of the room", "房间的名字")),
            Param(("on", "state"), "bool", ("Whether the light is on", "灯是不是开着")),
        ),
        light,
    ),
    Tool(
        ("search", "web_search"),
        ("Search the web", "搜索网页"),
        (Param(("query", "keywords"), "str", ("What to search for", "要搜索的内容")),),
        search,
    ),
)


@dataclass(frozen=True)
class Offer:
    """A tool as one system message spells it."""

    tool: Tool
    name: str
    params: tuple[str, ...]
    spec: dict[str, object]


def spell(tool: Tool, choose: Callable[[Sequence[str]], str]) -> Offer:
    """A tool with each of its spellings chosen."""
    name, params = choose(tool.names), tuple(choose(p.names) for p in tool.params)
    specs = [
        {"name": param, "description": choose(p.about), "type": p.type, "required": True}
        for param, p in zip(params, tool.params, strict=True)
    ]
    about = choose(tool.about)
    return Offer(tool, name, params, {"name": name, "description": about, "params": specs})


def offer(values: Values, tool: Tool) -> Offer:
    """A tool mostly in its usual spelling."""
    return spell(tool, lambda options: options[0] if values.chance(0.6) else values.pick(options))


def published() -> list[Offer]:
    """The two tools of ChatGLM3's published function call prompt, as they stand there."""
    return [spell(tool, lambda options: options[0]) for tool in TOOLS[:2]]


def tools_system(offers: list[Offer]) -> Message:
    specs = {o.name: o.spec for o in offers}
    return system(PREAMBLE + "\n" + json.dumps(specs, indent=4, ensure_ascii=False))


def call(one: Offer, arguments: tuple[object, ...]) -> Message:
    pairs = ", ".join(
        f"{name}={value!r}" for name, value in zip(one.params, arguments, strict=True)
    )
    return Message("assistant", fenced(f"tool_call({pairs})"), metadata=one.name, skill="tool call")


def tool_turn(values: Values, zh: bool, one: Offer) -> Turn:
    case = one.tool.case(values, zh)
    out, answer = case.observation, case.answer
    if values.chance(0.04):
        reason = f"{values.phrase(False)} {values.integer()}"
        out = f"Error: {reason}"
        answer = f"抱歉，工具出错了：{reason}" if zh else f"Sorry, the tool failed: {reason}"
    return [
        user(case.question),
        call(one, case.arguments),
        observation(out),
        say("tool answer", answer),
    ]


def two_cities_turn(values: Values, zh: bool, one: Offer) -> Turn:
    """Two calls, one after the other, before the answer."""
    names = values.name(zh), values.name(zh)
    first, second = (weather(values, zh, name) for name in names)
    asks = (
        ("{}和{}的天气怎么样？", "比较一下{}和{}的天气")
        if zh
        else ("How is the weather in {} and {}?",)
    )
    return [
        user(values.pick(asks).format(*names)),
        call(one, first.arguments),
        observation(first.observation),
        call(one, second.arguments),
        observation(second.observation),
        say("tool answer", first.answer + ("" if zh else " ") + second.answer),
    ]


def refused_turn(values: Values, zh: bool, offers: list[Offer]) -> Turn:
    """A question that only a missing tool could answer."""
    missing = values.pick([t for t in TOOLS if all(t is not o.tool for o in offers)])
    return [
        user(missing.case(values, zh).question),
        say("no such tool", UNKNOWN_ZH if zh else UNKNOWN_EN),
    ]


def tool_dialogue(values: Values) -> list[Message]:
    if values.chance(0.25):
        offers = published()
    else:
        k = values.rng.choice((1, 1, 2, 2, 3, 4))
        offers = [offer(values, tool) for tool in values.rng.sample(TOOLS, k)]
    messages, zh = [tools_system(offers)], values.chance(0.5)
    for _ in range(values.rng.choice((1, 1, 1, 2))):
        one = values.pick(offers)
        kind = values.rng.random()
        if kind < 0.08:
            messages += chat_turn(values, zh)
        elif kind < 0.16:
            messages += refused_turn(values, zh, offers)
        elif one.tool.case is weather and kind < 0.4:
            messages += two_cities_turn(values, zh, one)
        else:
            messages += tool_turn(values, zh, one)
    return messages
