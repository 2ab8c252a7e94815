"""The command line: `python -m assistant chat`."""

import argparse
import io
import locale
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from assistant.assistant import Assistant
from assistant.loading import ModelLoader
from assistant.settings import ChatSettings
from assistant.terminal import INTERRUPTED, OK, Terminal, fail
from assistant.texts import Language, say
from engine import EngineError

DESCRIPTION = "A private assistant on this machine's own CPU."
EXIT_CODES = "Exit codes: 0 answered, 1 an error (said on stderr), 2 wrong usage, 130 Ctrl-C."


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a pipe in GBK cannot carry every emoji
    try:
        return chat(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as with `| head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m assistant", description=DESCRIPTION, epilog=EXIT_CODES
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser(
        "chat",
        help="answer a question, or talk",
        description="Answer a question (-p, or from a pipe), or talk (-i, or in a terminal).",
        epilog=EXIT_CODES,
    ).add_argument
    add("-m", "--model", type=Path, metavar="FILE", help="a .gguf file (default: the starter)")
    add("-p", "--prompt", metavar="TEXT", help="the question (default: read from a pipe)")
    add("-i", "--interactive", action="store_true", help="talk; `clear` empties, `stop` leaves")
    add("--system", default="", metavar="TEXT", help="system prompt (default: the model's own)")
    add("--temperature", type=float, default=ChatSettings.temperature, metavar="T")
    add("--top-p", type=float, default=ChatSettings.top_p, metavar="P")
    add("--repetition-penalty", type=float, default=ChatSettings.repetition_penalty, metavar="R")
    add("--max-new-tokens", type=int, default=ChatSettings.max_new_tokens, metavar="N")
    add("--seed", type=int, metavar="N", help="same seed, same answer")
    add("--threads", type=int, default=0, metavar="N", help="default: all that are granted")
    add("--lang", type=Language, choices=[*Language], default=system_language(), metavar="zh|en")
    return top


def chat(options: argparse.Namespace) -> int:
    language: Language = options.lang
    try:
        settings = ChatSettings(
            system_prompt=options.system,
            temperature=options.temperature,
            top_p=options.top_p,
            repetition_penalty=options.repetition_penalty,
            max_new_tokens=options.max_new_tokens,
            seed=options.seed,
        )
        assistant = Assistant(ModelLoader(threads=options.threads))
    except EngineError as error:
        return fail(say(error, language), language)
    try:
        conversation = assistant.new_conversation()
        conversation.settings = settings
        return talk(Terminal(assistant, conversation, language), options)
    finally:
        assistant.close()


def talk(terminal: Terminal, options: argparse.Namespace) -> int:
    question: str | None = options.prompt
    interactive = options.interactive or (question is None and sys.stdin.isatty())
    if question is None and not interactive:
        question = sys.stdin.read()
    code = terminal.load(options.model)
    if code == OK and question is not None:
        code = terminal.answer(question)
    return terminal.interact() if code == OK and interactive else code


def system_language() -> Language:
    return Language.of_locale(locale.getlocale()[0] or os.environ.get("LANG"))
