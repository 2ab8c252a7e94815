"""ANSI's colours become spans; what is no colour is nothing, and no character of text is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.ansi import Span, spans
from assistant.outputs import without_colours


def test_a_traceback_s_colours_become_spans() -> None:
    assert spans("a\x1b[31mKeyError\x1b[39m: 'x'") == [
        Span("a"),
        Span("KeyError", "red"),
        Span(": 'x'"),
    ]


@pytest.mark.parametrize(
    ("codes", "span"),
    [
        ("1;4", Span("x", bold=True, underlined=True)),
        ("3", Span("x", italic=True)),
        ("92", Span("x", "green")),
        ("90", Span("x", "grey")),
        ("2", Span("x", "grey")),
        ("30", Span("x")),
        ("37", Span("x")),
        ("38;5;220", Span("x", "yellow")),
        ("38;5;12", Span("x", "blue")),
        ("38;5;241", Span("x", "grey")),
        ("38;2;200;0;200", Span("x", "magenta")),
        ("38:2::0:200:200", Span("x", "cyan")),
        ("41;31", Span("x", "red")),
        ("48;5;31;1", Span("x", bold=True)),
        ("38;5", Span("x")),
        ("999;31", Span("x", "red")),
        ("31;0", Span("x")),
        ("", Span("x")),
    ],
)
def test_a_style_is_what_its_codes_say(codes: str, span: Span) -> None:
    assert spans(f"\x1b[{codes}mx") == [span]


@given(st.lists(st.sampled_from(["\x1b[", "m", ";", ":", "38", "5", "1", "31", "x", "<b>", "\n"])))
def test_no_character_is_lost_whatever_the_codes_are(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert "".join(span.text for span in spans(text)) == without_colours(text)
