"""Text from a jail, made harmless: no control but colours, no trick of direction, no surrogate."""

import re

_ESCAPES = re.compile(
    r"(?P<colour>\x1b\[[0-9;:]{0,40}m)"
    r"|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b[PX^_][^\x1b]{0,4096}(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]{0,64}[ -/]{0,16}[@-~]?"  # CSI: the cursor, the screen
    r"|\x1b[ -/]{0,16}[0-~]?"
)
_COLOURS = re.compile(r"\x1b\[[0-9;:]{0,40}m")
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f"  # C0 but tab, newlines and escape; C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls
    "\u2028\u2029\ufff9-\ufffb\ud800-\udfff]"
)


def clean(text: object, limit: int | None = None) -> str:
    """At most `limit` characters of it, with colours (SGR) and without any other control."""
    if not isinstance(text, str):
        return ""
    kept = _ESCAPES.sub(lambda match: match["colour"] or "", text[:limit])
    return _UNWANTED.sub("", kept)


def uncoloured(text: str) -> str:
    return _COLOURS.sub("", text)


def line(text: object, limit: int) -> str:
    """The same on one line and without colours: a name, a type, a shape."""
    return " ".join(uncoloured(clean(text, limit)).split())


def overwritten(text: str) -> str:
    """As a terminal shows it once its lines have been written over: the last state of a bar."""
    text = text.replace("\r\n", "\n")
    if "\r" not in text:
        return text
    return "\n".join(_last_state(row) for row in text.split("\n"))


def _last_state(row: str) -> str:
    states = row.split("\r")
    return next((state for state in reversed(states) if state), "")
