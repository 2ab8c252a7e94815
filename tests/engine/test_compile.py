"""Kernels are compiled once for a source and a processor, and found again by the next process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest
from llvmlite import binding

from engine import CacheNotWritable, LoadProgress, LoadStage, model_home
from engine.kernels import compile as compiling
from engine.kernels import forward, pack
from engine.kernels.compile import cache_key, compile_kernels, use_cache
from engine.kernels.dot import available_variants
from engine.kernels.vector import Isa

KERNELS = Path(compiling.__file__).parent
ISA = Isa(available_variants()[0])

FRESH_PROCESS = """
import sys
from pathlib import Path
from engine.kernels import forward, pack
from engine.kernels.compile import compile_kernels
from engine.kernels.vector import Isa
compile_kernels(Isa(sys.argv[1]), Path(sys.argv[2]), None)
for kernel in (forward.walk, pack.pack_panels, pack.pack_floats):
    print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""

NAMED = """
import engine.kernels.compile
from numba import njit
function = njit("int64(int64)")(lambda x: x)
print(function.overloads[function.signatures[0]].fndesc.mangled_name)
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kernels' source, which the key is taken of."""
    folder = tmp_path / "source"
    folder.mkdir()
    for path in KERNELS.glob("*.py"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(compiling, "__file__", str(folder / "compile.py"))
    return folder


@pytest.fixture
def _own_cache() -> Iterator[None]:
    """Where kernels are kept is global: give the other tests theirs back."""
    yield
    use_cache(model_home() / "kernels")


def test_the_same_source_on_the_same_processor_has_the_same_key(source: Path) -> None:
    copied = cache_key()
    (source / "notes.txt").write_text("not source")
    assert cache_key() == copied


@pytest.mark.parametrize("name", ["dot.py", "vector.py", "forward.py", "attention.py"])
def test_a_change_in_any_kernels_source_changes_the_key(source: Path, name: str) -> None:
    before = cache_key()
    with (source / name).open("a") as file:
        file.write("# one more line\n")
    assert cache_key() != before


def test_a_new_file_of_kernels_changes_the_key(source: Path) -> None:
    before = cache_key()
    (source / "zzz.py").write_text("x = 1\n")
    assert cache_key() != before


def test_another_processor_or_numba_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {cache_key()}
    with monkeypatch.context() as other:
        other.setattr(binding, "get_host_cpu_name", lambda: "abacus")
        keys.add(cache_key())
    with monkeypatch.context() as other:
        other.setattr(binding, "get_host_cpu_features", binding.FeatureMap)
        keys.add(cache_key())
    with monkeypatch.context() as other:
        other.setattr(numba, "__version__", "0.0")
        keys.add(cache_key())
    assert len(keys) == 4


def in_a_fresh_process(code: str, *arguments: str) -> list[str]:
    """The lines that it prints."""
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=KERNELS.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


def test_a_fresh_process_loads_what_was_compiled_and_compiles_nothing() -> None:
    home = model_home() / "kernels"
    compile_kernels(ISA, home, None)
    assert in_a_fresh_process(FRESH_PROCESS, ISA.name, str(home)) == ["1 0", "1 0", "2 0"]


def test_two_processes_never_give_two_functions_the_same_name() -> None:
    """The linker would take one for both: a model's kernels for those of one loaded before."""
    assert in_a_fresh_process(NAMED) != in_a_fresh_process(NAMED)


@pytest.mark.usefixtures("_own_cache")
def test_kernels_are_kept_below_the_folder_in_one_named_by_their_key(tmp_path: Path) -> None:
    use_cache(tmp_path / "new" / "kernels")
    assert [path.name for path in (tmp_path / "new" / "kernels").iterdir()] == [cache_key()]
    for kernel in (forward.walk, pack.pack_panels, pack.pack_floats):
        assert Path(kernel._cache.cache_path).is_relative_to(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_refused_by_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheNotWritable) as caught:
        compile_kernels(ISA, tmp_path / place, None)
    assert str(tmp_path / place) in str(caught.value)
    assert "ASSISTANT_HOME" in str(caught.value)


def test_a_listener_hears_that_kernels_are_being_compiled() -> None:
    told: list[LoadProgress] = []
    compile_kernels(ISA, None, told.append)
    assert told == [LoadProgress(LoadStage.COMPILE, 0, 0)]
