"""The command line, in this process and in a real terminal and pipe."""

import io
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from fake_engine import FakeEngine, FakeGeneration, loader_of

from assistant import cli
from assistant.terminal import ERROR, INTERRUPTED, OK
from engine import Constraint, EngineClosed, SamplingParams

ROOT = Path(__file__).parents[2]
SCRIPT = [sys.executable, str(ROOT / "tests/assistant/fake_terminal.py")]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "LANG": "en_US.UTF-8"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    engine = FakeEngine("你好！", "second")
    monkeypatch.setattr(cli, "ModelLoader", lambda **_options: loader_of(engine, tmp_path))
    return engine


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_question_is_answered_on_stdout_and_nothing_else_is(
    fake: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["chat", "-p", "你好"]) == OK
    assert capsys.readouterr() == ("你好！\n", "")
    assert "<|im_start|>user\n你好<|im_end|>" in fake.prompt_text()
    assert fake.closed


def test_options_reach_the_engine(fake: FakeEngine) -> None:
    options = "--system Brief. --temperature 0 --top-p 0.5 --repetition-penalty 1.2"
    limits = "--max-new-tokens 9 --seed 4"
    assert cli.main(["chat", "-p", "Hi", *options.split(), *limits.split()]) == OK
    params = fake.generations[0].params
    assert (params.temperature, params.top_p, params.repetition_penalty) == (0, 0.5, 1.2)
    assert (params.max_new_tokens, params.seed) == (9, 4)
    assert "<|im_start|>system\nBrief.<|im_end|>" in fake.prompt_text()


def test_a_question_can_come_through_a_pipe(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "line one\nline two\n")
    assert cli.main(["chat"]) == OK
    assert "user\nline one\nline two<|im_end|>" in fake.prompt_text()
    assert capsys.readouterr().out == "你好！\n"


def test_a_talk_has_a_history_until_it_is_cleared(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(monkeypatch, "Hi\n\nMore\nclear\nAgain\nstop\nnever read\n")
    assert cli.main(["chat", "-i"]) == OK
    assert capsys.readouterr().out == "你好！\nsecond\nsecond\n"
    assert "Hi" in fake.prompt_text(1)
    assert "Hi" not in fake.prompt_text(2)
    assert len(fake.generations) == 3


def test_a_talk_ends_with_its_input(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    type_in(monkeypatch, "Hi")
    assert cli.main(["chat", "-i"]) == OK
    assert len(fake.generations) == 1


def test_a_refused_model_is_one_line_on_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["chat", "-m", str(tmp_path / "no.gguf"), "-p", "Hi", "--lang", "en"]) == ERROR
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "There is no model file at" in err


def test_errors_come_in_the_chosen_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["chat", "-m", str(tmp_path / "no.gguf"), "-p", "Hi", "--lang", "zh"]) == ERROR
    assert "没有模型文件" in capsys.readouterr().err


def test_a_failed_answer_keeps_its_text_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaking(FakeEngine):
        def generate(
            self,
            prompt: Sequence[int],
            params: SamplingParams,
            constraint: Constraint | None = None,
        ) -> FakeGeneration:
            generation = super().generate(prompt, params, constraint)
            generation.say("Hal")
            generation.fail(EngineClosed())
            return generation

    monkeypatch.setattr(cli, "ModelLoader", lambda **_options: loader_of(Breaking(), tmp_path))
    assert cli.main(["chat", "-p", "Hi", "--lang", "en"]) == ERROR
    out, err = capsys.readouterr()
    assert out == "Hal\n"
    assert err == f"error: {EngineClosed()}\n"


def test_a_question_too_long_says_both_lengths_and_the_talk_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeEngine("ok", context_length=60)
    monkeypatch.setattr(cli, "ModelLoader", lambda **_options: loader_of(engine, tmp_path))
    type_in(monkeypatch, "x" * 100 + "\nHi\n")
    assert cli.main(["chat", "-i", "--lang", "en"]) == OK
    out, err = capsys.readouterr()
    assert out == "ok\n"
    assert "119 tokens" in err
    assert "60" in err


@pytest.mark.parametrize(
    "arguments",
    [[], ["sing"], ["chat", "--lang", "fr"], ["chat", "--temperature", "warm"], ["chat", "-x"]],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)
    assert leaving.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_setting_out_of_range_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chat", "-p", "Hi", "--temperature", "-1", "--lang", "en"]) == ERROR
    assert "temperature is -1.0" in capsys.readouterr().err


PATIENCE = 120  # seconds of silence; a busy machine is slow, not wrong


class Pty:
    """A program in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._fd, child = pty.openpty()
        self.process = subprocess.Popen(
            [*SCRIPT, *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env=ENV,
            start_new_session=True,
        )
        os.close(child)
        self._seen = ""

    def wait_for(self, text: str) -> None:
        assert self._sees(text, PATIENCE), f"{text!r} did not come; there was {self._seen!r}"

    def press_until(self, key: str, text: str) -> None:
        """Press a key, again if need be: readline misses one that comes while it sets itself up."""
        for _ in range(PATIENCE):
            self.type(key)
            if self._sees(text, 1):
                return
        raise AssertionError(f"{text!r} did not come; there was {self._seen!r}")

    def _sees(self, text: str, seconds: float) -> bool:
        while text not in self._seen:
            if not select.select([self._fd], [], [], seconds)[0]:
                return False
            self._seen += os.read(self._fd, 4096).decode("utf-8", "replace")
        self._seen = self._seen.partition(text)[2]
        return True

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)


@pytest.fixture
def terminal() -> Iterator[Pty]:
    pty = Pty("", "chat", "-i")
    yield pty
    pty.close()


def test_ctrl_c_stops_the_answer_and_not_the_program(terminal: Pty) -> None:
    terminal.wait_for("> ")
    terminal.type("Hi\n")
    terminal.wait_for("Hal")
    terminal.type("\x03")
    terminal.wait_for("tokens/s")
    terminal.wait_for("> ")
    terminal.press_until("\x03", "Type clear")  # at the prompt it only says how to leave
    terminal.type("Again\n")
    terminal.wait_for("Hal")
    terminal.type("\x03")
    terminal.wait_for("> ")
    terminal.type("stop\n")
    assert terminal.process.wait() == OK


def test_ctrl_c_in_a_single_answer_keeps_what_came_and_leaves_with_130() -> None:
    process = subprocess.Popen([*SCRIPT, "", "chat", "-p", "Hi"], stdout=subprocess.PIPE, env=ENV)
    assert process.stdout is not None
    assert process.stdout.read(3) == b"Hal"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate()
    assert rest == b"\n"
    assert process.returncode == INTERRUPTED


def test_a_reader_that_leaves_early_is_no_error() -> None:
    process = subprocess.Popen(
        [*SCRIPT, "x" * 100_000, "chat", "-p", "Hi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENV,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(3)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == OK


def test_a_character_that_the_pipe_cannot_carry_stops_nothing() -> None:
    done = subprocess.run(
        [*SCRIPT, "你好👋", "chat", "-p", "你好"],
        stdout=subprocess.PIPE,
        env={**ENV, "PYTHONIOENCODING": "gbk"},
        check=True,
    )
    assert done.stdout.decode("gbk") == "你好?\n"
