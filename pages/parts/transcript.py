"""A conversation on the page: what was said, and the answer that is being written."""

import streamlit as st

from assistant import (
    Conversation,
    Ended,
    Job,
    Language,
    Message,
    Role,
    cut_reason,
    dropped,
    figures,
    instance,
    literal,
    prefill,
    showable,
    text,
)
from pages.parts import session

WRITING = 0.2  # seconds between two looks at an answer in the making
IDLE = 2.0  # and at a conversation that another tab may change
SUGGESTIONS = ("suggestion_1", "suggestion_2", "suggestion_3")


def draw_welcome(conversation: Conversation, language: Language) -> None:
    st.title(text(language, "welcome"))
    st.caption(text(language, "welcome_hint"))
    for key in SUGGESTIONS:
        question = text(language, key)
        st.button(
            question,
            key=key,
            type="tertiary",
            icon=":material/arrow_forward:",
            on_click=session.attempt,
            args=(instance().ask, conversation.id, question),
        )


def draw_message(message: Message, language: Language) -> None:
    if message.role is Role.USER:
        with st.chat_message("user"):
            st.text(message.content)
        return
    with st.chat_message("assistant"):
        if message.ended is not None:
            draw_dropped(message.ended.dropped_turns, language)
        st.markdown(showable(message.content))
        if message.ended is not None:
            draw_ended(message.ended, language)


def draw_ended(ended: Ended, language: Language) -> None:
    """Why the answer was cut, if it was, and its figures."""
    why, numbers = cut_reason(ended, language), figures(ended, language)
    if ended.error is not None:
        st.error(literal(why), icon=":material/error:")
        why = ""
    if why or numbers:
        st.caption(" · ".join(filter(None, (why, numbers))))


def draw_dropped(n_turns: int, language: Language) -> None:
    """The line that says what the model no longer sees."""
    line = dropped(n_turns, language)
    if line:
        st.caption(line)


def draw_actions(conversation_id: str, last: Message, language: Language) -> None:
    """What can be done with the last answer."""
    with st.container(horizontal=True):
        st.button(
            text(language, "regenerate"),
            icon=":material/refresh:",
            on_click=session.attempt,
            args=(instance().regenerate, conversation_id),
            key="regenerate",
        )
        if last.ended is not None and last.ended.was_cut:
            st.button(
                text(language, "continue"),
                icon=":material/resume:",
                on_click=session.attempt,
                args=(instance().continue_, conversation_id),
                key="continue",
            )


def follow(conversation: Conversation, revision: int, language: Language) -> None:
    """Keeps looking: at the answer in the making, and for changes from elsewhere.

    The job is the assistant's; this page only reads it, so nothing that happens to the page
    happens to the answer.
    """
    every = IDLE if conversation.job is None else WRITING
    st.fragment(draw_live, run_every=every)(conversation, revision, language)


def draw_live(conversation: Conversation, revision: int, language: Language) -> None:
    now, _, job = conversation.view()
    if now != revision:
        st.rerun()
    if job is not None:
        with st.chat_message("assistant"):
            draw_job(job, language)


def draw_job(job: Job, language: Language) -> None:
    now = job.snapshot()
    draw_dropped(now.dropped_turns, language)
    if now.text:
        st.markdown(showable(now.text))
    if now.progress is not None:
        reading = prefill(now.progress, language)
        st.progress(reading.share or 0.0, text=reading.text)
    elif not now.text:
        st.markdown(f":shimmer[{text(language, 'thinking')}]")
