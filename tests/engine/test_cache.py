"""The cache's bookkeeping: pages hold the ids of their positions, so that a mix-up can be read."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.cache import KVCache, Page, Prefix, pages_for
from engine.kernels.attention import PAGE

CAPACITY = 12
A, B, C = ([id_ + n % 50 for n in range(400)] for id_ in (0, 50, 100))


def extend(cache: KVCache, prefix: Prefix, ids: Sequence[int]) -> Prefix:
    """What a step does: room, then keys and values (here the ids), then the list of tokens."""
    first = len(prefix.tokens)
    cache.grow(prefix, first + len(ids))
    for position, token in enumerate(ids, first):
        prefix.pages[position // PAGE].data[position % PAGE] = token
    prefix.tokens.extend(ids)
    return prefix


def run(cache: KVCache, ids: Sequence[int]) -> Prefix:
    prefix = cache.start(ids)
    return extend(cache, prefix, ids[len(prefix.tokens) :])


def finished(cache: KVCache, ids: Sequence[int]) -> Prefix:
    prefix = run(cache, ids)
    cache.finish(prefix)
    return prefix


def spelled(prefix: Prefix) -> list[int]:
    """The ids that a prefix's pages hold."""
    held = [int(id_) for page in prefix.pages for id_ in page.data]
    return held[: len(prefix.tokens)]


def known(cache: KVCache, prompt: Sequence[int]) -> int:
    """How much of a prompt is in the cache; looking leaves nothing behind."""
    prefix = cache.start(prompt)
    cache.drop(prefix)
    return len(prefix.tokens)


@pytest.fixture
def cache() -> KVCache:
    return KVCache(size=PAGE, capacity=CAPACITY)


def test_a_first_prompt_is_all_new(cache: KVCache) -> None:
    prefix = cache.start(A[:100])
    assert prefix.tokens == []
    assert prefix.pages == []
    assert cache.pages_alive == 0


@pytest.mark.parametrize("length", [1, 63, 64, 65, 128, 200])
def test_a_prompt_that_goes_on_from_a_finished_one_starts_after_it(
    cache: KVCache, length: int
) -> None:
    finished(cache, A[:length])
    prefix = cache.start(A[: length + 10])
    assert prefix.tokens == A[:length]
    assert spelled(prefix) == A[:length]


def test_the_last_id_of_a_prompt_is_always_computed_for_its_logits(cache: KVCache) -> None:
    finished(cache, A[:100])
    assert known(cache, A[:100]) == 99
    assert known(cache, A[:64]) == 63
    assert known(cache, A[:1]) == 0


def test_the_longest_common_beginning_is_taken(cache: KVCache) -> None:
    finished(cache, A[:30] + B[:50])
    finished(cache, A[:90])
    finished(cache, A[:60] + C[:50])
    assert known(cache, A[:200]) == 90


def test_full_pages_are_shared_and_a_parted_one_is_copied(cache: KVCache) -> None:
    first = finished(cache, A[:100])
    second = run(cache, A[:70] + B[:30])
    assert second.pages[0] is first.pages[0]
    assert second.pages[0].users == 2
    assert second.pages[1] is not first.pages[1]
    assert spelled(first) == A[:100]
    assert spelled(second) == A[:70] + B[:30]
    assert cache.pages_alive == 3


def test_a_running_sequence_shares_with_another_that_runs(cache: KVCache) -> None:
    first = run(cache, A[:100])
    second = cache.start(A[:200], [first])
    extend(cache, first, A[100:150])
    extend(cache, second, B[:20])
    assert spelled(first) == A[:150]
    assert spelled(second) == A[:100] + B[:20]


def test_a_running_sequence_is_never_taken_for_the_finished_one_it_equals(cache: KVCache) -> None:
    """Both hold one full page and the same 64 ids; only one of them may be evicted."""
    finished(cache, A[:64])
    running = cache.start(A[:100])
    other = cache.start(A[:90], [running])
    cache.clear()
    assert spelled(running) == spelled(other) == A[:64]
    assert running.pages[0].users == 2


def test_a_sequence_that_went_on_replaces_the_one_it_went_on_from(cache: KVCache) -> None:
    for length in (70, 140, 210, 280):
        finished(cache, A[:length])
    assert cache.pages_alive == pages_for(280)


