"""What a tool returned, in the few kinds that can be shown."""

from dataclasses import dataclass
from importlib import import_module
from io import BytesIO

import numpy as np
import pytest
from pydantic import BaseModel

from tools import File, Image, Table, ToolError
from tools._results import MAX_BYTES, MAX_JSON, MAX_ROWS, MAX_TEXT, error_output, outputs_of

pd = import_module("pandas")  # comes with streamlit, without types


@dataclass
class Point:
    x: int


class Model(BaseModel):
    x: int


TABLE = {"kind": "table", "columns": ["a", "b"], "rows": [[1, "x"], [2, "y"]], "n_rows": 2}
RECORDS: list[dict[str, object]] = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.mark.parametrize(
    ("result", "wire"),
    [
        ("text", {"kind": "text", "text": "text"}),
        (3, {"kind": "text", "text": "3"}),
        (True, {"kind": "text", "text": "True"}),
        (None, {"kind": "text", "text": "Done. The tool returned nothing."}),
        ({"a": (1, 2)}, {"kind": "json", "value": {"a": [1, 2]}}),
        ([1, "x"], {"kind": "json", "value": [1, "x"]}),
        ([{"a": 1}], {"kind": "json", "value": [{"a": 1}]}),
        ([{"a": 1}, {"b": 1}], {"kind": "json", "value": [{"a": 1}, {"b": 1}]}),
        ([{"a": [1]}, {"a": [2]}], {"kind": "json", "value": [{"a": [1]}, {"a": [2]}]}),
        (Point(1), {"kind": "json", "value": {"x": 1}}),
        (Model(x=1), {"kind": "json", "value": {"x": 1}}),
        (
            {"n": np.float32(0.5), "all": np.arange(2)},
            {"kind": "json", "value": {"n": 0.5, "all": [0, 1]}},
        ),
        ({"n": float("nan")}, {"kind": "json", "value": {"n": "NaN"}}),
        (RECORDS, TABLE),
        (Table(["a", "b"], [[1, "x"], [2, "y"]]), TABLE),
        (pd.DataFrame(RECORDS), TABLE),
        (Image(b"png"), {"kind": "image", "data": b"png"}),
        (Image(BytesIO(b"png")), {"kind": "image", "data": b"png"}),  # type: ignore[arg-type]
        (File("a.txt", b"x"), {"kind": "file", "name": "a.txt", "data": b"x"}),
    ],
)
def test_every_kind_of_result_has_its_form(result: object, wire: object) -> None:
    assert outputs_of(result) == [wire]


def test_a_list_with_pictures_is_several_outputs() -> None:
    kinds = [each["kind"] for each in outputs_of(["see", Image(b"a"), File("f", b"b"), {"a": 1}])]
    assert kinds == ["text", "image", "file", "json"]


def test_a_long_text_is_cut_with_a_mark() -> None:
    [wire] = outputs_of("x" * 100_000_000)
    text = wire["text"]
    assert isinstance(text, str)
    assert text.endswith(f"\n[… {100_000_000 - MAX_TEXT} characters left out …]")
    assert len(text) < MAX_TEXT + 100


def test_a_long_table_keeps_its_first_rows_and_its_length() -> None:
    [wire] = outputs_of(pd.DataFrame({"a": range(5000)}))
    rows = wire["rows"]
    assert isinstance(rows, list)
    assert (len(rows), wire["n_rows"]) == (MAX_ROWS, 5000)


def cyclic() -> list[object]:
    around: list[object] = []
    around.append(around)
    return around


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (b"\x89PNG", "returned 4 bytes, which cannot be shown"),
        (["x" * 2000] * 1000, f"at most {MAX_JSON}"),
        (Image(bytes(MAX_BYTES + 1)), f"at most {MAX_BYTES}"),
        (File("a", "text"), "take bytes, not str"),  # type: ignore[arg-type]
        ({"a": object()}, "a object has no plain form"),
        ((n for n in "ab"), "returned a generator"),
        (cyclic(), "cannot be shown"),
        (Table(["a", "b"], [[1]]), "not as many cells"),
        ([Image(b"")] * 33, "at most 32"),
    ],
)
def test_what_cannot_be_shown_says_what_to_return(result: object, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        outputs_of(result)


def test_what_was_raised_keeps_the_tools_own_lines_alone() -> None:
    with pytest.raises(ToolError) as refused:
        outputs_of(b"")
    assert error_output(refused.value)["traceback"] == ""
    try:
        raise KeyError("city")
    except KeyError as error:
        wire = error_output(error)
    assert (wire["kind"], wire["name"], wire["message"]) == ("error", "KeyError", "'city'")
    assert 'raise KeyError("city")' in str(wire["traceback"])
