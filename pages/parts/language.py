"""The language that this tab is in."""

import streamlit as st

from assistant import Language

NAMES = {Language.CHINESE: "中文", Language.ENGLISH: "English"}


def choose() -> Language:
    """The browser's own until a person chooses; the address keeps the choice."""
    st.sidebar.segmented_control(
        "语言 / Language",
        NAMES.values(),
        default=NAMES[Language.of_locale(st.context.locale)],
        required=True,
        key="lang",
        bind="query-params",
        width="stretch",
    )
    return current()


def current() -> Language:
    """What `choose` got in this run."""
    chosen = st.session_state["lang"]
    return next(language for language, name in NAMES.items() if name == chosen)
