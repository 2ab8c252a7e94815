"""The filter, run in an interpreter of BPF: what each call gets, on both architectures.

That the kernel takes it and means the same is shown by the attacks.
"""

import errno
import struct

import pytest

from assistant.sandbox import syscalls
from assistant.sandbox.seccomp import MACHINES, program

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def listed(names: str) -> list[str]:
    return names.split()


# Written out once more, so that none is lost from the tables by a slip.
REFUSED = listed(
    """
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
    pidfd_send_signal perf_event_open bpf userfaultfd keyctl add_key request_key io_uring_setup
    io_uring_enter io_uring_register splice tee vmsplice modify_ldt vhangup uselib ustat sysfs
    _sysctl nfsservctl lookup_dcookie mount umount2 move_mount open_tree fsopen fsconfig fsmount
    fspick mount_setattr statmount listmount pivot_root chroot unshare setns name_to_handle_at
    open_by_handle_at fanotify_init fanotify_mark kexec_load kexec_file_load init_module
    finit_module delete_module create_module query_module get_kernel_syms setsid reboot swapon
    swapoff sethostname setdomainname iopl ioperm acct quotactl quotactl_fd syslog settimeofday
    clock_settime clock_adjtime adjtimex memfd_create memfd_secret shmget msgget semget mq_open
    mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node
    """
)
METADATA = listed(
    """
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat
    futimesat
    """
)
ATTRIBUTES = listed(
    """
    setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
    """
)
ARCHITECTURES = list(MACHINES)


