"""The system calls that code in a sandbox may make, as a BPF program for seccomp(2).

Written out in plain Python, so that no libseccomp is needed. The default is to allow, below a
ceiling of reviewed numbers: what is newer than the table does not exist (ENOSYS). What is refused
is refused with EPERM, except that everything of sockets answers EOPNOTSUPP: libzmq aborts the
process on EPERM and EACCES.

Layout: <linux/filter.h> struct sock_filter, <linux/seccomp.h> struct seccomp_data; numbers from
<asm/unistd_64.h> (x86_64) and <asm-generic/unistd.h> (aarch64).

What it does not cover: paths (a BPF program cannot read memory); these are Landlock's and the
mount namespace's. The aarch64 program is generated and checked in an interpreter, but was never
loaded into a kernel.
"""

import errno
import struct
from collections.abc import Iterable
from dataclasses import dataclass

CEILING = 466  # removexattrat; nothing newer was reviewed

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

# name: (x86_64, aarch64); None where an architecture does not have it
_SOCKETS = {"socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201)}
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    # wide or buggy surfaces of the kernel
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "splice": (275, 76),
    "tee": (276, 77),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "vhangup": (153, 58),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    # mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # the machine
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "get_kernel_syms": (177, None),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    # memory that no limit counts, and its placement
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "get_mempolicy": (239, 236),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "set_mempolicy_home_node": (450, 450),
}
# With the app's own uid, Landlock alone would let these change the app's files.
_METADATA: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "utimensat": (280, 88),
    "futimesat": (261, None),
}
_ATTRIBUTES = {
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
}
_SHARED_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "truncate": (76, 45),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
}
_SIGNALS = {"kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138)}
_SIGNALS_REFUSED = {"tkill": (200, 130), "rt_tgsigqueueinfo": (297, 240)}
_CHECKED = {
    "socketpair": (53, 199),
    "clone": (56, 220),
    "clone3": (435, 435),
    "personality": (135, 92),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
}

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


def program(machine: str, *, shared_uid: bool = False, signals_to: int | None = None) -> bytes:
    """The filter for `machine` as an array of struct sock_filter.

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
    code += _answer(_SOCKETS, errno.EOPNOTSUPP, which)
    code += _answer(_REFUSED, errno.EPERM, which)
    if shared_uid:
        code += _answer(_METADATA, 0, which)  # pretends: libraries set times and modes in passing
        code += _answer(_ATTRIBUTES, errno.EOPNOTSUPP, which)
        code += _answer(_SHARED_REFUSED, errno.EPERM, which)
    if signals_to is not None:
        code += _answer(_SIGNALS_REFUSED, errno.EPERM, which)
        for numbers in _SIGNALS.values():
            code += _case(numbers, _allow_if(errno.EPERM, (0, signals_to)), which)
    for name, block in _checks().items():
        code += _case(_CHECKED[name], block, which)
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
    calls: dict[str, tuple[int | None, int | None]] | dict[str, tuple[int, int]],
    number: int,
    which: Machine,
) -> list[Instruction]:
    """Every call of the table returns this errno (0: it seems to have worked)."""
    code: list[Instruction] = []
    for numbers in calls.values():
        code += _case(numbers, [(_RETURN, 0, 0, _ERRNO | number)], which)
    return code


def _case(
    numbers: tuple[int | None, int | None], block: list[Instruction], which: Machine
) -> list[Instruction]:
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
