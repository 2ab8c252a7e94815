"""A file of a repository on the Hugging Face Hub, or on a mirror that speaks its protocol.

The addresses and the session are the library's own. Its `hf_hub_download` (2.4) is not used: it
starts over after an interruption, and writes without a bound whatever a server sends.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
from huggingface_hub import get_session, hf_hub_url
from huggingface_hub.errors import OfflineModeIsEnabled

from engine.download import Part, SourceFailed

_TIMEOUT = httpx2.Timeout(30, connect=5)


@dataclass(frozen=True)
class HubSource:
    """`endpoint` None is the Hub itself; `pauses` in seconds, when a transfer breaks off."""

    repo: str
    file: str
    endpoint: str | None = None
    pauses: tuple[float, ...] = (1, 2, 4, 8)

    @property
    def name(self) -> str:
        return "Hugging Face"

    @property
    def where(self) -> str:
        endpoint = self.endpoint.rstrip("/") if self.endpoint else None
        return hf_hub_url(self.repo, self.file, endpoint=endpoint)

    def fill(self, part: Part) -> None:
        # Only more than ever before is progress: some servers start over at each connection.
        most = part.done
        # While nothing has come there is nothing to wait for: the next source may be quicker.
        pauses: Iterator[float] = iter(())
        while part.done < part.size:
            reason = self._try(part)
            if part.done > most:
                most, pauses = part.done, iter(self.pauses)
            else:
                pause = next(pauses, None)
                if pause is None:
                    raise SourceFailed(reason)
                time.sleep(pause)

    def _try(self, part: Part) -> str:
        """One request; returns why it ended, if that may pass."""
        try:
            _receive(self.where, part)
        except httpx2.TransportError as error:
            return str(error) or type(error).__name__
        except httpx2.HTTPStatusError as error:
            answer = error.response
            raise SourceFailed(f"it answers {answer.status_code} {answer.reason_phrase}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled) as error:
            raise SourceFailed(str(error)) from error
        return "the connection ended early"


def _receive(url: str, part: Part) -> None:
    headers = {"Accept-Encoding": "identity"}
    if part.done:
        headers["Range"] = f"bytes={part.done}-"
    with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
        response.raise_for_status()
        start, total = _offered(response)
        if total not in (None, part.size) or start not in (0, part.done):
            raise SourceFailed(
                f"it offers {total} bytes from {start}, expected {part.size} from {part.done}"
            )
        part.cut(start)
        # As they come: chunks of a size would be lost half filled when the connection breaks.
        part.append(response.iter_bytes())


def _offered(response: httpx2.Response) -> tuple[int, int | None]:
    """The first byte's position and the whole file's size, if said."""
    if response.status_code == httpx2.codes.PARTIAL_CONTENT:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return (int(match[1]), int(match[2])) if match else (-1, None)
    length = response.headers.get("Content-Length")
    return 0, int(length) if length is not None else None
