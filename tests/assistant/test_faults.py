"""What a call or a run says of itself is said in the person's language, if the words are ours."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.errors import CodeNotPublic, SandboxRefused
from assistant.faults import (
    CHINESE_FAULTS,
    CHINESE_WORDS,
    MAX_DEPTH,
    fault_line,
    in_chinese,
    in_words,
    note_line,
)
from assistant.outputs import ErrorOutput, NoteOutput, TextOutput
from assistant.sandbox import session
from assistant.sandbox.kernel import _WORDS as KERNEL_WORDS
from assistant.sandbox.kernel_main import NO_INPUT
from assistant.sandbox.session import SessionState, SessionStatus
from assistant.sandbox.watchdog import Over
from assistant.texts import Language

ROOT = Path(__file__).parents[2]
HOLE = "{}"


def chinese(name: str, message: str) -> str:
    return fault_line(ErrorOutput(name, message), Language.CHINESE)


def is_chinese(words: str) -> bool:
    return re.search("[\u4e00-\u9fff]", words) is not None


def templates(path: Path, *raised: str) -> Iterator[str]:
    """What the file raises as one of these, with holes where it puts facts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in raised:
            match node.args[-1 if raised != ("Fault",) else 1]:
                case ast.Constant(str(words)):
                    yield words
                case ast.JoinedStr(values):
                    yield "".join(
                        each.value if isinstance(each, ast.Constant) else HOLE  # type: ignore[misc]
                        for each in values
                    )


def raised_by(folder: str, *raised: str) -> list[str]:
    return [
        each for path in sorted((ROOT / folder).glob("*.py")) for each in templates(path, *raised)
    ]


def holes(template: str) -> str:
    return re.sub(r"\{\w*\}", HOLE, template)


@pytest.mark.parametrize("template", raised_by("tools", "ToolError"))
def test_what_our_tools_say_has_a_chinese_twin(template: str) -> None:
    assert template in {*map(holes, CHINESE_WORDS)}


@pytest.mark.parametrize("template", raised_by("assistant", "Fault"))
def test_what_is_said_of_a_tools_process_has_a_chinese_twin(template: str) -> None:
    assert template in {*map(holes, CHINESE_WORDS), "its process ended {}"}


@pytest.mark.parametrize("english", CHINESE_WORDS)
def test_a_chinese_twin_says_the_same_facts(english: str) -> None:
    facts = re.findall(r"\{(\w+)\}", english)
    assert sorted(set(re.findall(r"\{(\w+)\}", CHINESE_WORDS[english]))) in (
        sorted(set(facts)),
        sorted({*facts} - {"offered"}),
    )
    message = english.format(**dict.fromkeys(facts, "7"))
    assert is_chinese(in_chinese(message))


@pytest.mark.parametrize(("name", "words"), KERNEL_WORDS.values())
def test_how_a_run_was_ended_is_said_in_chinese(name: str, words: str) -> None:
    reasons = [f"more {over} than it may have" for over in (*Over, "output")]
    reasons += ["exit code -11", "it broke off the connection", "more than 5000 outputs"]
    for reason in reasons:
        said = chinese(name, words.format(seconds=1.5, reason=reason))
        assert said.startswith(CHINESE_FAULTS[name])
        assert not re.search("[a-z]{4}", said.replace(name, "").replace("Python", "")), said


@pytest.mark.parametrize("reason", ["idle", "room", "memory", "exit code 3"])
@pytest.mark.parametrize("lost", [(), ("sales", "x")])
def test_a_new_session_is_said_in_chinese_with_what_was_lost(
    reason: str, lost: tuple[str, ...]
) -> None:
    [note] = session._notice(SessionStatus(SessionState.DEAD, reason, lost))
    assert isinstance(note, NoteOutput)
    said = note_line(note, Language.CHINESE)
    assert said.startswith("这是新的 Python 会话；上一个已结束：")
    assert ("丢失的变量：sales, x。" in said) is bool(lost)
    assert not re.search("[a-z]{6}", said)
    assert note_line(note, Language.ENGLISH) == note.text


def test_a_fault_of_ours_has_a_chinese_name_and_one_of_the_code_keeps_its_own() -> None:
    ours = ErrorOutput("TimeLimit", "Stopped: it ran longer than 60 seconds.")
    assert fault_line(ours, Language.ENGLISH) == f"TimeLimit: {ours.message}"
    assert fault_line(ours, Language.CHINESE) == (
        "运行超时，已停止（TimeLimit）：运行超过 60 秒，已停止。"
    )
    assert chinese("KeyError", "'x'") == "KeyError: 'x'"
    assert chinese("ValueError", "it was stopped by the user twice") == (
        "ValueError: it was stopped by the user twice"
    )


def test_why_nobody_can_type_is_said_in_chinese() -> None:
    assert chinese("RuntimeError", NO_INPUT).startswith("RuntimeError：这里不能用 input()")


def test_an_error_of_the_app_says_what_the_pages_say() -> None:
    refused = SandboxRefused(tried="1: no bwrap", command="apt-get install -y bubblewrap")
    said = chinese("SandboxRefused", str(refused))
    assert said.startswith("这里不运行代码")
    assert "1: no bwrap" in said
    assert said.endswith("apt-get install -y bubblewrap")
    assert "3 级" in chinese("CodeNotPublic", str(CodeNotPublic(level="3")))
    assert chinese("SandboxRefused", "other words") == "SandboxRefused: other words"


def test_several_faults_are_told_one_by_one() -> None:
    said = chinese(
        "BadArguments", "add was not run. a is missing; 'b' is no parameter (there are: a)."
    )
    assert said.endswith("没有运行 add。缺少 a；没有参数 'b'（有：a）。")


def test_a_terminal_is_told_in_words_and_what_has_a_way_keeps_it() -> None:
    error = ErrorOutput("Stopped", "Stopped on request.")
    assert in_words(error, Language.CHINESE) == TextOutput(
        "已按要求停止（Stopped）：已按要求停止。"
    )
    assert in_words(NoteOutput("closed"), Language.CHINESE) == NoteOutput("会话已关闭")
    long = ErrorOutput("KeyError", "'x'", "Traceback\nKeyError: 'x'")
    assert in_words(long, Language.CHINESE) is long


@pytest.mark.parametrize(
    "hostile", [" is  (), expected " * 160, f"Stopped: {'; ' * 10**6}.", "x" * 10**6, "{name}"]
)
def test_hostile_words_are_left_as_they_are_and_soon(hostile: str) -> None:
    began = time.process_time()
    assert hostile in chinese("ToolError", hostile)
    assert time.process_time() - began < 1


def test_messages_within_messages_are_followed_only_so_far() -> None:
    said = chinese("ToolError", "Stopped: " * 250 + "x" + "." * 250)
    assert said.count("已停止") == MAX_DEPTH
