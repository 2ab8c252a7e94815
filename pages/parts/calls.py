"""A call on the page: what was asked for, and what came of it. None of it is taken as markup."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import streamlit as st

from assistant import (
    CallError,
    CallState,
    CallStep,
    ChartOutput,
    CodeCall,
    ErrorOutput,
    FileOutput,
    ImageOutput,
    JsonOutput,
    Language,
    NoteOutput,
    Output,
    TableOutput,
    TextOutput,
    ToolCall,
    call_line,
    fault_line,
    level_words,
    literal,
    note_line,
    text,
)
from pages.parts import coloured

ICONS = {
    CallState.RUNNING: ":material/progress_activity:",
    CallState.WAITING: ":material/front_hand:",
    CallState.DONE: ":material/check_circle:",
    CallState.FAILED: ":material/error:",
    CallState.DECLINED: ":material/block:",
    CallState.STOPPED: ":material/stop_circle:",
    CallState.REPEATED: ":material/repeat:",
}
# No link to Plotly's site, and no picture that would have to be made by a click.
PLOTLY = {"displaylogo": False, "showLink": False, "plotlyServerURL": ""}

Below = Callable[[CallStep], None]  # draws what a page has to say of a call that has ended


def nothing(step: CallStep) -> None:
    """Most pages have nothing to say."""


def draw(step: CallStep, language: Language, below: Below = nothing) -> None:
    """One expander, which says in its first line what was called and how it went."""
    state = text(language, f"call_{step.state.value}")
    label = f"{literal(call_line(step.call, language))} · {state}"
    if step.edited:
        label += f" · {text(language, 'call_edited')}"
    with st.expander(label, icon=ICONS[step.state], expanded=isinstance(step.call, CodeCall)):
        draw_call(step, language)
        if step.outputs:
            st.caption(text(language, "call_result"))
        for number, output in enumerate(step.outputs):
            draw_output(output, f"{step.id}-{number}", language)
        if step.level:
            st.caption(_ran_at(step, language))
        below(step)


def draw_call(step: CallStep, language: Language) -> None:
    match step.call:
        case ToolCall(arguments=arguments):
            st.caption(text(language, "call_arguments"))
            st.json(dict(arguments))
        case CodeCall(code):
            st.code(code, language="python")
        case CallError(raw=raw):
            draw_text(raw)


def draw_draft(raw: str, language: Language) -> None:
    """A call that is being written."""
    st.markdown(f":shimmer[{text(language, 'call_writing')}]")
    draw_text(raw)


def draw_output(output: Output, key: str, language: Language) -> None:
    match output:
        case TextOutput(words, stream):
            if stream == "stderr":
                st.caption(text(language, "stderr"))
            draw_text(words)
        case NoteOutput():
            st.info(literal(note_line(output, language)), icon=":material/info:")
        case JsonOutput(value) if isinstance(value, dict | list):
            st.json(value)
        case JsonOutput(value):
            draw_text(str(value))
        case TableOutput():
            draw_table(output, language)
        case ImageOutput(data, width):
            st.image(data, width=width)
        case ChartOutput():
            draw_chart(output, key, language)
        case FileOutput(name, data):
            st.download_button(
                text(language, "download_file", name=literal(name)),
                data,
                name,
                "application/octet-stream",
                key=key,
                icon=":material/download:",
                on_click="ignore",
            )
        case ErrorOutput(traceback=traceback):
            st.error(literal(fault_line(output, language)), icon=":material/error:")
            if traceback:
                draw_text(traceback)


def draw_text(words: str) -> None:
    """Text as it is, whatever stands in it."""
    coloured.draw(words)


def draw_chart(chart: ChartOutput, key: str, language: Language) -> None:
    """A figure to move in; what the library cannot draw is shown as what it says."""
    alt = text(language, "chart", library=chart.library)
    try:
        if chart.library == "vega-lite":
            st.vega_lite_chart(spec=dict(chart.spec), key=key, alt=alt)
        else:
            spec = deepcopy(dict(chart.spec))  # plotly takes it apart
            st.plotly_chart(spec, key=key, alt=alt, config=PLOTLY)
    except (ValueError, TypeError):  # plotly checks what it is given
        st.caption(alt)
        st.json(dict(chart.spec), expanded=1)


def draw_table(table: TableOutput, language: Language) -> None:
    names: list[str] = []
    for column in table.columns:
        names.append(column if column not in names else f"{column} ({len(names) + 1})")
    columns = zip(*table.rows, strict=True) if table.rows else [()] * len(names)
    st.dataframe({name: _column(column) for name, column in zip(names, columns, strict=True)})
    if table.n_rows > len(table.rows):
        st.caption(text(language, "table_rows", rows=table.n_rows))


def _ran_at(step: CallStep, language: Language) -> str:
    return text(
        language,
        "ran_at",
        seconds=step.seconds,
        words=level_words(step.level, language),
    )


def _column(values: Sequence[object]) -> list[object]:
    """Numbers and texts as they are; what is mixed, or anything else, as text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and kinds <= {str, int, float, bool}:
        return list(values)
    return [None if value is None else str(value) for value in values]
