"""Requests at the app's port as cloudflared passes them on from somebody far away."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from urllib.parse import urlencode, urlsplit

ANSWER = 10.0  # seconds to wait for one
MAX_BODY = 1 << 16
STRANGER = "203.0.113.77"  # of a network that is nobody's
FORWARDED = {
    "CF-Connecting-IP": STRANGER,
    "CF-Ray": "8a1b2c3d4e5f6789-XXX",
    "X-Forwarded-For": STRANGER,
    "X-Forwarded-Proto": "https",
}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "streamlit",
}
SOCKET = "/_stcore/stream"
PAGE = {"Accept": "text/html"}
OPENED = 101


@dataclass(frozen=True)
class Reply:
    status: int
    headers: HTTPMessage
    body: bytes

    def __getitem__(self, name: str) -> str:
        return str(self.headers.get(name, ""))

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_refusal(self) -> bool:
        """Whether somebody who has not signed in got nothing."""
        to_sign_in = self.status == 303 and urlsplit(self["Location"]).path == "/signin"
        return to_sign_in or self.status in (401, 403)

    @property
    def line(self) -> str:
        return f"{self.status} → {self['Location']}" if self["Location"] else str(self.status)

    @property
    def cookie_lines(self) -> list[str]:
        return [str(each) for each in self.headers.get_all("Set-Cookie", [])]


@dataclass
class Caller:
    """Somebody's browser: it keeps the cookies that it was given."""

    port: int
    host: str  # the public one
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> Reply:
        said = {"Host": self.host, **FORWARDED, **(headers or {})}
        if self.cookies:
            said["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER)
        try:
            connection.request(method, path, body or None, said)
            with connection.getresponse() as response:
                text = b"" if response.status == OPENED else response.read(MAX_BODY)
                reply = Reply(response.status, response.headers, text)
        finally:
            connection.close()
        for line in reply.cookie_lines:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return reply

    def send_form(self, path: str, form: str, headers: Mapping[str, str] | None = None) -> Reply:
        kind = {"Content-Type": "application/x-www-form-urlencoded", **PAGE, **(headers or {})}
        return self.ask("POST", path, kind, urlencode({"form": form}))

    def open_socket(self, headers: Mapping[str, str] | None = None) -> Reply:
        return self.ask("GET", SOCKET, {**UPGRADE, **(headers or {})})


def form_field(page: Reply) -> str:
    return page.text.partition('name="form" value="')[2].partition('"')[0]
