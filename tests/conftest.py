"""What every test stands on: compiled kernels are kept between runs, as the app keeps them."""

import pytest

from engine import model_home
from engine.kernels.compile import use_cache


@pytest.fixture(scope="session", autouse=True)
def _kernel_cache() -> None:
    use_cache(model_home() / "kernels")
