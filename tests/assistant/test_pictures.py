"""Pictures of strangers."""

import io
import struct
import zlib

import pytest
from PIL import Image

from assistant.pictures import MAX_PIXELS, BadPicture, clean_picture


def encoded(mode: str, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    Image.new(mode, (3, 2), 1 if mode in ("P", "1", "L") else None).save(data, kind, **options)
    return data.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A small file that says it is large."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0")
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (head, body, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded("RGB", "PNG"), ("PNG", "RGB")),
        (encoded("RGBA", "PNG"), ("PNG", "RGBA")),
        (encoded("P", "PNG", transparency=0), ("PNG", "RGBA")),
        (encoded("1", "PNG"), ("PNG", "RGB")),
        (encoded("CMYK", "JPEG"), ("JPEG", "RGB")),
    ],
)
def test_a_picture_is_encoded_afresh(data: bytes, kind: tuple[str, str]) -> None:
    output = clean_picture(data)
    assert (output.width, output.height) == (3, 2)
    with Image.open(io.BytesIO(output.data)) as clean:
        assert (clean.format, clean.mode, clean.size) == (*kind, (3, 2))


def test_nothing_but_the_picture_is_kept() -> None:
    comment = b"where it was taken"
    data = encoded("RGB", "JPEG", comment=comment)
    assert comment in data
    assert comment not in clean_picture(data + b"<script>").data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read"),
        (b"GIF89a", "cannot be read"),
        (encoded("RGB", "GIF"), "cannot be read"),
        (encoded("RGB", "PNG")[:40], "cannot be read"),
        (png_of(8000, 6000), f"8000 x 6000 pixels; at most {MAX_PIXELS}"),
        (png_of(60_000, 60_000), "cannot be read"),
        (b"\x89PNG" + bytes(17_000_000), "17000004 bytes; at most"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "cannot be read"),
    ],
)
def test_what_is_none_or_too_large_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(BadPicture, match=said):
        clean_picture(data)
