"""A model's text, made fit for a Markdown page. Code is left as it is.

- \\(…\\) and \\[…\\] become $…$ and $$…$$, which is what the page draws.
- A dollar that opens no formula ("$5 and $6") is escaped.
- An image becomes a link: drawing it would call an address that the model chose.
- HTML, and orders to the page such as `:red[…]`, stay text.
- A Mermaid diagram stays code: drawing it could call an address too.

Not covered: what a browser may fetch at all, which the server's headers limit (`server.py`).
"""

import html
import re

# Fenced blocks (also one that is still open), then inline code on one line.
CODE = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>`{3,}+(?=[^`\n]*$)|~{3,}+)[^\n]*"
    r"(?:\n(?s:.*?)(?:^[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)|\Z)"
    r"|(?<![`\\])(?P<ticks>`++)[^\n]+?(?<!`)(?P=ticks)(?!`)",
    re.MULTILINE,
)
# A body holds no opening of its own kind, so that a text full of them is still read in one go.
DISPLAY = r"(?<!\\)\\\[(?P<body>(?:(?!(?<!\\)\\\[)[^$])+?)\\\]"
BLOCK = re.compile(rf"^(?P<indent>[ \t]*){DISPLAY}[ \t]*$", re.MULTILINE)
INLINE_BLOCK = re.compile(DISPLAY)
INLINE = re.compile(r"(?<!\\)\\\((?P<body>(?:(?!(?<!\\)\\\()[^$])+?)\\\)")
# What is a formula already, by pandoc's rule: no blank inside the dollars, no digit behind.
FORMULA = re.compile(
    r"(?P<escaped>\\.)|\$\$[^$]+?\$\$|\$(?=[^\s$])(?:[^$\n\\]|\\.)+?(?<=\S)\$(?!\d)|(?P<lone>\$)",
    re.DOTALL,
)
INFO = re.compile(r"(?<![`~])(?P<fence>`{3,}+|~{3,}+)(?P<info>[^`~\n]+)")
IMAGE = re.compile(r"(?P<escaped>\\.)|!(?=\[)", re.DOTALL)
ACTS = re.compile(
    r"(?P<escaped>\\.)|!(?=\[)|<(?=[a-zA-Z!/?])|(?<!\w):(?=:|[a-z]+(?:-[a-z]+)*\[)", re.DOTALL
)

PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")


def showable(text: str) -> str:
    """`text` with its formulas in dollars and nothing in it that acts on the page."""
    text = INFO.sub(_fence, text)
    parts: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        parts += [_prose(text[end : code.start()]), _code(code)]
        end = code.end()
    return "".join([*parts, _prose(text[end:])])


def literal(text: str) -> str:
    """`text` as it is: for what is no Markdown, such as an error with a path in it."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~:&])", r"\\\1", text)


def name_label(name: str) -> str:
    """A name for a label. A plain one stays as it is: labels are also read aloud."""
    return name if PLAIN_NAME.fullmatch(name) else literal(name)


def _fence(found: re.Match[str]) -> str:
    info = html.unescape(found["info"])
    return found["fence"] + "text" if "mermaid" in info.lower() else found[0]


def _code(code: re.Match[str]) -> str:
    # Only a fence at the margin is code for certain: the page may see a list or a table end
    # in the middle of any other.
    if code["fence"] and not code["indent"]:
        return code[0]
    return IMAGE.sub(_escape, code[0])


def _prose(text: str) -> str:
    text = BLOCK.sub(_block, text)
    text = INLINE_BLOCK.sub(lambda found: f"$${_one_line(found['body'])}$$", text)
    text = INLINE.sub(lambda found: f"${_one_line(found['body'])}$", text)
    parts: list[str] = []
    end = 0
    for found in FORMULA.finditer(text):
        if found["escaped"]:
            continue
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
    return ACTS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0] if found["escaped"] else "\\" + found[0]
