"""The size of a text."""

from tools.text_statistics import text_statistics


def test_chinese_and_english_are_counted_each_in_their_way() -> None:
    told = text_statistics("你好，world！\nIt's state-of-the-art 2026年\n\n又一段")
    assert told == {
        "characters": 42,
        "characters_without_blanks": 37,
        "中文字数": 6,
        "words": 4,
        "words_and_中文字数": 10,
        "lines": 4,
        "paragraphs": 2,
    }


def test_nothing_has_nothing() -> None:
    assert set(text_statistics("").values()) == {0}
