"""A conversation on the page: what was said, and the answer that is being written."""

from collections.abc import Sequence

import streamlit as st

from assistant import (
    CallItem,
    CallState,
    Conversation,
    DraftItem,
    Ended,
    Item,
    Job,
    Language,
    Message,
    Mode,
    Role,
    SessionState,
    SessionStatus,
    Snapshot,
    TextItem,
    cut_reason,
    dropped,
    figures,
    instance,
    items_of_messages,
    literal,
    prefill,
    rounds_note,
    run_numbers,
    showable,
    split_turns,
    spoken,
    text,
)
from pages.parts import calls, session, visitor, words
from pages.parts.calls import ALONE, Beside

WRITING = 0.2  # seconds between two looks at an answer in the making
IDLE = 2.0  # and at a conversation that another tab may change
UNDER_WAY = (CallState.RUNNING, CallState.WAITING)


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


def draw_messages(messages: Sequence[Message], language: Language, beside: Beside = ALONE) -> None:
    """Turn by turn: the question, and all that was done to answer it."""
    _, turns = split_turns(messages)
    for turn in turns:
        if turn[0].role is Role.USER:
            with st.chat_message("user"):
                draw_question(turn[0], language, beside)
            turn = turn[1:]
        if turn:
            draw_answer(turn, language, beside)


def draw_question(message: Message, language: Language, beside: Beside) -> None:
    """What a person asked, or a cell that they ran."""
    if message.step is None:
        st.text(message.typed or message.content)
        if message.uploaded:
            names = literal(", ".join(message.uploaded))
            st.caption(text(language, "uploaded", names=names))
    else:
        calls.draw(message.step, language, beside)


def draw_answer(messages: Sequence[Message], language: Language, beside: Beside = ALONE) -> None:
    ended = messages[-1].ended
    with st.chat_message("assistant"):
        if ended is not None:
            draw_dropped(ended.dropped_turns, language)
        draw_items(items_of_messages(messages), language, beside)
        if ended is not None:
            draw_ended(ended, language)


def draw_items(items: Sequence[Item], language: Language, beside: Beside = ALONE) -> None:
    for item in items:
        match item:
            case TextItem(words):
                st.markdown(showable(words))
            case CallItem(step):
                calls.draw(step, language, beside)
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
    shown = (revision, *_around(conversation, job))
    st.fragment(draw_live, run_every=every)(conversation, shown, language)


def draw_live(conversation: Conversation, shown: tuple[object, ...], language: Language) -> None:
    visitor.checked()
    revision, messages, job = conversation.view()
    if (revision, *_around(conversation, job)) != shown:
        st.rerun()
    now = job.snapshot() if job is not None else None
    if now is not None:
        with st.chat_message("assistant"):
            draw_job(now, Beside(runs=run_numbers(messages, now.items)), language)
    words.announce(spoken(messages, now, language))


def _around(conversation: Conversation, job: Job | None) -> tuple[object, ...]:
    """What a page shows besides the messages."""
    now = job.snapshot() if job is not None else None
    asked = now.question.id if now is not None and now.question is not None else ""
    items = now.items if now is not None else ()
    ran = sum(isinstance(item, CallItem) and item.step.state not in UNDER_WAY for item in items)
    python = ended_python(conversation)
    return asked, ran, python, instance().tools_revision, instance().exposure.sharing()


def ended_python(conversation: Conversation) -> SessionStatus | None:
    """How the conversation's Python came to its end, if it did and there is no new one."""
    if conversation.mode is not Mode.INTERPRETER:
        return None
    status = instance().workbench.session(conversation.id).status
    return status if status.state is SessionState.DEAD else None


def draw_job(now: Snapshot, beside: Beside, language: Language) -> None:
    draw_dropped(now.dropped_turns, language)
    draw_items(now.items, language, beside)
    if now.progress is not None:
        reading = prefill(now.progress, language)
        st.progress(reading.share or 0.0, text=reading.text)
    elif not now.items:
        st.markdown(f":shimmer[{text(language, 'thinking')}]")
