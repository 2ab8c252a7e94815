"""A conversation on the page: what was said, and the answer that is being written."""

from collections.abc import Sequence

import streamlit as st

from assistant import (
    CallItem,
    Conversation,
    DraftItem,
    Ended,
    Item,
    Job,
    Language,
    Message,
    Role,
    TextItem,
    cut_reason,
    dropped,
    figures,
    instance,
    items_of_messages,
    literal,
    prefill,
    rounds_note,
    showable,
    split_turns,
    text,
)
from pages.parts import calls, session, visitor
from pages.parts.calls import Below, nothing

WRITING = 0.2  # seconds between two looks at an answer in the making
IDLE = 2.0  # and at a conversation that another tab may change


def draw_welcome(conversation: Conversation, language: Language, prefix: str = "") -> None:
    st.title(text(language, f"{prefix}welcome"))
    st.caption(text(language, f"{prefix}hint" if prefix else "welcome_hint"))
    for number in (1, 2, 3):
        key = f"{prefix}suggestion_{number}"
        question = text(language, key)
        st.button(
            question,
            key=key,
            type="tertiary",
            icon=":material/arrow_forward:",
            on_click=session.attempt,
            args=(instance().ask, conversation.id, question),
        )


def draw_messages(messages: Sequence[Message], language: Language, below: Below = nothing) -> None:
    """Turn by turn: the question, and all that was done to answer it."""
    _, turns = split_turns(messages)
    for turn in turns:
        if turn[0].role is Role.USER:
            with st.chat_message("user"):
                draw_question(turn[0], language, below)
            turn = turn[1:]
        if turn:
            draw_answer(turn, language, below)


def draw_question(message: Message, language: Language, below: Below) -> None:
    """What a person asked, or a cell that they ran."""
    if message.step is None:
        st.text(message.content)
    else:
        calls.draw(message.step, language, below)


def draw_answer(messages: Sequence[Message], language: Language, below: Below = nothing) -> None:
    ended = messages[-1].ended
    with st.chat_message("assistant"):
        if ended is not None:
            draw_dropped(ended.dropped_turns, language)
        draw_items(items_of_messages(messages), language, below)
        if ended is not None:
            draw_ended(ended, language)


def draw_items(items: Sequence[Item], language: Language, below: Below = nothing) -> None:
    for item in items:
        match item:
            case TextItem(words):
                st.markdown(showable(words))
            case CallItem(step):
                calls.draw(step, language, below)
            case DraftItem(raw):
                calls.draw_draft(raw, language)


def draw_ended(ended: Ended, language: Language) -> None:
    """Why the answer was cut, if it was, and its figures."""
    why, numbers = cut_reason(ended, language), figures(ended, language)
    if ended.error is not None:
        st.error(literal(why), icon=":material/error:")
        why = ""
    notes = [note for note in (why, rounds_note(ended, language), numbers) if note]
    if notes:
        st.caption(" · ".join(notes))


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
    job = conversation.job
    every = IDLE if job is None else WRITING
    shown = (revision, *_around(job))
    st.fragment(draw_live, run_every=every)(conversation, shown, language)


def draw_live(conversation: Conversation, shown: tuple[object, ...], language: Language) -> None:
    visitor.checked()
    revision, _, job = conversation.view()
    if (revision, *_around(job)) != shown:
        st.rerun()
    if job is not None:
        with st.chat_message("assistant"):
            draw_job(job, language)


def _around(job: Job | None) -> tuple[object, ...]:
    """What a page shows besides the messages."""
    question = job.snapshot().question if job is not None else None
    asked = question.id if question is not None else ""
    return asked, instance().tools_revision, instance().exposure.sharing()


def draw_job(job: Job, language: Language) -> None:
    now = job.snapshot()
    draw_dropped(now.dropped_turns, language)
    draw_items(now.items, language)
    if now.progress is not None:
        reading = prefill(now.progress, language)
        st.progress(reading.share or 0.0, text=reading.text)
    elif not now.items:
        st.markdown(f":shimmer[{text(language, 'thinking')}]")
