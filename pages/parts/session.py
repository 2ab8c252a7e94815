"""What belongs to one browser tab: its conversations, its last refusal."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from assistant import (
    AssistantError,
    Conversation,
    EngineError,
    Language,
    Mode,
    UnknownConversation,
    instance,
    literal,
    say,
)
from pages.parts import visitor


def conversation(mode: Mode = Mode.CHAT) -> Conversation:
    """The one the address names, if it is this page's; else the tab's last one here, or a new one.

    The address names it from now on. Whatever pages do by an id, they do by this one's.
    """
    remembered = f"conversation-{mode.value}"
    found = _find(mode, st.query_params.get("c")) or _find(mode, st.session_state.get(remembered))
    found = found or instance().new_conversation(mode, visitor.checked().name)
    st.session_state[remembered] = found.id
    if st.query_params.get("c") != found.id:
        st.query_params["c"] = found.id
    return found


def _find(mode: Mode, conversation_id: str | None) -> Conversation | None:
    if not conversation_id:
        return None
    try:
        found = instance().conversation(conversation_id, visitor.checked())
    except UnknownConversation as error:
        st.session_state["problem"] = error
        return None
    return found if found.mode is mode else None


def submit(conversation_id: str) -> None:
    """Asks what was typed; what is refused goes back into the box."""
    typed = st.session_state["question"]
    question = typed if isinstance(typed, str) else typed.text

    def ask() -> None:
        for file in () if isinstance(typed, str) else typed.files:
            instance().upload(conversation_id, file.name, file)
        if question or isinstance(typed, str):
            instance().ask(conversation_id, question)

    attempt(ask)
    if "problem" in st.session_state:
        st.session_state["question"] = question


def attempt(action: Callable[..., object], *arguments: object) -> None:
    """Does as a person asked; a refusal is kept for the page to show.

    What a widget calls runs before the page looks who is there, so that is done here too.
    """
    st.session_state.pop("problem", None)
    if not visitor.is_same():
        return
    try:
        action(*arguments)
    except (AssistantError, EngineError) as error:
        st.session_state["problem"] = error


def draw_problem(language: Language) -> None:
    problem = st.session_state.get("problem")
    if problem is not None:
        st.error(literal(say(problem, language)), icon=":material/error:")


def change(conversation: Conversation, **changes: Any) -> None:
    """Sets something of how the conversation is answered."""

    def apply() -> None:
        conversation.settings = replace(conversation.settings, **changes)

    attempt(apply)
