"""What is read from cloudflared's log, and what is not taken for it."""

import pytest

from assistant.tunnel.logs import Address, Connected, Trouble, clean, is_complaint, read_line

STAMP = "2026-09-30T07:31:16Z"


@pytest.mark.parametrize(
    "line",
    [
        f"{STAMP} INF |  https://four-words-in-a-row.trycloudflare.com                         |",
        f"\x1b[90m{STAMP}\x1b[0m \x1b[32mINF\x1b[0m "
        "|  https://four-words-in-a-row.trycloudflare.com  |",
    ],
)
def test_the_address_is_read_from_the_box_with_and_without_colours(line: str) -> None:
    assert read_line(line) == Address("https://four-words-in-a-row.trycloudflare.com")


@pytest.mark.parametrize(
    "line",
    [
        f"{STAMP} INF Requesting new quick Tunnel on trycloudflare.com...",
        f"{STAMP} INF |  Your quick Tunnel has been created! Visit it at (it may take):  |",
        f'{STAMP} ERR error="refused" dest="https://evil.trycloudflare.com" connIndex=0',
        f'{STAMP} ERR error="no" dest="/ {STAMP} INF |  https://evil.trycloudflare.com  |"',
        f"{STAMP} INF |  https://trycloudflare.com.evil.example  |",
        f"{STAMP} INF |  https://evil.example/a.trycloudflare.com  |",
        f"{STAMP} INF |  https://a.b.trycloudflare.com  |",
        f"{STAMP} INF |  http://four-words.trycloudflare.com  |",
        f"{STAMP} INF |  https://one.trycloudflare.com https://two.trycloudflare.com  |",
        "|  https://four-words.trycloudflare.com  |",
        "",
    ],
)
def test_nothing_else_is_an_address(line: str) -> None:
    assert read_line(line) is None


def test_a_registered_connection_says_that_requests_come_in() -> None:
    place = "connection=bb527b3a event=0 ip=198.51.100.1 location=del04 protocol=quic"
    assert read_line(f"{STAMP} INF Registered tunnel connection connIndex=0 {place}") == Connected()
    assert read_line(f"{STAMP} INF Unregistered tunnel connection connIndex=0") is None
    assert read_line(f'{STAMP} ERR x="at INF Registered tunnel connection connIndex=0 "') is None


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (
            f"{STAMP} ERR Error unmarshaling QuickTunnel response: error code: 1015 "
            "error=\"invalid character 'e' looking for beginning of value\" "
            'status_code="429 Too Many Requests"',
            Trouble.RATE_LIMIT,
        ),
        (
            'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": '
            "dial tcp: lookup api.trycloudflare.com on 127.0.0.11:53: no such host",
            Trouble.NO_NETWORK,
        ),
        (
            f"{STAMP} ERR edge discovery: error looking up Cloudflare edge IPs: the DNS query "
            'failed error="lookup _v2-origintunneld._tcp.argotunnel.com: no such host" event=0',
            Trouble.NO_NETWORK,
        ),
        (
            f'{STAMP} ERR Failed to dial a quic connection error="failed to dial to edge with '
            'quic: timeout: no recent network activity" connIndex=0 event=0 ip=198.51.100.1',
            Trouble.NO_NETWORK,
        ),
        ("Provided Tunnel token is not valid.", Trouble.BAD_TOKEN),
        (
            f'{STAMP} ERR Register tunnel error from server side error="Unauthorized: Invalid '
            'tunnel secret" connIndex=0 event=0',
            Trouble.BAD_TOKEN,
        ),
    ],
)
def test_its_troubles_are_told_apart(line: str, trouble: Trouble) -> None:
    assert read_line(line) is trouble


def test_what_a_visitor_asks_for_is_no_trouble() -> None:
    line = f'{STAMP} ERR error="x" dest="https://h/429 Too Many Requests error code: 1015"'
    assert read_line(line) is None


def test_a_line_is_shown_without_what_a_terminal_would_obey() -> None:
    assert clean("\x1b[31mred\x1b[0m\x07 and\x1b]0;title\x07 more\r\n") == "red  and ]0;title  more"


def test_errors_and_last_words_are_complaints_and_the_rest_is_not() -> None:
    assert is_complaint(f"{STAMP} ERR something")
    assert is_complaint("failed to request quick Tunnel: no such host")
    assert not is_complaint(f"{STAMP} INF Version 2026.8.2")
    assert not is_complaint("")
