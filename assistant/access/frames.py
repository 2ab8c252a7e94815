"""What a frame tells a browser by which it can ask again: its session's id, and ids of media.

Streamlit sends protocol buffers. Only the fields that Streamlit itself fills are read, by their
numbers: what a person or a model wrote stands in others, and must not make an id theirs. A test
holds the numbers to the installed Streamlit.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

Path = tuple[int, ...]  # the numbers of the fields, from the outermost in

SESSION: Final[Path] = (4, 1, 6)  # new_session.initialize.session_id
_ELEMENTS: Final[tuple[Path, ...]] = ((5, 3), (5, 9, 1))  # delta.new_element, .new_transient
_IN_ELEMENT: Final[tuple[Path, ...]] = (
    (6, 1, 3),  # imgs.imgs.url
    (13, 5),  # audio.url
    (14, 6),  # video.url
    (14, 7, 2),  # video.subtitles.url
    (36, 1),  # favicon.url
    (38, 1),  # iframe.src
    (43, 6),  # download_button.url
)
MEDIA: Final[frozenset[Path]] = frozenset(
    {
        *(outer + inner for outer in _ELEMENTS for inner in _IN_ELEMENT),
        (5, 6, 9, 2),  # delta.add_block.chat_message.avatar
        (13, 2),  # page_config_changed.favicon
        (22, 1),  # logo.image
        (22, 3),  # logo.icon_image
        (27, 3, 1),  # backend_operation_response.deferred_file.url
    }
)
_WANTED: Final = MEDIA | {SESSION}
_ON_THE_WAY: Final = frozenset(path[:end] for path in _WANTED for end in range(len(path)))
_MEDIA_URL = re.compile(rb"(?:/[^?#]*)?/media/([0-9A-Za-z_-]+)(?:\.[0-9A-Za-z]+)?")
_VARINT, _BYTES = 0, 2  # how a field is written
_SIZES: Final = {1: 8, 5: 4}  # and numbers of a fixed size


@dataclass(frozen=True)
class Told:
    session: str = ""
    media: frozenset[str] = frozenset()


NOTHING: Final = Told()


def told(frame: bytes) -> Told:
    """Ids in a frame; nothing for one that is not as Streamlit sends them."""
    session, media = "", set()
    try:
        for path, value in _strings(memoryview(frame), ()):
            if path == SESSION:
                session = bytes(value).decode("ascii")
            elif found := _MEDIA_URL.fullmatch(value):
                media.add(found[1].decode())
    except (IndexError, UnicodeDecodeError):
        return NOTHING
    return Told(session, frozenset(media))


def _strings(message: memoryview, path: Path) -> Iterator[tuple[Path, memoryview]]:
    """The fields of `_WANTED` in a message; what leads to none is stepped over unread."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind, here = key & 7, (*path, key >> 3)
        if kind == _BYTES:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
            if here in _WANTED:
                yield here, value
            elif here in _ON_THE_WAY:
                yield from _strings(value, here)
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in _SIZES:
            at += _SIZES[kind]
        else:
            raise IndexError(kind)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, the lowest first; and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
