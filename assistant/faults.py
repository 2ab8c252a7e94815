"""What a call or a run says of itself, in Chinese. The model reads the English, whoever looks.

A message is known by its English form, holes and all: it comes from other processes (a tool's, the
sandbox's) and from notebooks, where no field of ours would survive. What is not known stays as it
is: it is the code's, a server's, or of somebody else's tool.
"""

from functools import cache
from string import Formatter

from assistant import errors
from assistant.errors import AssistantError
from assistant.outputs import ErrorOutput, NoteOutput, Output, TextOutput
from assistant.texts import CHINESE_ERRORS, Language

MAX_LENGTH = 3000  # of a message that is looked at
MAX_DEPTH = 4  # of messages in the holes of messages
NUMBERS = frozenset({"code", "count", "most", "number", "seconds", "status"})  # holes for these
OPTIONAL = frozenset({"hint", "more"})

CHINESE_FAULTS: dict[str, str] = {
    "BadArguments": "参数不对，没有运行",
    "BadFile": "文件无法读取",
    "BadPicture": "图片无法显示",
    "BrokenFile": "工具的文件现在有误",
    "Cancelled": "已被停止",
    "CodeTooLong": "代码太长，没有运行",
    "Error": "没有运行",
    "Garbled": "返回的内容无法读取",
    "KernelDied": "Python 进程已结束，变量已丢失",
    "LimitExceeded": "超出限额，已停止",
    "ManualTool": "没有给出结果",
    "NoProcess": "无法启动进程",
    "ProcessEnded": "工具的进程自己结束了",
    "Removed": "工具的文件刚被改动或删除",
    "ServerFault": "服务器出错",
    "SessionsFull": "所有会话都在忙，请稍后再试",
    "Stopped": "已按要求停止",
    "TimeLimit": "运行超时，已停止",
    "ToolError": "工具没有成功",
    "TooMuch": "返回的内容太多",
    "UnknownTool": "没有这个工具",
}