def verdict(code: bytes, machine: str, number: int, *arguments: int, audit: int = 0) -> int:
    """What the kernel would answer: <linux/filter.h> semantics of the five instructions used."""
    data = struct.pack("<II8x", number, audit or MACHINES[machine].audit)
    data += struct.pack("<6Q", *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    instructions = list(struct.iter_unpack("<HBBI", code))
    at, value = 0, 0
    while True:
        kind, if_true, if_false, k = instructions[at]
        at += 1
        if kind == 0x20:
            (value,) = struct.unpack_from("<I", data, k)
        elif kind == 0x06:
            return int(k)
        else:
            true = {0x15: value == k, 0x25: value > k, 0x45: bool(value & k)}[kind]
            at += if_true if true else if_false


def number(table: syscalls.Calls, name: str, machine: str) -> int | None:
    return table[name][MACHINES[machine].column]


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_call_gets_eperm(name: str, machine: str) -> None:
    call = number(syscalls.REFUSED, name, machine)
    if call is not None:
        assert verdict(program(machine), machine, call) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_sockets_answer_what_libzmq_survives(machine: str) -> None:
    for name in ("socket", "connect", "bind", "listen"):
        call = number(syscalls.SOCKETS, name, machine)
        assert call is not None
        assert verdict(program(machine), machine, call) == ERRNO | errno.EOPNOTSUPP


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_another_architecture_kills_and_an_unknown_number_does_not_exist(machine: str) -> None:
    code = program(machine)
    assert verdict(code, machine, 0, audit=0x40000003) == KILL  # i386
    assert verdict(code, machine, 467) == ERRNO | errno.ENOSYS
    assert verdict(code, machine, 0x40000000 | 41) == ERRNO | errno.ENOSYS  # x32


CHECKS = [  # name, arguments, errno or None
    ("socketpair", (1,), None),
    ("socketpair", (2,), errno.EOPNOTSUPP),
    ("clone", (0x11,), None),
    ("clone", (0x00020011,), errno.EPERM),  # mount
    ("clone", (0x02000011,), errno.EPERM),  # cgroup
    ("clone", (0x04000011,), errno.EPERM),  # uts
    ("clone", (0x08000011,), errno.EPERM),  # ipc
    ("clone", (0x10000011,), errno.EPERM),  # user
    ("clone", (0x20000011,), errno.EPERM),  # pid
    ("clone", (0x40000011,), errno.EPERM),  # net
    ("clone3", (), errno.ENOSYS),
    ("personality", (0,), None),
    ("personality", (0xFFFFFFFF,), None),
    ("personality", (0x40000,), errno.EPERM),
    ("ioctl", (0, 0x5401), None),
    ("ioctl", (0, 0x5412), errno.EPERM),
    ("ioctl", (0, 0x541C), errno.EPERM),
    ("ioctl", (0, 0x8901), errno.EPERM),
    ("ioctl", (0, 0x8902), errno.EPERM),
    ("ioctl", (0, 0xFFFFFFFF00005412), errno.EPERM),
    ("fcntl", (0, 4), None),
    ("fcntl", (0, 8), errno.EPERM),
    ("fcntl", (0, 10), errno.EPERM),
    ("fcntl", (0, 15), errno.EPERM),
    ("prctl", (15,), None),
    ("prctl", (1,), errno.EPERM),
    ("prlimit64", (0,), None),
    ("prlimit64", (1,), errno.EPERM),
    ("sched_setscheduler", (77, 0), None),
    ("sched_setscheduler", (0, 3), None),
    ("sched_setscheduler", (77, 3), errno.EPERM),
    ("sched_setaffinity", (77,), errno.EPERM),
    ("sched_setparam", (77,), errno.EPERM),
    ("sched_setparam", (0,), None),
    ("sched_setattr", (77,), errno.EPERM),
    ("setpriority", (0, 0), None),
    ("setpriority", (0, 7), errno.EPERM),
    ("setpriority", (2, 0), errno.EPERM),
    ("ioprio_set", (1, 0), None),
    ("ioprio_set", (3, 0), errno.EPERM),
]


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(("name", "arguments", "answer"), CHECKS)
def test_some_calls_are_judged_by_their_arguments(
    name: str, arguments: tuple[int, ...], answer: int | None, machine: str
) -> None:
    call = number(syscalls.CHECKED, name, machine)
    assert call is not None
    expected = ALLOW if answer is None else ERRNO | answer
    assert verdict(program(machine), machine, call, *arguments) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_with_the_apps_uid_metadata_only_seems_to_change(machine: str) -> None:
    shared = program(machine, own_tree=False, shared_uid=True)
    alone = program(machine, own_tree=False)
    for name in METADATA:
        if (call := number(syscalls.METADATA, name, machine)) is not None:
            assert verdict(shared, machine, call) == ERRNO
            assert verdict(alone, machine, call) == ALLOW
    for name in ("truncate", "inotify_init", "inotify_init1"):
        if (call := number(syscalls.SHARED_REFUSED, name, machine)) is not None:
            assert verdict(shared, machine, call) == ERRNO | errno.EPERM
            assert verdict(alone, machine, call) == ALLOW


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_without_mounts_of_its_own_no_attribute_is_set(name: str, machine: str) -> None:
    call = number(syscalls.ATTRIBUTES, name, machine)
    assert call is not None
    refused = verdict(program(machine, own_tree=False), machine, call)
    assert refused == ERRNO | errno.EOPNOTSUPP
    assert verdict(program(machine), machine, call) == ALLOW


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_where_landlock_is_old_signals_reach_only_the_program_itself(machine: str) -> None:
    code = program(machine, signals_to=4711)
    for name in ("tkill", "rt_tgsigqueueinfo"):  # these say too little of whom they are for
        call = number(syscalls.SIGNALS_REFUSED, name, machine)
        assert call is not None
        assert verdict(code, machine, call, 4711) == ERRNO | errno.EPERM
    for name in ("kill", "tgkill", "rt_sigqueueinfo"):
        call = number(syscalls.SIGNALS, name, machine)
        assert call is not None
        assert verdict(code, machine, call, 4711) == ALLOW
        assert verdict(code, machine, call, 4712) == ERRNO | errno.EPERM
        assert verdict(code, machine, call, 0xFFFFFFFF) == ERRNO | errno.EPERM  # everybody
        assert verdict(program(machine), machine, call, 4712) == ALLOW
