"""How much a request may send, and how long it may take over it."""

import asyncio
from typing import Final

from starlette.types import Message, Receive

from assistant.access.admission import Refused

OURS: Final = 16 * 1024  # bytes of a form of the gate's
OTHERS: Final = 16 * 2**20  # of anything that is neither a form nor an upload
OVERHEAD: Final = 2**20  # what a form adds to the file in it
SECONDS_WITHOUT_BYTES: Final = 30.0


class Body:
    """`receive` for one request, with its body counted as it comes: a length may be a lie.

    It raises into the application that reads the body; the gate around that catches it.
    """

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive = receive
        self._left = most
        self._seconds = seconds
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:  # what comes now is that the client has gone, whenever that is
            return await self._receive()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError:
            raise Refused(408, "The request came too slowly.") from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise Refused(413, "The request is too large.")
        self._is_whole = not message.get("more_body", False)
        return message


def is_too_long(content_length: str, most: int) -> bool:
    """Whether a request says itself that it is; one that says nothing is counted."""
    return content_length != "" and (not content_length.isdecimal() or int(content_length) > most)
