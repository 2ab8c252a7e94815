"""A stand-in for cloudflared: its command line, its log, and a real proxy on this machine alone.

`tunnelling.StandIn` puts it on PATH as `cloudflared`. It listens with TLS on a loopback port, where
the real one's network would be, for any name that the client asks for; Host stays that public name,
and the headers that Cloudflare adds are added. Everything streams both ways, WebSockets too.

STAND_IN is a folder. `orders.json` there says how the next start goes:
  case: ok | rate-limit | no-network | exit | silent (never connected) | stubborn (ignores SIGTERM)
  wait: a file name; nothing goes on before that file is in the folder
  names: the quick tunnels' names, one a start; the last one stays
Each start appends to `starts.jsonl` what it was given: pid, port, arguments, variables. SIGUSR1
makes it crash.
"""

import argparse
import asyncio
import base64
import json
import os
import signal
import ssl
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

FOLDER = Path(os.environ["STAND_IN"])
API = "https://api.trycloudflare.com/tunnel"
MAX_HEAD = 64 << 10


def log(level: str, text: str) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sys.stderr.write(f"{now} {level} {text}\n")
    sys.stderr.flush()


def leave(last_words: str, code: int = 1) -> NoReturn:
    sys.stderr.write(last_words + "\n")
    sys.exit(code)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        leave(f"Incorrect Usage: {message}", 1)


def read_arguments() -> argparse.Namespace:
    """Anything that we should not pass, such as --http-host-header, is not known here."""
    parser = Parser(prog="cloudflared", allow_abbrev=False)
    tunnel = parser.add_subparsers(required=True).add_parser("tunnel", allow_abbrev=False)
    for name in ("--url", "--config", "--metrics", "--grace-period"):
        tunnel.add_argument(name, required=True)
    tunnel.add_argument("--no-autoupdate", action="store_true", required=True)
    tunnel.add_argument("run", nargs="?", choices=["run"])
    return parser.parse_args()


def read_orders() -> dict[str, Any]:
    orders: dict[str, Any] = json.loads((FOLDER / "orders.json").read_text(encoding="utf-8"))
    return orders


