"""`python -m assistant doctor`: what confines code here, and why nothing stronger does."""

import argparse
import json
import os
import sys

from assistant.checkup import command as checkup
from assistant.errors import AssistantError
from assistant.sandbox.commands import UNSAFE_HELP, red
from assistant.sandbox.environment import kernel_python
from assistant.sandbox.level import Level
from assistant.sandbox.probe import UNSAFE_OPTION, LevelReport, examine, mending_command
from assistant.texts import Language, say, text
from engine import model_home

EXIT_CODES = (
    "Exit codes: 0 code can be run here (with --public: no check failed), 1 not so, or an error."
)


def add_doctor(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "doctor",
        help="say how strongly code is isolated here",
        description="Try every level of the sandbox by attacking it, and say which one holds.",
        epilog=EXIT_CODES,
    )
    command.set_defaults(run=run)
    command.add_argument("--json", action="store_true", help="one JSON object, for programs")
    public_help = "knock at the running app instead, as strangers and visitors do"
    command.add_argument("--public", action="store_true", help=public_help)
    port_help = "the app's port, with --public (default: 8501)"
    command.add_argument("--port", type=int, default=8501, help=port_help)
    command.add_argument(UNSAFE_OPTION, action="store_true", help=UNSAFE_HELP)
    return command


def run(options: argparse.Namespace) -> int:
    if options.public:
        return checkup.run(options)
    try:
        python = kernel_python(model_home())
        report = examine(python, os.environ, unsafe=options.unsafe_interpreter)
    except AssistantError as error:
        sys.stderr.write(say(error, options.lang) + "\n")
        return 1
    if options.json:
        sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(lines(report, options.lang)) + "\n")
    return 1 if report.level is Level.NONE else 0


def lines(report: LevelReport, language: Language) -> list[str]:
    level = report.level
    words = level.words(language.value)
    found = [text(language, "sandbox_level", words=words, level=level)]
    found += [
        text(language, "doctor_tried", level=each, reason=reason) for each, reason in report.tried
    ]
    if level is Level.NONE:
        found.append(text(language, "doctor_mend", command=mending_command()))
        found.append(text(language, "doctor_unsafe", option=UNSAFE_OPTION))
    elif level is Level.UNSAFE:
        found.append(red(text(language, "sandbox_unsafe"), sys.stdout))
    elif not level.enforced:
        found.append(text(language, "sandbox_weak"))
    return found
