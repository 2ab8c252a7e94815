"""The readable text of a web page."""

import re
from html.parser import HTMLParser
from typing import Annotated

from tools import ToolError, tool
from tools._web import Page, fetch

_SILENT = {"script", "style", "noscript", "template", "svg", "nav", "footer", "form", "iframe"}
_BLOCKS = {"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article"}
_BLOCKS |= {"main", "table", "ul", "ol", "pre", "title"}
_META = re.compile(rb"<meta[^>]{1,200}charset=[\"']?([\w-]+)", re.I)


@tool(effects="network", time_limit=30, result_limit=8000)
def read_web_page(
    url: Annotated[str, "The address of the page, with https://"],
) -> str:
    """Reads a public web page and returns its text. 读取网页正文。"""
    page = fetch(url.strip())
    text = _decoded(page)
    if page.content_type in ("text/html", "application/xhtml+xml", ""):
        reader = _Reader()
        reader.feed(text)
        return reader.text() or "The page has no text without its scripts."
    if page.content_type.startswith("text/") or page.content_type == "application/json":
        return text
    raise ToolError(f"{page.url} is no text: {page.content_type}.")


def _decoded(page: Page) -> str:
    told = _META.search(page.data[:4096])
    for encoding in filter(None, (page.charset, told and told[1].decode(), "utf-8", "gb18030")):
        try:
            return page.data.decode(encoding)
        except (UnicodeError, LookupError):
            continue
    return page.data.decode("utf-8", "replace")


class _Reader(HTMLParser):
    """Keeps what a person would read."""

    def __init__(self) -> None:
        super().__init__()
        self._silent: list[str] = []
        self._parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent.append(tag)
        elif tag in _BLOCKS:
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            del self._silent[self._silent.index(tag) :]
        elif tag in _BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._parts.append(re.sub(r"\s+", " ", data))

    def text(self) -> str:
        lines = (line.strip() for line in "".join(self._parts).splitlines())
        return "\n".join(line for line in lines if line)
