"""A QR code for the terminal, where one fits and can be shown."""

import io
import shutil
from typing import TextIO

import segno

_BORDER = 4  # modules around it that a camera needs to be light
# Light on dark whatever the terminal's own colours are: not every camera reads it the other way.
_COLOURS, _OWN = "\x1b[97;40m", "\x1b[0m"


def qr_lines(text: str, out: TextIO, columns: int = 0) -> list[str]:
    """Nothing where it would not fit or `out` cannot write its blocks; `columns` 0: as there are.

    Two rows of modules share a line, as half blocks.
    """
    code = segno.make_qr(text, error="l", boost_error=False)
    width = code.symbol_size(border=_BORDER)[0]
    if width > (columns or shutil.get_terminal_size().columns) or not _is_utf8(out):
        return []
    drawn = io.StringIO()
    code.terminal(drawn, border=_BORDER, compact=True)
    lines = drawn.getvalue().splitlines()
    return [f"{_COLOURS}{line}{_OWN}" for line in lines] if out.isatty() else lines


def _is_utf8(out: TextIO) -> bool:
    return (getattr(out, "encoding", None) or "").lower().replace("-", "") == "utf8"
