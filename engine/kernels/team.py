"""Threads that walk through one step together, without leaving compiled code.

Every thread of a team runs the same kernel over the same memory. Work is shared by `take`, a
counter per phase, so a thread that the machine delays simply takes less; `barrier` ends a phase.
There is no thread pool of numba's or OpenMP's in the engine: a step is one call per thread, and
Python is not asked for anything between its first kernel and its last.

`control` is an int64 array: its first words are below, then one counter per phase of a step.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from engine.kernels.vector import I64, _call, _pointer

ARRIVED = 0  # threads that came to a barrier, ever, in this step
EPOCH = 8  # number of the step to run; helpers wait for it to change
ACTIVE = 16  # 0: helpers go back to sleep
DONE = 24  # helpers that have left the step
COUNTERS = 32  # the words above are a cache line apart; the phases' counters follow

_SPINS = 10_000  # about half a millisecond before a waiting thread leaves its core to others
_NAP = 50  # microseconds; sched_yield instead costs a thread its turn for milliseconds on Linux 6

_usleep = types.ExternalFunction("usleep", types.intc(types.uint32))


@intrinsic
def _fetch_add(_typing: Any, address: Any, value: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, args[0], I64), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def _read(_typing: Any, address: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], I64)
        return builder.load_atomic(pointer, "acquire", 8, typ=I64)

    return types.int64(types.int64), codegen


@intrinsic
def _write(_typing: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], I64)
        builder.store_atomic(args[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def _pause(_typing: Any) -> Any:
    """Tell the core that this is a waiting loop, where it has a word for that."""

    def codegen(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
        if builder.module.triple.startswith(("x86_64", "i686")):
            _call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), codegen


@njit
def word(control: Any, index: int) -> int:
    """Address of one word of `control`."""
    return control.ctypes.data + 8 * index


@njit
def take(control: Any, phase: int, chunk: int) -> int:
    """The first index of the next `chunk` pieces of work in this phase; past the end: no more."""
    return _fetch_add(word(control, COUNTERS + phase), chunk)


@njit
def barrier(control: Any, threads: int) -> None:
    """Wait until every thread of the team has come here as often as this one."""
    if threads == 1:
        return
    address = word(control, ARRIVED)
    goal = (_fetch_add(address, 1) // threads + 1) * threads
    spins = 0
    while _read(address) < goal:
        spins += 1
        if spins < _SPINS:
            _pause()
        else:
            _usleep(_NAP)


@njit
def await_epoch(control: Any, seen: int) -> int:
    """Wait for a step after `seen` and return its number; `seen` itself when told to sleep."""
    spins = 0
    while True:
        epoch = _read(word(control, EPOCH))
        if epoch != seen:
            return epoch
        if _read(word(control, ACTIVE)) == 0:
            return seen
        spins += 1
        if spins < _SPINS:
            _pause()
        else:
            _usleep(_NAP)


@njit
def open_step(control: Any) -> None:
    """Called by the owner: reset the counters and let the helpers go."""
    control[COUNTERS:] = 0
    _write(word(control, ARRIVED), 0)
    _write(word(control, DONE), 0)
    _fetch_add(word(control, EPOCH), 1)


@njit
def finish(control: Any) -> None:
    """A helper has done its part of the step."""
    _fetch_add(word(control, DONE), 1)


@njit
def await_helpers(control: Any, helpers: int) -> None:
    """The owner waits until every helper has left the step, so that its memory may change."""
    spins = 0
    while _read(word(control, DONE)) < helpers:
        spins += 1
        if spins < _SPINS:
            _pause()
        else:
            _usleep(_NAP)
