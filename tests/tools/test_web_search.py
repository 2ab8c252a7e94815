"""The web, searched: against a loopback stand-in."""

import json
from collections.abc import Iterator

import pytest
from web_server import Answer, WebServer, web_server

from tools import ToolError
from tools._secrets import masked
from tools.web_search import MAX_EXCERPT, web_search

KEY = "tvly-0123456789"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setenv("TAVILY_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with web_server() as web:
        monkeypatch.setenv("SEARCH_URL", web.url)
        yield web


def answer(value: object, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), {"Content-Type": "application/json"}, status)


def test_results_have_a_title_an_address_and_an_excerpt(web: WebServer) -> None:
    found = {"title": "北京", "url": "https://a.b/", "content": "x" * 9000, "score": 1}
    web.pages["/search"] = answer({"results": [found]})
    [result] = web_search("首都", count=99)
    assert result == {"title": "北京", "url": "https://a.b/", "excerpt": "x" * MAX_EXCERPT}
    [(_, _, headers, body)] = web.asked
    assert json.loads(body) == {"query": "首都", "max_results": 10}
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in masked(f"a traceback with {KEY}")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (answer({}, 401), "answered 401. The key may be wrong or used up"),
        (answer({}, 500), "answered 500."),
        (answer({"results": []}), "Nothing was found for 'q'"),
        (answer({}), "cannot be reached"),
        (Answer(b"<html>"), "cannot be reached"),
    ],
)
def test_a_service_that_fails_is_told(web: WebServer, page: Answer, said: str) -> None:
    web.pages["/search"] = page
    with pytest.raises(ToolError) as failed:
        web_search("q")
    assert said in str(failed.value)
