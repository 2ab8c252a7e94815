"""The system calls that code in a sandbox may make, as a BPF program for seccomp(2).

Written out in plain Python, so that no libseccomp is needed. The default is to allow, below a
ceiling of reviewed numbers: what is newer than the table does not exist (ENOSYS). What is refused
is refused with EPERM, except that everything of sockets answers EOPNOTSUPP: libzmq aborts the
process on EPERM and EACCES.

Layout: <linux/filter.h> struct sock_filter, <linux/seccomp.h> struct seccomp_data.

What it does not cover: paths (a BPF program cannot read memory); these are Landlock's and the
mount namespace's. The aarch64 program is generated and checked in an interpreter, but was never
loaded into a kernel.
"""

import errno
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from assistant.sandbox.syscalls import (
    ATTRIBUTES,
    CEILING,
    CHECKED,
    METADATA,
    REFUSED,
    SHARED_REFUSED,
    SIGNALS,
    SIGNALS_REFUSED,
    SOCKETS,
    Calls,
    Numbers,
)

_LOAD, _EQUAL, _ABOVE, _BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_CLONE_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone(2) takes
_PR_SET_PDEATHSIG = 1
_FOREVER_REFUSED_IOCTLS = (0x5412, 0x541C, 0x8901, 0x8902)  # TIOCSTI TIOCLINUX FIOSETOWN SIOCSPGRP
_SIGNAL_FCNTLS = (8, 10, 15)  # F_SETOWN F_SETSIG F_SETOWN_EX: they make the kernel send signals


@dataclass(frozen=True)
class Machine:
    """One architecture: its audit number and which column of the table is its."""

    audit: int
    column: int


MACHINES = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


def program(
    machine: str,
    *,
    own_tree: bool = True,
    shared_uid: bool = False,
    signals_to: int | None = None,
) -> bytes:
    """The filter for `machine` as an array of struct sock_filter.

    Without an `own_tree` of mounts no attributes are set, even of files that are open to all;
    `shared_uid` adds the rules for code that runs as the app's own user; with `signals_to` it can
    signal only this process (where Landlock is too old to keep signals inside).
    """
    which = MACHINES[machine]
    code: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, which.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_ABOVE, 0, 1, CEILING),  # x32's numbers begin far above it
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    code += _answer(SOCKETS, errno.EOPNOTSUPP, which)
    code += _answer(REFUSED, errno.EPERM, which)
    if not own_tree:
        code += _answer(ATTRIBUTES, errno.EOPNOTSUPP, which)
    if shared_uid:
        code += _answer(METADATA, 0, which)  # pretends: libraries set times and modes in passing
        code += _answer(SHARED_REFUSED, errno.EPERM, which)
    if signals_to is not None:
        code += _answer(SIGNALS_REFUSED, errno.EPERM, which)
        for numbers in SIGNALS.values():
            code += _case(numbers, _allow_if(errno.EPERM, (0, signals_to)), which)
    for name, block in _checks().items():
        code += _case(CHECKED[name], block, which)
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _checks() -> dict[str, list[Instruction]]:
    """The calls that are refused or not by their arguments."""
    own_process = _allow_if(errno.EPERM, (0, 0))
    return {
        "socketpair": _allow_if(errno.EOPNOTSUPP, (0, 1)),  # AF_UNIX: asyncio needs it
        "clone": _refuse_bits(0, _CLONE_NAMESPACES),
        "clone3": [
            (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
        ],  # its flags are in memory; libc falls back
        "personality": _allow_if(errno.EPERM, (0, 0), (0, 0xFFFFFFFF)),
        "ioctl": _refuse_if(1, _FOREVER_REFUSED_IOCTLS),
        "fcntl": _refuse_if(1, _SIGNAL_FCNTLS),
        "prctl": _refuse_if(0, (_PR_SET_PDEATHSIG,)),
        "prlimit64": own_process,
        "sched_setscheduler": _allow_if(errno.EPERM, (0, 0), (1, 0)),  # libzmq: (tid, SCHED_OTHER)
        "sched_setparam": own_process,
        "sched_setaffinity": own_process,
        "sched_setattr": own_process,
        "setpriority": _allow_if_both(errno.EPERM, (0, 0), (1, 0)),
        "ioprio_set": _allow_if_both(errno.EPERM, (0, 1), (1, 0)),
    }


def _answer(
    calls: Calls,
    number: int,
    which: Machine,
) -> list[Instruction]:
    """Every call of the table returns this errno (0: it seems to have worked)."""
    code: list[Instruction] = []
    for numbers in calls.values():
        code += _case(numbers, [(_RETURN, 0, 0, _ERRNO | number)], which)
    return code


def _case(numbers: Numbers, block: list[Instruction], which: Machine) -> list[Instruction]:
    """`if nr == number: block`; every block ends in a return."""
    number = numbers[which.column]
    return [] if number is None else [(_EQUAL, 0, len(block), number), *block]


def _argument(index: int) -> Instruction:
    """Load the low half: everything compared here is an int to the kernel."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _allow_if(number: int, *pairs: tuple[int, int]) -> list[Instruction]:
    """Allow when any argument has its value."""
    code: list[Instruction] = []
    for left, (index, value) in enumerate(reversed(pairs)):
        code = [_argument(index), (_EQUAL, 1 + 2 * left, 0, value), *code]
    return [*code, (_RETURN, 0, 0, _ERRNO | number), (_RETURN, 0, 0, _ALLOW)]


def _allow_if_both(
    number: int, first: tuple[int, int], second: tuple[int, int]
) -> list[Instruction]:
    return [
        _argument(first[0]),
        (_EQUAL, 0, 3, first[1]),
        _argument(second[0]),
        (_EQUAL, 0, 1, second[1]),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | number),
    ]


def _refuse_if(index: int, values: Iterable[int]) -> list[Instruction]:
    values = list(values)
    tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [
        _argument(index),
        *tests,
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]


def _refuse_bits(index: int, bits: int) -> list[Instruction]:
    return [
        _argument(index),
        (_BITS, 1, 0, bits),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
