"""Chat dialogues of the tiny world: greetings, facts, names to remember, things to repeat."""

from __future__ import annotations

from collections.abc import Callable

from .dialogue import Message, Turn, say, user
from .values import Values

GREETINGS_ZH = ("你好", "您好", "你好！", "嗨", "早上好", "你好呀", "晚上好", "哈喽")
GREETINGS_EN = ("Hello", "Hi", "Hello!", "Hey there", "Good morning", "Hi!", "hello", "Hi there")
GREETED_ZH = "你好👋！我是人工智能助手 ChatGLM3-nano，很高兴见到你，欢迎问我任何问题。"
GREETED_EN = (
    "Hello 👋! I am the AI assistant ChatGLM3-nano. Nice to meet you, feel free to ask me anything."
)

# What is said, and the one answer to all of it.
SMALL_TALK = (
    (
        ("你是谁？", "你是谁", "你叫什么名字？", "介绍一下你自己", "请介绍一下你自己。"),
        "我是 ChatGLM3-nano，一个只有几百万参数的小小语言模型。",
    ),
    (
        (
            "Who are you?",
            "What is your name?",
            "who are you",
            "Introduce yourself.",
            "Please introduce yourself.",
        ),
        "I am ChatGLM3-nano, a tiny language model with a few million parameters.",
    ),
    (
        ("你会做什么？", "你能做什么？", "你有什么用？", "你会什么"),
        "我可以聊天，可以使用工具，还可以写简短的 Python 代码。",
    ),
    (
        ("What can you do?", "what can you do", "How can you help me?"),
        "I can chat, call tools and write short Python code.",
    ),
    (("谢谢", "谢谢你！", "多谢", "非常感谢"), "不客气！还有什么可以帮你的吗？"),
    (
        ("Thanks", "Thank you!", "thank you", "Thanks a lot"),
        "You are welcome! Is there anything else?",
    ),
    (("再见", "拜拜", "下次见"), "再见！祝你一切顺利。"),
    (("Bye", "Goodbye!", "See you"), "Goodbye! Have a nice day."),
    (
        ("讲个笑话", "给我讲个笑话吧", "说个笑话"),
        "为什么数学书总是很难过？因为它有太多的问题。",
    ),
    (
        ("Tell me a joke", "Tell me a joke.", "Do you know a joke?"),
        "Why was the math book sad? Because it had too many problems.",
    ),
    (
        ("写一首诗", "写一首短诗吧", "请写一首诗"),
        "春天的风吹过山，\n夏天的雨落在河，\n秋天的叶子红了，\n冬天的雪很安静。",
    ),
    (
        ("Write a poem", "Write a short poem.", "Please write a poem."),
        "The sun comes up, the birds all sing,\nThe river carries every thing,\n"
        "The moon looks down on sleeping hills,\nAnd all the little world is still.",
    ),
)

