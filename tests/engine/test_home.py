"""Where downloads go, and what is said when that place cannot be written."""

import os
import stat
from pathlib import Path

import pytest

from engine.errors import CacheNotWritable
from engine.home import model_home


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASSISTANT_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))


def test_the_default_is_the_users_cache_folder(tmp_path: Path) -> None:
    assert model_home() == tmp_path / "user/.cache/assistant"


def test_the_desktops_cache_folder_comes_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert model_home() == tmp_path / "xdg/assistant"


def test_a_relative_desktop_cache_folder_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert model_home() == tmp_path / "user/.cache/assistant"


def test_our_own_variable_comes_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("ASSISTANT_HOME", "~/here")
    assert model_home() == tmp_path / "user/here"
    assert not (tmp_path / "xdg").exists()


def test_a_relative_choice_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSISTANT_HOME", "near")
    assert model_home() == tmp_path / "near"


def test_the_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    assert stat.S_IMODE(model_home().stat().st_mode) == 0o700
    assert model_home() == tmp_path / "user/.cache/assistant"  # a second time finds it there


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "file/home"))
    with pytest.raises(CacheNotWritable, match=r"file/home.*set ASSISTANT_HOME"):
        model_home()


def test_a_folder_that_refuses_writing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Permission bits do not bind root, who may run this test.
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(CacheNotWritable, match="no permission to write"):
        model_home()


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(_path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(CacheNotWritable, match="no home folder"):
        model_home()
