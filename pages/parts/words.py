"""What the page says beside what Streamlit draws: its language, and what happens, to who listens.

Streamlit's own words are English only, it tells screen readers neither the page's language nor
when an answer has ended, and it has no setting for any of that. So a script of ours does, which is
served as a file: the page's policy allows no other.
"""

from html import escape

import streamlit as st

from assistant import PAGE_WORDS, Language


def draw(language: Language) -> None:
    """First on each page."""
    script = f'<script src="{PAGE_WORDS}"></script>'
    mark = f'<span data-page-language="{language.value}" hidden></span>'
    st.sidebar.html(mark + script, unsafe_allow_javascript=True)


def announce(words: str) -> None:
    """Tells people who listen to the page; nobody sees it."""
    st.html(f'<span data-page-says="{escape(words)}" hidden></span>')
