"""A file of a conversation as something to look at. Whatever is in it, looking does no harm."""

import csv
import io
import json
from pathlib import PurePosixPath

from assistant.outputs import ImageOutput, JsonOutput, Output, TableOutput, TextOutput
from assistant.pictures import BadPicture, clean_picture
from assistant.sandbox.plaintext import clean

ROWS, COLUMNS, CHARACTERS = 100, 50, 20_000
LINE = 300
READ = 2_000_000  # bytes of a text that are looked at
PICTURES = (".png", ".jpg", ".jpeg")
TABLES = {".csv": ",", ".tsv": "\t"}


def preview(name: str, data: bytes) -> Output | None:
    """None if there is nothing to be seen in it."""
    kind = PurePosixPath(name).suffix.lower()
    if kind in PICTURES:
        return _picture(data)
    text = _text(data[:READ])
    if text is None:
        return None
    if kind in TABLES:
        return _table(text, TABLES[kind])
    if kind == ".json" and len(data) <= READ:
        return _json(text)
    return _plain(text)


def first_lines(name: str, data: bytes) -> str:
    """The first two lines of a table: what its columns are called, and what is in them."""
    text = _text(data[:READ]) if PurePosixPath(name).suffix.lower() in TABLES else None
    lines = clean(text or "", 2 * LINE).splitlines()[:2]
    return "\n".join(line[:LINE] for line in lines)


def _picture(data: bytes) -> ImageOutput | None:
    try:
        return clean_picture(data)
    except BadPicture:
        return None


def _text(data: bytes) -> str | None:
    """What a text in one of the usual encodings says; the last character may be cut in two."""
    if b"\0" in data:
        return None
    for encoding in ("utf-8-sig", "gb18030"):
        for n_cut in range(4):
            try:
                return data[: len(data) - n_cut].decode(encoding)
            except UnicodeDecodeError:
                continue
    return None


def _table(text: str, delimiter: str) -> Output:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error:
        return _plain(text)
    if not rows:
        return _plain(text)
    width = min(max(map(len, rows[: ROWS + 1])), COLUMNS)
    header, *body = [[clean(cell, 500) for cell in row[:width]] for row in rows[: ROWS + 1]]
    columns = (*header, *("" for _ in range(width - len(header))))
    table = tuple((*row, *("" for _ in range(width - len(row)))) for row in body)
    return TableOutput(columns, table, len(rows) - 1)


def _json(text: str) -> Output:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _plain(text)
    fits = isinstance(value, dict | list) and len(text) <= CHARACTERS
    return JsonOutput(value) if fits else _plain(text)


def _plain(text: str) -> TextOutput:
    return TextOutput(clean(text, CHARACTERS))