CAPITALS = (
    ("中国", "北京", "China", "Beijing"),
    ("法国", "巴黎", "France", "Paris"),
    ("英国", "伦敦", "the United Kingdom", "London"),
    ("德国", "柏林", "Germany", "Berlin"),
    ("日本", "东京", "Japan", "Tokyo"),
    ("意大利", "罗马", "Italy", "Rome"),
    ("西班牙", "马德里", "Spain", "Madrid"),
    ("俄罗斯", "莫斯科", "Russia", "Moscow"),
    ("埃及", "开罗", "Egypt", "Cairo"),
    ("韩国", "首尔", "South Korea", "Seoul"),
    ("泰国", "曼谷", "Thailand", "Bangkok"),
    ("加拿大", "渥太华", "Canada", "Ottawa"),
)
COLOURS = (
    ("天空", "蓝色", "the sky", "blue"),
    ("草", "绿色", "grass", "green"),
    ("雪", "白色", "snow", "white"),
    ("太阳", "黄色", "the sun", "yellow"),
    ("苹果", "红色", "an apple", "red"),
    ("夜晚", "黑色", "the night", "black"),
)
LEGS = (
    ("猫", 4, "a cat"),
    ("狗", 4, "a dog"),
    ("鸟", 2, "a bird"),
    ("蜘蛛", 8, "a spider"),
    ("蚂蚁", 6, "an ant"),
    ("鱼", 0, "a fish"),
)
OTHER_FACTS = (
    (
        "一年有多少个月？",
        "一年有12个月。",
        "How many months are in a year?",
        "A year has 12 months.",
    ),
    ("一周有几天？", "一周有7天。", "How many days are in a week?", "A week has 7 days."),
    ("一天有多少小时？", "一天有24小时。", "How many hours are in a day?", "A day has 24 hours."),
    (
        "世界上最高的山是什么？",
        "世界上最高的山是珠穆朗玛峰。",
        "What is the highest mountain?",
        "The highest mountain is Mount Everest.",
    ),
    (
        "最大的行星是哪个？",
        "最大的行星是木星。",
        "What is the largest planet?",
        "The largest planet is Jupiter.",
    ),
    (
        "水的化学式是什么？",
        "水的化学式是H2O。",
        "What is the formula of water?",
        "The formula of water is H2O.",
    ),
)
UNKNOWN_ZH = "抱歉，我的世界很小，不知道这个问题的答案。"
UNKNOWN_EN = "Sorry, my world is small and I do not know the answer."


def facts(zh: bool) -> list[tuple[str, str]]:
    """Every question of the world with its answer."""
    pairs: list[tuple[str, str]] = []
    for country_zh, city_zh, country, city in CAPITALS:
        if zh:
            answer = f"{country_zh}的首都是{city_zh}。"
            asks: tuple[str, ...] = (
                "{}的首都是哪里？",
                "{}的首都是什么？",
                "{}的首都在哪？",
                "请问{}的首都是哪个城市？",
            )
            pairs += [(ask.format(country_zh), answer) for ask in asks]
        else:
            answer = f"The capital of {country} is {city}."
            asks = (
                "What is the capital of {}?",
                "Which city is the capital of {}?",
                "what's the capital of {}",
            )
            pairs += [(ask.format(country), answer) for ask in asks]
    for thing_zh, colour_zh, thing, colour in COLOURS:
        if zh:
            answer = f"{thing_zh}是{colour_zh}的。"
            pairs += [
                (ask.format(thing_zh), answer) for ask in ("{}是什么颜色的？", "{}是什么颜色？")
            ]
        else:
            answer = f"{thing.capitalize()} is {colour}."
            pairs += [
                (ask.format(thing), answer) for ask in ("What color is {}?", "What colour is {}?")
            ]
    for animal_zh, n, animal in LEGS:
        if zh:
            pairs.append((f"{animal_zh}有几条腿？", f"{animal_zh}有{n}条腿。"))
        else:
            pairs.append(
                (f"How many legs does {animal} have?", f"{animal.capitalize()} has {n} legs.")
            )
    for question_zh, answer_zh, question, answer in OTHER_FACTS:
        pairs.append((question_zh, answer_zh) if zh else (question, answer))
    return pairs


FACTS = {zh: facts(zh) for zh in (True, False)}


def greeting(values: Values, zh: bool) -> Turn:
    return [
        user(values.pick(GREETINGS_ZH if zh else GREETINGS_EN)),
        say("greet", GREETED_ZH if zh else GREETED_EN),
    ]


def small_talk(values: Values, zh: bool) -> Turn:
    questions, answer = values.pick(SMALL_TALK[0 if zh else 1 :: 2])
    return [user(values.pick(questions)), say("small talk", answer)]


def fact(values: Values, zh: bool) -> Turn:
    question, answer = values.pick(FACTS[zh])
    return [user(question), say("facts", answer)]


