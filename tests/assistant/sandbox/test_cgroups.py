"""What is asked of the kernel in both versions, and that nothing is left where it refuses."""

import os
from pathlib import Path

import pytest

from assistant.sandbox.cgroups import Cgroup, make, sweep
from assistant.sandbox.limits import Limits

LIMITS = Limits(memory=1 << 28, processes=50)


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    for kind in ("memory", "pids", "cpu"):
        (tmp_path / kind).mkdir()
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").touch()
    return tmp_path


def asked(group: Cgroup) -> dict[str, str]:
    return {
        path.name: path.read_text()
        for folder in group.folders
        for path in folder.iterdir()
        if path.is_file()
    }


def test_memory_and_processes_are_bound_in_version_1(version_1: Path) -> None:
    found = asked(make(LIMITS, version_1))
    assert found["memory.limit_in_bytes"] == str(1 << 28)
    assert 50 <= int(found["pids.max"]) < 60


def test_memory_and_processes_are_bound_in_version_2(version_2: Path) -> None:
    group = make(LIMITS, version_2)
    found = asked(group)
    assert found["memory.max"] == str(1 << 28)
    assert 50 <= int(found["pids.max"]) < 60
    wanted = (group.folders[0].parent / "cgroup.subtree_control").read_text().split()
    assert {"+memory", "+pids"} <= set(wanted)


def test_a_controller_that_is_not_there_is_done_without(version_1: Path) -> None:
    (version_1 / "pids").rmdir()
    assert [each.parent.parent.name for each in make(LIMITS, version_1).folders] == [
        "memory",
        "cpu",
    ]


@pytest.mark.parametrize("refused", ["memory.limit_in_bytes", "pids.max"])
def test_a_folder_whose_limit_is_refused_goes_again(
    refused: str, version_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def writing(path: Path, text: str) -> int:
        if path.name == refused:
            raise PermissionError(path)
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", writing)
    group = make(LIMITS, version_1)
    assert len(group.folders) == 2
    kind = refused.partition(".")[0]
    assert not [*(version_1 / kind / "assistant-sandbox").iterdir()]


def test_version_2_without_delegation_is_done_without(
    version_2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: Path, _: str) -> int:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "write_text", refusing)
    assert make(LIMITS, version_2).folders == ()


def test_every_process_is_put_into_every_folder(version_1: Path) -> None:
    group = make(LIMITS, version_1)
    group.add([4711])
    assert [(folder / "cgroup.procs").read_text() for folder in group.folders] == ["4711"] * 3


@pytest.mark.parametrize("name", ["memory.oom_control", "memory.events"])
def test_a_kill_for_memory_is_told_in_both_versions(name: str, tmp_path: Path) -> None:
    group = Cgroup((tmp_path,))
    (tmp_path / name).write_text("low 0\noom 0\noom_kill 0\noom_group_kill 0\n")
    assert not group.out_of_memory()
    (tmp_path / name).write_text("low 0\noom 1\noom_kill 1\noom_group_kill 0\n")
    assert group.out_of_memory()


def test_an_empty_folder_goes_and_one_that_is_in_use_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "busy" / "process").mkdir(parents=True)  # the kernel refuses this, too
    Cgroup((tmp_path / "empty", tmp_path / "busy")).remove()
    assert [each.name for each in tmp_path.iterdir()] == ["busy"]


def test_what_the_dead_left_is_swept_in_both_versions(tmp_path: Path) -> None:
    parents = [tmp_path / "assistant-sandbox", tmp_path / "pids" / "assistant-sandbox"]
    for parent in parents:
        (parent / "999999999-0").mkdir(parents=True)
        (parent / f"{os.getpid()}-0").mkdir()
    sweep(tmp_path)
    for parent in parents:
        assert [each.name for each in parent.iterdir()] == [f"{os.getpid()}-0"]
