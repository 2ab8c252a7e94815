"""`python -m assistant share`: the running app, or one started for it, under a public address."""

import argparse
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from assistant.access.sharing import Allowance
from assistant.access.store import AccessStore, open_store
from assistant.errors import (
    AlreadyShared,
    AssistantError,
    NobodyToShareWith,
    NoCloudflared,
)
from assistant.texts import say, text
from assistant.tunnel import release
from assistant.tunnel.announcer import Announcer
from assistant.tunnel.application import Application
from assistant.tunnel.cloudflared import NAME, Target, find
from assistant.tunnel.stay import Plan, Stay, first_operator
from assistant.tunnel.tunnel import Tunnel
from assistant.tunnel.watch import Reason, Stopped, Watch, interruptible
from engine import EngineError, model_home

PORT = 8501  # as in .streamlit/config.toml
LONGEST = 7 * 86400
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TOKEN = "TUNNEL_TOKEN"  # noqa: S105  the name of a variable

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
DESCRIPTION = """\
Make the app public through a Cloudflare tunnel, for a while. Prints its address and a link that
signs the operator in; everybody else meets the sign-in page. The app is started if it does not run
on the port already. Ctrl-C ends the tunnel, and the app if it was started here."""
EPILOG = """\
What is off in public, unless --allow names it:
  risky-tools         tools that write or that use the network, and MCP servers
  operator-pages      pages and settings of the operator, such as opening another model
  unsafe-interpreter  code where no sandbox of level 1 or 2 holds: it can do what you can

Exit codes: 0 the time was over, or it was told to end (by the page, SIGTERM, SIGHUP or its parent's
end; with nohup the last two are survived), 1 an error (said on stderr), 2 wrong usage, or no user
yet, 130 Ctrl-C."""


def add_share(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        "share",
        help="make the app public for a while, behind a sign-in",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=share)
    add = command.add_argument
    time_help = "how long: 30m, 8h (as without this), 2d; 7d at most"
    add("--for", dest="seconds", type=duration, default="8h", metavar="TIME", help=time_help)
    add("--port", type=port_number, default=PORT, help=f"the app's port (default: {PORT})")
    token_help = f"of a named tunnel; without a value, it is taken from {TOKEN}"
    add("--token", nargs="?", const="", metavar="TOKEN", help=token_help)
    add("--hostname", type=hostname, metavar="NAME", help="where the named tunnel is public")
    add("--yes", action="store_true", help="fetch cloudflared, if it is not here, without asking")
    allow_help = "switch on what is off in public (see below); may be repeated"
    add("--allow", action="append", type=risk, default=[], metavar="RISK", help=allow_help)
    return command


def share(options: argparse.Namespace, launch: Sequence[str] | None = None) -> int:
    """`launch` starts the app, if need be: Streamlit on our launcher, unless a test says else."""
    try:
        target = target_of(options)
        if target is None:
            sys.stderr.write("--token and --hostname belong together\n")
            return USAGE
        with closing(open_store()) as store:
            return publish(options, store, target, launch)
    except (AssistantError, EngineError) as error:
        sys.stderr.write(say(error, options.lang) + "\n")
        return USAGE if isinstance(error, NobodyToShareWith) else FAILED


def target_of(options: argparse.Namespace) -> Target | None:
    """None where only half of a named tunnel is there."""
    token = os.environ.get(TOKEN, "") if options.token == "" else options.token or ""
    named = options.token is not None or bool(options.hostname)
    if named and not (token and options.hostname):
        return None
    return Target(options.port, options.hostname or "", token)


def publish(
    options: argparse.Namespace, store: AccessStore, target: Target, launch: Sequence[str] | None
) -> int:
    announcer = Announcer(sys.stdout, options.lang)
    first_operator(store)
    if running := store.sharing():
        raise AlreadyShared(pid=running.pid)
    with interruptible():
        program = find(model_home()) or fetch(options, announcer)
    watch = Watch()
    application = Application(options.port, launch)
    with watch.signals():
        try:
            come_up(application, options.port, announcer, watch)
            plan = Plan(time.time() + options.seconds, frozenset(options.allow))
            opener = partial(Tunnel, program, target, watch.tell)
            Stay(plan, store, application, opener, announcer).run(watch)
        except Stopped as stopped:
            reason = stopped.reason
        finally:
            application.close()
    announcer.tell("share_ended")
    return INTERRUPTED if reason is Reason.INTERRUPTED else OK


def come_up(application: Application, port: int, announcer: Announcer, watch: Watch) -> None:
    if application.is_running:
        announcer.tell("share_joined", port=port)
    else:
        announcer.tell("share_starting", port=port)
        application.start(watch.pause)


def fetch(options: argparse.Namespace, announcer: Announcer) -> Path:
    asset = release.asset_for()
    asks = sys.stdin.isatty() and not options.yes
    question = text(options.lang, "share_ask", page=release.PAGE, name=asset.name)
    if not (options.yes or (asks and input(question).strip().lower() in ("y", "yes"))):
        raise NoCloudflared(version=release.VERSION, page=release.PAGE)
    return release.fetch(asset, model_home() / NAME, announcer.tell_progress)


def duration(spoken: str) -> int:
    """Seconds, of `30m`, `8h` or `2d`."""
    found = re.fullmatch(r"([1-9]\d{0,6})([smhd])", spoken)
    if not found:
        raise argparse.ArgumentTypeError(f"{spoken!r} is no time such as 30m, 8h or 2d")
    seconds = int(found[1]) * UNITS[found[2]]
    if seconds > LONGEST:
        raise argparse.ArgumentTypeError(f"{spoken} is longer than 7d, the longest")
    return seconds


def port_number(spoken: str) -> int:
    if not spoken.isdecimal() or not 1 <= int(spoken) <= 65535:
        raise argparse.ArgumentTypeError(f"{spoken!r} is no port: 1 to 65535")
    return int(spoken)


def hostname(spoken: str) -> str:
    """As in the dashboard: `chat.example.org`, without https:// and path."""
    label = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if len(spoken) > 253 or not re.fullmatch(rf"{label}(\.{label})+", spoken.lower()):
        raise argparse.ArgumentTypeError(f"{spoken!r} is no host name such as chat.example.org")
    return spoken.lower()


def risk(spoken: str) -> Allowance:
    if spoken not in [*Allowance]:
        raise argparse.ArgumentTypeError(f"{spoken!r} is none of {', '.join(Allowance)}")
    return Allowance(spoken)
