"""The stand-in for cloudflared put on PATH, told what to do, and asked what it was given."""

import http.client
import json
import os
import shlex
import signal
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from patience import until

SCRIPT = Path(__file__).with_name("cloudflared_stand_in.py")
NAMES = ["four-words-in-a-row", "another-name-this-time", "and-a-third-one"]
DOMAIN = "trycloudflare.com"


@dataclass(frozen=True)
class Start:
    """What one start of it was given."""

    pid: int
    port: int
    arguments: list[str]
    variables: dict[str, str]


class StandIn:
    """`bin` goes in front of PATH. Chromium comes to it by `host_rules` and ignores certificates:

    chromium --host-resolver-rules=RULES, new_context(ignore_https_errors=True)
    """

    def __init__(self, folder: Path, **orders: object) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        make_certificate(folder)
        command = shlex.join(["env", f"STAND_IN={folder}", sys.executable, "-I", str(SCRIPT)])
        program = self.bin / "cloudflared"
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.order(**orders)

    def order(self, **orders: object) -> None:
        """How its next starts go; see the stand-in."""
        self.orders = orders = {"case": "ok", "names": NAMES, **orders}
        fresh = self.folder / "orders.new"
        fresh.write_text(json.dumps(orders), encoding="utf-8")
        fresh.replace(self.folder / "orders.json")

    def go(self, name: str) -> None:
        """Let a start go on that waits for this."""
        (self.folder / name).touch()

    @property
    def path(self) -> str:
        """For PATH."""
        return f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    @property
    def starts(self) -> list[Start]:
        try:
            lines = (self.folder / "starts.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [Start(**json.loads(line)) for line in lines]

    def wait_for_start(self, count: int) -> Start:
        until(lambda: len(self.starts) >= count)
        return self.starts[count - 1]

    def crash(self) -> None:
        os.kill(self.starts[-1].pid, signal.SIGUSR1)

    def host_rules(self) -> str:
        return f"MAP *.{DOMAIN}:443 127.0.0.1:{self.starts[-1].port}"

    def connect(self) -> ssl.SSLSocket:
        """As a browser far away would, were there a network."""
        context = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        plain = socket.create_connection(("127.0.0.1", self.starts[-1].port))
        return context.wrap_socket(plain, server_hostname=f"any.{DOMAIN}")

    @contextmanager
    def asked(
        self, host: str, path: str, method: str = "GET", **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer over the tunnel; it may still be coming."""
        connection = http.client.HTTPConnection(host)
        connection.sock = self.connect()
        try:
            connection.request(method, path, headers=headers)
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def status(self, host: str, path: str, method: str = "GET", **headers: str) -> int:
        with self.asked(host, path, method, **headers) as answer:
            return answer.status


def make_certificate(folder: Path) -> None:
    """Good for a day, for every name that a quick tunnel has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(f"*.{DOMAIN}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "certificate.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(private)


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended; a zombie has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
