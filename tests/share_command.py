"""`python share_command.py ARGUMENT…`: the command `share` that starts the tiny app, if any."""

import argparse
import sys
from pathlib import Path

from assistant.texts import Language
from assistant.tunnel.share import add_share, share

APP = Path(__file__).with_name("shared_app.py")

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    command = add_share(parser.add_subparsers())
    command.add_argument("--lang", type=Language, default=Language.ENGLISH)
    options = parser.parse_args(["share", *sys.argv[1:]])
    sys.exit(share(options, [sys.executable, str(APP), str(options.port)]))
