"""Code interpreter dialogues: a small task, Python for it, what it printed, and the answer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

from .chat import chat_turn, system
from .dialogue import Message, Turn, fenced, observation, say, user
from .values import Values

# The published code interpreter prompt (with its own spelling of the name), and two short ones.
SYSTEMS = (
    "你是一位智能AI助手，你叫ChatGLM，你连接着一台电脑，但请注意不能联网。在使用Python解决任务时，你可以运行代码并得到结果，"
    "如果运行结果有错误，你需要尽可能对代码进行改进。你可以处理用户上传到电脑上的文件，文件默认存储路径是/mnt/data/。",
    "你可以运行Python代码。",
    "You can run Python code.",
)
LEAD_ZH = "好的，我来写一段Python代码："
LEAD_EN = "Let me write some Python for that:"

# question zh, question en, code, answer zh, answer en; {} fields are filled from the task's values.
Task = tuple[str, str, str, str, str]
ONE_NUMBER: tuple[Task, ...] = (
    (
        "求出{n}以内的所有质数|列出{n}以内的所有质数|{n}以内的质数有哪些？",
        "Find all primes below {n}|List the prime numbers up to {n}|"
        "Which numbers below {n} are prime?",
        "def is_prime(n):\n    return n > 1 and all(n % i for i in range(2, n))\n\n"
        "print([n for n in range(2, {n}) if is_prime(n)])",
        "{n}以内的所有质数为：{out}。",
        "The primes below {n} are {out}.",
    ),
    (
        "求1到{n}的和|计算从1加到{n}的结果|1加到{n}等于多少？",
        "Sum the numbers from 1 to {n}|What is the sum of 1 to {n}?|Add up all numbers up to {n}.",
        "print(sum(range(1, {n} + 1)))",
        "1到{n}的和是{out}。",
        "The sum of 1 to {n} is {out}.",
    ),
    (
        "{n}的平方根是多少？|计算{n}的平方根",
        "What is the square root of {n}?|Compute the square root of {n}.",
        "import math\n\nprint(round(math.sqrt({n}), 2))",
        "{n}的平方根是{out}。",
        "The square root of {n} is {out}.",
    ),
)
SMALL_NUMBER: tuple[Task, ...] = (
    (
        "{n}的阶乘是多少？|计算{n}的阶乘",
        "What is the factorial of {n}?|Compute {n} factorial.",
        "import math\n\nprint(math.factorial({n}))",
        "{n}的阶乘是{out}。",
        "The factorial of {n} is {out}.",
    ),
    (
        "写出前{n}个斐波那契数|列出斐波那契数列的前{n}项",
        "Print the first {n} Fibonacci numbers|List {n} Fibonacci numbers.",
        "a, b = 0, 1\nnumbers = []\nfor _ in range({n}):\n"
        "    numbers.append(a)\n    a, b = b, a + b\nprint(numbers)",
        "前{n}个斐波那契数是：{out}。",
        "The first {n} Fibonacci numbers are {out}.",
    ),
)
TWO_NUMBERS: tuple[Task, ...] = (
    (
        "{a}乘以{b}等于多少？|计算{a}乘以{b}",
        "What is {a} times {b}?|Multiply {a} by {b}.",
        "print({a} * {b})",
        "{a}乘以{b}等于{out}。",
        "{a} times {b} is {out}.",
    ),
    (
        "{a}和{b}的最大公约数是多少？|求{a}和{b}的最大公约数",
        "What is the greatest common divisor of {a} and {b}?|Find the gcd of {a} and {b}.",
        "import math\n\nprint(math.gcd({a}, {b}))",
        "{a}和{b}的最大公约数是{out}。",
        "The greatest common divisor of {a} and {b} is {out}.",
    ),
)
A_LIST: tuple[Task, ...] = (
    (
        "把{x}从小到大排序|给{x}排序",
        "Sort {x}|Sort the list {x}.",
        "numbers = {x}\nprint(sorted(numbers))",
        "排序后是{out}。",
        "The sorted list is {out}.",
    ),
    (
        "{x}的最大值是多少？|找出{x}中最大的数",
        "What is the maximum of {x}?|Find the largest number in {x}.",
        "numbers = {x}\nprint(max(numbers))",
        "最大的数是{out}。",
        "The largest number is {out}.",
    ),
    (
        "{x}的平均数是多少？|求{x}的平均值",
        "What is the mean of {x}?|Find the average of {x}.",
        "numbers = {x}\nprint(round(sum(numbers) / len(numbers), 2))",
        "平均数是{out}。",
        "The mean is {out}.",
    ),
)
A_TEXT: tuple[Task, ...] = (
    (
        "把“{s}”倒过来写|反转字符串“{s}”",
        'Reverse the string "{s}"|Write "{s}" backwards.',
        "print('{s}'[::-1])",
        "倒过来是：{out}",
        "Reversed, it is: {out}",
    ),
    (
        "“{s}”有多少个字符？|数一数“{s}”的长度",
        'How long is the string "{s}"?|How many characters are in "{s}"?',
        "print(len('{s}'))",
        "它有{out}个字符。",
        "It has {out} characters.",
    ),
)
CURVES = (("正弦", "sine", "sin"), ("余弦", "cosine", "cos"), ("指数", "exponential", "exp"))
PLOT = (
    "import matplotlib.pyplot as plt\nimport numpy as np\n\n"
    "x = np.linspace(-5, 5, 200)\nplt.plot(x, np.{f}(x))\nplt.show()"
)


def run(code: str) -> str:
    """What a task's code prints; only ever the templates above."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})
    return printed.getvalue().strip()


