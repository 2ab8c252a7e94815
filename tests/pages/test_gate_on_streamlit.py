"""The gate before the installed Streamlit, over real sockets: what pages are told, and ids."""

import http.client
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsing import serve
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from assistant.access.cookies import SESSION, Signatures
from assistant.access.sockets import SIGNED_OUT
from assistant.access.store import AccessStore
from assistant.access.visitor import Access

HERE = Path(__file__).parent
HOST = "assistant.example"
HOUR = 3600.0
XSRF = "_streamlit_xsrf"
PATIENCE = 60.0


@dataclass
class Page:
    """What a script showed in one run."""

    session: str = ""
    texts: list[str] = field(default_factory=list)
    media: str = ""
    messages: list[ForwardMsg] = field(default_factory=list)


class Browser:
    """One visitor's, at the public address."""

    def __init__(self, port: int, cookie: str) -> None:
        self.port = port
        self.cookies = {SESSION: cookie} if cookie else {}
        health = self.ask("GET", "/_stcore/health")
        line = health.getheader("Set-Cookie", "")
        if line.startswith(XSRF):
            self.cookies[XSRF] = line.partition(";")[0].partition("=")[2]

    def _headers(self) -> dict[str, str]:
        pairs = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {
            "Host": f"{HOST}:{self.port}",
            "Origin": f"http://{HOST}:{self.port}",
            "Cookie": pairs,
        }

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, body, {**self._headers(), **(headers or {})})
        response = connection.getresponse()
        self.body = response.read()
        connection.close()
        return response

    def connect(self, session: str = "") -> ClientConnection:
        protocols = ["streamlit", self.cookies.get(XSRF, "none"), *([session] if session else [])]
        said = self._headers()
        return connect(
            f"ws://{said['Host']}/_stcore/stream",
            sock=socket.create_connection(("127.0.0.1", self.port)),
            additional_headers={"Cookie": said["Cookie"]},
            origin=Origin(said["Origin"]),
            subprotocols=[Subprotocol(each) for each in protocols],
            open_timeout=PATIENCE,
        )


def show(page: ClientConnection) -> Page:
    """Runs the script, as a page does when it opens."""
    wanted = BackMsg()
    wanted.rerun_script.query_string = ""
    page.send(wanted.SerializeToString())
    found = Page()
    while not (found.texts and found.messages[-1].WhichOneof("type") == "script_finished"):
        message = ForwardMsg.FromString(page.recv(timeout=PATIENCE))
        found.messages.append(message)
        element = message.delta.new_element
        found.session = message.new_session.initialize.session_id or found.session
        found.texts += [each for each in (element.markdown.body, element.text.body) if each]
        found.media = element.download_button.url or found.media
    return found


@dataclass
class Site:
    port: int
    store: AccessStore

    def visitor(self, name: str) -> Browser:
        token = self.store.begin_session(name, HOUR)
        return Browser(self.port, Signatures(self.store.secret()).session_cookie(token))


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    store = AccessStore(home / "access.db")
    store.add_user("alice", None)
    store.add_user("bob", None, Access.USER)
    with serve(str(HERE / "gated_app.py"), ASSISTANT_HOME=str(home), MODEL="none.gguf") as server:
        port = urlsplit(server.url).port
        assert port
        store.begin_sharing(f"http://{HOST}:{port}", time.time() + HOUR, frozenset(), 1)
        yield Site(port, store)
    store.close()


@pytest.fixture
def site(shared_site: Site) -> Site:
    shared_site.store.beat()  # or sharing would be taken for over
    return shared_site


def test_pages_learn_who_the_visitor_is(site: Site) -> None:
    for name, role in (("alice", "operator"), ("bob", "user")):
        with site.visitor(name).connect() as page:
            assert show(page).texts == [f"{name} is {role}", "run 1"]


