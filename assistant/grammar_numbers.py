"""Numbers within bounds, as regular expressions over their decimal spelling.

What these match lies within the bounds; not every number within them is matched: integers have
at most 15 digits, fractions a few digits more than their bounds.
"""

from decimal import Decimal

from assistant.grammar_reading import Schema, Unsupported, edge

MOST = 10**15 - 1  # every integer up to here is a float too
_EXTRA = 8  # digits of a fraction behind those of its bounds
_FINEST = 12  # digits of a bound's fraction

ANY_DECIMAL = r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,10})?(?:[eE][+-]?[0-9]{1,2})?"


def number(schema: Schema, *, whole: bool) -> str:
    """The numbers that a schema allows."""
    low, above = edge(schema, "minimum", "exclusiveMinimum", max)
    high, below = edge(schema, "maximum", "exclusiveMaximum", min)
    if low is None and high is None and not whole:
        return ANY_DECIMAL
    low = Decimal(-MOST) if low is None else low
    high = Decimal(MOST) if high is None else high
    if not whole:
        return decimals(low, high, above=above, below=below)
    first = int(low.to_integral_value("ROUND_CEILING"))
    last = int(high.to_integral_value("ROUND_FLOOR"))
    return integers(first + int(above and first == low), last - int(below and last == high))


def integers(low: int, high: int) -> str:
    """Integers from `low` to `high`."""
    low, high = max(low, -MOST), min(high, MOST)
    parts = []
    if low < 0:
        parts += ["-" + part for part in _plain(max(1, -high), -low)]
    parts += _plain(max(low, 0), high)
    return _any_of(parts)


def decimals(low: Decimal, high: Decimal, *, above: bool = False, below: bool = False) -> str:
    """Numbers from `low` to `high`; `above` and `below` leave the bounds themselves out."""
    low, high = max(low, Decimal(-MOST)), min(high, Decimal(MOST))
    scale = max(_places(low), _places(high)) + (2 if above or below else 0)
    if scale > _FINEST + 2:
        raise Unsupported(f"a bound has more than {_FINEST} decimal places")
    parts = []
    if low < 0:
        beyond = above, below and high <= 0
        parts += ["-" + part for part in _spelled(max(-high, Decimal(0)), -low, beyond, scale)]
    parts += _spelled(max(low, Decimal(0)), high, (below, above and low >= 0), scale)
    return _any_of(parts)


def _spelled(low: Decimal, high: Decimal, beyond: tuple[bool, bool], scale: int) -> list[str]:
    """Numbers without a sign. `beyond`: whether high, and low, are left out."""
    parts: list[str] = []
    for places in range(scale + 1):
        unit = Decimal(10) ** places
        first = int((low * unit).to_integral_value("ROUND_CEILING"))
        last = int((high * unit).to_integral_value("ROUND_FLOOR"))
        first += int(beyond[1] and first == low * unit)
        last -= int(beyond[0] and last == high * unit)
        parts += _plain(first, last, places)
        if places == scale:  # what follows these digits stays below the next number
            dot = "" if places else r"\."
            parts += [f"{part}{dot}[0-9]{{1,{_EXTRA}}}" for part in _plain(first, last - 1, places)]
    return parts


def _plain(low: int, high: int, places: int = 0) -> list[str]:
    """Integers without a sign, with the point before the last `places` digits."""
    parts = []
    width = max(len(str(low)), places + 1)
    while low <= high:
        end = min(high, 10**width - 1)
        parts.append(_same_width(str(low).zfill(width), str(end).zfill(width), places))
        low, width = end + 1, width + 1
    return parts


def _same_width(low: str, high: str, places: int) -> str:
    if not low:
        return ""
    n_rest = len(low) - 1
    dot = r"\." if n_rest and n_rest == places else ""
    if low[0] == high[0]:
        return low[0] + dot + _same_width(low[1:], high[1:], places)
    parts = []
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * n_rest:
        parts.append(f"{first}{dot}{_same_width(low[1:], '9' * n_rest, places)}")
        first += 1
    if high[1:] != "9" * n_rest:
        parts.append(f"{last}{dot}{_same_width('0' * n_rest, high[1:], places)}")
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}]{dot}{_digits(n_rest, places)}")
    return _any_of(parts)


def _digits(n: int, places: int) -> str:
    """Any n digits; a point that falls within them is written."""
    if n > places > 0:
        return rf"[0-9]{{{n - places}}}\.[0-9]{{{places}}}"
    return f"[0-9]{{{n}}}" if n else ""


def _any_of(parts: list[str]) -> str:
    if not parts:
        raise Unsupported("no number lies within the bounds")
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def _places(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # bounds are finite
    return max(0, -exponent)
