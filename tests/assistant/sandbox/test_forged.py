"""Every bound on what a forged message may bring, each on its own: taken away, its test fails."""

import base64
import binascii
import io

import pytest
from PIL import Image

from assistant.outputs import ErrorOutput, Output, TableOutput, TextOutput
from assistant.pictures import MAX_BYTES
from assistant.sandbox import messages
from assistant.sandbox.images import image
from assistant.sandbox.messages import TABLE, Caps, Collector, KernelMessage
from assistant.sandbox.wire import apply, changes, unpack


def message(kind: str, **content: object) -> KernelMessage:
    return KernelMessage(kind, "run", content)


def printed(text: object, name: object = "stdout") -> KernelMessage:
    return message("stream", name=name, text=text)


def shown(text: str, display_id: object = None) -> KernelMessage:
    name = {} if display_id is None else {"display_id": display_id}
    return message("display_data", data={"text/plain": text}, transient=name)


def tabled(columns: object, rows: object, n_rows: object = 0) -> KernelMessage:
    table = {"columns": columns, "rows": rows, "n_rows": n_rows}
    return message("display_data", data={TABLE: table, "text/plain": "twin"})


def failed(**content: object) -> KernelMessage:
    return message("error", **{"ename": "E", "evalue": "v", "traceback": [], **content})


def collected(*given: KernelMessage, **caps: int) -> list[Output]:
    collector = Collector(Caps(**caps))
    for each in given:
        collector.take(each)
    return collector.outputs


def table(*given: object, **caps: int) -> TableOutput:
    (output,) = collected(tabled(*given), **caps)
    assert isinstance(output, TableOutput)
    return output


def error(**content: object) -> ErrorOutput:
    (output,) = collected(failed(**content))
    assert isinstance(output, ErrorOutput)
    return output


@pytest.mark.parametrize("name", ["result", "evil", None, 7, ["stdout"], {}])
def test_a_stream_of_another_name_is_nothing(name: object) -> None:
    assert collected(printed("x", name)) == []


def test_what_is_shown_is_cleaned_and_counted_as_what_is_printed() -> None:
    assert collected(shown("a\x1b[2Jb\u202e")) == [TextOutput("ab")]
    collector = Collector(Caps(text_kept=5, text_seen=20))
    collector.take(shown("x" * 30))
    assert collector.exceeded == "more than 20 characters"
    assert str(collector.outputs[0]).count("x") < 10


def test_once_all_is_kept_that_may_be_nothing_more_is_and_it_is_said_once() -> None:
    outputs = collected(*[printed("x" * 8)] * 3, text_kept=10)
    assert "".join(each.text for each in outputs if isinstance(each, TextOutput)) == "x" * 10
    assert str(outputs).count("nly the first 10 characters are kept") == 1


def test_tables_beyond_the_cap_are_left_out_as_pictures_are() -> None:
    outputs = collected(*[tabled(["a"], [[1]])] * 3, rich=1)
    assert [isinstance(each, TableOutput) for each in outputs] == [True, False, False]
    assert str(outputs).count("left out") == 2


def test_pictures_beyond_the_cap_are_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(messages, "image", opened.append)
    table_first = [tabled(["a"], [[1]])]
    collected(*table_first, message("display_data", data={"image/png": "x"}), rich=1)
    assert opened == []
    collected(message("display_data", data={"image/png": "x"}), rich=1)
    assert opened == ["x"]


def test_only_so_many_displays_are_remembered_and_under_short_names() -> None:
    collector = Collector(Caps(messages=3))
    collector._displays = {f"{n}": n for n in range(3)}
    collector.take(shown("x", "another"))
    assert "another" not in collector._displays
    long = Collector()
    long.take(shown("x", "n" * 10_000))
    assert [*long._displays] == ["n" * 200]


@pytest.mark.parametrize("name", [7, None, ["d"], {"d": 1}])
def test_a_display_whose_name_is_no_text_has_none(name: object) -> None:
    assert collected(shown("x", name), shown("y", name)) == [TextOutput("x"), TextOutput("y")]


def test_a_display_that_was_cleared_away_cannot_be_updated() -> None:
    update = message(
        "update_display_data", data={"text/plain": "new"}, transient={"display_id": "d"}
    )
    cleared = message("clear_output", wait=False)
    assert collected(shown("old", "d"), cleared, printed("kept"), update) == [
        TextOutput("kept", "stdout")
    ]


def test_a_table_has_only_so_many_rows_and_columns() -> None:
    wide = table(["a"] * 9, [[1] * 9] * 9, 9, rows=2, columns=3)
    assert wide == TableOutput(("a",) * 3, ((1,) * 3,) * 2, 9)


