"""Secrets are found, and never shown."""

from pathlib import Path

import pytest

from tools import ToolError, secret
from tools._secrets import MASK, find_secret, masked, masked_bytes


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "secrets.toml"
    monkeypatch.setenv("SECRETS_FILE", str(file))
    return file


def test_a_secret_comes_from_the_environment_before_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('WEATHER = "from the file"')
    assert secret("WEATHER") == "from the file"
    monkeypatch.setenv("WEATHER", "from outside")
    assert secret("WEATHER") == "from outside"


def test_a_missing_secret_says_where_to_set_it() -> None:
    assert find_secret("NO_SUCH") is None
    with pytest.raises(ToolError, match=r"NO_SUCH is not set.*secrets\.toml"):
        secret("NO_SUCH")


def test_a_broken_file_is_told_to_whoever_asks(file: Path) -> None:
    file.write_text("A = ")
    with pytest.raises(ToolError, match="cannot be read"):
        secret("A")
    assert masked("harmless") == "harmless"


def test_a_secret_that_was_read_is_masked_however_short(file: Path) -> None:
    file.write_text('PIN = "4711"')
    assert masked("4711") == "4711"
    assert secret("PIN") == "4711"
    assert masked("the pin is 4711!") == f"the pin is {MASK}!"
    assert masked_bytes(b"<4711>") == f"<{MASK}>".encode()


def test_secrets_that_were_not_read_are_masked_too(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('theme = "dark"\n[mail]\nlogin = "a/b c&d long"\nhosts = ["secret-host-1"]')
    monkeypatch.setenv("MY_API_KEY", "sk-123456789")
    shown = masked("dark sk-123456789 a/b c&d long a%2Fb%20c%26d%20long secret-host-1")
    assert shown == f"dark {MASK} {MASK} {MASK} {MASK}"


def test_a_secret_within_another_leaves_nothing_of_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "abcdefgh")
    monkeypatch.setenv("B_TOKEN", "abcdefgh-and-more")
    assert masked("abcdefgh-and-more") == MASK
