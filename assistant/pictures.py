"""Pictures of strangers: measured before they are decoded, and encoded afresh so that nothing else
is kept."""

import io

from PIL import Image

from assistant.outputs import ImageOutput

MAX_PIXELS = 40_000_000
MAX_BYTES = 16_000_000

_FORMATS = ("PNG", "JPEG")


class BadPicture(Exception):
    """The bytes are no picture that can be shown; the message says what they are."""


def clean_picture(data: bytes) -> ImageOutput:
    """What a PNG or JPEG shows, in the same format."""
    if len(data) > MAX_BYTES:
        raise BadPicture(f"a picture of {len(data)} bytes; at most {MAX_BYTES} are shown")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size  # of its head; nothing is decoded yet
            if width * height > MAX_PIXELS:
                raise BadPicture(
                    f"a picture of {width} x {height} pixels; at most {MAX_PIXELS} are shown"
                )
            return ImageOutput(_encoded(image), width, height)
    except BadPicture:
        raise
    except Exception as error:  # a decoder may trip over a hostile file in any way
        raise BadPicture(f"a picture that cannot be read: {error}") from error


def _encoded(image: Image.Image) -> bytes:
    kind = image.format
    is_clear = kind == "PNG" and ("A" in image.getbands() or "transparency" in image.info)
    clean = image.convert("RGBA" if is_clear else "RGB")
    clean.info.clear()
    encoded = io.BytesIO()
    if kind == "JPEG":
        clean.save(encoded, kind, quality=90)
    else:
        clean.save(encoded, "PNG", compress_level=3)
    if encoded.tell() > MAX_BYTES:
        raise BadPicture(f"a picture of more than {MAX_BYTES} bytes")
    return encoded.getvalue()
