"""One question for each tool: what is asked, the arguments, what comes back, and the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .values import WORDS_EN, Values


@dataclass(frozen=True)
class Case:
    question: str
    arguments: tuple[object, ...]
    observation: str
    answer: str


CONDITIONS_ZH = ("晴", "多云", "小雨", "大雨", "小雪", "大风", "阴", "雾")
CONDITIONS_EN = ("Sunny", "Cloudy", "Light rain", "Heavy rain", "Snow", "Windy", "Clear", "Fog")
UNITS = ("km", "mi", "kg", "lb", "cm", "inch", "celsius", "fahrenheit")
CONTINENTS = ("Asia", "Europe", "America", "Africa", "Australia")


def weather(values: Values, zh: bool, name: str = "") -> Case:
    city = name or values.name(zh)
    if zh:
        asks: tuple[str, ...] = (
            "{}今天天气怎么样？",
            "今天{}的天气怎么样？",
            "{}的天气如何？",
            "查一下{}的天气",
            "{}现在多少度？",
            "请问{}天气怎么样",
            "帮我看看{}的天气",
            "{}今天的天气",
        )
    else:
        asks = (
            "What's the weather in {}?",
            "How is the weather in {} today?",
            "What is the weather like in {}?",
            "Tell me the weather of {}.",
            "weather in {}",
            "Is it cold in {} now?",
            "Check the weather for {}",
        )
    seen = values.pick(CONDITIONS_ZH if values.chance(0.5) else CONDITIONS_EN)
    temperature = values.temperature()
    forms = (
        json.dumps({"temperature": temperature, "condition": seen}, ensure_ascii=False),
        json.dumps(
            {"city": city, "temperature": temperature, "condition": seen}, ensure_ascii=False
        ),
        f"{seen}, {temperature}°C",
        str({"current_condition": {"temp_C": str(temperature), "weatherDesc": [{"value": seen}]}}),
        f"{city}: {seen}, {temperature}°C",
    )
    answer = f"{city}现在的天气是{seen}，气温{temperature}度。"
    if not zh:
        answer = f"The weather in {city} is {seen}, {temperature} degrees."
    out = values.pick(forms)
    if values.chance(0.15):
        out = f'{{"temperature": {temperature}}}'
        answer = (
            f"{city}现在的气温是{temperature}度。"
            if zh
            else f"The temperature in {city} is {temperature} degrees."
        )
    return Case(values.pick(asks).format(city), (city,), out, answer)


def random_number(values: Values, zh: bool) -> Case:
    seed, low, high = 42, 0, 100
    kind = values.rng.randrange(4)
    if kind > 0:
        low, high = sorted((values.integer(), values.integer()))
    if kind == 3:
        seed = values.integer()
    if zh:
        asks = (
            ("生成一个随机数", "给我一个随机数", "随便给我一个数"),
            ("生成一个{low}到{high}之间的随机数", "给我一个在{low}和{high}之间的随机数"),
            ("在{low}到{high}之间随机选一个数", "从{low}到{high}生成一个随机数"),
            (
                "用种子{seed}生成一个{low}到{high}之间的随机数",
                "生成{low}到{high}之间的随机数，种子是{seed}",
            ),
        )
    else:
        asks = (
            ("Generate a random number", "Give me a random number.", "Pick a random number"),
            (
                "Give me a random number between {low} and {high}",
                "Pick a random number from {low} to {high}.",
            ),
            (
                "Generate a random number between {low} and {high}.",
                "random number from {low} to {high}",
            ),
            (
                "With seed {seed}, give me a random number between {low} and {high}",
                "Generate a random number from {low} to {high} with seed {seed}.",
            ),
        )
    number = values.integer()
    answer = f"根据您的要求，我生成了一个在{low}和{high}之间的随机数，结果为{number}。"
    if not zh:
        answer = f"The random number between {low} and {high} is {number}."
    question = values.pick(asks[kind]).format(seed=seed, low=low, high=high)
    return Case(question, (seed, (low, high)), str(number), answer)


def calculator(values: Values, zh: bool) -> Case:
    expression = values.expression()
    asks: tuple[str, ...] = ("计算{}", "{}等于多少？", "算一下 {}")
    if not zh:
        asks = ("Compute {}", "What is {}?", "Calculate {}.", "Work out {}")
    result = str(values.integer() if values.chance(0.7) else values.decimal())
    return Case(
        values.pick(asks).format(expression), (expression,), result, f"{expression} = {result}"
    )


def today(values: Values, zh: bool) -> Case:
    asks: tuple[str, ...] = ("今天是几号？", "今天是哪一天？", "今天的日期是什么？", "现在是哪年？")
    if not zh:
        asks = (
            "What is the date today?",
            "What day is it?",
            "What's today's date?",
            "Which year is it?",
        )
    year, month, day = (values.rng.randint(*span) for span in ((1990, 2060), (1, 12), (1, 28)))
    date = f"{year}-{month:02}-{day:02}"
    return Case(values.pick(asks), (), date, f"今天是{date}。" if zh else f"Today is {date}.")


def stock(values: Values, zh: bool) -> Case:
    symbol, price = values.letters(), values.decimal()
    asks: tuple[str, ...] = ("{}的股价是多少？", "查一下股票{}的价格", "股票{}现在多少钱？")
    if not zh:
        asks = ("What is the price of {}?", "How much is {} stock?", "Get the stock price of {}")
    out = str(price) if values.chance(0.5) else json.dumps({"price": price})
    answer = f"股票{symbol}现在的价格是{price}。" if zh else f"The price of {symbol} is {price}."
    return Case(values.pick(asks).format(symbol), (symbol,), out, answer)


def message(values: Values, zh: bool) -> Case:
    to, text = values.name(zh), values.phrase(zh)
    asks: tuple[str, ...] = ("给{}发消息：{}", "告诉{}：{}", "发消息给{}，内容是：{}")
    if not zh:
        asks = ("Send a message to {}: {}", "Tell {}: {}", "Text {}: {}")
    answer = f"已经给{to}发了消息：{text}" if zh else f"I sent the message to {to}: {text}"
    return Case(
        values.pick(asks).format(to, text), (to, text), values.pick(("ok", "sent", "True")), answer
    )


def units(values: Values, zh: bool) -> Case:
    value: float = values.decimal() if values.chance(0.5) else values.integer()
    source, target = values.rng.sample(UNITS, 2)
    asks: tuple[str, ...] = ("{}{}等于多少{}？", "把 {} {} 换成 {}")
    if not zh:
        asks = ("Convert {} {} to {}", "How much is {} {} in {}?")
    result = values.decimal()
    answer = (
        f"{value} {source} 等于 {result} {target}。"
        if zh
        else f"{value} {source} is {result} {target}."
    )
    return Case(
        values.pick(asks).format(value, source, target),
        (value, source, target),
        str(result),
        answer,
    )


def clock(values: Values, zh: bool) -> Case:
    zone = f"{values.pick(CONTINENTS)}/{values.name(False).capitalize()}"
    asks: tuple[str, ...] = ("{}现在几点？", "时区{}现在是几点？")
    if not zh:
        asks = ("What time is it in {}?", "Current time in {}")
    time = f"{values.rng.randint(0, 23):02}:{values.rng.randint(0, 59):02}"
    answer = f"{zone}现在是{time}。" if zh else f"It is {time} in {zone}."
    return Case(values.pick(asks).format(zone), (zone,), time, answer)


def page(values: Values, zh: bool) -> Case:
    site, path = values.name(False).lower(), values.pick(WORDS_EN)
    url = f"https://{site}.{values.pick(('com', 'org', 'net', 'cn'))}/{path}"
    return read(
        values, zh, url, ("打开网页 {}", "读一下 {}"), ("Read the page {}", "What does {} say?")
    )


def file(values: Values, zh: bool) -> Case:
    name = f"{values.name(values.chance(0.3)).lower()}.{values.pick(('txt', 'csv', 'md', 'py'))}"
    return read(
        values, zh, name, ("读取文件 {}", "{} 里写了什么？"), ("Read the file {}", "What is in {}?")
    )


def read(
    values: Values, zh: bool, place: str, zh_asks: tuple[str, ...], en_asks: tuple[str, ...]
) -> Case:
    found = values.phrase(zh)
    question = values.pick(zh_asks if zh else en_asks).format(place)
    return Case(question, (place,), found, f"里面写着：{found}" if zh else f"It says: {found}")


def statistics(values: Values, zh: bool) -> Case:
    text = values.phrase(zh)
    asks: tuple[str, ...] = ("统计一下这段文字：{}", "“{}”有几个词？")
    if not zh:
        asks = ("Count the words in: {}", "Text statistics for: {}")
    words, letters = values.integer(), values.integer()
    out = json.dumps({"words": words, "characters": letters})
    answer = (
        f"这段文字有{words}个词，{letters}个字符。"
        if zh
        else f"It has {words} words and {letters} characters."
    )
    return Case(values.pick(asks).format(text), (text,), out, answer)


def light(values: Values, zh: bool) -> Case:
    room, on = values.name(zh), values.chance(0.5)
    if zh:
        asks = ("打开{}的灯", "把{}的灯打开") if on else ("关上{}的灯", "把{}的灯关上")
        answer = f"{room}的灯已经{'打开' if on else '关上'}了。"
    else:
        asks = (
            ("Turn on the light in {}", "Switch the {} light on")
            if on
            else ("Turn off the light in {}", "Switch the {} light off")
        )
        answer = f"The light in {room} is now {'on' if on else 'off'}."
    return Case(
        values.pick(asks).format(room), (room, on), values.pick(("ok", "done", "True")), answer
    )


def search(values: Values, zh: bool) -> Case:
    query, found = values.phrase(zh), values.phrase(zh)
    asks: tuple[str, ...] = ("搜索{}", "帮我搜一下{}", "上网查查{}")
    if not zh:
        asks = ("Search for {}", "Look up {}", "Google {}")
    answer = f"我找到了：{found}" if zh else f"I found this: {found}"
    return Case(values.pick(asks).format(query), (query,), found, answer)
