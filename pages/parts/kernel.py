"""A conversation's Python, in the sidebar: its variables, run all again, notebook out and in."""

import streamlit as st

from assistant import (
    MAX_NOTEBOOK,
    Conversation,
    Language,
    SessionState,
    ended_session,
    instance,
    literal,
    text,
)
from pages.parts import session


def draw(conversation: Conversation, language: Language) -> None:
    work = instance().workbench.session(conversation.id)
    st.subheader("Python")
    if work.status.state is SessionState.DEAD:
        st.warning(literal(ended_session(work.status, language)), icon=":material/heart_broken:")
    draw_variables(conversation, language)
    with st.container(horizontal=True):
        st.button(
            text(language, "run_all"),
            icon=":material/replay:",
            key="run_all",
            help=text(language, "run_all_help"),
            on_click=session.attempt,
            args=(instance().run_all, conversation.id),
        )
        st.button(
            text(language, "restart"),
            icon=":material/restart_alt:",
            key="restart",
            help=text(language, "restart_help"),
            on_click=session.attempt,
            args=(restart, conversation),
        )
    draw_notebook(conversation, language)


def draw_variables(conversation: Conversation, language: Language) -> None:
    panel = st.expander(
        text(language, "variables"),
        icon=":material/data_object:",
        key=f"variables-{conversation.id}",
        on_change="rerun",
    )
    if not panel.open:
        return
    found = instance().workbench.session(conversation.id).variables()
    with panel:
        if not found:
            st.caption(text(language, "variables_none"))
            return
        columns = ("name", "type", "shape", "size")
        table = {
            text(language, f"variable_{column}"): [str(each.get(column, "")) for each in found]
            for column in columns
        }
        st.dataframe(table, hide_index=True)


def draw_notebook(conversation: Conversation, language: Language) -> None:
    st.download_button(
        text(language, "export_notebook"),
        lambda: instance().export_notebook(conversation.id),
        "session.ipynb",
        "application/x-ipynb+json",
        key="export_notebook",
        icon=":material/ios_share:",
        on_click="ignore",
        width="stretch",
        disabled=not conversation.messages,
    )
    counter = f"imports-{conversation.id}"
    key = f"{counter}-{st.session_state.get(counter, 0)}"
    st.file_uploader(
        text(language, "import_notebook"),
        type=["ipynb"],
        max_upload_size=MAX_NOTEBOOK >> 20,
        key=key,
        on_change=take_notebook,
        args=(conversation, counter, key),
    )


def take_notebook(conversation: Conversation, counter: str, key: str) -> None:
    file = st.session_state[key]
    st.session_state[counter] = st.session_state.get(counter, 0) + 1
    if file is not None:
        session.attempt(instance().import_notebook, conversation.id, file.getvalue())


def restart(conversation: Conversation) -> None:
    instance().restart(conversation.id)
