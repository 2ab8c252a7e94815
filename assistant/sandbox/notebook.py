"""Cells to a notebook (.ipynb) and back. What comes in is hostile, its outputs most of all."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from assistant.errors import BadNotebook
from assistant.outputs import (
    ChartOutput,
    ErrorOutput,
    ImageOutput,
    NoteOutput,
    Output,
    TableOutput,
    TextOutput,
    observation,
)
from assistant.sandbox.messages import PLOTLY, TABLE, VEGA_LITE, Collector, KernelMessage
from assistant.sandbox.plaintext import clean

MAX_NOTEBOOK = 50 << 20  # bytes
MAX_CELLS = 2000
MAX_SOURCE = 1_000_000
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@dataclass(frozen=True)
class Cell:
    """A piece of code with what it gave, or a piece of text."""

    source: str
    outputs: tuple[Output, ...] = ()
    kind: Literal["code", "markdown"] = "code"


def export_notebook(cells: Sequence[Cell]) -> bytes:
    notebook = new_notebook(metadata={"kernelspec": KERNEL})
    for number, cell in enumerate(cells, 1):
        if cell.kind == "markdown":
            notebook.cells.append(new_markdown_cell(cell.source))
            continue
        outputs = [_output(output, number) for output in cell.outputs]
        code = new_code_cell(cell.source, outputs=outputs, execution_count=number)
        notebook.cells.append(code)
    text = json.dumps(notebook, ensure_ascii=False, indent=1)
    nbformat.validate(nbformat.reads(text, as_version=4))
    return text.encode("utf-8", "replace")


def import_notebook(data: bytes) -> list[Cell]:
    """Its cells of code and text. Raises BadNotebook."""
    if len(data) > MAX_NOTEBOOK:
        raise BadNotebook(reason=f"it has more than {MAX_NOTEBOOK >> 20} MB")
    try:
        notebook = nbformat.reads(data.decode("utf-8-sig"), as_version=4)
        nbformat.validate(notebook)
        return [_cell(cell) for cell in notebook.cells[:MAX_CELLS] if cell.cell_type != "raw"]
    except Exception as error:  # the library raises whatever a hostile file makes it trip over
        reason = clean(str(error).partition("\n")[0], 200) or type(error).__name__
        raise BadNotebook(reason=reason) from error


def _cell(cell: Any) -> Cell:
    source = clean(cell.source, MAX_SOURCE)
    if cell.cell_type != "code":
        return Cell(source, kind="markdown")
    collector = Collector()
    for output in cell.outputs:
        content = dict(output)
        if output.output_type == "stream":
            content["text"] = _joined(output.text)
        if "data" in content:
            content["data"] = {kind: _joined(value) for kind, value in output.data.items()}
        collector.take(KernelMessage(output.output_type, "", content))
    return Cell(source, tuple(collector.outputs))


def _joined(value: object) -> object:
    """Notebooks may keep a text as a list of its lines."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "".join(value)
    return value


def _output(output: Output, number: int) -> Any:
    match output:
        case TextOutput(text, "result"):
            return new_output("execute_result", _plain(text), execution_count=number)
        case TextOutput(text, stream):
            return new_output("stream", name=stream, text=text)
        case NoteOutput(text):
            return new_output("stream", name="stderr", text=f"[{text}]\n")
        case ErrorOutput(name, message, traceback):
            lines = traceback.split("\n")
            return new_output("error", ename=name, evalue=message, traceback=lines)
        case ImageOutput(data, title=title):
            kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
            encoded = base64.b64encode(data).decode("ascii")
            twin = _plain(title) if title else _twin(output)
            return new_output("display_data", {**twin, kind: encoded})
        case TableOutput(columns, rows, n_rows):
            table = {"columns": [*columns], "rows": [[*row] for row in rows], "n_rows": n_rows}
            return new_output("display_data", {**_twin(output), TABLE: table})
        case ChartOutput(library, spec):
            kind = PLOTLY if library == "plotly" else VEGA_LITE[0]
            return new_output("display_data", {**_twin(output), kind: dict(spec)})
    return new_output("display_data", _twin(output))


def _twin(output: Output) -> dict[str, object]:
    return _plain(observation([output], MAX_SOURCE))


def _plain(text: str) -> dict[str, object]:
    return {"text/plain": text}
