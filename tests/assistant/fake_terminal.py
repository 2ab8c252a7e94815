"""`python -m assistant` on the scripted engine, for tests that need a real terminal or pipe.

Every answer is "Hal" and stays unfinished until it is cancelled; with an argument before the
others, answers are that argument, and whole.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from fake_engine import FakeEngine, FakeGeneration, loader_of

from assistant import ModelLoader, cli
from engine import Constraint, SamplingParams


class Endless(FakeEngine):
    def generate(
        self, prompt: Sequence[int], params: SamplingParams, constraint: Constraint | None = None
    ) -> FakeGeneration:
        generation = super().generate(prompt, params, constraint)
        generation.say("Hal")
        return generation


if __name__ == "__main__":
    if sys.stdin.isatty():
        os.open(os.ttyname(0), os.O_RDWR)  # takes it as its own, so that Ctrl-C reaches it
    script, *arguments = sys.argv[1:]
    fake = FakeEngine(script) if script else Endless()
    home = Path(tempfile.mkdtemp())

    def loader(**_options: object) -> ModelLoader:
        return loader_of(fake, home)

    with mock.patch.object(cli, "ModelLoader", loader):
        sys.exit(cli.main(arguments))
