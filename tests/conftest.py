"""What every test stands on: compiled kernels are kept between runs, as the app keeps them."""

import os
import shutil
from pathlib import Path

import pytest

from engine import DownloadFailed, fetch_starter, model_home
from engine.kernels.compile import use_cache


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium its tests skip, but never in CI, which has to bring it."""
    if "CI" in os.environ or shutil.which("chromium"):
        return
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="no `chromium` on PATH"))


@pytest.fixture(scope="session", autouse=True)
def _kernel_cache() -> None:
    use_cache(model_home() / "kernels")


@pytest.fixture(scope="session")
def starter() -> Path:
    """The starter model: the file that STARTER names, or fetched once and kept as the app does."""
    if "STARTER" in os.environ:
        return Path(os.environ["STARTER"])
    try:
        return fetch_starter(model_home())
    except DownloadFailed as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
