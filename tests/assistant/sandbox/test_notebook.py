"""Sessions leave as notebooks and come back; a hostile notebook comes back as plain cells."""

import io
import json
from dataclasses import replace
from typing import Any

import nbformat
import pytest
from PIL import Image

from assistant.errors import BadNotebook
from assistant.outputs import (
    ChartOutput,
    ErrorOutput,
    ImageOutput,
    Output,
    TableOutput,
    TextOutput,
)
from assistant.pictures import clean_picture
from assistant.sandbox.notebook import Cell, export_notebook, import_notebook


def picture() -> ImageOutput:
    out = io.BytesIO()
    Image.new("RGBA", (3, 2)).save(out, "PNG")
    return clean_picture(out.getvalue())


OUTPUTS: list[Output] = [
    TextOutput("42"),
    TextOutput("printed\n", "stdout"),
    TextOutput("warned\n", "stderr"),
    TableOutput(("", "月"), ((0, "一"), (1, None)), 2),
    ErrorOutput("KeyError", "'c'", "\x1b[31mTraceback\x1b[0m\nline"),
    ChartOutput("plotly", {"data": [{"type": "bar", "x": [1]}], "layout": {}}),
    ChartOutput("vega-lite", {"mark": "bar", "data": {"values": [{"a": 1}]}}),
    picture(),
    replace(picture(), title="Revenue; month"),
]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: type(output).__name__)
def test_an_output_survives_the_way_out_and_back(output: Output) -> None:
    cells = [Cell("# 你好", kind="markdown"), Cell("x = 1", (output,))]
    assert import_notebook(export_notebook(cells)) == cells


def test_what_is_exported_is_a_valid_notebook() -> None:
    data = export_notebook([Cell("1 + 1", tuple(OUTPUTS)), Cell("text", kind="markdown")])
    notebook = nbformat.from_dict(json.loads(data))  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert [cell.cell_type for cell in notebook.cells] == ["code", "markdown"]
    assert notebook.metadata.kernelspec.name == "python3"


def notebook(**cell: Any) -> bytes:
    whole = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [], "id": "a"}
    cells = [{**whole, "execution_count": None, **cell}]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def test_html_and_scripts_of_a_notebook_are_dropped() -> None:
    data = {"text/html": "<script>alert(1)</script>", "text/plain": ["a\n", "b"]}
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    (cell,) = import_notebook(notebook(source=["x\n", "y\x1b[2J"], outputs=[output]))
    assert cell == Cell("x\ny", (TextOutput("a\nb"),))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"nbformat": 99, "cells": []}',
        b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [7]}',
        b"[" * 200_000,
        notebook(cell_type="x"),
        notebook(source=7),
        notebook(outputs=[{"output_type": "display_data"}]),
    ],
)
def test_what_is_no_notebook_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(BadNotebook):
        import_notebook(data)


def test_a_notebook_that_is_too_large_is_refused() -> None:
    with pytest.raises(BadNotebook, match="50 MB"):
        import_notebook(bytes((50 << 20) + 1))
