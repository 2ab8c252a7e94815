"""Kernel messages become outputs; hostile ones become nothing, or less."""

import base64
import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from assistant.outputs import (
    ErrorOutput,
    ImageOutput,
    NoteOutput,
    Output,
    TableOutput,
    TextOutput,
)
from assistant.sandbox.messages import (
    DELIMITER,
    PLOTLY,
    TABLE,
    Caps,
    Collector,
    KernelMessage,
    parse,
)
from assistant.sandbox.wire import apply, changes


def message(kind: str, **content: object) -> KernelMessage:
    return KernelMessage(kind, "run", content)


def stream(text: object, name: str = "stdout") -> KernelMessage:
    return message("stream", name=name, text=text)


def display(kind: str = "display_data", **data: object) -> KernelMessage:
    renamed = {key.replace("__", "/"): value for key, value in data.items()}
    return message(kind, data=renamed)


def collected(*messages: KernelMessage, caps: Caps | None = None) -> list[Output]:
    collector = Collector(caps or Caps())
    for each in messages:
        collector.take(each)
    return collector.outputs


def picture(kind: str = "PNG", size: tuple[int, int] = (3, 2)) -> str:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def test_outputs_come_in_order_and_a_stream_is_joined_until_another_speaks() -> None:
    found = collected(
        stream("a"),
        stream("b\n"),
        stream("oops\n", "stderr"),
        stream("c\n"),
        display("execute_result", text__plain="42"),
    )
    assert found == [
        TextOutput("ab\n", "stdout"),
        TextOutput("oops\n", "stderr"),
        TextOutput("c\n", "stdout"),
        TextOutput("42"),
    ]


def test_a_progress_bar_shows_its_last_state() -> None:
    bars = [stream("start\n"), *(stream(f"\r{n} %") for n in range(0, 101, 50)), stream("\nend\n")]
    assert collected(*bars) == [TextOutput("start\n100 %\nend\n", "stdout")]


def test_html_and_scripts_give_way_to_their_plain_text() -> None:
    shown = display(
        text__html="<script>alert(1)</script>",
        application__javascript="alert(1)",
        image__svg="<svg/>",
        text__plain="a table",
    )
    assert collected(shown) == [TextOutput("a table")]
    assert collected(display(text__html="<b>only</b>")) == []


@pytest.mark.parametrize(("mime", "kind"), [("image__png", "PNG"), ("image__jpeg", "JPEG")])
def test_a_picture_is_encoded_anew(mime: str, kind: str) -> None:
    found = collected(display(**{mime: picture(kind), "text__plain": "<Figure>"}))
    assert isinstance(found[0], ImageOutput)
    assert (found[0].width, found[0].height) == (3, 2)
    assert Image.open(io.BytesIO(found[0].data)).format == kind


def test_what_is_hidden_in_a_picture_does_not_come_through() -> None:
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "PNG")
    hidden = base64.b64encode(out.getvalue() + b"<script>secret</script>").decode()
    found = collected(display(image__png=hidden))
    assert isinstance(found[0], ImageOutput)
    assert b"script" not in found[0].data


def bomb() -> str:
    """A PNG whose header claims 60,000 x 60,000 pixels."""
    data = bytearray(base64.b64decode(picture()))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "data",
    [
        "not base64!",
        "",
        base64.b64encode(b"GIF89a......").decode(),
        7,
        None,
        ["a"],
        bomb(),
        base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 50).decode(),
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
    ],
)
def test_what_is_no_picture_is_its_plain_text(data: object) -> None:
    assert collected(display(image__png=data, text__plain="twin")) == [TextOutput("twin")]


def test_a_table_keeps_plain_cells() -> None:
    table = {"columns": ["", "a"], "rows": [[0, "x\x1b[2J"], [1, {"k": 1}]], "n_rows": 9}
    found = collected(message("display_data", data={TABLE: table}))
    assert found == [TableOutput(("", "a"), ((0, "x"), (1, "{'k': 1}")), 9)]


