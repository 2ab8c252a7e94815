"""`python -m assistant user` and `… key`: who may come in, said by who runs the machine."""

import argparse
import getpass
import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from typing import TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from assistant.access.keys import Key
from assistant.access.links import TEN_MINUTES
from assistant.access.passwords import MOST_BYTES
from assistant.access.store import AccessStore, open_store
from assistant.access.users import clean_name
from assistant.access.visitor import Access
from assistant.errors import (
    AssistantError,
    BadUserName,
    PasswordsDiffer,
    PasswordTooLong,
    PasswordTooShort,
    PasswordUnread,
    UnknownKey,
    UnknownUser,
    UserExists,
)
from assistant.texts import Language, say, text
from engine import EngineError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Action: TypeAlias = Callable[[AccessStore, argparse.Namespace], int]

OK, REFUSED, WRONG_USAGE = 0, 1, 2
EXIT_CODES = "Exit codes: 0 done, 1 refused or an error, 2 wrong usage (also a name or password)."
LINK_PATH = "/signin/link/"
PIPE_WIDTH = 240  # a line that is read by a program is not to be broken

_BAD_INPUT = (BadUserName, PasswordTooShort, PasswordTooLong, PasswordsDiffer, PasswordUnread)


def add_user_command(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "user",
        help="say who may come in",
        description="Who may come in where the app is not on this machine only.",
        epilog=EXIT_CODES,
    )
    actions = command.add_subparsers(required=True, metavar="add|list|remove|passwd|link")
    add = _action(actions, "add", "add a user; the first is the operator", add_user)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--operator", action="store_true", help="may manage models and pages")
    add.add_argument("--no-password", action="store_true", help="comes in by a link or elsewhere")
    shown = _action(actions, "list", "list the users", list_users)
    shown.add_argument("--json", action="store_true", help="a JSON array, for programs")
    remove = _action(actions, "remove", "remove a user and all they can come in by", remove_user)
    remove.add_argument("name", metavar="NAME")
    passwd = _action(actions, "passwd", "set a new password, and sign out everywhere", set_password)
    passwd.add_argument("name", metavar="NAME")
    link = _action(actions, "link", "print the path of a one-time sign-in link", make_link)
    link.add_argument("name", metavar="NAME")
    return command


def add_key_command(commands: Commands) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "key",
        help="make and revoke keys for programs",
        description="Keys by which programs use /v1 as a user.",
        epilog=EXIT_CODES,
    )
    actions = command.add_subparsers(required=True, metavar="add|list|revoke")
    add = _action(actions, "add", "make a key and print it, this once", add_key)
    add.add_argument("name", metavar="NAME", help="whose it is")
    add.add_argument("--label", default="", metavar="L", help="what it is for")
    _action(actions, "list", "list everybody's keys", list_keys)
    revoke = _action(actions, "revoke", "end a key", revoke_key)
    revoke.add_argument("id", metavar="ID", help="as `key list` shows it")
    return command


def _action(actions: Commands, name: str, words: str, action: Action) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=words, description=f"{words}.", epilog=EXIT_CODES)
    parser.set_defaults(run=lambda options: _run(action, options))
    # As the command itself has it, for those who put it last; unsaid, the command's holds.
    parser.add_argument(
        "--lang",
        type=Language,
        choices=[*Language],
        default=argparse.SUPPRESS,
        metavar="zh|en",
    )
    return parser


def _run(action: Action, options: argparse.Namespace) -> int:
    try:
        with closing(open_store()) as store:
            return action(store, options)
    except (AssistantError, EngineError) as error:
        _note(options, "cli_error", error=say(error, options.lang))
        return WRONG_USAGE if isinstance(error, _BAD_INPUT) else REFUSED


# --- users


