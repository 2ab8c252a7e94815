"""The last steps inside: from a fresh trusted interpreter to the hostile program.

Run as a script by the kernel environment's own Python, alone: standard library only, nothing of
ours is in reach there. It says hello, reads its plan (which the launcher sends once every limit
from outside is in place), gives up what it has, checks that it is gone, and becomes the program.

    stage.py PLAN_FD STATUS_FD [CONTROL_FD UID]

With CONTROL_FD it is started where there is no pid namespace, and forks first: the parent stays as
the guard, which every orphan falls to, and which ends them all when the program ends or when the
other end of CONTROL_FD is closed, for whatever reason. UID is the session's own, or -1.

Sources: capabilities(7), prctl(2), credentials(7), landlock(7), seccomp(2), pidfd_open(2).
"""

import base64
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP = 1, 22, 23, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 36, 38, 39
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_RULE_PATH_BENEATH = 1

libc = ctypes.CDLL(None, use_errno=True)


class FilterProgram(ctypes.Structure):
    """struct sock_fprog of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class PathBeneath(ctypes.Structure):
    """struct landlock_path_beneath_attr of <linux/landlock.h>, which is packed."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def prctl(option: int, *arguments: int) -> int:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return checked(libc.prctl(option, *padded), f"prctl {option}")


def syscall(number: int, *arguments: object) -> int:
    return checked(libc.syscall(ctypes.c_long(number), *arguments), f"syscall {number}")


def keep_only(descriptors: list[int]) -> None:
    """Close every other descriptor; a forgotten one is a door."""
    start = 3
    for descriptor in sorted(descriptors):
        os.closerange(start, descriptor)
        os.set_inheritable(descriptor, True)
        start = descriptor + 1
    os.closerange(start, 65536)


def speak_to(output: int) -> None:
    """Until here stderr went to the launcher; from here on nothing does."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    if output > 2:
        os.close(output)


def drop_capabilities() -> None:
    """The bounding set, while we may; no program that is run can bring one back."""
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused without CAP_SETPCAP


def clear_capability_sets() -> None:
    """Permitted, effective, inheritable, and with them ambient."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    checked(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def become(uid: int) -> None:
    """The session's own user; no way back, and checked."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (uid,) * 3 or os.getgroups():
        raise PermissionError(f"could not become uid {uid}")


def landlock_ruleset(plan: dict[str, Any]) -> int:
    attributes = list(plan["attributes"])
    while attributes and not attributes[-1]:
        attributes.pop()  # an older kernel knows a shorter struct
    memory = (ctypes.c_uint64 * len(attributes))(*attributes)
    ruleset = syscall(
        LANDLOCK_CREATE_RULESET, memory, ctypes.c_size_t(ctypes.sizeof(memory)), ctypes.c_uint32(0)
    )
    for path, rights in plan["rules"]:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = PathBeneath(rights, parent)
        syscall(
            LANDLOCK_ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(LANDLOCK_RULE_PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
        os.close(parent)
    return ruleset


def enter_filter(program: bytes) -> None:
    memory = ctypes.create_string_buffer(program, len(program))
    descriptor = FilterProgram(len(program) // 8, ctypes.addressof(memory))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(descriptor))


def confine(plan: dict[str, Any]) -> None:
    """In this order: what needs rights comes before they are dropped, the filter comes last."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    ruleset = landlock_ruleset(plan["landlock"]) if plan["landlock"] else -1
    if plan["uid"] is None:
        os.chdir(plan["directory"])
    for number, limit in plan["limits"]:
        resource.setrlimit(number, (limit, limit))
    if plan["drop"]:
        drop_capabilities()
    if plan["uid"] is not None:
        become(plan["uid"])
        os.chdir(plan["directory"])  # as the one who has to work there
    if plan["drop"]:
        clear_capability_sets()
    if ruleset >= 0:
        syscall(LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
        os.close(ruleset)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after setresuid, which clears it
    if plan["seccomp"]:
        enter_filter(base64.b64decode(plan["seccomp"]))
    if prctl(PR_GET_NO_NEW_PRIVS) != 1:
        raise PermissionError("no_new_privs is not set")


def parents() -> dict[int, int]:
    """pid -> parent's pid, of every process we can see."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # ended in the meantime
    return found


def descendants(root: int, table: Mapping[int, int] | None = None) -> list[int]:
    """Nearest first; `table` is what `parents` has said already."""
    found: list[int] = []
    above = {root}
    table = parents() if table is None else table
    while above:
        above = {pid for pid, parent in table.items() if parent in above}
        found += above
    return found


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def kill_user(uid: int) -> None:
    """kill(-1) as that user: every process of it at once, whatever it has forked."""
    helper = os.fork()
    if helper == 0:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(helper, 0)


def kill_descendants() -> None:
    """Freeze them first, so that none can fork away from the sweep."""
    seen: set[int] = set()
    while fresh := set(descendants(os.getpid())) - seen:
        signal_all(list(fresh), signal.SIGSTOP)
        seen |= fresh
    signal_all(list(seen), signal.SIGKILL)


def sweep(uid: int) -> None:
    """Until no child is left; orphans have become our children."""
    while True:
        if uid >= 0:
            kill_user(uid)
        kill_descendants()
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def reap_others(program: int) -> int | None:
    """Bury orphans; the program's exit status once it has ended."""
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == program:
                return os.waitstatus_to_exitcode(status)
            if pid == 0:
                return None
    except ChildProcessError:
        return 0


def guard(program: int, control: int, uid: int) -> int:
    """Watch until the program ends or we are no longer wanted, then leave nothing behind."""
    keep_only([control])
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    code: int | None = reap_others(program)
    while code is None:
        ready, _, _ = select.select([control, wake], [], [])
        if control in ready:
            break
        os.read(wake, 4096)
        code = reap_others(program)
    signal.set_wakeup_fd(-1)
    sweep(uid)
    return 128 + signal.SIGKILL if code is None else code if code >= 0 else 128 - code


def read_plan(descriptor: int) -> dict[str, Any]:
    with open(descriptor, "rb") as file:
        text = file.read()
    if not text:
        sys.exit(1)  # the launcher is gone
    return dict(json.loads(text))


def run_program(plan_fd: int, status_fd: int) -> None:
    """Does not return: what goes wrong is said on STATUS_FD, success closes it."""
    os.write(status_fd, b"\n")  # hello: every process of ours now exists
    plan = read_plan(plan_fd)
    try:
        keep_only([*plan["keep"], *[plan["output"]] * (plan["output"] > 2), status_fd])
        os.set_inheritable(status_fd, False)
        speak_to(plan["output"])
        confine(plan)
        os.execve(plan["program"][0], plan["program"], plan["environment"])
    except BaseException as error:
        os.write(status_fd, f"{type(error).__name__}: {error}".encode())
        os._exit(126)


def main(arguments: list[str]) -> int:
    plan_fd, status_fd, *guarding = [int(text) for text in arguments]
    if os.getsid(0) != os.getpid():
        os.setsid()  # no terminal, and a process group of its own
    if not guarding:
        run_program(plan_fd, status_fd)
    control, uid = guarding
    program = os.fork()
    if program == 0:
        os.setsid()
        run_program(plan_fd, status_fd)
    return guard(program, control, uid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