@pytest.mark.parametrize(
    "table",
    [
        {"columns": "ab", "rows": [], "n_rows": 0},
        {"columns": ["a"], "rows": [[1, 2]], "n_rows": 1},
        {"columns": ["a"], "rows": {"a": 1}, "n_rows": 1},
        [],
        None,
    ],
)
def test_what_is_no_table_is_its_plain_text(table: object) -> None:
    shown = message("display_data", data={TABLE: table, "text/plain": "twin"})
    assert collected(shown) == [TextOutput("twin")]


def test_a_table_cannot_claim_less_than_it_shows_or_a_number_too_large() -> None:
    for claimed in (-5, 0, 1 << 70, "many", True):
        table = {"columns": ["a"], "rows": [[1], [2]], "n_rows": claimed}
        found = collected(message("display_data", data={TABLE: table}))
        assert found == [TableOutput(("a",), ((1,), (2,)), 2)]


def test_clear_output_clears_at_once_or_with_the_next_output() -> None:
    assert collected(stream("a"), message("clear_output", wait=False)) == []
    waiting = [stream("a"), message("clear_output", wait=True)]
    assert collected(*waiting) == [TextOutput("a", "stdout")]
    assert collected(*waiting, stream("b")) == [TextOutput("b", "stdout")]


def test_a_display_is_updated_in_its_place() -> None:
    name = {"display_id": "d"}
    first = message("display_data", data={"text/plain": "0 %"}, transient=name)
    update = message("update_display_data", data={"text/plain": "50 %"}, transient=name)
    assert collected(first, stream("x"), update) == [TextOutput("50 %"), TextOutput("x", "stdout")]
    assert collected(update) == []  # of an earlier run, or of nothing


def test_an_error_keeps_its_colours_and_no_other_control() -> None:
    way = ["\x1b[31mTraceback\x1b[0m", "\x1b]0;title\x07line \x1b[2J1\x1b[5;5H"]
    found = collected(message("error", ename="KeyError", evalue="'c'", traceback=way))
    assert found == [ErrorOutput("KeyError", "'c'", "\x1b[31mTraceback\x1b[0m\nline 1")]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\six", "six"),
        ("a\x00b\x07c\x9bd", "abcd"),
        ("abc\u202edcb", "abcdcb"),
        ("\ud800x", "x"),
        ("中文 tab\t", "中文 tab\t"),
    ],
)
def test_text_is_made_harmless(written: str, shown: str) -> None:
    assert collected(stream(written)) == [TextOutput(shown, "stdout")]


def test_more_text_than_is_kept_is_cut_and_more_than_is_seen_ends_the_run() -> None:
    collector = Collector(Caps(text_kept=10, text_seen=100))
    collector.take(stream("x" * 50))
    assert collector.outputs == [
        TextOutput("x" * 10, "stdout"),
        NoteOutput("Only the first 10 characters are kept."),
    ]
    before = collector.exceeded
    collector.take(stream("x" * 60))
    assert (before, collector.exceeded) == ("", "more than 100 characters")


def test_too_many_messages_end_the_run() -> None:
    collector = Collector(Caps(messages=3))
    for _ in range(4):
        collector.take(stream("x"))
    assert collector.exceeded == "more than 3 outputs"
    assert collector.outputs == [TextOutput("xxx", "stdout")]


def test_pictures_beyond_the_cap_are_left_out_and_said_to_be() -> None:
    found = collected(*[display(image__png=picture(), text__plain="f")] * 3, caps=Caps(rich=1))
    assert isinstance(found[0], ImageOutput)
    assert not any(isinstance(each, ImageOutput) for each in found[1:])
    assert len(found) == 3