def add_user(store: AccessStore, options: argparse.Namespace) -> int:
    name = clean_name(options.name)
    if store.user(name) is not None:  # said before a password is typed for nothing
        raise UserExists(name=name)
    password = None if options.no_password else new_password(options.lang)
    access = Access.OPERATOR if options.operator else Access.USER
    user = store.add_user(name, password, access)
    words = text(options.lang, f"access_{user.access}")
    return _say(options, "cli_user_added", name=user.name, access=words)


def list_users(store: AccessStore, options: argparse.Namespace) -> int:
    users = store.users()
    if options.json:
        sys.stdout.write(json.dumps([asdict(user) for user in users]) + "\n")
        return OK
    if not users:
        return _say(options, "cli_user_none")
    passwords = {True: "cli_user_with_password", False: "cli_user_without_password"}
    _print_rows(
        (
            user.name,
            text(options.lang, f"access_{user.access}"),
            text(options.lang, passwords[user.has_password]),
            _moment(user.created),
        )
        for user in users
    )
    return OK


def remove_user(store: AccessStore, options: argparse.Namespace) -> int:
    store.remove_user(options.name)
    return _say(options, "cli_user_removed", name=options.name.lower())


def set_password(store: AccessStore, options: argparse.Namespace) -> int:
    if store.user(options.name) is None:
        raise UnknownUser(name=options.name)
    store.set_password(options.name, new_password(options.lang))
    return _say(options, "cli_user_password_set", name=options.name.lower())


def make_link(store: AccessStore, options: argparse.Namespace) -> int:
    path = LINK_PATH + store.make_link(options.name)
    _note(options, "cli_user_link", minutes=round(TEN_MINUTES / 60))
    sys.stdout.write(path + "\n")
    return OK


# --- keys


def add_key(store: AccessStore, options: argparse.Namespace) -> int:
    key = store.make_key(options.name, options.label)
    _note(options, "cli_key_made")
    sys.stdout.write(key + "\n")
    return OK


def list_keys(store: AccessStore, options: argparse.Namespace) -> int:
    keys = _all_keys(store)
    if not keys:
        return _say(options, "cli_key_none")
    _print_rows(
        (
            key.id,
            key.name,
            f"{key.start}…",
            _moment(key.created),
            text(options.lang, "cli_key_never_used")
            if key.used is None
            else text(options.lang, "cli_key_used", time=_moment(key.used)),
            key.label,
        )
        for key in keys
    )
    return OK


def revoke_key(store: AccessStore, options: argparse.Namespace) -> int:
    whose = {key.id: key.name for key in _all_keys(store)}
    if options.id not in whose:
        raise UnknownKey(id=options.id)
    store.revoke_key(whose[options.id], options.id)
    return _say(options, "cli_key_revoked", id=options.id)


def _all_keys(store: AccessStore) -> list[Key]:
    return [key for user in store.users() for key in store.keys(user.name)]


# --- asking and saying


def new_password(language: Language) -> str:
    """Asked for twice in a terminal, where it does not show; else one line from the pipe."""
    try:
        if not sys.stdin.isatty():
            line = sys.stdin.readline(MOST_BYTES + 2)  # one too long stays too long
            if not line:
                raise PasswordUnread
            return line.removesuffix("\n").removesuffix("\r")
        first = getpass.getpass(text(language, "cli_password_new"))
        if getpass.getpass(text(language, "cli_password_again")) != first:
            raise PasswordsDiffer
        return first
    except (EOFError, UnicodeError) as error:
        raise PasswordUnread from error


def _say(options: argparse.Namespace, key: str, **fields: object) -> int:
    sys.stdout.write(text(options.lang, key, **fields) + "\n")
    return OK


def _note(options: argparse.Namespace, key: str, **fields: object) -> None:
    """Beside the output, which a program may read."""
    sys.stderr.write(text(options.lang, key, **fields) + "\n")


def _print_rows(rows: Iterable[tuple[str, ...]]) -> None:
    table = Table.grid(padding=(0, 2))
    for row in rows:
        table.add_row(*(Text(each) for each in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    console.print(table)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
