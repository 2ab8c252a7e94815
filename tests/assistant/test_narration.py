"""What goes wrong is said in the person's language, as far as the words are ours."""

from assistant.calls import ToolCall
from assistant.errors import ServerToolsTooMany
from assistant.narration import call_line, trouble_line
from assistant.texts import Language
from assistant.toolsource import Trouble


def test_why_a_source_gives_no_tools_is_said_in_both_languages() -> None:
    trouble = Trouble.of("mail", ServerToolsTooMany(limit=128))
    assert trouble.reason == "it has more than 128 tools; the first 128 are offered"
    assert trouble_line(trouble, Language.ENGLISH) == trouble.reason
    assert trouble_line(trouble, Language.CHINESE) == "工具超过 128 个，只提供前 128 个"
    assert trouble_line(Trouble("x", "why"), Language.CHINESE) == "why"


def test_a_call_of_many_words_is_one_short_line() -> None:
    line = call_line(ToolCall("send", {"text": "long\n" * 100}, ""), Language.CHINESE)
    assert line.startswith("send(text='long")
    assert line.endswith("…)")
    assert len(line) < 100
    assert "\n" not in line
