"""Memory and cores as read from made-up /proc and /sys trees."""

import os
from pathlib import Path

import pytest

from engine.memory import available_memory, format_bytes, granted_cores

GB = 10**9
V1_UNLIMITED = 9223372036854771712


def _machine(root: Path, available: int, cgroup: str, files: dict[str, str]) -> Path:
    """A root folder with `available` bytes free and the given files under /sys/fs/cgroup."""
    contents = {
        "proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable: {available // 1024} kB\n",
        "proc/self/cgroup": cgroup,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
    return root


def _v1_memory(limit: int, used: int, inactive: int = 0) -> dict[str, str]:
    return {
        "memory.limit_in_bytes": f"{limit}\n",
        "memory.usage_in_bytes": f"{used}\n",
        "memory.stat": f"inactive_file 999999999999\ntotal_inactive_file {inactive}\n",
    }


def _v2_memory(limit: int | str, used: int, inactive: int = 0) -> dict[str, str]:
    return {
        "memory.max": f"{limit}\n",
        "memory.current": f"{used}\n",
        "memory.stat": f"anon 5\ninactive_file {inactive}\nactive_file 7\n",
    }


def _under(folder: str, files: dict[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}


def test_without_control_groups_the_machines_available_memory_counts(tmp_path: Path) -> None:
    assert available_memory(_machine(tmp_path, 8 * GB, "", {})) == 8 * GB


def test_a_v2_limit_below_the_machines_memory_counts(tmp_path: Path) -> None:
    files = _under("app", _v2_memory(4 * GB, 3 * GB))
    assert available_memory(_machine(tmp_path, 8 * GB, "0::/app\n", files)) == 1 * GB


def test_cached_file_pages_of_the_group_count_as_free(tmp_path: Path) -> None:
    files = _under("app", _v2_memory(4 * GB, 3 * GB, inactive=2 * GB))
    assert available_memory(_machine(tmp_path, 8 * GB, "0::/app\n", files)) == 3 * GB


def test_a_v2_group_without_a_limit_leaves_the_machines_memory(tmp_path: Path) -> None:
    files = _under("app", _v2_memory("max", 3 * GB))
    assert available_memory(_machine(tmp_path, 8 * GB, "0::/app\n", files)) == 8 * GB


def test_the_tightest_group_above_the_process_counts(tmp_path: Path) -> None:
    files = {
        **_under("slice", _v2_memory(2 * GB, 1 * GB)),
        **_under("slice/app", _v2_memory(6 * GB, 1 * GB)),
    }
    assert available_memory(_machine(tmp_path, 8 * GB, "0::/slice/app\n", files)) == 1 * GB


@pytest.mark.parametrize("path", ["/docker/0123abc", "/../../elsewhere", "/"])
def test_in_a_container_the_mount_itself_is_the_group(tmp_path: Path, path: str) -> None:
    root = _machine(tmp_path, 8 * GB, f"0::{path}\n", _v2_memory(4 * GB, 3 * GB))
    assert available_memory(root) == 1 * GB


def test_beside_v1_the_v2_tree_is_found_where_it_is_mounted_then(tmp_path: Path) -> None:
    files = _under("unified/app", _v2_memory(4 * GB, 3 * GB))
    root = _machine(tmp_path, 8 * GB, "1:name=systemd:/\n0::/app\n", files)
    assert available_memory(root) == 1 * GB


def test_a_v1_limit_counts_with_its_whole_subtree(tmp_path: Path) -> None:
    files = _under("memory/app", _v1_memory(4 * GB, 3 * GB, inactive=GB // 2))
    root = _machine(tmp_path, 8 * GB, "5:cpu,cpuacct:/\n4:memory:/app\n0::/\n", files)
    assert available_memory(root) == 1.5 * GB


def test_an_unlimited_v1_group_leaves_the_machines_memory(tmp_path: Path) -> None:
    files = _under("memory", _v1_memory(V1_UNLIMITED, 3 * GB))
    assert available_memory(_machine(tmp_path, 8 * GB, "4:memory:/\n", files)) == 8 * GB


def test_a_group_over_its_limit_leaves_nothing_rather_than_less(tmp_path: Path) -> None:
    root = _machine(tmp_path, 8 * GB, "0::/\n", _v2_memory(4 * GB, 5 * GB))
    assert available_memory(root) == 0


def test_without_proc_the_physical_memory_counts(tmp_path: Path) -> None:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert available_memory(tmp_path) == physical


@pytest.fixture
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


@pytest.mark.usefixtures("_eight_cores")
class TestGrantedCores:
    def test_without_a_quota_all_allowed_cores_count(self, tmp_path: Path) -> None:
        files = _under("app", {"cpu.max": "max 100000\n"})
        assert granted_cores(_machine(tmp_path, GB, "0::/app\n", files)) == 8

    def test_a_v2_quota_counts_rounded_down(self, tmp_path: Path) -> None:
        files = _under("app", {"cpu.max": "350000 100000\n"})
        assert granted_cores(_machine(tmp_path, GB, "0::/app\n", files)) == 3

    def test_a_part_of_a_core_still_is_one_thread(self, tmp_path: Path) -> None:
        files = {"cpu.max": "50000 100000\n"}
        assert granted_cores(_machine(tmp_path, GB, "0::/\n", files)) == 1

    @pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
    def test_a_v1_quota_counts_under_either_name_of_its_mount(
        self, tmp_path: Path, mount: str
    ) -> None:
        files = {"cpu.cfs_quota_us": "200000\n", "cpu.cfs_period_us": "100000\n"}
        root = _machine(tmp_path, GB, "3:cpu,cpuacct:/app\n", _under(f"{mount}/app", files))
        assert granted_cores(root) == 2

    def test_a_v1_group_without_a_quota_limits_nothing(self, tmp_path: Path) -> None:
        files = {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}
        root = _machine(tmp_path, GB, "3:cpu:/\n", _under("cpu", files))
        assert granted_cores(root) == 8

    def test_where_affinity_is_unknown_the_core_count_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "sched_getaffinity")
        monkeypatch.setattr(os, "cpu_count", lambda: 6)
        assert granted_cores(tmp_path) == 6


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1 MB"),
        (1_117_320_768, "1.1 GB"),
        (3_500_000_000, "3.5 GB"),
        (24_000_000_000_000, "24 TB"),
    ],
)
def test_bytes_are_written_in_decimal_units(n_bytes: int, text: str) -> None:
    assert format_bytes(n_bytes) == text


def test_this_machine_answers_sensibly() -> None:
    assert 10**7 < available_memory() < 10**14
    assert 1 <= granted_cores() <= (os.cpu_count() or 1)
