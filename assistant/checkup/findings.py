"""What one check found."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"  # it could not be seen from here; no reason to take it for good


@dataclass(frozen=True)
class Finding:
    check: str  # `check_NAME` in the texts says what, `mend_NAME` what to do
    verdict: Verdict
    seen: str  # facts, the same in every language

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def found(check: str, is_good: bool, seen: str) -> Finding:
    return Finding(check, Verdict.OK if is_good else Verdict.FAILED, seen)
