"""cloudflared is fetched whole and right, or not at all; the release page is a stand-in."""

import hashlib
import io
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from loopback import Loopback

from assistant.errors import (
    CloudflaredNotFetched,
    CloudflaredNotKept,
    CloudflaredWrong,
    NoCloudflaredRelease,
)
from assistant.tunnel import release
from assistant.tunnel.release import ASSETS, Asset, asset_for, fetch

PROGRAM = b"\x7fELF" + bytes(range(256)) * 800  # four chunks


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class ReleasePage(Loopback):
    """As the real one: a file's address sends on to the place of its bytes."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut: int | None = None  # end the transfer after so many bytes

    def __post_init__(self) -> None:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                if name not in page.files:
                    self.send_error(404)
                elif not self.path.startswith("/objects/"):
                    self.send_response(302)
                    self.send_header("Location", f"{page.url}/objects/{name}")
                    self.end_headers()
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(page.files[name])))
                    self.end_headers()
                    self.wfile.write(page.files[name][: page.cut])

            def log_message(self, _format: str, *_arguments: object) -> None:
                """Nothing is printed."""

        self.serve(Handler)


@pytest.fixture
def page() -> Iterator[ReleasePage]:
    with ReleasePage() as page:
        yield page


def silent(_done: int, _total: int) -> None:
    """Nobody watches."""


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def test_the_program_comes_to_its_place_and_may_run(page: ReleasePage, tmp_path: Path) -> None:
    page.files["plain"] = PROGRAM
    place = tmp_path / "cloudflared"
    assert fetch(Asset("plain", sha256(PROGRAM)), place, silent, page.url) == place
    assert place.read_bytes() == PROGRAM
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == [place]


def test_it_is_told_in_bytes_how_far_it_is(page: ReleasePage, tmp_path: Path) -> None:
    page.files["plain"] = PROGRAM
    told: list[tuple[int, int]] = []
    asset = Asset("plain", sha256(PROGRAM))
    fetch(asset, tmp_path / "cloudflared", lambda *at: told.append(at), page.url)
    assert told == sorted(told)
    assert told[-1] == (len(PROGRAM), len(PROGRAM))


def test_from_an_archive_only_the_program_is_taken(page: ReleasePage, tmp_path: Path) -> None:
    packed = archive(**{"../escaped": b"x", "cloudflared": PROGRAM})
    page.files["packed.tgz"] = packed
    place = tmp_path / "home" / "cloudflared"
    place.parent.mkdir()
    fetch(Asset("packed.tgz", sha256(packed), sha256(PROGRAM)), place, silent, page.url)
    assert place.read_bytes() == PROGRAM
    assert list(tmp_path.rglob("*")) == [place.parent, place]


@pytest.mark.parametrize(
    ("sent", "asset"),
    [
        (PROGRAM[:-1] + b"!", Asset("it", sha256(PROGRAM))),
        (archive(cloudflared=b"other"), Asset("it", sha256(archive(cloudflared=PROGRAM)), "00")),
        (archive(cloudflared=b"bad"), Asset("it", sha256(archive(cloudflared=b"bad")), "00")),
    ],
)
def test_nothing_is_kept_of_a_file_with_another_checksum(
    sent: bytes, asset: Asset, page: ReleasePage, tmp_path: Path
) -> None:
    page.files["it"] = sent
    with pytest.raises(CloudflaredWrong, match="sha256"):
        fetch(asset, tmp_path / "cloudflared", silent, page.url)
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_a_wrong_file_comes(page: ReleasePage, tmp_path: Path) -> None:
    place = tmp_path / "cloudflared"
    place.write_bytes(b"the old one")
    page.files["it"] = b"wrong"
    with pytest.raises(CloudflaredWrong):
        fetch(Asset("it", sha256(PROGRAM)), place, silent, page.url)
    assert place.read_bytes() == b"the old one"


def test_half_a_download_is_not_kept(page: ReleasePage, tmp_path: Path) -> None:
    page.files["it"] = PROGRAM
    page.cut = len(PROGRAM) // 2
    with pytest.raises(CloudflaredNotFetched):
        fetch(Asset("it", sha256(PROGRAM)), tmp_path / "cloudflared", silent, page.url)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_nothing_either(page: ReleasePage, tmp_path: Path) -> None:
    page.files["it"] = PROGRAM

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(Asset("it", sha256(PROGRAM)), tmp_path / "cloudflared", interrupt, page.url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_end_is_given_up(
    page: ReleasePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.files["it"] = PROGRAM
    monkeypatch.setattr(release, "MAX_BYTES", len(PROGRAM) - 1)
    with pytest.raises(CloudflaredNotFetched, match="more than"):
        fetch(Asset("it", sha256(PROGRAM)), tmp_path / "cloudflared", silent, page.url)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_unpacks_to_too_much_is_given_up(
    page: ReleasePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = archive(cloudflared=bytes(1 << 20))
    page.files["it"] = packed
    monkeypatch.setattr(release, "MAX_BYTES", 1 << 19)
    with pytest.raises(CloudflaredNotFetched, match="unpacks"):
        fetch(Asset("it", sha256(packed), "00"), tmp_path / "cloudflared", silent, page.url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sent", [b"no archive", archive(other=b"x"), archive(cloudflared=b"x" * 999)[:-40]]
)
def test_what_is_no_archive_of_it_is_refused_by_name(
    sent: bytes, page: ReleasePage, tmp_path: Path
) -> None:
    page.files["it"] = sent
    with pytest.raises(CloudflaredNotFetched):
        fetch(Asset("it", sha256(sent), "00"), tmp_path / "cloudflared", silent, page.url)
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_the_file_and_no_page_at_all_are_named(
    page: ReleasePage, tmp_path: Path
) -> None:
    with pytest.raises(CloudflaredNotFetched, match="404"):
        fetch(Asset("it", "00"), tmp_path / "cloudflared", silent, page.url)
    with pytest.raises(CloudflaredNotFetched, match="Nothing was kept"):
        fetch(Asset("it", "00"), tmp_path / "cloudflared", silent, "http://127.0.0.1:1")


def test_a_place_that_cannot_be_written_is_named(page: ReleasePage, tmp_path: Path) -> None:
    with pytest.raises(CloudflaredNotKept):
        fetch(Asset("it", "00"), tmp_path / "missing" / "cloudflared", silent, page.url)


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "cloudflared-linux-amd64"),
        ("Linux", "AMD64", "cloudflared-linux-amd64"),
        ("Linux", "aarch64", "cloudflared-linux-arm64"),
        ("Darwin", "x86_64", "cloudflared-darwin-amd64.tgz"),
        ("Darwin", "arm64", "cloudflared-darwin-arm64.tgz"),
    ],
)
def test_every_machine_gets_its_file(system: str, machine: str, name: str) -> None:
    assert asset_for(system, machine).name == name


def test_a_machine_without_a_file_is_told_to_install_it_by_hand() -> None:
    with pytest.raises(NoCloudflaredRelease, match="by hand"):
        asset_for("Linux", "riscv64")


def test_every_checksum_is_one_and_archives_have_two() -> None:
    for asset in ASSETS.values():
        assert len(bytes.fromhex(asset.sha256)) == 32
        assert len(bytes.fromhex(asset.inner)) == (32 if asset.name.endswith(".tgz") else 0)
