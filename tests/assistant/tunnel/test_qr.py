"""The QR code is drawn where it fits, and says what it should."""

import io

import pytest

from assistant.tunnel.qr import qr_lines

LINK = "https://four-words-in-a-row.trycloudflare.com/signin/link/" + "x" * 43


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def drawn(encoding: str = "utf-8", *, columns: int = 80, is_terminal: bool = False) -> list[str]:
    with Terminal(encoding, is_terminal=is_terminal) as out:
        return qr_lines(LINK, out, columns)


def modules(lines: list[str]) -> list[list[bool]]:
    """Whether each is dark; two rows a line."""
    rows = []
    for line in lines:
        rows.append([block in " ▄" for block in line])
        rows.append([block in " ▀" for block in line])
    return rows[: len(rows[0])]  # the last line may have one row only


def finder(rows: list[list[bool]], top: int, left: int) -> list[str]:
    return [
        "".join("#" if dark else "." for dark in row[left : left + 7])
        for row in rows[top : top + 7]
    ]


def test_it_has_the_three_corners_that_a_camera_looks_for() -> None:
    rows = modules(drawn())
    corner = ["#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"]
    size = len(rows[0])
    assert finder(rows, 4, 4) == corner
    assert finder(rows, 4, size - 11) == corner
    assert finder(rows, size - 11, 4) == corner


def test_a_light_rim_of_four_modules_is_around_it() -> None:
    rows = modules(drawn())
    assert not any(any(row) for row in rows[:4])
    assert not any(any(row[:4]) or any(row[-4:]) for row in rows)


def test_on_a_terminal_it_is_light_on_dark_whatever_the_theme() -> None:
    lines = drawn(is_terminal=True)
    assert all(line.startswith("\x1b[97;40m") and line.endswith("\x1b[0m") for line in lines)


def test_it_stays_within_an_ordinary_terminal() -> None:
    assert 20 < max(map(len, drawn())) <= 80


@pytest.mark.parametrize(("encoding", "columns"), [("utf-8", 40), ("gbk", 80), ("ascii", 80)])
def test_where_it_does_not_fit_or_cannot_be_written_there_is_none(
    encoding: str, columns: int
) -> None:
    assert drawn(encoding, columns=columns) == []


def test_a_stream_without_an_encoding_gets_none() -> None:
    assert qr_lines(LINK, io.StringIO(), 80) == []
