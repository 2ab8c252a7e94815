"""A sharing that a test begins and ends, and its clock."""

from assistant.access.sharing import Allowance, Sharing
from assistant.exposure import Exposure

URL = "https://quiet-river.trycloudflare.com"


class ScriptedSharing:
    """Stands where `AccessStore` stands."""

    def __init__(self) -> None:
        self.now: Sharing | None = None
        self.n_asked = 0
        self.stop_asked = False

    def begin(self, *allows: Allowance) -> None:
        self.now = Sharing(URL, 1_800_000_000.0, 1_800_028_800.0, frozenset(allows), 1)

    def sharing(self) -> Sharing | None:
        self.n_asked += 1
        return self.now

    def ask_stop(self) -> None:
        self.stop_asked = True


def exposure_to(shares: ScriptedSharing) -> Exposure:
    """One whose every answer is fresh."""
    ticks = iter(range(10**9))
    return Exposure(shares, lambda: float(next(ticks)))
