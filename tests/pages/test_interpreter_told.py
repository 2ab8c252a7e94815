"""What the interpreter page tells a person: that their Python ended, what a figure shows."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import FakeEngine, assistant_on
from scripted_sessions import ScriptedSession, ScriptedSessions, workbench_of
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tabs import Tab

import assistant
from assistant import PAGE_WORDS, ROUTES, Language
from assistant.coderunner import CodeResult
from assistant.outputs import ImageOutput, NoteOutput, TextOutput
from assistant.sandbox.session import SessionState, SessionStatus
from pages.parts import transcript

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
ONE = "```python\nprint(1)\n```\n"
ENDED = SessionStatus(SessionState.DEAD, "idle", ("sales", "total"))


@pytest.fixture(autouse=True)
def _uninstall() -> Iterator[None]:
    yield
    assistant.install(None)


class Page(Tab):
    """The interpreter page in one browser tab, in either language."""

    def __init__(self, home: Path, *script: str, language: Language = Language.ENGLISH) -> None:
        self.sessions = ScriptedSessions(home)
        engine = FakeEngine(*script, context_length=20_000)
        super().__init__(
            assistant_on(engine, home, None, workbench_of(self.sessions)), "interpreter.py"
        )
        self.behind.workbench.wait()
        if language is Language.CHINESE:
            self.app.segmented_control(key="lang").set_value("中文")
        self.run()

    @property
    def session(self) -> ScriptedSession:
        return self.sessions.session(self.conversation.id)

    def says(self) -> list[str]:
        drawn = [each.proto.body for each in self.app.get("html")]
        return re.findall('data-page-says="(.*?)"', "".join(drawn))


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (Language.ENGLISH, "idle for too long. Variables lost: sales, total. Files are kept."),
        (Language.CHINESE, "闲置太久。丢失的变量：sales, total。文件还在。"),
    ],
)
def test_an_idle_session_that_was_ended_is_told_with_what_was_lost(
    tmp_path: Path, language: Language, told: str
) -> None:
    page = Page(tmp_path, language=language)
    page.session.status = ENDED
    page.run()
    [warning] = page.app.warning
    assert told in warning.value.replace("\\", "")


def test_a_page_that_nobody_touches_learns_that_its_python_ended(tmp_path: Path) -> None:
    page = Page(tmp_path)
    before = transcript._around(page.conversation, None)
    page.session.status = ENDED
    assert transcript._around(page.conversation, None) != before


def test_files_of_a_run_are_there_before_the_answer_has_ended(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, ONE.replace("1", "2"), "Done.")
    page.session.results = [CodeResult((), "ok", 0.1, "1", ("a.csv",))]
    page.session.upload("a.csv", b"1")
    around: list[tuple[object, ...]] = []
    run = page.session.run

    def second(*arguments: object) -> CodeResult:
        around.append(transcript._around(page.conversation, page.conversation.job))
        return run(*arguments)  # type: ignore[arg-type]

    page.session.run = second  # type: ignore[method-assign,assignment]
    page.ask()
    assert len(set(around)) == 2


def test_a_new_session_is_told_beside_what_its_code_gave(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, "Done.", language=Language.CHINESE)
    note = NoteOutput("A new Python session; the last one ended: it was idle for too long.")
    page.session.results = [CodeResult((note, TextOutput("1")), "ok", 0.1, "1", ())]
    page.ask()
    assert [each.value for each in page.app.info] == [
        "这是新的 Python 会话；上一个已结束：闲置太久。"
    ]


def test_figures_are_numbered_by_run_and_say_what_they_show(tmp_path: Path) -> None:
    page = Page(tmp_path, ONE, ONE.replace("1", "2"), "Done.")
    shown = ImageOutput(PNG, 640, 480, "Revenue; month")
    page.session.results = [
        CodeResult((TextOutput("1"),), "ok", 0.1, "1", ()),
        CodeResult((ImageOutput(PNG, 1, 1), TextOutput("2"), shown), "ok", 0.1, "1", ()),
    ]
    page.ask()
    alts = [each.proto.imgs[0].alt for each in page.app.get("image")]
    assert alts == [
        "Figure 1 of run 2, 1 × 1 pixels",
        "Figure 2 of run 2, 640 × 480 pixels: Revenue; month",
    ]
    assert "Run 2 · 0.1 s" in page.written()


def test_uploads_are_named_in_the_persons_language_and_to_the_model_in_its_own(
    tmp_path: Path,
) -> None:
    page = Page(tmp_path, "Seen.", language=Language.CHINESE)
    page.app.chat_input[0].set_value("画图").upload("sales.csv", b"month\n1\n")
    page.run()
    page.settle()
    assert "[Uploaded: sales.csv, which begins:" in page.conversation.messages[0].content
    assert "随问题上传：sales.csv" in page.written()
    assert "Uploaded:" not in page.written()


@pytest.mark.parametrize(
    ("language", "told"),
    [(Language.ENGLISH, "The answer is complete"), (Language.CHINESE, "回答完毕")],
)
def test_people_who_hear_the_page_are_told_that_an_answer_has_ended(
    tmp_path: Path, language: Language, told: str
) -> None:
    page = Page(tmp_path, ONE, "<b>Done</b>", language=language)
    assert page.says() == [""]
    page.ask()
    assert page.says() == [told]


def test_the_pages_words_are_served_as_a_script() -> None:
    with TestClient(Starlette(routes=list(ROUTES))) as client:
        answer = client.get(PAGE_WORDS)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "data-page-language" in answer.text
