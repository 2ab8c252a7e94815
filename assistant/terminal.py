"""A conversation in a terminal or a pipe: answers go to stdout, all else to stderr."""

import importlib
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from assistant.approval import Approved, Declined, Question
from assistant.assistant import Assistant
from assistant.calls import ToolCall
from assistant.conversation import Conversation
from assistant.errors import AssistantError, NothingAsked
from assistant.events import (
    ApprovalAsked,
    CallFinished,
    CallStarted,
    Event,
    RoundStarted,
    TextDelta,
)
from assistant.faults import in_words
from assistant.jobs import Job
from assistant.loading import Failed, Ready
from assistant.messages import Ended
from assistant.narration import call_line, cut_reason, dropped, figures, rounds_note, stage
from assistant.outputs import observation
from assistant.texts import Language, say, text
from engine import EngineError, FinishReason

RESULT = 400  # characters of a call's result that are shown
OK, ERROR, INTERRUPTED = 0, 1, 130


class Terminal:
    """Talks to one conversation; a method returns once what it does is over."""

    def __init__(
        self, assistant: Assistant, conversation: Conversation, language: Language
    ) -> None:
        self._assistant = assistant
        self._conversation = conversation
        self._language = language
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def load(self, path: Path | None) -> int:
        """Opens a model, with a bar if somebody can see it."""
        self._assistant.open_model(path)
        columns = (TextColumn("{task.description}"), BarColumn())
        visible = self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=not visible) as bar:
            task = bar.add_task("", total=None)
            state = self._assistant.model_state
            while not isinstance(state, Ready | Failed):
                now = stage(state, self._language)
                total = None if now.share is None else 1.0
                bar.update(task, description=now.text, completed=now.share, total=total)
                state = self._assistant.wait_model(state)
        if isinstance(state, Failed):
            return fail(say(state.error, self._language), self._language)
        return OK

    def answer(self, question: str) -> int:
        """Streams one answer. Ctrl-C stops it and leaves the conversation in order."""
        try:
            job = self._assistant.ask(self._conversation.id, question)
        except (EngineError, AssistantError) as error:
            return fail(say(error, self._language), self._language)
        code = OK
        try:
            for event in job.events():
                self._follow(job, event)
        except KeyboardInterrupt:
            code = INTERRUPTED
            job.cancel()
            job.wait()
        self._write("\n")
        return self._conclude(job) or code

    def _follow(self, job: Job, event: Event) -> None:
        match event:
            case TextDelta(words):
                self._write(words)
            case RoundStarted():
                self._write("\n")
            case CallStarted(step):
                self._print(f"→ {call_line(step.call, self._language)}")
            case CallFinished(step):
                told = [in_words(output, self._language) for output in step.outputs]
                self._print(f"← {observation(told, RESULT)}")
            case ApprovalAsked(question=question):
                self._decide(job, question)

    def _decide(self, job: Job, question: Question) -> None:
        """Asks a person who is there; where nobody is, nothing is allowed."""
        call = ToolCall(question.tool.name, question.arguments, "")
        prompt = text(self._language, "cli_ask", call=call_line(call, self._language))
        yes = sys.stdin.isatty() and input(prompt).strip().lower() in ("y", "yes", "是")
        decision = Approved(question.arguments) if yes else Declined()
        with suppress(NothingAsked):  # the answer was stopped meanwhile
            job.decide(question.id, decision)

    def interact(self) -> int:
        """Answers line after line until `stop` or the end of the input."""
        with suppress(ImportError):  # gives input() its editing keys and history
            importlib.import_module("readline")
        self._note("cli_hint")
        while (line := self._read_line()) is not None and line != "stop":
            if line == "clear":
                self._conversation.clear()
                self._note("cli_cleared")
            elif line:
                self.answer(line)
        return OK

    def _conclude(self, job: Job) -> int:
        ended = job.snapshot().ended
        assert ended is not None  # events() ends with the end
        if ended.error is not None:
            return fail(say(ended.error, self._language), self._language)
        self._show_figures(ended)
        return OK

    def _show_figures(self, ended: Ended) -> None:
        if not self._console.is_terminal:
            return
        notes = [dropped(ended.dropped_turns, self._language), rounds_note(ended, self._language)]
        if ended.reason is FinishReason.LENGTH:
            notes.append(cut_reason(ended, self._language))
        notes.append(figures(ended, self._language))
        for note in filter(None, notes):
            self._print(note)

    def _read_line(self) -> str | None:
        """The next line without its blanks, or None at the end of the input."""
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            line = sys.stdin.readline()
            return line.strip() if line else None
        while True:
            try:
                return input("> ").strip()
            except KeyboardInterrupt:
                self._write("\n")
                self._note("cli_hint")
            except EOFError:
                self._write("\n")
                return None

    def _print(self, line: str) -> None:
        self._console.print(line, style="dim", markup=False)

    def _note(self, key: str) -> None:
        if self._console.is_terminal:
            self._print(text(self._language, key))

    def _write(self, words: str) -> None:
        sys.stdout.write(words)
        sys.stdout.flush()


def fail(message: str, language: Language) -> int:
    sys.stderr.write(text(language, "cli_error", error=message) + "\n")
    return ERROR
