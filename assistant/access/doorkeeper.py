"""Signing in by name and password: slowed, logged, and saying nothing of who exists."""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

from assistant.access.throttle import Throttle, network
from assistant.access.users import User
from assistant.errors import TooManyAttempts, WrongPassword

log = logging.getLogger(__name__)

MOST_AT_ONCE = 8  # checks go one by one; a longer queue would hold threads that others need


class Passwords(Protocol):
    """What is asked of AccessStore."""

    def check_password(self, name: str, password: str) -> User | None: ...

    def user(self, name: str) -> User | None: ...


class Doorkeeper:
    def __init__(self, store: Passwords, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._throttle = Throttle(clock)
        self._places = threading.Semaphore(MOST_AT_ONCE)

    def check(self, name: str, password: str, address: str) -> User:
        """Who it is, or WrongPassword, or TooManyAttempts. Takes its time: not in an event loop."""
        if not self._places.acquire(blocking=False):
            raise TooManyAttempts(seconds=1)
        try:
            return self._check(name, password, address)
        finally:
            self._places.release()

    def _check(self, name: str, password: str, address: str) -> User:
        wait = self._throttle.admit(address, name)
        if wait > 0:
            raise TooManyAttempts(seconds=math.ceil(wait))
        user = self._store.check_password(name, password)
        if user is None:
            # People type their password into the wrong field: only names that exist are logged.
            known = self._store.user(name)
            who = known.name if known else "a name that nobody has"
            log.warning("sign-in failed: wrong password for %s from %s", who, network(address))
            raise WrongPassword
        self._throttle.succeeded(address, name)
        log.info("signed in by password: %s from %s", user.name, network(address))
        return user
