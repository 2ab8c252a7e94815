"""Our own small bubblewrap, for where pivot_root is refused: namespaces, mounts, chroot.

Run as a script, alone, by the kernel environment's Python: standard library only.

    jail.py SPEC_FD PROGRAM ARGUMENT...

It fails closed: without every namespace that is asked for, and every mount, PROGRAM does not run.
Its outer process waits; the first one inside buries orphans, and takes all with it when it ends.

Sources: unshare(2), user_namespaces(7), pid_namespaces(7), mount(2), mount_setattr(2),
mount_namespaces(7).
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
CLONE_NEWUSER = 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8  # MOUNT_ATTR_* are the same
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 8192, 16384, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
PR_SET_PDEATHSIG = 1
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DESCRIPTORS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    checked(libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data)), f"mount on {target}")


def restrict(target: str, flags: int, how: int = AT_RECURSIVE) -> None:
    """Flags are only added, as a user namespace may not take any away."""
    attributes = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)  # struct mount_attr
    result = libc.syscall(
        ctypes.c_long(MOUNT_SETATTR),
        ctypes.c_int(AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(how),
        attributes,
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    checked(result, f"mount_setattr on {target}")


def bind(source: str, target: str, flags: int) -> None:
    if not os.path.lexists(target):
        if os.path.isdir(source):
            os.makedirs(target)
        else:
            Path(target).touch()
    mount(source, target, None, MS_BIND | MS_REC)
    restrict(target, flags)


def seal(target: str) -> None:
    """This mount alone; what is mounted below it was decided on its own."""
    restrict(target, MS_RDONLY, 0)


def devices(target: str) -> None:
    os.makedirs(target, exist_ok=True)
    mount("tmpfs", target, "tmpfs", MS_NOSUID, "size=65536,mode=755")
    for name in DEVICES:
        bind(f"/dev/{name}", f"{target}/{name}", MS_NOSUID)
    for name, below in DESCRIPTORS.items():
        os.symlink(f"/proc/self/fd{below}", f"{target}/{name}")


def perform(step: dict[str, Any], root: str) -> None:
    """One step of `view`, in the new root."""
    kind, source, target = step["kind"], step["source"], root + step["target"].rstrip("/")
    if source.startswith("/proc/"):
        source = root + source  # the new one's
    if kind == "dir":
        os.makedirs(target, step["mode"], exist_ok=True)
    elif kind in ("bind", "ro"):
        bind(source, target, MS_NOSUID | MS_NODEV | (MS_RDONLY if kind == "ro" else 0))
    elif kind == "tmpfs":
        os.makedirs(target, exist_ok=True)
        options = f"size={step['size']},mode={step['mode']:o}"
        mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options)
    elif kind == "link":
        os.symlink(source, target)
    elif kind == "data":
        Path(target).write_text(source, encoding="utf-8")
        os.chmod(target, step["mode"])
    elif kind == "proc":
        os.makedirs(target, exist_ok=True)
        mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    elif kind == "dev":
        devices(target)
    elif kind == "seal":
        seal(target)
    else:
        raise ValueError(kind)


def enter(root: str) -> None:
    """Move the new root over the old one where that is allowed; the old one is out of reach."""
    os.chdir(root)
    libc.mount(b".", b"/", None, ctypes.c_ulong(MS_MOVE), None)
    os.chroot(".")
    os.chdir("/")


def own_user(inside: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    checked(libc.unshare(CLONE_NEWUSER), "unshare user")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {gid} 1")


def separate(spec: dict[str, Any]) -> None:
    if spec["user"] is not None:
        own_user(spec["user"])
    for name in ("mount", *spec["namespaces"]):
        checked(libc.unshare(NAMESPACES[name]), f"unshare {name}")
    if "uts" in spec["namespaces"]:
        checked(libc.sethostname(b"sandbox", 7), "sethostname")
    mount("none", "/", None, MS_REC | MS_PRIVATE)


def wait_for(child: int) -> int:
    """Hold nothing, bury orphans, end as the child ends."""
    os.closerange(3, 65536)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def first_inside(spec: dict[str, Any], program: list[str]) -> int:
    libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    root = spec["root"]
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for step in spec["steps"]:
        perform(step, root)
    enter(root)
    child = os.fork()
    if child == 0:
        os.execv(program[0], program)
    return wait_for(child)


def main(arguments: list[str]) -> int:
    with open(int(arguments[0]), encoding="utf-8") as file:
        spec = json.load(file)
    libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    os.umask(0o022)
    separate(spec)
    first = os.fork()
    return first_inside(spec, arguments[1:]) if first == 0 else wait_for(first)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
