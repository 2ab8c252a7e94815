"""A call on the page: what was asked for, and what came of it. None of it is taken as markup."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

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


def nothing(step: CallStep) -> None:
    """Most pages have nothing to say."""


@dataclass(frozen=True)
class Beside:
    """What a page knows of its calls: what to draw below one that has ended, and which run it is.

    `runs` numbers those of code by their ids, from 1 on.
    """

    below: Callable[[CallStep], None] = nothing
    runs: Mapping[str, int] = field(default_factory=dict)


ALONE = Beside()


def draw(step: CallStep, language: Language, beside: Beside = ALONE) -> None:
    """One expander, which says in its first line what was called and how it went."""
    run = beside.runs.get(step.id, 0)
    state = text(language, f"call_{step.state.value}")
    label = f"{literal(call_line(step.call, language))} · {state}"
    if step.edited:
        label += f" · {text(language, 'call_edited')}"
    with st.expander(label, icon=ICONS[step.state], expanded=isinstance(step.call, CodeCall)):
        draw_call(step, language)
        if step.outputs:
            st.caption(text(language, "call_result"))
        figures = 0
        for number, output in enumerate(step.outputs):
            figures += isinstance(output, ImageOutput)
            draw_output(output, f"{step.id}-{number}", language, figures, run)
        if step.level:
            st.caption(_ran_at(step, run, language))
        beside.below(step)


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


def draw_output(
    output: Output, key: str, language: Language, figure: int = 1, run: int = 0
) -> None:
    """`figure` is which picture of its run this is, if it is one."""
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
            st.image(data, width=width, alt=_figure_words(output, figure, run, language))
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
    st.dataframe(
        {name: _column(column) for name, column in zip(names, columns, strict=True)},
        alt=text(language, "table", columns=len(names), rows=table.n_rows),
    )
    if table.n_rows > len(table.rows):
        shown = len(table.rows)
        st.caption(text(language, "table_rows", shown=shown, rows=table.n_rows))


def _figure_words(image: ImageOutput, figure: int, run: int, language: Language) -> str:
    """A figure for people who cannot see it."""
    title = text(language, "figure_title", words=image.title) if image.title else ""
    size = {"width": image.width, "height": image.height}
    key = "figure_of_run" if run else "figure"
    return text(language, key, number=figure, run=run, title=title, **size)


def _ran_at(step: CallStep, run: int, language: Language) -> str:
    return text(
        language,
        "ran_at",
        run=run,
        seconds=step.seconds,
        words=level_words(step.level, language),
    )


def _column(values: Sequence[object]) -> list[object]:
    """Numbers and texts as they are; what is mixed, or anything else, as text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 and kinds <= {str, int, float, bool}:
        return list(values)
    return [None if value is None else str(value) for value in values]
