"""Text with ANSI's colours. Every character of it is escaped; the only tags are ours."""

from html import escape

import streamlit as st

from assistant import Span, spans, without_colours

MAX_SPANS = 3000  # what more of them is, is shown without colours
LONG = 30  # lines; what has more of them is scrolled
HEIGHT = 640  # pixels, of that

# On the page's light and dark ground, each at least 4.5 : 1.
COLOURS = {
    "red": ("#b3261e", "#ff8a80"),
    "green": ("#1b6e2d", "#7bd88f"),
    "yellow": ("#7a5900", "#e5c07b"),
    "blue": ("#1f5fbf", "#82b1ff"),
    "magenta": ("#8e24aa", "#e3a5f2"),
    "cyan": ("#00687a", "#67d5e0"),
    "grey": ("#5a6472", "#a5afbd"),
}
GROUND = (
    "margin:0;padding:1rem;border-radius:0.5rem;white-space:pre-wrap;overflow-wrap:anywhere;"
    "font:0.875rem/1.6 'Source Code Pro',monospace;"
    "background:color-mix(in srgb,currentColor 4%,transparent);"
    f"max-height:{HEIGHT}px;overflow:auto"
)


def draw(words: str) -> None:
    """As code is drawn; without a colour in it, that is what it is."""
    found = spans(words)
    if len(found) > MAX_SPANS or all(span == Span(span.text) for span in found):
        is_long = words.count("\n") > LONG
        plain = without_colours(words)
        st.code(plain, language=None, wrap_lines=True, height=HEIGHT if is_long else "content")
    else:
        st.html(markup(found))


def markup(found: list[Span]) -> str:
    return f'<pre style="{GROUND}" tabindex="0">{"".join(map(_markup, found))}</pre>'


def _markup(span: Span) -> str:
    style = ""
    if span.colour:
        light, dark = COLOURS[span.colour]
        style += f"color:light-dark({light},{dark});"
    style += "font-weight:600;" if span.bold else ""
    style += "font-style:italic;" if span.italic else ""
    style += "text-decoration:underline;" if span.underlined else ""
    text = escape(span.text)
    return f'<span style="{style}">{text}</span>' if style else text
