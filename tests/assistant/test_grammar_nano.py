"""The nano model at a temperature that makes it babble: its calls parse and fit all the same.

The whole measurement, with more calls and other models, is `python -m tests.constrained_calls`.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from constrained_calls import TOOLS, Caller, run

from engine import Engine, EngineOptions, model_home
from engine.conversion import TYPES, convert

FOLDER = Path(__file__).parents[1] / "nano" / "chatglm3-nano"


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = tmp_path_factory.mktemp("nano") / "nano.bin"
    convert(FOLDER, path, TYPES["q8_0"])
    options = EngineOptions(kernel_cache=model_home() / "kernels")
    with closing(Engine.load(path, options)) as engine:
        yield engine


def test_a_hundred_hot_calls_parse_and_fit_their_schemas(nano: Engine) -> None:
    tally = run(Caller(nano, max_new_tokens=64, temperature=1.5), 100)
    assert tally.wrong == []
    assert tally.calls.total() == 100
    assert tally.calls.keys() == {spec.name for spec in TOOLS}