# Tried in this order: what is nothing but holes and a mark stands last.
CHINESE_WORDS: dict[str, str] = {
    # The sandbox
    "Stopped: it ran longer than {seconds} seconds.": "运行超过 {seconds} 秒，已停止。",
    "Stopped on request.": "已按要求停止。",
    "Stopped: {reason}.": "已停止：{reason}。",
    "The Python process ended: {reason}. Its variables are lost.": (
        "Python 进程已结束：{reason}。变量已丢失。"
    ),
    "Every session is busy. Try again when one has ended.": (
        "所有会话都在忙。请等其中一个结束后再试。"
    ),
    "At most {count} characters can be run.": "最多能运行 {count} 个字符的代码。",
    "input() cannot be used here: nobody can type into a running program. "
    "Write the values into the code.": (
        "这里不能用 input()：运行中的程序没有人可以输入。请把值写进代码里。"
    ),
    "more memory than it may have": "内存超出限额",
    "more machine memory than it may have": "这台机器的内存不够了",
    "more processes than it may have": "进程或线程超出限额",
    "more disk than it may have": "文件占用的空间超出限额",
    "more machine disk than it may have": "这台机器的磁盘快满了",
    "more files than it may have": "文件数超出限额",
    "more output than it may have": "输出超出限额",
    "more than {count} outputs": "输出超过 {count} 条",
    "more than {count} characters": "输出超过 {count} 个字符",
    "it sent too much": "输出超出限额",
    "exit code {code}": "退出码 {code}",
    "it broke off the connection": "它断开了连接",
    "it did not start in time": "它没有及时启动",
    "it did not stop when asked to": "要求停止时它没有停",
    "it could not be started: {reason}": "它无法启动：{reason}",
    "it failed inside ({kind})": "内部出错（{kind}）",
    "it was idle for too long": "闲置太久",
    "another conversation needed its place": "另一个对话需要它的位置",
    "all sessions together used too much memory": "所有会话合起来占用的内存太多",
    "the supervisor has ended": "沙箱的监管进程已结束",
    "the app has ended": "应用已结束",
    "closed": "会话已关闭",
    "A new Python session; the last one ended: {reason}. These variables are gone: {names}.": (
        "这是新的 Python 会话；上一个已结束：{reason}。丢失的变量：{names}。"
    ),
    "A new Python session; the last one ended: {reason}.": (
        "这是新的 Python 会话；上一个已结束：{reason}。"
    ),
    "Only the first {count} characters are kept.": "只保留前 {count} 个字符。",
    "Too many pictures and tables: this one is left out.": "图片和表格太多，略去了这一个。",
    # Calls of tools
    "There is no tool named {name}. {offered}": "没有名为 {name} 的工具。{offered}",
    "There is no tool {name}: it was removed, or its file is in trouble.": (
        "没有工具 {name}：它已被删除，或者它的文件有误。"
    ),
    "There is no tool {name}.": "没有工具 {name}。",
    "no MCP server offers {name} now": "现在没有 MCP 服务器提供 {name}",
    "There are no tools.{more}": "没有工具。{more}",
    "The tools are: {names}. Python code can be run.": "可用的工具：{names}。也可以运行 Python。",
    "The tools are: {names}.": "可用的工具：{names}。",
    " Python code can be run.": "可以运行 Python。",
    "Code cannot be run here. {offered}": "这里不能运行代码。{offered}",
    "{name} cannot take these arguments: {reason}. It was not run.": (
        "{name} 不接受这些参数：{reason}。没有运行。"
    ),
    "{name} is off while this assistant can be reached from outside its machine. "
    "It was not run. Answer without it.": "公开期间 {name} 已关闭，没有运行。",
    "{name} is missing": "缺少 {name}",
    "{name} is no parameter (there are: {names})": "没有参数 {name}（有：{names}）",
    "{name} is {found} ({kind}), expected {expected}": (
        "{name} 的值是 {found}（{kind}），应为 {expected}"
    ),
    "and {count} more": "还有 {count} 处",
    "{name} was not run: {reason}.": "没有运行 {name}：{reason}。",
    "{name} was not run. {reason}.": "没有运行 {name}。{reason}。",
    "{name} failed: {reason}.": "{name} 没有成功：{reason}。",
    "a person answers for {name}; nothing can run it": "{name} 由人来回答，无法运行",
    "its answer has more than {count} bytes": "它的回答超过 {count} 字节",
    "it was stopped by the user": "已被用户停止",
    "it was stopped by the user before it began": "开始之前已被用户停止",
    "the call was stopped before it was answered": "调用在得到回答之前已停止",
    "the server is being closed": "服务器正在关闭",
    "it was stopped after {seconds} seconds, its time limit": "运行满 {seconds} 秒的时限，已停止",
    "its process ended by signal {number}": "它的进程被信号 {number} 结束",
    "its process ended with exit code {code}": "它的进程已结束，退出码 {code}",
    "it answered what cannot be read: {found}": "它的回答无法读取：{found}",
    "it returned {found}": "它返回了 {found}",
    "its file is broken now: {reason}": "它的文件现在有误：{reason}",
    "no process could be started: {reason}": "无法启动进程：{reason}",
    "its file was changed or removed just now; call it again": (
        "它的文件刚被改动或删除，请再调用一次"
    ),
    "A row of the table has not as many cells as there are columns: {names}.": (
        "表格有一行的格数与列数不同：{names}。"
    ),
    "The tool returned a generator. {advice}": "工具返回了一个生成器。{advice}",
    "Return a str, dict, list, dataclass, Table, Image or File.": (
        "请返回 str、dict、list、dataclass、Table、Image 或 File。"
    ),
    "The result has {count} bytes; at most {most}. Return less, or File.": (
        "结果有 {count} 字节，最多 {most}。请少返回一些，或返回 File。"
    ),
    "The result has {count} bytes; at most {most}.": "结果有 {count} 字节，最多 {most}。",
    "Image and File take bytes, not {kind}.": "Image 和 File 须用 bytes，不能是 {kind}。",
    "{count} results; at most {most} can be shown.": "有 {count} 个结果，最多显示 {most} 个。",
    "The tool returned {count} bytes, which cannot be shown. "
    "Its author should return Image(data), File(name, data) or data.decode().": (
        "工具返回了 {count} 字节，无法显示。应返回 Image(data)、File(name, data) 或 data.decode()。"
    ),
    "The tool returned what cannot be shown: {reason}. {advice}": (
        "工具返回的内容无法显示：{reason}。{advice}"
    ),
    "The secret {name} is not set. "
    "Its owner can set it in the environment or in .streamlit/secrets.toml.": (
        "没有设置密钥 {name}。可在环境变量或 .streamlit/secrets.toml 中设置。"
    ),
    "The file of secrets cannot be read: {reason}": "无法读取密钥文件：{reason}",
    "The tool {name} is no longer in its file.": "工具 {name} 已不在它的文件里。",
    # What the tools of this project say
    "The expression has {count} characters; at most {most}.": (
        "算式有 {count} 个字符，最多 {most} 个。"
    ),
    "{expression} cannot be worked out: {reason}.": "无法计算 {expression}：{reason}。",
    "There is no time zone {name}; write one such as Asia/Shanghai.": (
        "没有时区 {name}；请写成 Asia/Shanghai 这样。"
    ),
    "time is {time}; write it as 2026-07-01 09:30.": (
        "时间是 {time}；请写成 2026-07-01 09:30 这样。"
    ),
    "This is no text file.": "这不是文本文件。",
    "Only files of this conversation can be read, by name. {names}": (
        "只能按名称读取本对话的文件。{names}"
    ),
    "There are: no files yet.": "还没有文件。",
    "There are: {names}.": "有：{names}。",
    "{path} cannot be opened: {reason}. {names}": "无法打开 {path}：{reason}。{names}",
    "{path} is no ordinary file. {names}": "{path} 不是普通文件。{names}",
    "{path} has {count} bytes; at most {most} are read.": (
        "{path} 有 {count} 字节，最多读取 {most} 字节。"
    ),
    "range is [{first}, {end}]; its first number must be below its second.": (
        "范围是 [{first}, {end}]；第一个数须小于第二个。"
    ),
    "{one} and {other} do not measure the same.": "{one} 和 {other} 量的不是同一种量。",
    "The unit {name} is not known. Known are: {names}.": "没有单位 {name}。已知的有：{names}。",
    "There is no city {name} in the weather service. Check its name.": (
        "天气服务里没有城市 {name}。请检查名称。"
    ),
    "The weather service answered {status}.": "天气服务的回答是 {status}。",
    "The weather service cannot be reached, perhaps there is no network: {reason}.": (
        "无法连接天气服务，也许没有网络：{reason}。"
    ),
    "{url} is no text: {kind}.": "{url} 不是文本：{kind}。",
    "Nothing was found for {query}.": "没有找到 {query}。",
    "The search service answered {status}.{hint}": "搜索服务的回答是 {status}。{hint}",
    " The key may be wrong or used up.": "密钥可能有误或已用完。",
    "The search service cannot be reached: {reason}.": "无法连接搜索服务：{reason}。",
    "{url} redirects more than {most} times.": "{url} 转向超过 {most} 次。",
    "{target} is no address of a web page; it begins with https://": (
        "{target} 不是网页地址，须以 https:// 开头"
    ),
    "{host} is not on the public internet, and is not read.": "{host} 不在公共互联网上，不读取。",
    "{target} answered {status} {reason}.": "{target} 的回答是 {status} {reason}。",
    "{url} cannot be read: {reason}.": "无法读取 {url}：{reason}。",
    "{host} was not found; perhaps there is no network: {reason}.": (
        "找不到 {host}，也许没有网络：{reason}。"
    ),
}


