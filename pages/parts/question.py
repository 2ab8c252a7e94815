"""What a job asks a person: may this call be run, with these arguments? Or: what does it give?"""

import streamlit as st

from assistant import (
    Approved,
    Conversation,
    Declined,
    Field,
    FieldKind,
    Job,
    Language,
    Permission,
    Question,
    Typed,
    Wanted,
    form_fields,
    literal,
    name_label,
    read_fields,
    text,
)
from pages.parts import session


def draw(conversation: Conversation, job: Job, language: Language) -> None:
    """A form in the page's own run: one that is drawn again and again loses what is typed."""
    question = job.snapshot().question
    if question is None:
        return
    with st.form(f"form-{question.id}"):
        if question.wanted is Wanted.RESULT:
            draw_result(job, question, language)
        else:
            draw_approval(conversation, job, question, language)


def draw_approval(
    conversation: Conversation, job: Job, question: Question, language: Language
) -> None:
    tool = question.tool
    st.markdown(f"**{literal(text(language, 'ask_run', name=tool.name))}**")
    effects = text(language, f"effects_{tool.effects.value}")
    st.caption(literal(text(language, "ask_effects", source=tool.source, effects=effects)))
    fields = form_fields(question)
    for field in fields:
        draw_field(field, _key(question, field), language)
    with st.container(horizontal=True):
        st.form_submit_button(
            text(language, "run"),
            type="primary",
            icon=":material/play_arrow:",
            key=f"run-{question.id}",
            on_click=approve,
            args=(job, question, fields),
        )
        st.form_submit_button(
            text(language, "run_always"),
            icon=":material/done_all:",
            key=f"always-{question.id}",
            on_click=approve_always,
            args=(conversation, job, question, fields),
        )
        draw_decline(job, question, language)


def draw_result(job: Job, question: Question, language: Language) -> None:
    st.markdown(f"**{literal(text(language, 'ask_result', name=question.tool.name))}**")
    st.json(dict(question.arguments))
    key = f"result-{question.id}"
    st.text_area(text(language, "result"), key=key)
    with st.container(horizontal=True):
        st.form_submit_button(
            text(language, "send_result"),
            type="primary",
            icon=":material/reply:",
            key=f"send-{question.id}",
            on_click=give_result,
            args=(job, question, key),
        )
        draw_decline(job, question, language)


def draw_decline(job: Job, question: Question, language: Language) -> None:
    st.form_submit_button(
        text(language, "decline"),
        icon=":material/block:",
        key=f"decline-{question.id}",
        on_click=session.attempt,
        args=(job.decide, question.id, Declined()),
    )


def draw_field(field: Field, key: str, language: Language) -> None:
    label = name_label(field.name)
    if field.unsaid:
        label += f" · {text(language, 'unsaid')}"  # in words alone: a label is also read aloud
    hint = literal(field.description) or None
    value = field.value
    match field.kind:
        case FieldKind.LINE:
            words = value if isinstance(value, str) else ""
            icon = ":material/help:" if field.unsaid else None
            st.text_input(label, words, key=key, help=hint, icon=icon)
        case FieldKind.TEXT:
            st.text_area(label, str(value), key=key, help=hint)
        case FieldKind.INTEGER:
            whole = value if isinstance(value, int) else None
            st.number_input(label, value=whole, step=1, key=key, help=hint)
        case FieldKind.NUMBER:
            number = float(value) if isinstance(value, int | float) else None
            st.number_input(label, value=number, step=None, format="%g", key=key, help=hint)
        case FieldKind.CHOICE:
            index = field.choices.index(value) if value in field.choices else None
            st.selectbox(label, field.choices, index, key=key, help=hint)
        case FieldKind.JSON:
            st.text_area(label, value if isinstance(value, str) else "", key=key, help=hint)


def approve(job: Job, question: Question, fields: tuple[Field, ...]) -> None:
    def decide() -> None:
        typed = {field.name: st.session_state.get(_key(question, field)) for field in fields}
        job.decide(question.id, Approved(read_fields(fields, typed)))

    session.attempt(decide)


def approve_always(
    conversation: Conversation, job: Job, question: Question, fields: tuple[Field, ...]
) -> None:
    """From now on the tool runs at once in this conversation, unless this call was refused."""
    approve(job, question, fields)
    if "problem" not in st.session_state:
        now = conversation.settings.permissions
        session.change(conversation, permissions={**now, question.tool.name: Permission.ALWAYS})


def give_result(job: Job, question: Question, key: str) -> None:
    session.attempt(job.decide, question.id, Typed(st.session_state[key]))


def _key(question: Question, field: Field) -> str:
    return f"{question.id}-{field.name}"
