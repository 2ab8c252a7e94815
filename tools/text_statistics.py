"""The size of a text."""

import re
from typing import Annotated

from tools import Example, tool

_HANZI = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_WORD = rf"[^\W_{_HANZI}]+(?:['’-][^\W_{_HANZI}]+)*"


@tool(
    effects="none",
    examples=[
        Example({"text": "你好，world! It's"}, lambda r: (r["中文字数"], r["words"]) == (2, 2))
    ],
)
def text_statistics(text: Annotated[str, "The text to count"]) -> dict[str, int]:
    """Counts a text's characters, 中文字数, words, lines and paragraphs. 统计文本的字数。"""
    n_hanzi, n_words = len(re.findall(f"[{_HANZI}]", text)), len(re.findall(_WORD, text))
    return {
        "characters": len(text),
        "characters_without_blanks": len("".join(text.split())),
        "中文字数": n_hanzi,
        "words": n_words,
        "words_and_中文字数": n_hanzi + n_words,
        "lines": len(text.splitlines()),
        "paragraphs": len([part for part in re.split(r"\n\s*\n", text) if part.strip()]),
    }