def fault_line(error: ErrorOutput, language: Language) -> str:
    """An error in one line; those of our own are said in the person's language."""
    english = f"{error.name}: {error.message}"
    if language is Language.ENGLISH:
        return english
    if error.name in CHINESE_FAULTS:
        return f"{CHINESE_FAULTS[error.name]}（{error.name}）：{in_chinese(error.message)}"
    if error.name in CHINESE_ERRORS:
        return _of_error(error) or english
    exact = CHINESE_WORDS.get(error.message)  # what we raise within the person's own code
    return f"{error.name}：{exact}" if exact else english


def note_line(note: NoteOutput, language: Language) -> str:
    return note.text if language is Language.ENGLISH else in_chinese(note.text)


def in_words(output: Output, language: Language) -> Output:
    """An output for a person to read as text."""
    match output:
        case ErrorOutput(traceback=""):
            return TextOutput(fault_line(output, language))
        case NoteOutput():
            return NoteOutput(note_line(output, language))
    return output


def in_chinese(message: str, depth: int = MAX_DEPTH) -> str:
    """A message of ours in Chinese, and what is ours in its holes; any other as it is."""
    if len(message) > MAX_LENGTH or not depth:
        return message
    for english, chinese in CHINESE_WORDS.items():
        facts = _facts(english, message)
        if facts is not None:
            listed = {name: _listed(fact, depth - 1) for name, fact in facts.items()}
            return chinese.format(**listed)
    return message


def _listed(part: str, depth: int) -> str:
    """One thing, or several that a message lists."""
    each = part.split("; ")
    chinese = [in_chinese(one, depth) for one in each]
    return part if chinese == each else "；".join(chinese)


def _of_error(error: ErrorOutput) -> str:
    """What an error of the app's own says, from the words and facts of its English message."""
    kind: type[AssistantError] | None = getattr(errors, error.name, None)
    facts = _facts(kind.template, error.message) if kind else None
    return "" if facts is None else _plain(CHINESE_ERRORS[error.name]).format(**facts)


@cache
def _taken_apart(template: str) -> tuple[list[str], list[str]]:
    """The names of its holes, and the words before, between and behind them."""
    parts = [(words, name) for words, name, _, _ in Formatter().parse(template)]
    names = [name for _, name in parts if name]
    words = [words for words, _ in parts]
    return names, words if len(words) > len(names) else [*words, ""]


def _facts(template: str, message: str) -> dict[str, str] | None:
    """What fills the holes of a template that has become this message; None if it has not.

    No regular expression: code may say what would keep one busy for hours.
    """
    names, (first, *others) = _taken_apart(template)
    if not names:
        return {} if message == first else None
    *inner, last = others
    if not message.startswith(first) or not message.endswith(last):
        return None
    rest, facts = message[len(first) : len(message) - len(last)], dict[str, str]()
    for name, words in zip(names, [*inner, ""], strict=True):
        fact, found, rest = rest.partition(words) if words else (rest, "", "")
        if found != words or not _fits(name, fact):
            return None
        facts[name] = fact
    return facts


def _fits(name: str, fact: str) -> bool:
    if name in NUMBERS:
        return fact.lstrip("-").replace(".", "", 1).isdigit()
    return bool(fact) or name in OPTIONAL


def _plain(template: str) -> str:
    """The template without the marks of how a fact is written: it is text by now."""
    parts = Formatter().parse(template)
    return "".join(words + (f"{{{name}}}" if name else "") for words, name, _, _ in parts)
