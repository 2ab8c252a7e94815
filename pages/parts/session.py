"""What belongs to one browser tab: its language, its conversation, its last refusal."""

from collections.abc import Callable

import streamlit as st

from assistant import (
    AssistantError,
    Conversation,
    EngineError,
    Language,
    UnknownConversation,
    instance,
    literal,
    say,
)


def conversation() -> Conversation:
    """The one the address names; without one, a new one that the address names from now on."""
    named = st.query_params.get("c")
    try:
        if named:
            return instance().conversation(named)
    except UnknownConversation as error:
        st.session_state["problem"] = error
    fresh = instance().new_conversation()
    st.query_params["c"] = fresh.id
    return fresh


def submit(conversation_id: str) -> None:
    """Asks what was typed; what is refused goes back into the box."""
    question = st.session_state["question"]
    attempt(instance().ask, conversation_id, question)
    if "problem" in st.session_state:
        st.session_state["question"] = question


def attempt(action: Callable[..., object], *arguments: object) -> None:
    """Does as a person asked; a refusal is kept for the page to show."""
    st.session_state.pop("problem", None)
    try:
        action(*arguments)
    except (AssistantError, EngineError) as error:
        st.session_state["problem"] = error


def draw_problem(language: Language) -> None:
    problem = st.session_state.get("problem")
    if problem is not None:
        st.error(literal(say(problem, language)), icon=":material/error:")
