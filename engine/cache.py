"""The KV cache: pages of positions, shared between sequences that begin alike.

A page holds the keys and values of attention.PAGE positions in all layers. A sequence owns a list
of pages; finished ones stay until their memory is wanted, so that a later prompt with the same
beginning starts after it. Pages are shared by reference and never written once full; a sequence
that parts from another in mid-page gets a copy of that page.

Pure bookkeeping on the engine's thread; nothing here computes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.config import ModelConfig
from engine.kernels.attention import PAGE, cached_bytes
from engine.quants import QuantType

Bytes = npt.NDArray[np.uint8]


def page_bytes(config: ModelConfig, kv_type: QuantType) -> int:
    """Size of one page: keys and values of PAGE positions in every layer."""
    return config.layers * config.kv_heads * 2 * cached_bytes(kv_type, config.head_dim)


def pages_for(tokens: int) -> int:
    return -(-tokens // PAGE)


class Page:
    """Zeroed when given out: kernels multiply unused slots by 0, which must not be NaN."""

    __slots__ = ("data", "users")

    def __init__(self, size: int) -> None:
        self.data = np.zeros(size, np.uint8)
        self.users = 1

    @property
    def address(self) -> int:
        return self.data.ctypes.data


@dataclass(eq=False)  # two that hold the same are still two, each with its own claim on pages
class Prefix:
    """Tokens whose keys and values are in `pages`, of a sequence that runs or has run."""

    tokens: list[int] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    virtual: int = 0  # places in `pages` before the first token's: see engine.tuning

    @property
    def places(self) -> int:
        """How far `pages` are filled."""
        return self.virtual + len(self.tokens)

    def cut(self, tokens: int) -> None:
        """Forget all but the first so many tokens; their places will be written again."""
        del self.tokens[tokens:]


class KVCache:
    """At most `capacity` pages in all; finished sequences give way to new ones, oldest first.

    Every sequence begins as a copy of `root`, whose pages are counted and stay.
    """

    def __init__(self, size: int, capacity: int, root: Prefix | None = None) -> None:
        self.capacity = capacity
        self._size = size
        self._root = root or Prefix()
        self._pages = len(self._root.pages)  # alive, shared ones counted once
        self._free: list[Page] = []
        self._kept: list[Prefix] = []  # finished, least recently used first

    @property
    def pages_alive(self) -> int:
        return self._pages

    def start(self, prompt: Sequence[int], running: Sequence[Prefix] = ()) -> Prefix:
        """A new sequence's prefix: what of `prompt` is known already, all but its last token."""
        best, length = None, 0
        for prefix in (*running, *self._kept):
            shared = min(_common(prefix.tokens, prompt), len(prompt) - 1)
            if shared > length:
                best, length = prefix, shared
        if best is None:
            return self._fork(self._root, 0)
        if best in self._kept:
            self._kept.remove(best)
            self._kept.append(best)
        return self._fork(best, length)

    def _fork(self, source: Prefix, length: int) -> Prefix:
        full, rest = divmod(source.virtual + length, PAGE)
        pages = source.pages[:full]
        for page in pages:
            page.users += 1
        fork = Prefix(list(source.tokens[:length]), list(pages), source.virtual)
        if rest:
            parted = source.pages[full].data.copy()  # growing may take the page away
            self.grow(fork, length)
            fork.pages[-1].data[:] = parted
        return fork

    def grow(self, prefix: Prefix, tokens: int) -> None:
        """Give `prefix` pages for that many tokens, taking those of finished ones if need be."""
        while len(prefix.pages) < pages_for(prefix.virtual + tokens):
            prefix.pages.append(self._allocate())

    def _allocate(self) -> Page:
        while not self._free and self._pages >= self.capacity and self._kept:
            self._release(self._kept.pop(0))
        if self._free:
            page = self._free.pop()
            page.data[:] = 0
            page.users = 1
        else:
            page = Page(self._size)
        self._pages += 1
        return page

    def finish(self, prefix: Prefix) -> None:
        """Keep a finished sequence for later prompts, in place of any that it continues."""
        for kept in list(self._kept):
            if _common(kept.tokens, prefix.tokens) == len(kept.tokens):
                self._kept.remove(kept)
                self._release(kept)
        self._release(prefix, pages_for(prefix.places))
        self._kept.append(prefix)

    def drop(self, prefix: Prefix) -> None:
        """Forget a sequence that ended badly."""
        self._release(prefix)

    def _release(self, prefix: Prefix, first: int = 0) -> None:
        """Let go of a prefix's pages from number `first` on."""
        for page in prefix.pages[first:]:
            page.users -= 1
            if page.users == 0:
                self._pages -= 1
                self._free.append(page)
        del prefix.pages[first:]

    def clear(self) -> None:
        """Forget every finished sequence."""
        while self._kept:
            self._release(self._kept.pop())


def _common(one: Sequence[int], two: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    length = min(len(one), len(two))
    differ = np.flatnonzero(np.asarray(one[:length]) != np.asarray(two[:length]))
    return int(differ[0]) if differ.size else length
