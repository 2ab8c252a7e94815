"""Every attack is refused at every level that this machine can reach, as root and as a normal user.

And each of ours succeeds once its protection is switched off: what cannot fail proves nothing.
Started as a normal user, only that user's levels are tried; CI is root and tries all.
"""

import functools
import os

import pytest
from attacks import NORMAL_USER, Snippet, as_user, shared_snippets
from own_attacks import ATTACKS, Attack

from assistant.sandbox.level import Level

ROOT = os.geteuid() == 0
OTHER = NORMAL_USER if ROOT else -1
ENFORCED = [(Level.NAMESPACES, OTHER), (Level.CHROOT, OTHER), (Level.LANDLOCK_SHARED, OTHER)]
if ROOT:
    ENFORCED += [(Level.NAMESPACES, -1), (Level.CHROOT, -1), (Level.LANDLOCK, -1)]
PLACES = [
    pytest.param(level, uid, id=f"{level}-{'root' if ROOT and uid < 0 else 'user'}")
    for level, uid in ENFORCED
]


def visible(attack: Attack, level: Level, uid: int) -> bool:
    """Whether switching the protection off lets the attack through, for this user at this level."""
    as_root = ROOT and uid < 0
    if not attack.off:
        return False
    if attack.root is not None and attack.root is not as_root:
        return False
    if level is Level.CHROOT and not as_root and "pid" in attack.off["1"].get("namespaces", ()):
        return False  # in a user namespace /proc can only be mounted with a pid namespace
    return not attack.only or level in attack.only


@functools.cache
def held(level: Level, uid: int) -> dict[str, list[str]]:
    ours = [attack.held() for attack in ATTACKS]
    return as_user(level, [*ours, *shared_snippets()], uid)


@functools.cache
def let_through(level: Level, uid: int) -> dict[str, list[str]]:
    chosen = [attack for attack in ATTACKS if visible(attack, level, uid)]
    return as_user(level, [attack.let_through(level) for attack in chosen], uid)


@pytest.mark.parametrize(("level", "uid"), PLACES)
def test_every_attack_is_refused(level: Level, uid: int) -> None:
    results = held(level, uid)
    assert len(results) >= len(ATTACKS)
    assert {name: wrong for name, wrong in results.items() if wrong} == {}


@pytest.mark.parametrize(("level", "uid"), PLACES)
def test_with_its_protection_off_each_attack_succeeds(level: Level, uid: int) -> None:
    results = let_through(level, uid)
    assert len(results) >= 12
    assert {name: wrong for name, wrong in results.items() if wrong} == {}


@pytest.mark.skipif(not ROOT, reason="a uid per session is root's to give")
def test_at_the_weak_level_the_network_and_the_apps_own_files_are_still_closed() -> None:
    names = {"tcp-to-loopback", "unix-socket-by-path", "memory-without-a-name", "many-open-files"}
    chosen = [attack.held() for attack in ATTACKS if attack.id in names]
    assert len(chosen) == len(names)
    results = as_user(Level.WEAK, chosen)
    assert {name: wrong for name, wrong in results.items() if wrong} == {}


def test_a_judge_that_is_told_of_a_breach_says_so() -> None:
    breach = Snippet("breach", "print('BREACH')")
    silent = Snippet("silent", "pass")
    late = Snippet("late", "while True: pass", "interrupted")
    results = as_user(Level.NAMESPACES, [breach, silent, late], OTHER)
    assert results["breach"]
    assert results["silent"]
    assert results["late"] == []
