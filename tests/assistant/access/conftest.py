"""A store in a folder of its own, whose clock the test moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from access_files import Clock

from assistant.access.store import AccessStore


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "access.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[AccessStore]:
    store = AccessStore(path, clock)
    yield store
    store.close()