def test_room_that_was_never_filled_is_given_back_at_the_end(cache: KVCache) -> None:
    prefix = run(cache, A[:10])
    cache.grow(prefix, 300)
    cache.finish(prefix)
    assert cache.pages_alive == 1


def test_the_least_recently_used_gives_way_first(cache: KVCache) -> None:
    for ids in (A, B, C):
        finished(cache, ids[:256])  # 4 pages each: the cache is full
    assert known(cache, [*A[:256], 7]) == 256  # A is used again, B is the oldest now
    run(cache, range(200, 210))
    assert known(cache, B[:256]) == 0
    assert known(cache, C[:256]) == 255
    assert known(cache, A[:256]) == 255


def test_a_prompt_may_go_on_from_what_must_give_way_to_it(cache: KVCache) -> None:
    small = KVCache(size=PAGE, capacity=2)
    finished(small, A[:100])
    prefix = small.start(A[:90] + B[:30])
    assert spelled(prefix) == A[:90]
    assert small.pages_alive == 2


def test_a_page_that_was_another_sequences_comes_back_empty() -> None:
    """Kernels multiply unused slots by 0, which must not be another's NaN."""
    small = KVCache(size=PAGE, capacity=1)
    old = finished(small, B[:64]).pages[0]
    new = run(small, A[:3])
    assert new.pages[0] is old
    assert not old.data[3:].any()


def test_a_dropped_sequence_is_not_found_again(cache: KVCache) -> None:
    cache.drop(run(cache, A[:100]))
    assert cache.pages_alive == 0
    assert known(cache, A[:100]) == 0


def test_clearing_forgets_all_that_is_finished_and_nothing_that_runs(cache: KVCache) -> None:
    finished(cache, A[:100])
    running = run(cache, A[:100] + B[:100])
    cache.clear()
    assert cache.pages_alive == len(running.pages) == 4
    assert spelled(running) == A[:100] + B[:100]
    cache.finish(running)
    cache.clear()
    assert cache.pages_alive == 0


class Sequences(RuleBasedStateMachine):
    """Sequences begin, grow and end in any order, in more room than the running ones need."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = KVCache(size=PAGE, capacity=CAPACITY)
        self.running: list[tuple[Prefix, list[int]]] = []

    def reserved(self) -> int:
        return sum(pages_for(len(ids)) for _, ids in self.running)

    @rule(cuts=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 140)), min_size=1, max_size=3))
    def begin(self, cuts: list[tuple[int, int]]) -> None:
        ids: list[int] = []
        for which, length in cuts:
            ids += (A, B, C)[which][len(ids) : len(ids) + length]
        if self.reserved() + pages_for(len(ids)) <= CAPACITY:
            prefix = self.cache.start(ids, [prefix for prefix, _ in self.running])
            assert prefix.tokens == ids[: len(prefix.tokens)]
            assert len(prefix.tokens) < len(ids)
            self.running.append((prefix, ids))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), count=st.integers(1, 150))
    def grow(self, which: int, count: int) -> None:
        prefix, ids = self.running[which % len(self.running)]
        done = len(prefix.tokens)
        extend(self.cache, prefix, ids[done : done + count])

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), keep=st.booleans())
    def end(self, which: int, keep: bool) -> None:
        prefix, _ = self.running.pop(which % len(self.running))
        (self.cache.finish if keep else self.cache.drop)(prefix)

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        assert self.cache.pages_alive == len(self.pages())

    def pages(self) -> set[Page]:
        return {page for prefix, _ in self.running for page in prefix.pages}

    @invariant()
    def every_sequence_finds_its_own_ids(self) -> None:
        for prefix, ids in self.running:
            assert spelled(prefix) == prefix.tokens == ids[: len(prefix.tokens)]

    @invariant()
    def the_cache_stays_within_its_room(self) -> None:
        assert len(self.pages()) <= self.cache.pages_alive <= CAPACITY

    @invariant()
    def no_page_has_fewer_users_than_sequences_that_run(self) -> None:
        for page in self.pages():
            users = sum(page in prefix.pages for prefix, _ in self.running)
            assert page.users >= users

    def teardown(self) -> None:
        for prefix, _ in self.running:
            self.cache.drop(prefix)
        self.cache.clear()
        assert self.cache.pages_alive == 0


TestSequences = Sequences.TestCase


def test_new_pages_are_zero() -> None:
    assert not np.any(Page(PAGE).data)
