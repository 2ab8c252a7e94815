"""The readable text of a page."""

from collections.abc import Iterator

import pytest
from web_server import Answer, WebServer, web_server

from tools import ToolError
from tools.web_page import read_web_page

HTML = """<html><head><title>标题</title><style>p {}</style>
<script>let x = "<p>no</p>"</script></head>
<body><nav>Menu</nav><h1>Hello</h1><p>One <b>two</b>
three &amp; four</p><ul><li>a<li>b</ul><footer>end</footer>tail</body></html>"""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("WEB_ALLOW_PRIVATE", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with web_server() as web:
        yield web


def typed(body: bytes, kind: str) -> Answer:
    return Answer(body, {"Content-Type": kind})


def test_the_text_of_a_page_is_what_a_person_would_read(web: WebServer) -> None:
    web.pages["/"] = typed(HTML.encode(), "text/html; charset=utf-8")
    assert read_web_page(f" {web.url}/ ") == "标题\nHello\nOne two three & four\na\nb\ntail"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<p>你好".encode("gb18030"), "text/html; charset=GBK"),
        (b'<meta charset="gb2312">' + "<p>你好".encode("gb18030"), "text/html"),
        ("<p>你好".encode("gb18030"), "text/html"),
        ("<p>你好".encode(), "text/html; charset=no-such-code"),
        ("<p>你好".encode(), "text/html; charset=idna"),
        ("你好".encode(), "text/plain"),
    ],
)
def test_pages_in_older_encodings_are_read(web: WebServer, body: bytes, kind: str) -> None:
    web.pages["/"] = typed(body, kind)
    assert read_web_page(web.url + "/") == "你好"


def test_a_page_of_scripts_alone_is_told(web: WebServer) -> None:
    web.pages["/"] = typed(b"<script>draw()</script>", "text/html")
    assert read_web_page(web.url + "/") == "The page has no text without its scripts."


def test_what_is_no_text_is_refused(web: WebServer) -> None:
    web.pages["/"] = typed(b"\x89PNG", "image/png")
    with pytest.raises(ToolError, match="is no text: image/png"):
        read_web_page(web.url + "/")
