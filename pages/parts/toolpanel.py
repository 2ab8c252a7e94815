"""The tools of a conversation, in the sidebar: which are offered, what each costs and may do."""

import json
from collections.abc import Sequence

import streamlit as st

from assistant import (
    AssistantError,
    ChoiceMode,
    Conversation,
    Examples,
    Language,
    Permission,
    ToolChoice,
    ToolInfo,
    Trial,
    Trouble,
    default_permission,
    instance,
    literal,
    name_label,
    parse_definitions,
    say,
    text,
    trouble_line,
)
from pages.parts import session, visitor


def draw(conversation: Conversation, language: Language) -> None:
    """Red rows come first: they say why a tool that somebody expects is not there."""
    behind = instance()
    tools = behind.tools(conversation)
    costs = behind.tool_costs(conversation)
    with st.sidebar:
        st.subheader(text(language, "tools"))
        for number, trouble in enumerate(behind.troubles()):
            draw_trouble(trouble, number, language)
        if tools:
            total = sum(costs.values())
            offered = len([tool for tool in tools if _is_on(conversation, tool)])
            line = text(language, "tools_offered", offered=offered, total=len(tools), tokens=total)
            st.caption(line)
            draw_choice(conversation, tools, language)
        else:
            st.caption(text(language, "tools_empty"))
        examples = behind.examples()
        for tool in tools:
            draw_tool(conversation, tool, costs.get(tool.name), examples.get(tool.name), language)
        st.caption(text(language, "tools_add"))
        draw_manual(conversation, language)


def draw_trouble(trouble: Trouble, number: int, language: Language) -> None:
    reason = trouble_line(trouble, language)
    label = f":red[{literal(trouble.source)}: {literal(reason)}]"
    with st.expander(label, icon=":material/error:", key=f"trouble-{number}"):
        detail = trouble.detail if visitor.is_operator() else ""
        st.code(detail or reason, language=None, wrap_lines=True)


def draw_choice(conversation: Conversation, tools: Sequence[ToolInfo], language: Language) -> None:
    modes = (ChoiceMode.AUTO, ChoiceMode.REQUIRED, ChoiceMode.NONE)
    choices = [ToolChoice(mode) for mode in modes]
    allowed = [tool for tool in tools if not instance().forbids(tool)]
    choices += [ToolChoice(ChoiceMode.NAMED, tool.name) for tool in allowed]
    chosen = conversation.settings.tool_choice
    key = f"choice-{conversation.id}"
    st.selectbox(
        text(language, "tool_choice"),
        choices,
        choices.index(chosen) if chosen in choices else 0,
        format_func=lambda each: text(language, f"choice_{each.mode.value}", name=each.name),
        key=key,
        on_change=_choose,
        args=(conversation, choices, key),
    )
    key = f"constrain-{conversation.id}"
    st.toggle(
        text(language, "constrain_calls"),
        conversation.settings.constrain_calls,
        key=key,
        help=text(language, "constrain_calls_help"),
        on_change=_set,
        args=(conversation, "constrain_calls", key),
    )


def draw_tool(
    conversation: Conversation,
    tool: ToolInfo,
    cost: int | None,
    examples: Examples | None,
    language: Language,
) -> None:
    """A tick, and a line that opens what else there is to know and to allow."""
    key = f"tool-{tool.name}-{conversation.id}"
    forbidden = instance().forbids(tool)
    with st.container(gap=None):
        st.checkbox(
            name_label(tool.name),
            tool.name not in conversation.settings.tools_off,
            key=key,
            on_change=_tick,
            args=(conversation, tool.name, key),
            disabled=forbidden,
        )
        if forbidden:
            st.caption(text(language, "tool_forbidden"))
        facts = [text(language, f"effects_{tool.effects.value}")]
        if cost is not None:
            facts.append(text(language, "tool_tokens", tokens=cost))
        if examples is not None and examples.trial is not Trial.NONE:
            facts.append(text(language, f"examples_{examples.trial.value}"))
        with st.popover(f":small[:gray[{' · '.join(facts)}]]", type="tertiary", key=f"about-{key}"):
            draw_details(conversation, tool, examples, language)


def draw_details(
    conversation: Conversation, tool: ToolInfo, examples: Examples | None, language: Language
) -> None:
    st.markdown(f"**{literal(tool.name)}** · {literal(tool.source)}")
    st.text(tool.spec.description)
    chosen = conversation.settings.permissions.get(tool.name) or default_permission(tool.effects)
    key = f"permission-{tool.name}-{conversation.id}"
    st.radio(
        text(language, "permission"),
        [*Permission],
        [*Permission].index(chosen),
        format_func=lambda each: text(language, f"permission_{each.value}"),
        horizontal=True,
        key=key,
        on_change=_permit,
        args=(conversation, tool.name, key),
    )
    st.caption(text(language, "call_arguments"))
    st.json(dict(tool.spec.parameters), expanded=2)
    for fault in examples.faults if examples else ():
        st.code(fault, language=None, wrap_lines=True)


def draw_manual(conversation: Conversation, language: Language) -> None:
    with st.expander(text(language, "manual"), icon=":material/edit_note:"):
        specs = conversation.settings.manual_tools
        written = [
            {"name": s.name, "description": s.description, "parameters": dict(s.parameters)}
            for s in specs
        ]
        key = f"manual-{conversation.id}"
        st.text_area(
            text(language, "manual"),
            json.dumps(written, ensure_ascii=False, indent=2) if written else "",
            key=key,
            height=200,
            help=text(language, "manual_help"),
            placeholder=EXAMPLE,
            label_visibility="collapsed",
            on_change=_define,
            args=(conversation, key),
        )
        wrong = st.session_state.get(f"{key}-wrong")
        if wrong is not None:
            st.error(literal(text(language, "manual_error", error=say(wrong, language))))


EXAMPLE = """\
- name: get_stock
  description: Price of a share
  parameters:
    type: object
    properties:
      symbol: {type: string}
    required: [symbol]"""


def _is_on(conversation: Conversation, tool: ToolInfo) -> bool:
    return tool.name not in conversation.settings.tools_off and not instance().forbids(tool)


def _set(conversation: Conversation, name: str, key: str) -> None:
    session.change(conversation, **{name: st.session_state[key]})


def _choose(conversation: Conversation, choices: Sequence[ToolChoice], key: str) -> None:
    """The browser can send any text as chosen."""
    if st.session_state[key] in choices:
        _set(conversation, "tool_choice", key)


def _tick(conversation: Conversation, name: str, key: str) -> None:
    off = conversation.settings.tools_off
    session.change(conversation, tools_off=off - {name} if st.session_state[key] else off | {name})


def _permit(conversation: Conversation, name: str, key: str) -> None:
    chosen = next((each for each in Permission if each == st.session_state[key]), Permission.ASK)
    now = conversation.settings.permissions
    session.change(conversation, permissions={**now, name: chosen})


def _define(conversation: Conversation, key: str) -> None:
    """Takes what was written, if it can be; what was defined before stays otherwise."""
    st.session_state.pop(f"{key}-wrong", None)
    written = st.session_state[key]
    try:
        specs = parse_definitions(written) if written.strip() else ()
    except AssistantError as error:
        st.session_state[f"{key}-wrong"] = error
    else:
        session.change(conversation, manual_tools=specs)
