"""A page of talk: draws one conversation and hands on what a person asks of it.

Pages differ by their conversations' mode, which says what stands beside the talk.
"""

from functools import partial

import streamlit as st

from assistant import Conversation, Job, Language, Mode, Ready, instance, run_numbers, text
from pages.parts import (
    bench,
    calls,
    cells,
    files,
    kernel,
    loading,
    question,
    session,
    sidebar,
    toolpanel,
    transcript,
)
from pages.parts.language import current

SUGGESTIONS = {
    Mode.CHAT: "",
    Mode.TOOLS: "tools_",
    Mode.INTERPRETER: "interpreter_",
}  # what the keys of a page's own texts begin with


def draw(mode: Mode) -> None:
    language = current()
    model = instance().model_state
    conversation = session.conversation(mode)
    if mode is Mode.INTERPRETER:
        draw_workbench(conversation, language)
    if conversation.settings.tools_on:
        toolpanel.draw(conversation, language)
    sidebar.draw(conversation, model, language)
    if mode is Mode.INTERPRETER:
        bench.draw(conversation, language)
    if not isinstance(model, Ready):
        loading.draw(model, language)
        st.stop()
    draw_talk(conversation, language)


def draw_workbench(conversation: Conversation, language: Language) -> None:
    """What there is beside the talk where code is run."""
    with st.sidebar:
        bench.draw_level(language)
        if bench.may_run(conversation):
            files.draw(conversation, language)
            kernel.draw(conversation, language)
        key = f"use_tools-{conversation.id}"
        st.toggle(
            text(language, "use_tools"),
            conversation.settings.tools_on,
            key=key,
            on_change=sidebar.change,
            args=(conversation, "tools_on", key),
        )


def draw_talk(conversation: Conversation, language: Language) -> None:
    revision, messages, job = conversation.view()
    if not messages and job is None:
        transcript.draw_welcome(conversation, language, SUGGESTIONS[conversation.mode])
    in_sandbox = conversation.mode is Mode.INTERPRETER
    below = partial(cells.draw_below, conversation, language=language)
    beside = calls.Beside(below if in_sandbox else calls.nothing, run_numbers(messages))
    transcript.draw_messages(messages, language, beside)
    transcript.follow(conversation, revision, language)
    if job is not None:
        question.draw(conversation, job, language)
    elif messages and messages[-1].ended is not None:
        transcript.draw_actions(conversation.id, messages[-1], language)
    if in_sandbox and job is None:
        cells.draw_own(conversation, language)
    draw_bottom(conversation, job, language)


def draw_bottom(conversation: Conversation, job: Job | None, language: Language) -> None:
    with st.bottom:
        session.draw_problem(language)
        if job is not None:
            # On the other side than what appears when it is gone: a second click must hit nothing.
            with st.container(horizontal=True, horizontal_alignment="right"):
                st.button(
                    text(language, "stop"),
                    icon=":material/stop_circle:",
                    on_click=session.attempt,
                    args=(job.cancel,),
                    key="stop",
                )
    # Not within the block above: only an input that takes the bottom by itself makes the page
    # follow a growing answer.
    in_sandbox = conversation.mode is Mode.INTERPRETER
    st.chat_input(
        text(language, "ask_code" if in_sandbox else "ask"),
        key="question",
        accept_file="multiple" if in_sandbox else False,
        max_upload_size=files.megabytes() if in_sandbox else None,
        on_submit=session.submit,
        args=(conversation.id,),
    )
