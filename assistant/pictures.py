"""Pictures of strangers: decoded within limits, and encoded afresh so that nothing else is kept."""

import io

from PIL import Image

from assistant.outputs import ImageOutput

MAX_PIXELS = 40_000_000

_FORMATS = ("PNG", "JPEG")


class BadPicture(Exception):
    """The bytes are no picture that can be shown; the message says what they are."""


def clean_picture(data: bytes) -> ImageOutput:
    """A PNG of what a PNG or JPEG shows."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size  # of its head; nothing is decoded yet
            if width * height > MAX_PIXELS:
                raise BadPicture(
                    f"a picture of {width} x {height} pixels; at most {MAX_PIXELS} are shown"
                )
            is_clear = "A" in image.getbands() or "transparency" in image.info
            clean = image.convert("RGBA" if is_clear else "RGB")
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        raise BadPicture(f"a picture that cannot be read: {error}") from error
    clean.info.clear()
    encoded = io.BytesIO()
    clean.save(encoded, "PNG")
    return ImageOutput(encoded.getvalue(), width, height)
