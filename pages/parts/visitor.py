"""Who looks at the page, by the word of the gate: it sets headers on each request it lets in.

The gate strips these headers from what comes in, and without a login lets in nobody but somebody
at this machine. So a connection without them is that, and no connection at all is nobody.
"""

import streamlit as st

from assistant import (
    ACCESS_HEADER,
    LOCAL,
    VISITOR_HEADER,
    Access,
    Allowance,
    Language,
    Visitor,
    instance,
    literal,
    text,
)

FIRST = "visitor"


def checked() -> Visitor:
    """Who looks now. What was begun for somebody else ends here, with all that it kept.

    Streamlit hands a session on to whoever reconnects to it.
    """
    now = _current()
    if now is None:
        st.stop()
    if st.session_state.setdefault(FIRST, now) != now:
        st.session_state.clear()
        language = Language.of_locale(st.context.locale)
        st.warning(text(language, "visitor_changed"), icon=":material/switch_account:")
        st.stop()
    return now


def is_same() -> bool:
    """Whether it is still the one for whom the page was begun; for what runs before the page."""
    return _current() == st.session_state.get(FIRST)


def is_operator() -> bool:
    return checked().access is Access.OPERATOR


def may_manage() -> bool:
    """Whether they may change what is everybody's, such as the model."""
    return is_operator() and not instance().exposure.forbids(Allowance.OPERATOR_PAGES)


def draw(language: Language) -> None:
    """The name of who signed in, and the way to what they may do with it."""
    name = checked().name
    if name:
        st.sidebar.link_button(
            literal(name),
            "/account",
            icon=":material/account_circle:",
            help=text(language, "account_help"),
            width="stretch",
        )


def _current() -> Visitor | None:
    headers = st.context.headers
    if not headers:
        return None
    name = headers.get(VISITOR_HEADER)
    if name is None:
        return LOCAL
    return Visitor(name, Access(headers[ACCESS_HEADER]))
