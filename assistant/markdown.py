"""A model's text, made fit for a Markdown page. Code is left as it is.

- \\(…\\) and \\[…\\] become $…$ and $$…$$, which is what the page draws.
- A dollar that opens no formula ("$5 and $6") is escaped.
- An image becomes a link: drawing it would call an address that the model chose.
- `:red[…]` and the like, which the page would take as an order, stay text.

Not covered: raw HTML, which the page escapes itself, and what a browser may fetch at all, which
the server's headers limit (`server.py`).
"""

import re

# Fenced blocks (also one that is still open), then inline code: any run of backticks to its twin.
CODE = re.compile(
    r"^[ ]{0,3}(?P<fence>`{3,}|~{3,})[^\n]*(?:\n(?s:.*?)(?:^[ ]{0,3}(?P=fence)[`~]*[ \t]*$|\Z)|\Z)"
    r"|(?<!`)(?P<ticks>`+)(?!`)(?s:.+?)(?<!`)(?P=ticks)(?!`)",
    re.MULTILINE,
)
BLOCK = re.compile(r"^(?P<indent>[ \t]*)\\\[(?P<body>(?s:[^$]+?))\\\][ \t]*$", re.MULTILINE)
INLINE_BLOCK = re.compile(r"\\\[(?P<body>(?s:[^$]+?))\\\]")
INLINE = re.compile(r"\\\((?P<body>(?s:[^$]+?))\\\)")
# What is a formula already, by pandoc's rule: no blank inside the dollars, no digit behind.
FORMULA = re.compile(
    r"\\\$|\$\$(?s:[^$]+?)\$\$|\$(?=\S)(?:[^$\n\\]|\\.)*?(?<=\S)\$(?!\d)|(?P<lone>\$)"
)
IMAGE = re.compile(r"(?<!\\)!(?=\[)")
DIRECTIVE = re.compile(r"(?<![\\\w]):(?=[a-z]+(?:-[a-z]+)*\[)")


def showable(text: str) -> str:
    """`text` with its formulas in dollars and nothing in it that acts on the page."""
    parts: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        parts += [_prose(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _prose(text[end:])])


def _prose(text: str) -> str:
    text = BLOCK.sub(_block, text)
    text = INLINE_BLOCK.sub(lambda found: f"$${_one_line(found['body'])}$$", text)
    text = INLINE.sub(lambda found: f"${_one_line(found['body'])}$", text)
    parts: list[str] = []
    end = 0
    for found in FORMULA.finditer(text):
        parts += [_plain(text[end : found.start()]), "\\$" if found["lone"] else found[0]]
        end = found.end()
    return "".join([*parts, _plain(text[end:])])


def _block(found: re.Match[str]) -> str:
    indent = found["indent"]
    lines = [line.strip() for line in found["body"].strip().splitlines()]
    body = "\n".join(indent + line for line in lines if line)
    return f"{indent}$$\n{body}\n{indent}$$"


def _one_line(body: str) -> str:
    return " ".join(body.split())


def _plain(text: str) -> str:
    return DIRECTIVE.sub(r"\\:", IMAGE.sub(r"\\!", text))
