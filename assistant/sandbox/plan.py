"""What is asked of a sandbox, and what a level makes of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from assistant.sandbox.landlock import Ruleset
from assistant.sandbox.limits import Limits

WORK = Path("/mnt/data")  # where the code sees its folder, as ChatGLM3 was taught
TMP = Path("/tmp")  # noqa: S108 - a name inside the sandbox, where it is private


@dataclass(frozen=True)
class Launch:
    """One program to confine. Descriptors keep their numbers; the environment is all it gets."""

    argv: Sequence[str]
    work: Path  # the host's folder that is seen as /mnt/data
    python: Path  # the kernel environment's interpreter, read-only inside
    readable: Sequence[Path] = ()  # other paths, read-only, under their own names
    pass_fds: Sequence[int] = ()
    limits: Limits = field(default_factory=Limits)
    environment: Mapping[str, str] = field(default_factory=dict)
    output: int | None = None  # a descriptor for stdout and stderr; otherwise nowhere


@dataclass(frozen=True)
class Policy:
    """Which protections are on. Everything: tests alone switch one off, to see its attack bite."""

    namespaces: frozenset[str] = frozenset({"pid", "net", "ipc", "uts", "cgroup"})
    paths: bool = True  # only its own are seen (1, 1c) or may be opened (2, 2s)
    read_only: bool = True
    seccomp: bool = True
    uid: bool = True  # its own user, without capabilities
    rlimits: bool = True
    cgroup: bool = True


FULL = Policy()


def bare(policy: Policy) -> Policy:
    """What is left of it at the unsafe level: limits, which keep a mistake small, and no walls."""
    return replace(
        policy, namespaces=frozenset(), paths=False, read_only=False, seccomp=False, uid=False
    )


@dataclass(frozen=True)
class Prepared:
    """A level's answer: the command around the stage, and where things are seen inside."""

    outer: Sequence[str]  # the launcher's command line; the stage's interpreter follows it
    work: Path
    tmp: Path
    landlock: Ruleset | None = None
    guarded: bool = False  # no pid namespace: the stage leaves a guard
    stage: str = ""  # where the stage's script is seen; "" for its descriptor
    fds: Sequence[int] = ()  # what only the launcher gets
    clean: Callable[[], None] = lambda: None
