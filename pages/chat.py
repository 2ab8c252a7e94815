"""The chat page: draws one conversation and hands on what a person asks of it."""

import streamlit as st

from assistant import Ready, instance, text
from pages.parts import loading, session, sidebar, transcript
from pages.parts.language import current

language = current()
model = instance().model_state
conversation = session.conversation()

sidebar.draw(conversation, model, language)
if not isinstance(model, Ready):
    loading.draw(model, language)
    st.stop()

revision, messages, job = conversation.view()
if not messages and job is None:
    transcript.draw_welcome(conversation, language)
for message in messages:
    transcript.draw_message(message, language)
transcript.follow(conversation, revision, language)
if messages and job is None:
    transcript.draw_actions(conversation.id, messages[-1], language)

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
# Not within the block above: only an input that takes the bottom by itself makes the page follow
# a growing answer.
st.chat_input(
    text(language, "ask"), key="question", on_submit=session.submit, args=(conversation.id,)
)
