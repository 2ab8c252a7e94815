"""Pages are fetched from the public internet, and nothing nearer can be reached."""

import socket
from collections.abc import Iterator

import pytest
from web_server import Answer, WebServer, web_server

from tools import ToolError
from tools._web import MAX_BYTES, MAX_REDIRECTS, fetch, is_public


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with web_server() as web:
        yield web


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_ALLOW_PRIVATE", "1")


def redirect(to: str) -> Answer:
    return Answer(headers={"Location": to}, status=302)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "0"])
def test_no_spelling_of_this_machine_is_read(web: WebServer, host: str) -> None:
    with pytest.raises(ToolError, match=r"not on the public internet|was not found|cannot be read"):
        fetch(f"http://{host}:{web.port}/")
    assert web.asked == []


def test_a_name_that_leads_inside_is_not_read(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: object, **__: object) -> list[object]:
        public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", web.port))
        return [public, (*public[:4], ("127.0.0.1", web.port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ToolError, match=r"looks\.public is not on the public internet"):
        fetch(f"http://looks.public:{web.port}/")


def test_a_redirect_is_checked_as_the_first_address_was(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools._web.is_public", lambda address: address == "127.0.0.1")
    web.pages["/"] = redirect(f"http://[::1]:{web.port}/inside")
    with pytest.raises(ToolError, match="::1 is not on the public internet"):
        fetch(web.url + "/")
    assert [path for _, path, _, _ in web.asked] == ["/"]


def test_the_connection_goes_to_the_address_that_was_checked(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that resolves to another address the second time would lead inside.
    asked: list[object] = []
    real = socket.getaddrinfo

    def resolve(host: str, *more: object, **named: object) -> object:
        if host != "rebinding.test":
            return real(host, *more, **named)  # type: ignore[arg-type]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", web.port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("tools._web.is_public", lambda address: address == "127.0.0.1")
    web.pages["/"] = Answer(b"hello")
    assert fetch(f"http://rebinding.test:{web.port}/").data == b"hello"
    assert asked == ["rebinding.test"]
    assert web.asked[0][2]["Host"] == f"rebinding.test:{web.port}"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.b/c", "notes.txt", "", "http://", "gopher://a", "http:x"]
)
def test_nothing_but_web_addresses_is_taken(url: str) -> None:
    with pytest.raises(ToolError, match=r"is no address of a web page|cannot be read"):
        fetch(url)


@pytest.mark.usefixtures("allowed")
def test_redirects_are_followed_but_not_for_ever(web: WebServer) -> None:
    web.pages |= {"/a": redirect("/b"), "/b": Answer(b"here"), "/loop": redirect("/loop")}
    page = fetch(web.url + "/a")
    assert (page.data, page.url) == (b"here", web.url + "/b")
    with pytest.raises(ToolError, match=f"redirects more than {MAX_REDIRECTS} times"):
        fetch(web.url + "/loop")
    web.pages["/file"] = redirect("file:///etc/passwd")
    with pytest.raises(ToolError, match="is no address of a web page"):
        fetch(web.url + "/file")


@pytest.mark.usefixtures("allowed")
def test_a_large_page_is_read_to_the_limit_and_an_error_is_told(web: WebServer) -> None:
    web.pages["/large"] = Answer(bytes(MAX_BYTES + 100_000))
    assert len(fetch(web.url + "/large").data) == MAX_BYTES
    with pytest.raises(ToolError, match="answered 404"):
        fetch(web.url + "/none")