def task_turn(values: Values, zh: bool, task: Task, fields: dict[str, object]) -> Turn:
    """A task whose result is not always the true one, so the model must read it."""

    def fill(template: str) -> str:
        for name, value in fields.items():
            template = template.replace("{" + name + "}", str(value))
        return template

    question = fill(values.pick(task[0 if zh else 1].split("|")))
    code = fill(task[2])
    out = (
        run(code)
        if values.chance(0.7)
        else str(values.pick((values.integer(), values.numbers(12))))
    )
    answer = fill(task[3 if zh else 4]).replace("{out}", out)
    if values.chance(0.04):
        error = f"NameError: name '{values.name(False).lower()}' is not defined"
        out = "Traceback (most recent call last):\n" + error
        answer = f"代码运行出错了：{error}" if zh else f"The code failed: {error}"
    return code_round(zh, question, code, out, answer)


def code_round(zh: bool, question: str, code: str, out: str, answer: str) -> Turn:
    return [
        user(question),
        say("code", LEAD_ZH if zh else LEAD_EN),
        Message("assistant", fenced(code), metadata="interpreter", skill="code"),
        observation(out),
        say("code answer", answer),
    ]


def number_turn(values: Values, zh: bool) -> Turn:
    n = values.fresh(lambda: values.rng.randint(3, 60))
    return task_turn(values, zh, values.pick(ONE_NUMBER), {"n": n})


def small_number_turn(values: Values, zh: bool) -> Turn:
    n = values.fresh(lambda: values.rng.randint(3, 18))
    return task_turn(values, zh, values.pick(SMALL_NUMBER), {"n": n})


def pair_turn(values: Values, zh: bool) -> Turn:
    return task_turn(
        values, zh, values.pick(TWO_NUMBERS), {"a": values.integer(), "b": values.integer()}
    )


def list_turn(values: Values, zh: bool) -> Turn:
    return task_turn(values, zh, values.pick(A_LIST), {"x": values.numbers()})


def text_turn(values: Values, zh: bool) -> Turn:
    text = values.phrase(zh) if values.chance(0.5) else values.name(zh)
    return task_turn(values, zh, values.pick(A_TEXT), {"s": text})


def plot_turn(values: Values, zh: bool) -> Turn:
    curve_zh, curve_en, function = values.pick(CURVES)
    asks_zh = (f"画一条{curve_zh}曲线", f"画出{curve_zh}函数的图像")
    asks_en = (f"Plot a {curve_en} curve", f"Draw the {curve_en} function.")
    answer = f"{curve_zh}曲线已经画好了。" if zh else f"Here is the {curve_en} curve."
    ask = values.pick(asks_zh if zh else asks_en)
    return code_round(zh, ask, PLOT.replace("{f}", function), "[Image]", answer)


TURNS: tuple[Callable[[Values, bool], Turn], ...] = (
    number_turn,
    small_number_turn,
    pair_turn,
    list_turn,
    text_turn,
    plot_turn,
)


def code_dialogue(values: Values) -> list[Message]:
    messages = [system(values.pick(SYSTEMS))]
    zh = values.chance(0.5)
    if values.chance(0.1):
        messages += chat_turn(values, zh)
    for _ in range(values.rng.choice((1, 1, 1, 2))):
        messages += values.pick(TURNS)(values, zh)
    return messages
