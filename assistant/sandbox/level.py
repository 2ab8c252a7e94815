"""How strongly a session can be confined here, strongest first."""

from collections.abc import Mapping
from enum import StrEnum


class Level(StrEnum):
    """What holds a session's code; SANDBOX in docs/sandbox.md has the whole table."""

    NAMESPACES = "1"  # bubblewrap: all namespaces, a uid without rights, seccomp, limits
    CHROOT = "1c"  # the same by our own launcher, where pivot_root is refused
    LANDLOCK = "2"  # no namespaces: Landlock, seccomp, limits, and a uid per session
    LANDLOCK_SHARED = "2s"  # the same with the app's own uid
    WEAK = "3"  # a uid per session and seccomp only
    UNSAFE = "unsafe"  # nothing holds, and somebody has asked for it all the same
    NONE = "0"  # nothing holds: refuse

    @property
    def rank(self) -> int:
        """0 for the strongest; compare these, never the names."""
        return list(Level).index(self)

    @property
    def enforced(self) -> bool:
        """Whether every promise of the sandbox is kept.

        Only then may somebody use it who is not at this machine.
        """
        return self.rank <= Level.LANDLOCK_SHARED.rank

    def words(self, language: str) -> str:
        """What the page calls it."""
        return _WORDS[language][self]


_WORDS: Mapping[str, Mapping[Level, str]] = {
    "en": {
        Level.NAMESPACES: "Isolated",
        Level.CHROOT: "Isolated",
        Level.LANDLOCK: "Isolated (container mode)",
        Level.LANDLOCK_SHARED: "Isolated, file metadata visible",
        Level.WEAK: "Weaker isolation",
        Level.UNSAFE: "Unsafe: no isolation",
        Level.NONE: "Not isolated",
    },
    "zh": {
        Level.NAMESPACES: "已隔离",
        Level.CHROOT: "已隔离",
        Level.LANDLOCK: "已隔离（容器模式）",
        Level.LANDLOCK_SHARED: "已隔离，文件元数据可见",
        Level.WEAK: "隔离较弱",
        Level.UNSAFE: "不安全：没有隔离",
        Level.NONE: "未隔离",
    },
}