def test_a_stranger_gets_no_page_no_file_and_no_socket(site: Site) -> None:
    stranger = Browser(site.port, "")
    assert XSRF not in stranger.cookies
    response = stranger.ask("GET", "/", headers={"Accept": "text/html"})
    assert (response.status, response.getheader("Location")) == (303, "/signin?next=/")
    for path in ("/", "/_stcore/health", "/_stcore/metrics", "/static/js/x.js", "/media/x"):
        assert stranger.ask("GET", path).status == 401, path
    with pytest.raises(InvalidStatus, match="401"):
        stranger.connect()


def test_a_file_a_page_offers_is_its_visitors_alone(site: Site) -> None:
    alice, bob = site.visitor("alice"), site.visitor("bob")
    with alice.connect() as page:
        media = show(page).media
        assert media.startswith("/media/")
        assert alice.ask("GET", media).status == 200
        assert alice.body == b"alice's secret"
        assert bob.ask("GET", media).status == 404
        assert Browser(site.port, "").ask("GET", media).status == 401


def upload_url(page: ClientConnection, session: str) -> str:
    wanted = BackMsg()
    wanted.file_urls_request.request_id = "1"
    wanted.file_urls_request.file_names.append("a.txt")
    wanted.file_urls_request.session_id = session
    page.send(wanted.SerializeToString())
    while True:
        message = ForwardMsg.FromString(page.recv(timeout=PATIENCE))
        if message.WhichOneof("type") == "file_urls_response":
            url: str = message.file_urls_response.file_urls[0].upload_url
            return url


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\nhello\r\n--x--\r\n"
)


def put(browser: Browser, url: str) -> int:
    said = {"Content-Type": "multipart/form-data; boundary=x", **token(browser)}
    return browser.ask("PUT", url, FORM, said).status


def token(browser: Browser) -> dict[str, str]:
    return {"X-Xsrftoken": browser.cookies[XSRF]}


def test_only_the_visitor_of_a_page_uploads_to_it(site: Site) -> None:
    alice, bob = site.visitor("alice"), site.visitor("bob")
    with alice.connect() as page:
        url = upload_url(page, show(page).session)
        assert put(bob, url) == 404
        assert put(alice, url) == 204
        assert bob.ask("DELETE", url, headers=token(bob)).status == 404


def test_a_session_is_gone_on_with_by_the_visitor_it_was_told_to_alone(site: Site) -> None:
    alice, bob = site.visitor("alice"), site.visitor("bob")
    with alice.connect() as page:
        first = show(page)
    with bob.connect(first.session) as page:
        stolen = show(page)
    assert stolen.session != first.session
    assert stolen.texts == ["bob is user", "run 1"]
    with alice.connect(first.session) as page:
        again = show(page)
    assert again.texts == ["alice is operator", "run 2"]
    assert again.session in ("", first.session)


def test_an_open_page_ends_when_its_visitor_is_signed_out(site: Site) -> None:
    with site.visitor("bob").connect() as page:
        show(page)
        site.store.end_sessions("bob")
        with pytest.raises(ConnectionClosed) as closed:
            read_on(page)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == SIGNED_OUT


def read_on(page: ClientConnection) -> None:
    while True:
        page.recv(timeout=PATIENCE)


def test_an_upload_is_cut_off_where_it_is_too_large(site: Site) -> None:
    alice = site.visitor("alice")
    with alice.connect() as page:
        url = upload_url(page, show(page).session)
        said = {**token(alice), "Content-Length": str(10**12)}
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
        connection.putrequest("PUT", url, skip_host=True)
        for name, value in {**alice._headers(), **said}.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()


def test_the_frontend_of_streamlit_is_served_to_visitors(site: Site) -> None:
    alice = site.visitor("alice")
    assert alice.ask("GET", "/").status == 200
    script = alice.body.decode().partition('src="./static/js/')[2].partition('"')[0]
    response = alice.ask("GET", f"/static/js/{script}")
    assert response.status == 200
    assert "immutable" in (response.getheader("Cache-Control") or "")
