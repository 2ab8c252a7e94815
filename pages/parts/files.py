"""The files of a conversation, in the sidebar: upload, look, download, delete."""

from functools import partial
from typing import BinaryIO

import streamlit as st

from assistant import (
    AssistantError,
    Conversation,
    FileEntry,
    Language,
    Session,
    file_size,
    instance,
    literal,
    preview,
    say,
    text,
)
from pages.parts import calls, session

MAX_SHOWN = 50


def draw(conversation: Conversation, language: Language) -> None:
    work = instance().workbench.session(conversation.id)
    files = work.files()
    st.subheader(text(language, "files"))
    draw_upload(conversation, language)
    for entry in files[:MAX_SHOWN]:
        draw_file(work, entry, f"file-{conversation.id}-{entry.name}", language)
    if len(files) > MAX_SHOWN:
        st.caption(text(language, "files_more", count=len(files) - MAX_SHOWN))
    if files:
        st.download_button(
            text(language, "download_all"),
            work.zip_all,
            "files.zip",
            "application/zip",
            key="download_all",
            icon=":material/folder_zip:",
            on_click="ignore",
            width="stretch",
        )
    else:
        st.caption(text(language, "files_empty"))


def draw_upload(conversation: Conversation, language: Language) -> None:
    """A new uploader after each upload: one that keeps its files would show them twice."""
    counter = f"uploads-{conversation.id}"
    key = f"{counter}-{st.session_state.get(counter, 0)}"
    st.file_uploader(
        text(language, "upload"),
        accept_multiple_files=True,
        max_upload_size=megabytes(),
        key=key,
        on_change=take_uploads,
        args=(conversation, counter, key),
    )


def megabytes() -> int:
    """How large an uploaded file may be: the browser then says so, and sends no larger one."""
    return instance().workbench.limits.file_size >> 20


def take_uploads(conversation: Conversation, counter: str, key: str) -> None:
    uploaded = st.session_state[key]
    st.session_state[counter] = st.session_state.get(counter, 0) + 1
    session.attempt(store, conversation, uploaded)


def store(conversation: Conversation, uploaded: list[BinaryIO]) -> None:
    for file in uploaded:
        instance().upload(conversation.id, file.name, file)


def draw_file(work: Session, entry: FileEntry, key: str, language: Language) -> None:
    label = f"{literal(entry.name)} · {file_size(entry.size)}"
    panel = st.expander(label, icon=":material/draft:", key=key, on_change="rerun")
    if not panel.open:
        return
    with panel:
        try:
            data = work.read_file(entry.name)
        except AssistantError as error:
            st.caption(literal(say(error, language)))
            return
        seen = preview(entry.name, data)
        if seen is None:
            st.caption(text(language, "no_preview"))
        else:
            calls.draw_output(seen, f"preview-{key}", language)
        with st.container(horizontal=True):
            draw_download(work, entry.name, f"get-{key}", language)
            st.button(
                text(language, "delete_file", name=literal(entry.name)),
                icon=":material/delete:",
                key=f"delete-{key}",
                on_click=session.attempt,
                args=(work.delete, entry.name),
            )


def draw_download(work: Session, name: str, key: str, language: Language) -> None:
    """The file is read when it is asked for; whatever it is, the browser only keeps it."""
    st.download_button(
        text(language, "download_file", name=literal(name)),
        partial(work.read_file, name),
        name.rpartition("/")[2],
        "application/octet-stream",
        key=key,
        icon=":material/download:",
        on_click="ignore",
    )
