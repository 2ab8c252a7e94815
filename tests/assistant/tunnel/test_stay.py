"""A stay in public, minute by minute on a clock that is set by hand."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from assistant.access.sharing import Allowance
from assistant.access.store import AccessStore
from assistant.errors import (
    AppEnded,
    AssistantError,
    GateNotShut,
    TunnelEnded,
    TunnelRateLimited,
    TunnelRefused,
    TunnelSlow,
    TunnelUnreachable,
)
from assistant.texts import Language
from assistant.tunnel.announcer import Announcer
from assistant.tunnel.application import Pause
from assistant.tunnel.stay import Plan, Stay
from assistant.tunnel.tunnel import Broken, Opened
from assistant.tunnel.watch import Reason, Stopped

HOUR = 3600.0
ENDED = TunnelEnded(code=1, reason="it crashed")


@dataclass
class FakeTunnel:
    """`trouble` is what its log complains of."""

    store: AccessStore
    trouble: AssistantError | None = None
    shut_before: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        self.shut_before = self.store.sharing() is not None

    def why(self) -> AssistantError | None:
        return self.trouble

    def close(self) -> None:
        assert self.store.sharing() is not None, "the gate was opened before the tunnel was closed"
        self.closed = True


@dataclass
class FakeDoor:
    never_shuts: AssistantError | None = None
    refuses: AssistantError | None = None  # what it says later
    checks: int = 0

    def require_shut(self, _pause: Pause) -> None:
        if self.never_shuts:
            raise self.never_shuts

    def check(self) -> None:
        self.checks += 1
        if self.refuses:
            raise self.refuses


Step = Callable[[], Opened | Broken | None]


@dataclass
class World:
    """Time goes on by a second at each look, and `script` says what happens at which second."""

    store: AccessStore
    seconds: float = 0.0
    script: dict[int, Step] = field(default_factory=dict)
    tunnels: list[FakeTunnel] = field(default_factory=list)
    opened_at: list[float] = field(default_factory=list)
    door: FakeDoor = field(default_factory=FakeDoor)
    out: io.StringIO = field(default_factory=io.StringIO)

    def clock(self) -> float:
        return self.seconds

    def open_tunnel(self) -> FakeTunnel:
        self.tunnels.append(FakeTunnel(self.store))
        self.opened_at.append(self.seconds)
        return self.tunnels[-1]

    def next(self, seconds: float) -> Opened | Broken | None:
        happens = self.script.get(int(self.seconds), lambda: None)
        self.seconds += seconds
        return happens()

    def pause(self, seconds: float) -> None:
        self.seconds += seconds

    def up(self, name: str = "one") -> Opened:
        return Opened(self.tunnels[-1], f"https://{name}.trycloudflare.com")

    def down(self, error: AssistantError = ENDED) -> Broken:
        return Broken(self.tunnels[-1], error)

    def stop(self) -> None:
        raise Stopped(Reason.INTERRUPTED)

    def run(self, until: float = HOUR, *allows: Allowance) -> None:
        announcer = Announcer(self.out, Language.ENGLISH)
        plan = Plan(until, frozenset(allows))
        stay = Stay(plan, self.store, self.door, self.open_tunnel, announcer, self.clock)
        stay.run(self)

    @property
    def said(self) -> str:
        return self.out.getvalue()


@contextmanager
def ends(reason: Reason) -> Iterator[None]:
    with pytest.raises(Stopped) as stopped:
        yield
    assert stopped.value.reason is reason


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world: World
    store = AccessStore(tmp_path / "access.db", lambda: world.seconds)
    world = World(store)
    store.add_user("ann", None)
    store.add_user("bob", None)
    yield world
    store.close()


def test_the_gate_is_shut_before_the_tunnel_opens_and_until_it_is_closed(world: World) -> None:
    world.script = {1: world.up, 5: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    assert world.tunnels[0].shut_before
    assert world.tunnels[0].closed
    assert world.store.sharing() is None


def test_a_gate_that_does_not_shut_keeps_the_tunnel_from_opening(world: World) -> None:
    world.door.never_shuts = GateNotShut(port=1)
    world.script = {5: world.stop}
    with pytest.raises(GateNotShut):
        world.run()
    assert world.tunnels == []
    assert world.store.sharing() is None


@pytest.mark.parametrize("error", [GateNotShut(port=1), AppEnded(port=1)])
def test_an_app_that_lets_everybody_in_later_or_is_gone_ends_it(
    error: AssistantError, world: World
) -> None:
    def change() -> None:
        world.door.refuses = error

    world.script = {1: world.up, 40: change}
    with pytest.raises(type(error)):
        world.run()
    assert world.seconds <= 56
    assert world.tunnels[0].closed


def test_what_is_shared_is_there_to_be_read(world: World) -> None:
    seen = []
    world.script = {
        1: lambda: seen.append(world.store.sharing()),
        2: world.up,
        4: lambda: seen.append(world.store.sharing()),
        5: world.stop,
    }
    with ends(Reason.INTERRUPTED):
        world.run(HOUR, Allowance.RISKY_TOOLS)
    before, after = seen
    assert before is not None
    assert after is not None
    assert (before.url, after.url) == ("", "https://one.trycloudflare.com")
    assert (after.since, after.pid) == (0.0, os.getpid())
    assert HOUR < after.until < HOUR + 60  # the tunnel is closed by then
    assert after.allows == {Allowance.RISKY_TOOLS}
    assert "risky-tools" in world.said


def test_the_link_signs_the_first_operator_in_once_and_the_address_has_no_secret(
    world: World,
) -> None:
    world.script = {1: world.up, 3: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    lines = world.said.splitlines()
    assert "Public address: https://one.trycloudflare.com" in lines
    link = next(line for line in lines if line.startswith("https://"))
    address, _, token = link.rpartition("/")
    assert address == "https://one.trycloudflare.com/signin/link"
    user = world.store.use_link(token)
    assert user is not None
    assert user.name == "ann"
    assert world.store.use_link(token) is None


def test_it_beats_often_enough_to_be_believed(world: World) -> None:
    seen = []

    def look() -> None:
        seen.append(world.store.sharing())

    looks: dict[int, Step] = dict.fromkeys(range(2, 600), look)
    world.script = {1: world.up} | looks | {600: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    assert None not in seen
    assert world.door.checks >= 600 // 15


def test_it_ends_when_the_time_is_over(world: World) -> None:
    world.script = {1: world.up}
    with ends(Reason.TIME_UP):
        world.run(120)
    assert world.seconds == 120
    assert world.tunnels[0].closed
    assert "Ending (the time is over)" in world.said


def test_it_ends_when_the_page_asks(world: World) -> None:
    world.script = {1: world.up, 50: world.store.ask_stop}
    with ends(Reason.PAGE_ASKED):
        world.run()
    assert world.seconds == 51
    assert world.tunnels[0].closed


def test_a_wish_to_stop_of_before_does_not_end_the_next_one(world: World) -> None:
    world.store.ask_stop()
    world.script = {1: world.up, 5: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()


def test_a_tunnel_that_breaks_is_opened_again_with_a_new_address_and_link(world: World) -> None:
    seen = []
    world.script = {
        1: world.up,
        100: world.down,
        101: lambda: seen.append(world.store.sharing()),
        103: lambda: world.up("two"),
        104: lambda: seen.append(world.store.sharing()),
        105: world.stop,
    }
    with ends(Reason.INTERRUPTED):
        world.run()
    assert world.tunnels[0].closed
    assert [each.url if each else None for each in seen] == ["", "https://two.trycloudflare.com"]
    assert "it crashed" in world.said
    links = [line for line in world.said.splitlines() if line.startswith("https://")]
    assert len(links) == len(set(links)) == 2


def test_tries_come_slower_and_slower_but_never_stop(world: World) -> None:
    world.script = {1: world.up} | dict.fromkeys(range(2, 700), world.down) | {700: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    pauses = [b - a for a, b in zip(world.opened_at, world.opened_at[1:], strict=False)]
    assert pauses[1:9] == [3, 5, 9, 17, 33, 61, 61, 61]  # the pause, and a second for it to break


def test_after_steady_minutes_the_tries_begin_quickly_again(world: World) -> None:
    world.script = {1: world.up} | dict.fromkeys(range(2, 40), world.down)
    world.script |= {100: world.up, 400: world.down, 450: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    assert world.opened_at[-1] == 402


def test_a_rate_limit_later_is_given_a_minute(world: World) -> None:
    world.script = {1: world.up, 100: lambda: world.down(TunnelRateLimited()), 200: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    assert world.opened_at == [0, 161]


@pytest.mark.parametrize("error", [TunnelRateLimited(), TunnelRefused()])
def test_at_first_what_trying_again_does_not_mend_ends_it_at_once(
    error: AssistantError, world: World
) -> None:
    world.script = {1: lambda: world.down(error)}
    with pytest.raises(type(error)):
        world.run()
    assert world.seconds == 2
    assert world.store.sharing() is None


def test_without_any_tunnel_in_a_minute_it_gives_up_and_says_why(world: World) -> None:
    no_network = TunnelUnreachable(reason="no such host")
    world.script = dict.fromkeys(range(60), lambda: world.down(no_network))
    with pytest.raises(TunnelUnreachable):
        world.run()
    assert len(world.tunnels) > 2
    assert world.seconds <= 60


def test_a_tunnel_that_never_connects_is_given_up_after_a_minute(world: World) -> None:
    with pytest.raises(TunnelSlow):
        world.run()
    assert world.seconds == 60
    assert world.tunnels[0].closed


def test_one_that_does_not_connect_later_is_replaced_and_its_complaint_told(world: World) -> None:
    def complain() -> None:
        world.tunnels[-1].trouble = TunnelUnreachable(reason="quic is blocked")

    world.script = {1: world.up, 100: world.down, 105: complain, 300: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    assert world.opened_at[:3] == [0, 102, 164]
    assert world.tunnels[1].closed
    assert "quic is blocked" in world.said


def test_what_an_ended_tunnel_still_says_is_not_heard(world: World) -> None:
    def echo() -> Opened:
        return Opened(world.tunnels[0], "https://old.trycloudflare.com")

    world.script = {1: world.up, 10: world.down, 13: echo, 20: world.stop}
    with ends(Reason.INTERRUPTED):
        world.run()
    assert "old.trycloudflare" not in world.said
