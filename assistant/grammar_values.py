"""Strings and literals of a call, as pieces of a grammar: Lark's syntax, llguidance's dialect."""

import json
import re
from collections.abc import Mapping, Sequence

from assistant.callform import Spelling

QUOTES = {Spelling.JSON: '"', Spelling.PYTHON: "'\""}

_ESCAPES = {Spelling.JSON: r"\\[\"\\nrt]", Spelling.PYTHON: r"\\['\"\\nrt]"}
_UNESCAPED = r"\\\x00-\x1f\x7f"  # what no string has as it is
_MARKER = r"/(?s:.*)<\/?tool_call>(?s:.*)/"  # would end a JSON call within a string
_DATE = r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_ZONE = r"(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"
_HOST = r"[a-z0-9]{1,32}(?:\.[a-z0-9]{1,32}){0,4}"
_BYTE = r"(?:[1-9]?[0-9]|1[0-9]{2})"
FORMATS = {
    "date": _DATE,
    "time": _TIME + _ZONE,
    "date-time": f"{_DATE}T{_TIME}{_ZONE}",
    "duration": "P(?:[0-9]{1,3}D|T[0-9]{1,3}[HMS])",
    "uuid": "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "email": rf"[a-z0-9]{{1,32}}(?:[._-][a-z0-9]{{1,16}}){{0,3}}@{_HOST}\.[a-z]{{2,10}}",
    "uri": rf"https?://{_HOST}(?:/[A-Za-z0-9._~%?&=+-]{{0,64}}){{0,8}}",
    "ipv4": rf"{_BYTE}(?:\.{_BYTE}){{3}}",
}


def quoted(text: str) -> str:
    """Text as it stands in a grammar."""
    return json.dumps(text, ensure_ascii=False)


def regex(pattern: str) -> str:
    """A regular expression as it stands in a grammar."""
    return "/" + re.sub(r"\\.|/", lambda found: found[0].replace("/", r"\/", 1), pattern) + "/"


def strings(spelling: Spelling, least: int, most: int | None) -> str:
    """Any text of so many characters between its quotes, as a terminal."""
    character = f"(?:[^%s{_UNESCAPED}]|{_ESCAPES[spelling]})" + _times(least, most)
    bodies = [quote + character % quote + quote for quote in QUOTES[spelling]]
    text = regex("|".join(bodies))
    return text if spelling is Spelling.PYTHON else f"{text} & ~{_MARKER}"


def matching(pattern: str, least: int = 0, most: int | None = None) -> str:
    """Text without escapes in which `pattern` is found, in double quotes, as a terminal."""
    start, end = pattern.startswith("^"), re.search(r"(?<!\\)(?:\\\\)*\$\Z", pattern)
    body = pattern[int(start) : -1 if end else None]
    whole = f"{'' if start else '(?s:.*)'}(?:{body}){'' if end else '(?s:.*)'}"
    plain = regex(f'[^"{_UNESCAPED}]{_times(least, most)}')
    return f'"\\"" ({regex(whole)} & {plain} & ~{_MARKER}) "\\""'


def literals(spelling: Spelling, value: object) -> list[str]:
    """Every way in which a value of the schema may be written, as it stands in a grammar."""
    if spelling is Spelling.PYTHON and isinstance(value, str):
        return [quoted(_python_string(value, quote)) for quote in QUOTES[spelling]]
    return [quoted(literal(spelling, value))]


def literal(spelling: Spelling, value: object) -> str:
    """A value of JSON as it is written most often."""
    if spelling is Spelling.JSON:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return _python_string(value, "'")
    if isinstance(value, Mapping):
        pairs = (f"{literal(spelling, k)}: {literal(spelling, v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(literal(spelling, item) for item in value) + "]"
    return repr(value)


def _python_string(text: str, quote: str) -> str:
    characters = [
        f"\\{each}" if each in (quote, "\\") else each if each.isprintable() else ascii(each)[1:-1]
        for each in text
    ]
    return quote + "".join(characters) + quote


def _times(least: int, most: int | None) -> str:
    if most is None:
        return f"{{{least},}}" if least else "*"
    return f"{{{least},{most}}}"
