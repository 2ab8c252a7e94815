"""What an operator may set for the interpreter: frozen, and the same in app and supervisor."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from assistant.sandbox.level import Level
from assistant.sandbox.limits import Limits

_GIGABYTE = 1 << 30


@dataclass(frozen=True)
class SandboxSettings:
    """`level` forces one (tests, `interpreter run`); "" lets the probe choose."""

    run_seconds: float = 60
    idle_seconds: float = 15 * 60
    max_sessions: int = 8
    total_memory: int = 4 * _GIGABYTE  # of all sessions; the oldest idle one goes first
    pool: int = 1  # kernels that wait for a conversation, warm
    refill_seconds: float = 2  # after one was taken
    level: Level | None = None
    unsafe: bool = False  # --unsafe-interpreter: where no level holds, run code all the same
    polite: bool = True  # answers come first; off where no engine runs beside it
    limits: Limits = field(default_factory=Limits)

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> "SandboxSettings":
        level = Level(value["level"]) if value["level"] else None
        return cls(**{**value, "level": level, "limits": Limits(**value["limits"])})
