"""YAML and JSON that a person wrote: values with lines, and what is refused."""

import pytest

from assistant.errors import BadDocument
from assistant.marked import MAX_LENGTH, read_marked, read_marked_json

BOMB = "a: &a [x]\n" + "".join(
    f"b{i}: &b{i} [{', '.join(['*a'] * 9)}]\n".replace("*a", "*a" if i == 0 else f"*b{i - 1}")
    for i in range(9)
)


def refusal(text: str) -> BadDocument:
    with pytest.raises(BadDocument) as caught:
        read_marked(text, "here")
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [true, null, 1.5, x]", {"a": 1, "b": [True, None, 1.5, "x"]}),
        ('{"a":\n\t[1, "北京\\n"]}', {"a": [1, "北京\n"]}),
        ("day: 2026-11-22", {"day": "2026-11-22"}),
        ('{"emoji": "\\ud83d\\ude00", "exponent": 1e3}', {"emoji": "😀", "exponent": 1000.0}),
    ],
)
def test_it_reads_plain_values(text: str, value: object) -> None:
    assert read_marked(text, "here").value == value


@pytest.mark.parametrize("text", ["a:\n  - b\n  - c: 1\n", '{"a": [\n"b",\n\t{"c": 1}]}'])
def test_every_part_knows_its_line(text: str) -> None:
    document = read_marked(text, "here")
    assert document.lines["a", 1, "c"] == 3
    assert document.wrong(("a", 1, "missing"), "nothing", "text").fields["line"] == 3


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        (BOMB, 1, "an anchor or alias"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "a tag"),
        ("a: 1\na: 2", 2, "'a' a second time"),
        ('{"a": 1,\n"a": 2}', 2, "'a' a second time"),
        ("[" * 50_000, 1, "more than 24 levels"),
        ("- " * 20_000, 1, "more than 24 levels"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("a: [1\nb: 2", 2, "a mistake"),
        ("a: \x00", 1, "a mistake"),
        ("a:\n  ? [1]\n  : 2", 2, "a key that is not text"),
        ("a: .inf", 1, "'.inf'"),
        ("a: " + "9" * 5_000, 1, "'999"),
        ('a: "\\ud800"', 1, "'\\ud800'"),
        ('{"a": "\\ud800"}', 1, "'\\ud800'"),
        ("x" * (MAX_LENGTH + 1), 1, f"{MAX_LENGTH + 1} characters"),
        ("# nothing", 1, "nothing"),
    ],
)
def test_what_is_refused_is_refused_with_its_line(text: str, line: int, found: str) -> None:
    error = refusal(text)
    assert error.fields["line"] == line
    assert str(error.fields["found"]).startswith(found)


@pytest.mark.parametrize("text", ["a: 1", '{"a": 1,}', '{"a": NaN}', "[" * 5_000, "{", ""])
def test_where_json_is_due_nothing_else_will_do(text: str) -> None:
    with pytest.raises(BadDocument) as caught:
        read_marked_json(text, "here")
    assert caught.value.fields["expected"] == "JSON"
