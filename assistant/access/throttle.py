"""Failed sign-ins make the next ones wait: per address, and per name.

Kept in memory: one process answers the sign-in page, nobody outside can restart it, and a write to
disk for each failure would be a gift to whoever sends many. The delay grows to a minute and no
further, and an address from which a name has signed in does not wait for what others did to that
name, so nobody is locked out for good; `python -m assistant user link NAME` never waits.

Not covered: guesses from thousands of addresses at thousands of names, which only the cost of each
check slows.
"""

import ipaddress
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE = 3  # failures that cost nothing: people mistype
LONGEST = 60.0  # seconds
FORGOTTEN_AFTER = 3600.0  # seconds without a failure
MOST_RECORDS = 10_000
MOST_FRIENDS = 1_000


@dataclass
class _Record:
    failures: int = 0
    last: float = -math.inf

    def wait(self, now: float) -> float:
        if self.failures < FREE:
            return 0.0
        # After a day's failures the power itself would be too large a number.
        delay = min(2.0 ** min(self.failures - FREE, 10), LONGEST)
        return max(self.last + delay - now, 0.0)


class Throttle:
    """`clock` only ever goes forward: time.monotonic, but in tests."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()  # oldest failure first
        self._friends: OrderedDict[tuple[str, str], None] = OrderedDict()

    def admit(self, address: str, name: str) -> float:
        """0 if this may be tried now, else for how many seconds not.

        What is let in counts as failed until `succeeded` says otherwise, so that a hundred attempts
        at once are not all let in before the first has failed.
        """
        place, name, now = network(address), _short(name), self._clock()
        with self._lock:
            self._forget(now)
            counted = [("address", place)]
            if (place, name) not in self._friends:
                counted.append(("name", name))
            wait = max(self._records.get(each, _Record()).wait(now) for each in counted)
            if wait == 0:
                for each in counted:
                    self._count(each, now)
            return wait

    def succeeded(self, address: str, name: str) -> None:
        """Takes back what `admit` counted, and forgives the name; other failures of the address
        stay, or whoever has an account could wash off guesses at other names by signing in."""
        place, name = network(address), _short(name)
        with self._lock:
            if record := self._records.get(("address", place)):
                record.failures -= 1
            self._records.pop(("name", name), None)
            self._friends[place, name] = None
            self._friends.move_to_end((place, name))
            if len(self._friends) > MOST_FRIENDS:
                self._friends.popitem(last=False)

    def _count(self, key: tuple[str, str], now: float) -> None:
        record = self._records.setdefault(key, _Record())
        record.failures, record.last = record.failures + 1, now
        self._records.move_to_end(key)

    def _forget(self, now: float) -> None:
        while self._records:
            oldest = next(iter(self._records.values()))
            if len(self._records) <= MOST_RECORDS and now - oldest.last < FORGOTTEN_AFTER:
                return
            self._records.popitem(last=False)


def _short(name: str) -> str:
    return name[:64].lower()


def network(address: str) -> str:
    """What one person has: an IPv4 address, or the 64-bit network of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "".join(each for each in address[:64] if each.isprintable())
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
