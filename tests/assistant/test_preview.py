"""What a person sees of a file, whatever is in it."""

import io

import pytest
from PIL import Image

from assistant.outputs import ImageOutput, JsonOutput, TableOutput, TextOutput
from assistant.preview import CHARACTERS, ROWS, first_lines, preview


def test_a_table_shows_its_first_rows_and_says_how_many_there_are() -> None:
    data = "name,sum\n" + "".join(f"a{n},{n}\n" for n in range(500))
    seen = preview("sales.CSV", data.encode())
    assert isinstance(seen, TableOutput)
    assert (seen.columns, seen.rows[0], len(seen.rows), seen.n_rows) == (
        ("name", "sum"),
        ("a0", "0"),
        ROWS,
        500,
    )


def test_rows_of_other_lengths_are_filled_up() -> None:
    assert preview("a.tsv", b"a\n1\t2\n\n3") == TableOutput(("a", ""), (("1", "2"), ("3", "")), 2)


def test_text_is_read_in_the_usual_encodings_and_without_controls() -> None:
    assert preview("a.txt", "收入".encode("gb18030")) == TextOutput("收入")
    assert preview("a.txt", "\u202e\x1b[2Jx".encode()) == TextOutput("x")


def test_json_is_a_tree_unless_it_is_broken_or_too_long() -> None:
    assert preview("a.json", b'{"a": [1]}') == JsonOutput({"a": [1]})
    assert preview("a.json", b"{oops") == TextOutput("{oops")
    deep = b"[" * 100_000
    assert isinstance(preview("a.json", deep), TextOutput)
    assert isinstance(preview("a.json", b"[" + b"1," * CHARACTERS + b"1]"), TextOutput)


def test_a_picture_is_encoded_afresh() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 3)).save(stream, "JPEG")
    seen = preview("a.jpg", stream.getvalue() + b"<script>")
    assert isinstance(seen, ImageOutput)
    assert (seen.width, seen.height) == (4, 3)
    assert b"script" not in seen.data


@pytest.mark.parametrize("name", ["a.png", "a.bin", "a.csv"])
def test_of_anything_else_nothing_is_shown(name: str) -> None:
    assert preview(name, b"\x89PNG\0\xff") is None


def test_a_field_that_is_too_long_for_a_table_is_shown_as_text() -> None:
    assert isinstance(preview("a.csv", b'a,"' + b"x" * 200_000), TextOutput)


def test_the_model_is_shown_a_tables_first_lines_only() -> None:
    assert first_lines("a.csv", b"a,b\n1,2\n3,4\n") == "a,b\n1,2"
    assert len(first_lines("a.csv", b"x" * 4096)) == 300
    assert first_lines("a.txt", b"a,b\n") == ""
    assert first_lines("a.csv", b"\0") == ""
