"""A loopback stand-in for the weather service: it knows Beijing, at -7.5 degrees."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TEMPERATURE = -7.5
_PLACE = {"name": "北京市", "country": "中国", "latitude": 39.9, "longitude": 116.4}
_NOW = {
    "time": "2026-11-22T21:00",
    "temperature_2m": TEMPERATURE,
    "apparent_temperature": -11.0,
    "relative_humidity_2m": 40,
    "precipitation": 0.0,
    "wind_speed_10m": 9.5,
    "weather_code": 71,
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        address = urlsplit(self.path)
        name = parse_qs(address.query).get("name", [""])[0]
        if address.path == "/v1/search":
            self._answer({"results": [_PLACE]} if name in ("北京", "Beijing") else {})
        else:
            self._answer({"current": _NOW})

    def log_message(self, _format: str, *_args: object) -> None:
        """Nothing is printed."""

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def weather_service() -> Iterator[str]:
    """Its address, for WEATHER_URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
