"""What stands in the chat's place until the model is there."""

from pathlib import Path

import streamlit as st

from assistant import Failed, Language, ModelState, Ready, instance, literal, say, stage, text
from pages.parts import session, visitor

EVERY = 0.5  # seconds between two looks


def draw(state: ModelState, language: Language) -> None:
    if isinstance(state, Failed):
        draw_failure(state, language)
    else:
        st.title(text(language, "welcome"))
        st.fragment(draw_progress, run_every=EVERY)(language)


def draw_progress(language: Language) -> None:
    """A bar that follows the loader; the page starts over when it has ended."""
    visitor.checked()
    state = instance().model_state
    if isinstance(state, Ready | Failed):
        st.rerun()
    now = stage(state, language)
    if now.share is None:
        st.markdown(f":shimmer[{now.text}]")
    else:
        st.progress(now.share, text=now.text)


def draw_failure(state: Failed, language: Language) -> None:
    st.title(text(language, "model_failed"))
    if not visitor.may_manage():
        st.info(text(language, "model_operators"), icon=":material/lock:")
        return
    st.error(literal(say(state.error, language)), icon=":material/error:")
    with st.form("model", border=False):
        path = st.text_input(text(language, "model_path"), key="model_path")
        submitted = st.form_submit_button(
            text(language, "open_model"), icon=":material/folder_open:", key="open_model"
        )
    st.caption(text(language, "model_path_hint"))
    if submitted and path:
        open_model(Path(path).expanduser())
    if st.button(text(language, "fetch_starter"), icon=":material/download:", key="fetch_starter"):
        open_model(None)


def open_model(path: Path | None) -> None:
    session.attempt(instance().open_model, path)
    st.rerun()
