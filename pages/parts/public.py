"""What operators see on every page while the app has a public address, and the way to end it."""

from datetime import datetime, timedelta, timezone

import streamlit as st

from assistant import Language, instance, literal, text
from pages.parts import session, visitor

DAY = 24 * 60  # minutes


def draw(language: Language) -> None:
    sharing = instance().exposure.sharing()
    if sharing is None or not visitor.is_operator():
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        line = text(
            language,
            "public",
            url=sharing.url,
            since=_moment(sharing.since),
            until=_moment(sharing.until),
        )
        st.markdown(f":material/public: {literal(line)}")
        st.button(
            text(language, "public_stop"),
            icon=":material/public_off:",
            key="public_stop",
            on_click=session.attempt,
            args=(stop, language),
        )


def stop(language: Language) -> None:
    instance().exposure.stop()
    st.toast(text(language, "public_stopping"))


def _moment(seconds: float) -> str:
    """A time as the browser's clock shows it."""
    offset = st.context.timezone_offset  # minutes that UTC is ahead
    there = None
    if offset is not None and abs(offset) < DAY:
        there = timezone(timedelta(minutes=-offset))
    return f"{datetime.fromtimestamp(seconds, there):%Y-%m-%d %H:%M}"