def test_a_column_is_one_short_line_whatever_it_is() -> None:
    found = table(["a\n\x1b[31mb\u202e", 7, "x" * 99], [[1, 2, 3]], 1, cell=5)
    assert found.columns == ("a", "7", "xxxxx")


@pytest.mark.parametrize("row", [7, "x", None, {"a": 1}])
def test_a_row_that_is_no_list_is_left_out(row: object) -> None:
    assert table(["a"], [row, [1]], 1).rows == ((1,),)


@pytest.mark.parametrize("rows", [7, "x", None])
def test_rows_that_are_no_list_are_no_table(rows: object) -> None:
    assert collected(tabled(["a"], rows)) == [TextOutput("twin")]


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (1 << 70, str(1 << 70)),
        (-(1 << 63), str(-(1 << 63))),
        (1e308, "1e+308"),
        (1.5, 1.5),
        (True, True),
        (None, None),
        ("x" * 2000, "x" * 1000),
        (["y" * 99], "['" + "y" * 38),
        ("two\nlines\x07", "two lines"),
    ],
)
def test_a_cell_is_a_plain_value_that_any_reader_can_hold(cell: object, kept: object) -> None:
    assert table(["a"], [[cell]], 1).rows == ((kept,),)


@pytest.mark.parametrize("n_rows", ["9", None, 1.5, [9], 1 << 62])
def test_a_length_that_is_none_is_that_of_what_is_shown(n_rows: object) -> None:
    assert table(["a"], [[1]], n_rows).n_rows == 1


def test_an_error_is_a_short_name_a_message_and_a_way_that_is_cut() -> None:
    found = error(ename="E\n\x1b[31m" + "x" * 999, evalue="v\x07" * 9999)
    assert found.name.startswith("E x")
    assert len(found.name) <= 200
    assert found.message == "v" * 2500
    long = error(traceback=["x" * 99_999])
    assert len(long.traceback) < 21_000


def test_an_error_may_lack_everything() -> None:
    assert error(ename=7, evalue=None, traceback="x") == ErrorOutput("Error", "", "")
    assert error(traceback=[7, None, "way", ["x"]]).traceback == "way"


def test_what_errors_say_counts_as_output() -> None:
    collector = Collector(Caps(text_seen=100))
    collector.take(failed(traceback=["x" * 101]))
    assert collector.exceeded == "more than 100 characters"


# --- between the supervisor and the app


@pytest.mark.parametrize(
    "edits",
    [
        {"length": 0},
        "x",
        None,
        [7],
        [None],
        [{}],
        [{"at": 0}],
        [{"at": 9, "more": "x"}],
        [{"at": 1, "more": "x"}],
        [{"at": "0", "more": "x"}],
        [{"length": "0"}],
        [{"at": 0, "output": 7}],
        [{"at": 0, "output": {}}],
        [{"at": 0, "output": {"kind": "html", "text": "<b>"}}],
        [{"at": 0, "output": {"kind": "text", "text": "x", "stream": "evil"}}],
        [{"at": 0, "output": {"kind": "image", "data": "?", "width": 1, "height": 1}}],
        [{"at": 0, "output": {"kind": "chart", "library": "evil", "spec": {}}}],
        [{"at": 0, "output": {"kind": "table", "columns": 7, "rows": [], "n_rows": 0}}],
    ],
)
def test_what_is_no_change_is_an_error_and_not_a_guess(edits: object) -> None:
    outputs: list[Output] = [TextOutput("text", "stdout"), ErrorOutput("E", "no text")]
    with pytest.raises(ValueError, match="change"):
        apply(edits, outputs)


@pytest.mark.parametrize(
    "now", [TextOutput("text and more", "stderr"), TextOutput("other text", "stdout")]
)
def test_only_the_same_stream_grows_and_only_at_its_end(now: TextOutput) -> None:
    sent: list[Output] = [TextOutput("text", "stdout")]
    apply(changes(list(sent), [now]), sent)
    assert sent == [now]


def test_a_picture_that_is_too_long_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []

    def decode(data: bytes, **_: object) -> bytes:
        decoded.append(len(data))
        return b""

    monkeypatch.setattr("base64.b64decode", decode)
    assert image("A" * (2 * MAX_BYTES)) is None
    assert image(7) is None
    assert decoded == []


def test_a_picture_in_anything_but_base64_is_none() -> None:
    out = io.BytesIO()
    Image.new("RGB", (3, 2)).save(out, "PNG")
    text = base64.b64encode(out.getvalue()).decode()
    assert image(text) is not None
    assert image("<!>" + text) is None


def test_a_picture_has_no_other_letter_than_those_of_base64() -> None:
    with pytest.raises(binascii.Error):
        unpack({"kind": "image", "data": "aGk=<script>", "width": 1, "height": 1})
