"""What does not show from outside: who may come in, what is allowed, which files are whose."""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assistant.access.sharing import Allowance, Sharing
from assistant.access.store import FILE
from assistant.access.users import User
from assistant.access.visitor import Access
from assistant.checkup.findings import Finding, Verdict, found
from assistant.sandbox.level import Level

STATISTICS = "STREAMLIT_BROWSER_GATHER_USAGE_STATS"
CONFIG = Path(".streamlit") / "config.toml"
OTHERS = stat.S_IRWXG | stat.S_IRWXO
WRITERS = stat.S_IWGRP | stat.S_IWOTH


def users(all_users: list[User]) -> Finding:
    n_operators = sum(each.access is Access.OPERATOR for each in all_users)
    return found("users", n_operators > 0, f"{len(all_users)}, operators: {n_operators}")


def sharing(now: Sharing | None, moment: str) -> Finding:
    """Not being shared is good, too: nobody is asked in."""
    return found("sharing", True, moment if now else "")


def allowances(now: Sharing | None) -> Iterator[Finding]:
    for each in Allowance:
        allowed = now is not None and each in now.allows
        yield found(each.name.lower(), not allowed, f"--allow {each}" if allowed else "")


def sandbox(health: Mapping[str, Any], now: Sharing | None) -> Finding:
    """The running app's own word. A weak level is off in public, unless that was allowed."""
    told = health.get("sandbox")
    level = told.get("level") if isinstance(told, dict) else None
    if level not in list(Level):
        return Finding("sandbox", Verdict.UNKNOWN, "")
    weak_is_on = now is not None and Allowance.UNSAFE_INTERPRETER in now.allows
    return found("sandbox", Level(level).enforced or not weak_is_on, str(level))


def statistics(folder: Path, environment: Mapping[str, str]) -> Finding:
    """As the app would start from here: what a running one was told cannot be seen."""
    said = environment.get(STATISTICS)
    if said is not None:
        return found("statistics", said.lower() in ("false", "0"), f"{STATISTICS}={said}")
    try:
        config = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    value = config.get("browser", {}).get("gatherUsageStats", True)
    return found("statistics", value is False, f"gatherUsageStats = {str(value).lower()}")


def files(home: Path) -> Finding:
    """Nobody else may read who comes in, or put another file in its place."""
    wrong = [
        f"{each.name} {_mode(each):04o}"
        for each in sorted(home.glob(f"{FILE}*"))
        if _mode(each) & OTHERS or each.stat().st_uid != os.geteuid()
    ]
    if _mode(home) & WRITERS or home.stat().st_uid != os.geteuid():
        wrong.append(f"{home} {_mode(home):04o}")
    return found("files", not wrong, ", ".join(wrong) or f"{FILE} {_mode(home / FILE):04o}")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
