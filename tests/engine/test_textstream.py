"""Text as it may be shown: whole characters, and nothing of a stop string, however ids cut it."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pieces import pieces_tokenizer

from engine.textstream import TextStream


def shown(pieces: Sequence[bytes], stop: Sequence[str] = ()) -> tuple[list[str], bool]:
    """What each piece showed, and what the end did; whether a stop string ended it."""
    stream = TextStream(pieces_tokenizer(pieces), tuple(stop))
    parts = [stream.feed(index) for index in range(len(pieces))]
    stopped = stream.stopped
    return [*parts, "" if stopped else stream.flush()], stopped


def until_stop(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """Read one character after the other until a stop string is complete; the longest counts."""
    for end in range(len(text) + 1):
        starts = [end - len(s) for s in stop if text[:end].endswith(s)]
        if starts:
            return text[: min(starts)], True
    return text, False


@st.composite
def cut(draw: st.DrawFn, text: st.SearchStrategy[str]) -> list[bytes]:
    """The bytes of a text, cut anywhere, also within characters."""
    data = draw(text).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


DENSE = st.text(st.sampled_from("ab。🙂"), max_size=25)  # so that stop strings occur
STOPS = st.lists(st.text(st.sampled_from("ab。🙂"), min_size=1, max_size=4), max_size=3)


@given(cut(st.text(max_size=30)))
def test_characters_come_whole_wherever_the_ids_cut_them(pieces: list[bytes]) -> None:
    parts, stopped = shown(pieces)
    assert "".join(parts) == b"".join(pieces).decode()
    assert not stopped


@given(cut(DENSE), STOPS)
@example([b"abc"], ["abcd", "bc"])
@example([b"abcd"], ["abcd", "bc"])
def test_the_text_ends_before_the_first_stop_string_however_it_is_cut(
    pieces: list[bytes], stop: list[str]
) -> None:
    parts, stopped = shown(pieces, stop)
    assert ("".join(parts), stopped) == until_stop(b"".join(pieces).decode(), stop)


@given(cut(DENSE), STOPS)
def test_nothing_is_held_back_that_cannot_begin_a_stop_string(
    pieces: list[bytes], stop: list[str]
) -> None:
    stream = TextStream(pieces_tokenizer(pieces), tuple(stop))
    out, read = "", b""
    for index, piece in enumerate(pieces):
        out += stream.feed(index)
        read += piece
        if stream.stopped:
            return
        held = read.decode(errors="ignore")[len(out) :]
        assert held == "" or any(s.startswith(held) and s != held for s in stop)


@given(st.lists(st.binary(max_size=6), max_size=12), STOPS)
def test_bytes_that_are_no_characters_never_show_as_replacement_signs(
    pieces: list[bytes], stop: list[str]
) -> None:
    if "\ufffd".encode() not in b"".join(pieces):
        assert "\ufffd" not in "".join(shown(pieces, stop)[0])


def test_nothing_is_shown_after_a_stop_string() -> None:
    stream = TextStream(pieces_tokenizer([b"one STO", b"P two", b" three"]), ("STOP",))
    assert [stream.feed(index) for index in range(3)] == ["one ", "", ""]
    assert stream.stopped
    assert stream.flush() == ""


def test_what_only_looked_like_a_stop_string_is_shown_when_it_is_not() -> None:
    parts, stopped = shown([b"a ST", b"ART"], ["STOP"])
    assert parts == ["a ", "START", ""]
    assert not stopped


def test_what_is_held_back_at_the_end_is_shown_then() -> None:
    assert shown([b"a STO"], ["STOP"]) == (["a ", "STO"], False)


@pytest.mark.parametrize("end", ["你".encode()[:1], "🙂".encode()[:3]])
def test_half_a_character_at_the_end_is_dropped(end: bytes) -> None:
    assert shown([b"a", end]) == (["a", "", ""], False)


def test_control_ids_show_nothing_and_do_not_part_a_character() -> None:
    first, second = "你".encode()[:2], "你".encode()[2:]
    tokenizer = pieces_tokenizer([first, b"<|control|>", second], controls=[1])
    stream = TextStream(tokenizer, ())
    assert [stream.feed(index) for index in range(3)] == ["", "", "你"]