def test_tables_beyond_the_cap_are_left_out_and_said_to_be() -> None:
    table = message("display_data", data={TABLE: {"columns": ["a"], "rows": [[1]], "n_rows": 1}})
    found = collected(table, table, caps=Caps(rich=1))
    assert found[1:] == [NoteOutput("Too many pictures and tables: this one is left out.")]
    received: list[Output] = []
    apply(changes([], found), received)
    assert received == found


def test_our_interrupt_is_told_as_what_it_was() -> None:
    collector = Collector()
    collector.take(message("error", ename="KeyboardInterrupt", evalue="", traceback=["the way"]))
    collector.note("TimeLimit", "Stopped.")
    assert collector.outputs == [
        ErrorOutput("TimeLimit", "Stopped.", "the way\nTimeLimit: Stopped.")
    ]


def frames(header: object, parent: object, content: object) -> list[bytes]:
    parts = [header, parent, {}, content]
    return [b"topic", DELIMITER, b"signature", *(json.dumps(part).encode() for part in parts)]


def test_a_message_is_read_from_its_frames() -> None:
    found = parse(frames({"msg_type": "stream"}, {"msg_id": "run"}, {"name": "stdout"}))
    assert found == KernelMessage("stream", "run", {"name": "stdout"})


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [DELIMITER],
        [DELIMITER, b"", b"{}", b"{}", b"{}"],
        [DELIMITER, b"", b"{}", b"{}", b"{}", b"{}"],
        [DELIMITER, b"", b"\xff", b"{}", b"{}", b"{}"],
        [DELIMITER, b"", b"[" * 100_000, b"{}", b"{}", b"{}"],
        [b"", b'{"msg_type":"stream"}', b'{"msg_id":"run"}', b"{}", b"{}"],
        frames([], {"msg_id": "run"}, {}),
        frames({"msg_type": "stream"}, None, {}),
    ],
)
def test_what_is_no_message_is_nothing(wrong: list[bytes]) -> None:
    assert parse(wrong) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["stream", "display_data", "execute_result", "update_display_data", "error", "clear_output"]
)
KEYS = st.sampled_from(
    [
        *("name", "text", "data", "transient", "ename", "evalue", "traceback", "wait", "columns"),
        *("rows", "n_rows", "display_id", "layout", "values", "text/plain", "image/png", TABLE),
        PLOTLY,
    ]
)
CONTENT = st.recursive(
    JSON | st.just("stdout"),
    lambda inner: st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(st.tuples(KINDS, st.dictionaries(KEYS, CONTENT, max_size=6)), max_size=12))
def test_no_content_breaks_the_collector_or_the_way_to_the_app(
    contents: list[tuple[str, dict[str, object]]],
) -> None:
    collector = Collector()
    sent: list[Output] = []
    for kind, content in contents:
        before = list(collector.outputs)
        collector.take(KernelMessage(kind, "run", content))
        edits = changes(before, collector.outputs)
        apply(json.loads(json.dumps(edits, ensure_ascii=False).encode()), sent)
    assert len(sent) == len(collector.outputs)
    assert repr(sent) == repr(collector.outputs)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_frames_break_the_reader(frames: list[bytes]) -> None:
    parse(frames)
    parse([DELIMITER, *frames])


@given(st.text(alphabet="\x1b[]()PX^_;:0123mHJK\\\x07\r\n ab\u202e"))
def test_no_text_leaves_a_control_behind(text: str) -> None:
    for output in collected(stream(text)):
        assert isinstance(output, TextOutput)
        rest = output.text
        while (start := rest.find("\x1b")) >= 0:
            end = rest.index("m", start)
            assert set(rest[start + 1 : end]) <= set("[0123456789;:")
            rest = rest[end:]
        assert not set(output.text) & set("\x07\r\u202e")


def test_long_escapes_are_read_in_time_that_grows_with_their_length() -> None:
    began = time.process_time()
    collected(stream("\x1b]" * 400_000), stream("\x1b[" * 400_000), stream("\x1bP" * 400_000))
    assert time.process_time() - began < 10
