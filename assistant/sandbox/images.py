"""Pictures from a jail: measured before they are decoded, and encoded anew by us."""

import base64
import binascii
import io
import warnings

from PIL import Image

from assistant.outputs import ImageOutput

MAX_BYTES = 16 << 20
MAX_PIXELS = 40_000_000
_MAGIC = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff"}


def image(text: object) -> ImageOutput | None:
    """A PNG or JPEG in base64 as a picture of ours; None when it is not one, or too large."""
    if not isinstance(text, str) or len(text) > MAX_BYTES * 4 // 3 + 100_000:
        return None
    try:
        data = base64.b64decode(text.replace("\n", "").encode(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return encoded(data)


def encoded(data: bytes) -> ImageOutput | None:
    """The same for bytes."""
    kind = next((kind for kind, magic in _MAGIC.items() if data.startswith(magic)), None)
    if kind is None or len(data) > MAX_BYTES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _encoded(data, kind)
    except Exception:  # whatever a decoder trips over in a hostile file
        return None


def _encoded(data: bytes, kind: str) -> ImageOutput | None:
    with Image.open(io.BytesIO(data), formats=[kind]) as picture:  # reads the header alone
        width, height = picture.size
        if not 0 < width * height <= MAX_PIXELS:
            return None
        picture.load()
        flat = picture.convert("RGBA" if kind == "PNG" else "RGB")
    flat.info.clear()
    out = io.BytesIO()
    flat.save(out, kind, **({"quality": 90} if kind == "JPEG" else {"compress_level": 3}))
    if out.tell() > MAX_BYTES:
        return None
    return ImageOutput(out.getvalue(), width, height)
