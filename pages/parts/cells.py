"""Code that a person runs: a block of the model's changed, a cell of their own, all again."""

import streamlit as st

from assistant import CallState, CallStep, CodeCall, Conversation, Language, instance, text
from pages.parts import files, session


def draw_below(conversation: Conversation, step: CallStep, language: Language) -> None:
    """Under a block that was run: what it wrote, and the way to change it."""
    if not isinstance(step.call, CodeCall) or step.state is CallState.REPEATED:
        return
    work = instance().workbench.session(conversation.id)
    there = {entry.name for entry in work.files()} if step.new_files else set()
    for name in step.new_files:
        if name in there:
            files.draw_download(work, name, f"new-{step.id}-{name}", language)
    editing = f"editing-{step.id}"
    if st.session_state.get(editing):
        draw_editor(conversation, step, step.call.code, language)
    else:
        st.button(
            text(language, "edit_code"),
            icon=":material/edit:",
            key=f"edit-{step.id}",
            on_click=st.session_state.__setitem__,
            args=(editing, True),
        )


def draw_editor(conversation: Conversation, step: CallStep, code: str, language: Language) -> None:
    with st.form(f"editor-{step.id}"):
        key = f"code-{step.id}"
        st.text_area(text(language, "code"), code, key=key, height=_height(code))
        with st.container(horizontal=True):
            st.form_submit_button(
                text(language, "run"),
                type="primary",
                icon=":material/play_arrow:",
                key=f"run-{step.id}",
                on_click=run_again,
                args=(conversation, step.id, key),
            )
            st.form_submit_button(
                text(language, "cancel"),
                key=f"cancel-{step.id}",
                on_click=st.session_state.pop,
                args=(f"editing-{step.id}", None),
            )


def draw_own(conversation: Conversation, language: Language) -> None:
    """A cell of the person's own."""
    panel = st.expander(text(language, "own_cell"), icon=":material/code:", key="own_cell")
    with panel, st.form("own", border=False):
        key = f"own-{conversation.id}"
        st.text_area(text(language, "code"), key=key, height=140, placeholder="1 + 1")
        st.form_submit_button(
            text(language, "run"),
            type="primary",
            icon=":material/play_arrow:",
            key="run_own",
            on_click=run_own,
            args=(conversation, key),
        )


def run_again(conversation: Conversation, step_id: str, key: str) -> None:
    session.attempt(instance().run_again, conversation.id, step_id, st.session_state[key])
    if "problem" not in st.session_state:
        st.session_state.pop(f"editing-{step_id}", None)


def run_own(conversation: Conversation, key: str) -> None:
    session.attempt(instance().run_cell, conversation.id, st.session_state[key])
    if "problem" not in st.session_state:
        st.session_state[key] = ""


def _height(code: str) -> int:
    return min(max(code.count("\n") + 2, 4), 20) * 24