def note_start(port: int) -> int:
    """Says which start this is, counted from 0."""
    variables = {name: value for name, value in os.environ.items() if name != "STAND_IN"}
    note = {"pid": os.getpid(), "port": port, "arguments": sys.argv[1:], "variables": variables}
    with (FOLDER / "starts.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
    lines = (FOLDER / "starts.jsonl").read_text(encoding="utf-8").splitlines()
    return len(lines) - 1


def box(lines: list[str]) -> list[str]:
    width = max(map(len, lines))
    border = "+" + "-" * (width + 4) + "+"
    return [border, *(f"|  {line.ljust(width)}  |" for line in lines), border]


def ask_for_quick_tunnel(case: str, name: str) -> None:
    log("INF", "Thank you for trying Cloudflare Tunnel. Doing so, without a Cloudflare account, …")
    log("INF", "Requesting new quick Tunnel on trycloudflare.com...")
    if case == "rate-limit":
        problem = "invalid character 'e' looking for beginning of value"
        fields = f'error="{problem}" status_code="429 Too Many Requests"'
        log("ERR", f"Error unmarshaling QuickTunnel response: error code: 1015 {fields}")
        leave(f"failed to unmarshal quick Tunnel: {problem}")
    if case == "no-network":
        problem = "dial tcp: lookup api.trycloudflare.com on 127.0.0.53:53: no such host"
        leave(f'failed to request quick Tunnel: Post "{API}": {problem}')
    created = "Your quick Tunnel has been created! Visit it at (it may take some time to be "
    for line in box([created + "reachable):", f"https://{name}.trycloudflare.com"]):
        log("INF", line)


def check_token(token: str) -> None:
    try:
        parts = json.loads(base64.b64decode(token, validate=True))
        assert set(parts) == {"a", "t", "s"}
    except (ValueError, AssertionError, TypeError):
        leave("Provided Tunnel token is not valid.\nSee 'cloudflared tunnel run --help'.", 255)


class Proxy:
    """One connection a request: it ends with the answer, however that is marked."""

    def __init__(self, origin: str) -> None:
        address = urlsplit(origin)
        self._host, self._port = address.hostname, address.port
        self._origin = origin

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._forward(head, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _forward(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            origin_reader, origin_writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:
            problem = f"Unable to reach the origin service: {error.strerror}"
            log("ERR", f'error="{problem}" connIndex=0 originService={self._origin}')
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        origin_writer.write(with_cloudflare_headers(head))
        upload = asyncio.create_task(copy(reader, origin_writer, half_close=True))
        try:
            await copy(origin_reader, writer, half_close=False)
        finally:
            upload.cancel()
            origin_writer.close()


def with_cloudflare_headers(head: bytes) -> bytes:
    """As the edge and cloudflared send it on: theirs replace what the client made up."""
    request, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    given = {name.lower(): value for name, value in headers}
    before = given.get("x-forwarded-for")
    added = {
        "cf-connecting-ip": "203.0.113.7",
        "cf-ipcountry": "XX",
        "cf-ray": "8a1b2c3d4e5f6789-FRA",
        "cf-visitor": '{"scheme":"https"}',
        "cdn-loop": "cloudflare; loops=1",
        "x-forwarded-for": f"{before}, 203.0.113.7" if before else "203.0.113.7",
        "x-forwarded-proto": "https",
    }
    if given.get("upgrade", "").lower() != "websocket":
        added["connection"] = "close"
    kept = [(name, value) for name, value in headers if name.lower() not in added]
    lines = [f"{name}: {value}" for name, value in [*kept, *added.items()]]
    return "\r\n".join([request, *lines, "", ""]).encode("latin-1")


async def copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, half_close: bool
) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if half_close and writer.can_write_eof():
            writer.write_eof()
    except OSError:
        return


async def stay_up(arguments: argparse.Namespace, orders: Mapping[str, Any]) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "certificate.pem", FOLDER / "key.pem")
    proxy = Proxy(arguments.url)
    server = await asyncio.start_server(
        proxy.serve, "127.0.0.1", orders.get("port", 0), ssl=context, limit=MAX_HEAD
    )
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: ended.set_result(1))
    stubborn = orders["case"] == "stubborn"
    loop.add_signal_handler(signal.SIGTERM, lambda: None if stubborn else ended.set_result(0))
    count = note_start(server.sockets[0].getsockname()[1])
    while "wait" in orders and not (FOLDER / orders["wait"]).exists():
        await asyncio.sleep(0.02)
    if arguments.run:
        check_token(os.environ.get("TUNNEL_TOKEN", ""))
    else:
        names = orders["names"]
        ask_for_quick_tunnel(orders["case"], names[min(count, len(names) - 1)])
    announce(orders["case"], arguments)
    code = await ended
    log("ERR" if code else "INF", "no more connections active and exiting")
    return code


def announce(case: str, arguments: argparse.Namespace) -> None:
    if case == "exit":
        log("FTL", 'Cannot determine a working directory error="no such file"')
        sys.exit(1)
    log("INF", "Version 2026.8.2 (Checksum 0000)")
    log("INF", f"Settings: map[no-autoupdate:true url:{arguments.url}]")
    log("INF", "Starting metrics server on 127.0.0.1:20241/metrics")
    if case == "silent":
        log("ERR", 'Failed to dial a quic connection error="failed to dial to edge" connIndex=0')
        return
    place = f"connection={uuid.uuid4()} event=0 ip=198.51.100.1 location=fra08 protocol=quic"
    log("INF", f"Registered tunnel connection connIndex=0 {place}")


if __name__ == "__main__":
    sys.exit(asyncio.run(stay_up(read_arguments(), read_orders())))
