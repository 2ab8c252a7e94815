"""Pictures in a kernel's messages: base64 of a PNG or JPEG, by the word of who sent it."""

import base64
import binascii

from assistant.outputs import ImageOutput
from assistant.pictures import MAX_BYTES, BadPicture, clean_picture


def image(text: object) -> ImageOutput | None:
    """The picture, made clean; None when it is none, or too large."""
    if not isinstance(text, str) or len(text) > MAX_BYTES * 4 // 3 + 100_000:
        return None
    try:
        return clean_picture(base64.b64decode(text.replace("\n", "").encode(), validate=True))
    except (BadPicture, binascii.Error, ValueError):
        return None
