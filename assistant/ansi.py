"""ANSI's colours in a text, as plain spans. What draws them decides what a colour looks like."""

import colorsys
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Colour = Literal["red", "green", "yellow", "blue", "magenta", "cyan", "grey"]

# As ANSI numbers them. Black and white stay the page's own colour: one of them is its ground.
_NAMED: tuple[Colour | None, ...] = (
    None, "red", "green", "yellow", "blue", "magenta", "cyan", None,
)  # fmt: skip
_HUES: tuple[Colour, ...] = ("red", "yellow", "green", "cyan", "blue", "magenta")
_CODE = re.compile(r"\x1b\[([0-9;:]*)m")


@dataclass(frozen=True)
class Span:
    """A piece of text in one style."""

    text: str
    colour: Colour | None = None
    bold: bool = False
    italic: bool = False
    underlined: bool = False


PLAIN = Span("")


def spans(text: str) -> list[Span]:
    """The text without its codes, cut where its style changes."""
    style, found = PLAIN, []
    pieces = _CODE.split(text)  # text, codes, text, codes, …
    for number, piece in enumerate(pieces):
        if number % 2:
            style = _changed(style, piece)
        elif piece:
            found.append(replace(style, text=piece))
    return found


def _changed(style: Span, codes: str) -> Span:
    numbers = iter([int(code or 0) for code in re.split("[;:]", codes.replace("::", ":"))])
    for number in numbers:
        match number:
            case 0:
                style = PLAIN
            case 1:
                style = replace(style, bold=True)
            case 2:
                style = replace(style, colour=style.colour or "grey")
            case 3 | 23:
                style = replace(style, italic=number == 3)
            case 4 | 24:
                style = replace(style, underlined=number == 4)
            case 22:
                style = replace(style, bold=False)
            case 38:
                style = replace(style, colour=_extended(numbers))
            case 48:
                _extended(numbers)  # grounds are not drawn: what stands on them could not be read
            case 39:
                style = replace(style, colour=None)
            case _ if 30 <= number <= 37 or 90 <= number <= 97:
                style = replace(style, colour=_numbered(number % 10 + number // 90 * 8))
    return style


def _extended(numbers: Iterator[int]) -> Colour | None:
    """One of 256 colours, or one of three components."""
    match next(numbers, 0):
        case 5:
            return _numbered(next(numbers, 0))
        case 2:
            return _nearest(next(numbers, 0), next(numbers, 0), next(numbers, 0))
    return None


def _numbered(number: int) -> Colour | None:
    if number < 16:
        return "grey" if number == 8 else _NAMED[number % 8]
    if number > 231:
        return "grey" if 237 < number < 250 else None
    number -= 16
    return _nearest(*(51 * (number // step % 6) for step in (36, 6, 1)))


def _nearest(red: int, green: int, blue: int) -> Colour | None:
    """The named colour of the same hue."""
    hue, lightness, _ = colorsys.rgb_to_hls(*(min(part, 255) / 255 for part in (red, green, blue)))
    if max(red, green, blue) - min(red, green, blue) < 40:
        return "grey" if 0.25 < lightness < 0.75 else None
    return _HUES[round(hue * 6) % 6]
