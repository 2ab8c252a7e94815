"""`python -m assistant tools`: lists the tools of a folder, tries their examples, runs one."""

import argparse
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.outputs import observation
from assistant.terminal import ERROR, OK, fail
from assistant.texts import Language, text
from assistant.toolcatalog import Examples, Trial
from assistant.toolfolder import TOOLS, FolderTools
from assistant.toolsource import Trouble

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

WRONG_USAGE = 2
UNLIMITED = sys.maxsize  # a person reads the whole result
PIPE_WIDTH = 240  # a line that is read by a program is not to be broken
EXIT_CODES = "Exit codes: 0 all is well, 1 a tool is in trouble or failed, 2 wrong usage."

_COLORS = {Trial.PASSED: "green", Trial.FAILED: "red"}


def add_tools(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "tools",
        help="list the tools, try their examples, run one",
        description="List the tools, with what they do to the world and how their examples went.",
        epilog=EXIT_CODES,
    )
    command.set_defaults(run=show)
    command.add_argument("--folder", type=Path, default=TOOLS, metavar="DIR", help="default: tools")
    actions = command.add_subparsers(metavar="check|run")
    check = actions.add_parser("check", help="run the examples", epilog=EXIT_CODES)
    check.set_defaults(run=check_examples)
    check.add_argument("name", nargs="?", metavar="NAME", help="default: every tool's")
    run = actions.add_parser("run", help="run a tool", epilog=EXIT_CODES)
    run.set_defaults(run=run_tool)
    run.add_argument("name", metavar="NAME")
    run.add_argument("arguments", nargs="*", metavar="KEY=VALUE", help="JSON, or else text")
    return command


def show(options: argparse.Namespace) -> int:
    with _loaded(options.folder) as tools:
        console = _console()
        rows = Table.grid(padding=(0, 2))
        for tool in tools.tools():
            examples = tools.examples()[tool.name]
            words = Text(tool.spec.description.partition("\n")[0])
            state = Text(_words(examples, options.lang), style=_COLORS.get(examples.trial, "dim"))
            rows.add_row(Text(tool.name, "bold"), tool.effects.value, tool.source, state, words)
        if not tools.tools():
            rows.add_row(text(options.lang, "tools_none"))
        console.print(rows)
        _print_troubles(console, tools.troubles(), with_detail=False)
    return OK


def check_examples(options: argparse.Namespace) -> int:
    with _loaded(options.folder) as tools:
        found = tools.examples()
        if options.name is not None and options.name not in found:
            return _unknown(options, found)
        console = _console()
        chosen = {name: found[name] for name in ([options.name] if options.name else found)}
        for name, examples in chosen.items():
            color = _COLORS.get(examples.trial, "dim")
            console.print(Text(f"{name}: {_words(examples, options.lang)}", style=color))
            for fault in examples.faults:
                console.print(Text(f"  {fault}", style="red"))
        troubles = () if options.name else tools.troubles()
        _print_troubles(console, troubles, with_detail=True)
        has_failed = any(each.trial is Trial.FAILED for each in chosen.values())
    return ERROR if has_failed or troubles else OK


def run_tool(options: argparse.Namespace) -> int:
    for given in options.arguments:
        if "=" not in given:
            fail(text(options.lang, "tools_not_pair", given=given), options.lang)
            return WRONG_USAGE
    with _loaded(options.folder) as tools:
        if options.name not in tools.examples():
            return _unknown(options, tools.examples())
        arguments = dict(map(_argument, options.arguments))
        result = tools.call(options.name, arguments, Path.cwd(), threading.Event())
    stream = sys.stderr if result.is_error else sys.stdout
    stream.write(observation(result.outputs, UNLIMITED) + "\n")
    return ERROR if result.is_error else OK


@contextmanager
def _loaded(folder: Path) -> Iterator[FolderTools]:
    """The folder's tools, once all are loaded and tried."""
    tools = FolderTools(folder)
    try:
        tools.wait_settled()
        yield tools
    finally:
        tools.close()


def _argument(given: str) -> tuple[str, object]:
    name, _, value = given.partition("=")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _unknown(options: argparse.Namespace, known: Mapping[str, Examples]) -> int:
    names = ", ".join(known) or "-"
    return fail(text(options.lang, "tools_unknown", name=options.name, names=names), options.lang)


def _words(examples: Examples, language: Language) -> str:
    match examples.trial:
        case Trial.PASSED:
            return text(language, "tools_passed", count=examples.count)
        case Trial.FAILED:
            return text(language, "tools_failed")
        case _:
            return text(language, "tools_untried")


def _print_troubles(console: Console, troubles: Sequence[Trouble], *, with_detail: bool) -> None:
    for trouble in troubles:
        console.print(Text(f"{trouble.source}: {trouble.reason}", style="red"))
        if with_detail and trouble.detail:
            console.print(Text(trouble.detail, style="dim"))


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)
