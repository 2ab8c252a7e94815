"""The command line: `python -m assistant chat`, `… tools`, `… doctor`, `… user`, `… share`, …"""

import argparse
import io
import locale
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from assistant.access.commands import add_key_command, add_user_command
from assistant.assistant import Assistant
from assistant.doctor import add_doctor
from assistant.errors import AssistantError
from assistant.loading import ModelLoader
from assistant.mcp_client import McpTools
from assistant.mcp_server import add_mcp
from assistant.sandbox.commands import add_interpreter
from assistant.settings import ChatSettings
from assistant.terminal import INTERRUPTED, OK, Terminal, fail
from assistant.texts import Language, say
from assistant.toolbox import Toolbox
from assistant.toolcommands import add_tools
from assistant.toolfolder import FolderTools
from assistant.tunnel.share import add_share
from assistant.upload import upload
from engine import KV_TYPES, EngineError, asked_kv_type, asked_threads

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

TOOLS_READY = 60.0  # seconds to wait for the tools' files at most
DESCRIPTION = "A private assistant on this machine's own CPU."
EXIT_CODES = "Exit codes: 0 answered, 1 an error (said on stderr), 2 wrong usage, 130 Ctrl-C."


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a pipe in GBK cannot carry every emoji
    try:
        code: int = options.run(options)
        return code
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
    for add_command in (
        add_chat,
        add_doctor,
        add_interpreter,
        add_tools,
        add_mcp,
        add_user_command,
        add_key_command,
        add_share,
        add_upload,
    ):
        command = add_command(commands)
        command.add_argument(
            "--lang", type=Language, choices=[*Language], default=system_language(), metavar="zh|en"
        )
    return top


def add_chat(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "chat",
        help="answer a question, or talk",
        description="Answer a question (-p, or from a pipe), or talk (-i, or in a terminal).",
        epilog=EXIT_CODES,
    )
    command.set_defaults(run=chat)
    add = command.add_argument
    model_help = "a .gguf or .bin file (default: the starter)"
    add("-m", "--model", type=Path, metavar="FILE", help=model_help)
    add("-p", "--prompt", metavar="TEXT", help="the question (default: read from a pipe)")
    add("-i", "--interactive", action="store_true", help="talk; `clear` empties, `stop` leaves")
    add("--system", default="", metavar="TEXT", help="system prompt (default: the model's own)")
    add("--temperature", type=float, default=ChatSettings.temperature, metavar="T")
    add("--top-p", type=float, default=ChatSettings.top_p, metavar="P")
    add("--repetition-penalty", type=float, default=ChatSettings.repetition_penalty, metavar="R")
    add("--max-new-tokens", type=int, default=ChatSettings.max_new_tokens, metavar="N")
    add("--seed", type=int, metavar="N", help="same seed, same answer")
    add("--threads", type=int, default=0, metavar="N", help="default: measured once")
    add("--kv-type", choices=KV_TYPES, help="of the context's memory; q8_0 takes about half of f16")
    tools_help = "let the model call tools; those that change or send something ask first"
    add("--tools", action="store_true", help=tools_help)
    return command


def add_upload(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "upload",
        help="put a model file on the Hugging Face Hub",
        description="Put a model file on the Hugging Face Hub, or on HF_ENDPOINT. The token comes "
        "from HF_TOKEN, or from `hf auth login`.",
        epilog=EXIT_CODES,
    )
    command.set_defaults(run=send)
    command.add_argument("file", type=Path, metavar="FILE", help="a .gguf or .bin file")
    command.add_argument(
        "--repo", required=True, metavar="USER/NAME", help="made if it does not exist"
    )
    command.add_argument("--private", action="store_true", help="if it is made, for you only")
    return command


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
            tools_on=options.tools,
        )
        loader = ModelLoader(
            threads=options.threads or asked_threads(os.environ),
            kv_type=options.kv_type or asked_kv_type(os.environ),
        )
    except EngineError as error:
        return fail(say(error, language), language)
    folder = FolderTools() if options.tools else None
    assistant = Assistant(loader, Toolbox([folder, McpTools()]) if folder else None)
    try:
        conversation = assistant.new_conversation()
        conversation.settings = settings
        return talk(Terminal(assistant, conversation, language), options, folder)
    finally:
        assistant.close()


def talk(terminal: Terminal, options: argparse.Namespace, folder: FolderTools | None) -> int:
    question: str | None = options.prompt
    interactive = options.interactive or (question is None and sys.stdin.isatty())
    if question is None and not interactive:
        question = sys.stdin.read()
    code = terminal.load(options.model)
    if folder is not None:
        folder.wait_settled(TOOLS_READY)
    if code == OK and question is not None:
        code = terminal.answer(question)
    return terminal.interact() if code == OK and interactive else code


def send(options: argparse.Namespace) -> int:
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        address = upload(options.file, options.repo, endpoint, private=options.private)
    except (EngineError, AssistantError) as error:
        return fail(say(error, options.lang), options.lang)
    sys.stdout.write(address + "\n")
    return OK


def system_language() -> Language:
    return Language.of_locale(locale.getlocale()[0] or os.environ.get("LANG"))
