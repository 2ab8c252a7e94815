"""What goes wrong is said in the person's language, as far as the words are ours."""

from assistant.errors import ServerToolsTooMany
from assistant.narration import fault_line, trouble_line
from assistant.outputs import ErrorOutput
from assistant.texts import Language
from assistant.toolsource import Trouble


def test_why_a_source_gives_no_tools_is_said_in_both_languages() -> None:
    trouble = Trouble.of("mail", ServerToolsTooMany(limit=128))
    assert trouble.reason == "it has more than 128 tools; the first 128 are offered"
    assert trouble_line(trouble, Language.ENGLISH) == trouble.reason
    assert trouble_line(trouble, Language.CHINESE) == "工具超过 128 个，只提供前 128 个"
    assert trouble_line(Trouble("x", "why"), Language.CHINESE) == "why"


def test_a_fault_of_ours_has_a_chinese_name_and_one_of_the_code_keeps_its_own() -> None:
    ours = ErrorOutput("TimeLimit", "Stopped: it ran longer than 60 seconds.")
    assert fault_line(ours, Language.ENGLISH) == f"TimeLimit: {ours.message}"
    assert fault_line(ours, Language.CHINESE) == f"运行超时，已停止（TimeLimit）: {ours.message}"
    error = ErrorOutput("KeyError", "'x'")
    assert fault_line(error, Language.CHINESE) == "KeyError: 'x'"