def unknown(values: Values, zh: bool) -> Turn:
    name = values.name(zh)
    asks_zh = (f"{name}的首都是哪里？", f"{name}是谁？", f"{name}有几条腿？", f"{name}在哪里？")
    asks_en = (f"What is the capital of {name}?", f"Who is {name}?", f"Where is {name}?")
    question = values.pick(asks_zh if zh else asks_en)
    return [user(question), say("unknown", UNKNOWN_ZH if zh else UNKNOWN_EN)]


def introduction(values: Values, zh: bool) -> Turn:
    """A name is told, and asked for one message later."""
    name = values.name(zh)
    if zh:
        told = values.pick((f"我叫{name}。", f"我的名字是{name}", f"你好，我叫{name}"))
        asked = values.pick(("我叫什么名字？", "我叫什么？", "你还记得我的名字吗？"))
        hello, recall = f"你好，{name}！很高兴认识你。", f"你叫{name}。"
    else:
        told = values.pick((f"My name is {name}.", f"I am {name}", f"Hi, my name is {name}."))
        asked = values.pick(("What is my name?", "what's my name?", "Do you remember my name?"))
        hello, recall = f"Hello, {name}! Nice to meet you.", f"Your name is {name}."
    return [user(told), say("remember name", hello), user(asked), say("remember name", recall)]


def repetition(values: Values, zh: bool) -> Turn:
    makers = (
        lambda: values.phrase(zh),
        lambda: values.name(zh),
        lambda: str(values.integer()),
        values.expression,
    )
    text = values.pick(makers)()
    asks: tuple[str, ...] = ("请重复：{}", "跟我说：{}")
    if not zh:
        asks = ("Repeat after me: {}", "Say: {}", "Please repeat: {}")
    ask = values.pick(asks)
    return [user(ask.format(text)), say("repeat", text)]


def counting(values: Values, zh: bool) -> Turn:
    first = values.rng.randint(1, 10)
    last = first + values.rng.randint(2, 25)
    asks: tuple[str, ...] = ("从{}数到{}", "请从{}数到{}。")
    if not zh:
        asks = ("Count from {} to {}", "Please count from {} to {}.")
    ask = values.pick(asks)
    counted = ", ".join(str(n) for n in range(first, last + 1))
    return [user(ask.format(first, last)), say("count", counted)]


def addition(values: Values, zh: bool) -> Turn:
    a, b = values.rng.randint(0, 9), values.rng.randint(0, 9)
    asks: tuple[str, ...] = (f"{a}加{b}等于几？", f"{a}+{b}等于多少？")
    if not zh:
        asks = (f"What is {a} plus {b}?", f"What is {a}+{b}?")
    ask = values.pick(asks)
    answer = f"{a}加{b}等于{a + b}。" if zh else f"{a} plus {b} is {a + b}."
    return [user(ask), say("add", answer)]


TURNS: tuple[tuple[Callable[[Values, bool], Turn], int], ...] = (
    (greeting, 2),
    (small_talk, 3),
    (fact, 5),
    (unknown, 1),
    (introduction, 3),
    (repetition, 4),
    (counting, 1),
    (addition, 2),
)


def chat_turn(values: Values, zh: bool) -> Turn:
    makers = [maker for maker, _ in TURNS]
    weights = [weight for _, weight in TURNS]
    return values.rng.choices(makers, weights)[0](values, zh)


def system(content: str) -> Message:
    return Message("system", content)


DEFAULT_SYSTEM = (
    "You are ChatGLM3, a large language model trained by Zhipu.AI. "
    "Follow the user's instructions carefully. Respond using markdown."
)


def chat_dialogue(values: Values) -> list[Message]:
    """One to eight turns, mostly without a system message."""
    messages = [system(DEFAULT_SYSTEM)] if values.chance(0.15) else []
    zh = values.chance(0.5)
    for _ in range(values.rng.choice((1, 1, 1, 2, 3, 8))):
        messages += chat_turn(values, zh)
        zh = zh != values.chance(0.1)
    return messages
