"""The sidebar: language, how the model is asked, what runs."""

import streamlit as st

from assistant import Conversation, Language, ModelState, Ready, text
from pages.parts import session


def draw(conversation: Conversation, model: ModelState, language: Language) -> None:
    with st.sidebar:
        draw_settings(conversation, language)
        st.button(
            text(language, "clear"),
            icon=":material/delete_sweep:",
            help=text(language, "clear_help"),
            on_click=session.attempt,
            args=(conversation.clear,),
            width="stretch",
            key="clear",
        )
        if isinstance(model, Ready):
            draw_model(model, language)


def draw_settings(conversation: Conversation, language: Language) -> None:
    """Widgets start from the conversation's settings and write back what a person changes."""
    now = conversation.settings

    def label(name: str) -> str:
        return text(language, name)

    def key(name: str) -> str:
        return f"{name}-{conversation.id}"

    st.text_area(
        label("system_prompt"),
        now.system_prompt,
        placeholder=label("system_prompt_hint"),
        key=key("system_prompt"),
        on_change=change,
        args=(conversation, "system_prompt", key("system_prompt")),
    )
    for name, low, high in (
        ("temperature", 0.0, 2.0),
        ("top_p", 0.05, 1.0),
        ("repetition_penalty", 1.0, 2.0),
    ):
        st.slider(
            label(name),
            low,
            high,
            getattr(now, name),
            step=0.05,
            key=key(name),
            help=label(f"{name}_help"),
            on_change=change,
            args=(conversation, name, key(name)),
        )
    st.number_input(
        label("max_new_tokens"),
        min_value=1,
        value=now.max_new_tokens,
        step=128,
        key=key("max_new_tokens"),
        help=label("max_new_tokens_help"),
        on_change=change,
        args=(conversation, "max_new_tokens", key("max_new_tokens")),
    )


def change(conversation: Conversation, name: str, key: str) -> None:
    session.change(conversation, **{name: st.session_state[key]})


def draw_model(model: Ready, language: Language) -> None:
    engine = model.engine
    st.caption(
        text(
            language,
            "model_facts",
            name=engine.config.name,
            context=engine.context_length,
            threads=engine.threads,
            kernels=engine.kernels,
        )
    )
