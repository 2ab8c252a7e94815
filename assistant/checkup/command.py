"""All checks, one after the other, and what is printed of them."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from assistant.access.sharing import Sharing
from assistant.access.store import AccessStore, open_store
from assistant.access.visitor import Access
from assistant.checkup import doors, machine, reach
from assistant.checkup.findings import Finding, Verdict, found
from assistant.checkup.knocks import Caller, Reply
from assistant.checkup.visit import Visit
from assistant.errors import AssistantError
from assistant.texts import Language, say, text
from engine import EngineError, model_home

FOLDER = Path(__file__).parents[2]  # where the launcher is started
GATE = ("health", "host", "headers", "cookie", "link_once", "origin", "cross_site", "sign_out")
MARKS = {Verdict.OK: "✓", Verdict.FAILED: "✗", Verdict.UNKNOWN: "?"}


def run(options: argparse.Namespace) -> int:
    try:
        with closing(open_store()) as store:
            results = list(examine(store, options.port, model_home()))
    except (AssistantError, EngineError) as error:
        sys.stderr.write(say(error, options.lang) + "\n")
        return 1
    if options.json:
        rows = [each.as_json() for each in results]
        sys.stdout.write(json.dumps({"checks": rows}, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(lines(results, options.lang)) + "\n")
    return 1 if any(each.verdict is Verdict.FAILED for each in results) else 0


def examine(
    store: AccessStore,
    port: int,
    home: Path,
    ask_outside: Callable[[str], Reply] = reach.ask_outside,
) -> Iterator[Finding]:
    now = store.sharing()
    yield machine.users(store.users())
    yield machine.files(home)
    yield machine.statistics(FOLDER, os.environ)
    yield machine.sharing(now, _moments(now) if now else "")
    yield from machine.allowances(now)
    yield reach.outside(now, ask_outside)
    host = urlsplit(now.url).netloc if now and now.url else f"127.0.0.1:{port}"
    try:
        yield from _knock(store, Caller(port, host), now)
    except (OSError, HTTPException) as error:
        yield found("answers", False, f"127.0.0.1:{port}: {error}")


def _knock(store: AccessStore, stranger: Caller, now: Sharing | None) -> Iterator[Finding]:
    yield from doors.findings(stranger)
    operators = [each.name for each in store.users() if each.access is Access.OPERATOR]
    if not operators:
        return
    visit = Visit(Caller(stranger.port, stranger.host), store, operators[0])
    yield from visit.findings()
    yield machine.sandbox(visit.health, now)


def lines(results: list[Finding], language: Language) -> Iterator[str]:
    for each in results:
        seen = f" · {each.seen}" if each.seen else ""
        yield f"{MARKS[each.verdict]} {text(language, f'check_{each.check}')}{seen}"
        if each.verdict is Verdict.FAILED:
            yield f"    {text(language, mend_key(each.check))}"
    failed = [each for each in results if each.verdict is Verdict.FAILED]
    yield ""
    if any(each.check in doors.WITHOUT_SIGN_IN for each in failed):
        yield text(language, "stranger_more")
    elif any(each.check == "answers" for each in results):
        yield text(language, "stranger_nothing")
    else:
        yield text(language, "stranger_sign_in")
    yield text(language, "checks_failed", n=len(failed)) if failed else text(language, "checks_ok")


def mend_key(check: str) -> str:
    if check in doors.WITHOUT_SIGN_IN:
        return "mend_door"
    return "mend_gate" if check in GATE else f"mend_{check}"


def _moments(now: Sharing) -> str:
    since, until = (datetime.fromtimestamp(each).astimezone() for each in (now.since, now.until))
    return f"{now.url} {since:%Y-%m-%d %H:%M} – {until:%Y-%m-%d %H:%M %Z}"
