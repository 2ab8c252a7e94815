"""A page of talk: draws one conversation and hands on what a person asks of it.

Pages differ by their conversations' mode, which says what stands beside the talk.
"""

import streamlit as st

from assistant import Conversation, Job, Language, Mode, Ready, instance, text
from pages.parts import loading, question, session, sidebar, toolpanel, transcript
from pages.parts.language import current

SUGGESTIONS = {
    Mode.CHAT: "",
    Mode.TOOLS: "tools_",
}  # what the keys of a page's own texts begin with


def draw(mode: Mode) -> None:
    language = current()
    model = instance().model_state
    conversation = session.conversation(mode)
    if mode is Mode.TOOLS:
        toolpanel.draw(conversation, language)
    sidebar.draw(conversation, model, language)
    if not isinstance(model, Ready):
        loading.draw(model, language)
        st.stop()
    draw_talk(conversation, language)


def draw_talk(conversation: Conversation, language: Language) -> None:
    revision, messages, job = conversation.view()
    if not messages and job is None:
        transcript.draw_welcome(conversation, language, SUGGESTIONS[conversation.mode])
    transcript.draw_messages(messages, language)
    transcript.follow(conversation, revision, language)
    if job is not None:
        question.draw(conversation, job, language)
    elif messages:
        transcript.draw_actions(conversation.id, messages[-1], language)
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
                    on_click=job.cancel,
                    key="stop",
                )
    # Not within the block above: only an input that takes the bottom by itself makes the page
    # follow a growing answer.
    st.chat_input(
        text(language, "ask"), key="question", on_submit=session.submit, args=(conversation.id,)
    )
