"""What the probe runs inside a candidate sandbox; alone, by the kernel environment's Python.

    probe_attacks.py CANARIES      the canaries as JSON: files, addresses, a process

Every attack is a function that returns when it has *worked* and raises OSError when it was
refused. Prints one JSON object: name -> "held" or what happened. Nothing here is believed alone:
the probe looks at its canaries, too.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, AF_VSOCK, AF_ALG = 0x10000000, 40, 38
PTRACE_ATTACH = 16


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def read_a_file(canary: dict[str, Any]) -> None:
    with open(canary["file"]) as file:
        file.read()


def list_another_folder(canary: dict[str, Any]) -> None:
    os.listdir(canary["folder"])


def write_a_file(canary: dict[str, Any]) -> None:
    with open(canary["file"], "a") as file:
        file.write("written")


def add_a_file(canary: dict[str, Any]) -> None:
    with open(os.path.join(canary["folder"], "new"), "x"):
        pass


def change_metadata(canary: dict[str, Any]) -> None:
    """May seem to work; the probe looks at the file."""
    os.chmod(canary["file"], 0o777)
    os.utime(canary["file"], (1, 1))
    os.truncate(canary["file"], 0)
    raise PermissionError


def poison_python(canary: dict[str, Any]) -> None:
    del canary
    with open(os.path.join(os.path.dirname(os.__file__), "sitecustomize.py"), "a"):
        pass


def connect_over_tcp(canary: dict[str, Any]) -> None:
    socket.create_connection(("127.0.0.1", canary["port"]), 1).close()


def connect_to_a_unix_socket(canary: dict[str, Any]) -> None:
    socket.socket(socket.AF_UNIX).connect(canary["socket"])


def create_exotic_sockets(canary: dict[str, Any]) -> None:
    del canary
    families = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, AF_VSOCK, AF_ALG)
    refused = 0
    for family in families:
        try:
            socket.socket(family, socket.SOCK_DGRAM).close()
        except OSError:
            refused += 1
    if refused == len(families):
        raise PermissionError


def signal_a_process(canary: dict[str, Any]) -> None:
    """The same number may be one of ours; the probe looks at its process."""
    if canary["process"] != os.getpid():
        os.kill(canary["process"], signal.SIGKILL)
    raise PermissionError


def read_a_process(canary: dict[str, Any]) -> None:
    with open(f"/proc/{canary['process']}/cmdline", "rb") as file:
        if canary["word"].encode() not in file.read():
            raise PermissionError


def trace_a_process(canary: dict[str, Any]) -> None:
    checked(libc.ptrace(PTRACE_ATTACH, canary["process"], None, None))


def aim_signals(canary: dict[str, Any]) -> None:
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(reading, fcntl.F_SETOWN, canary["process"])
    finally:
        os.close(reading)
        os.close(writing)


def become_root(canary: dict[str, Any]) -> None:
    del canary
    if os.geteuid() != 0:
        os.setuid(0)


def make_a_user_namespace(canary: dict[str, Any]) -> None:
    del canary
    checked(libc.unshare(CLONE_NEWUSER))


def hide_memory(canary: dict[str, Any]) -> None:
    del canary
    os.close(os.memfd_create("hidden"))


def raise_a_limit(canary: dict[str, Any]) -> None:
    del canary
    names = (resource.RLIMIT_NPROC, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)
    if any(resource.getrlimit(name)[1] == resource.RLIM_INFINITY for name in names):
        return
    raise PermissionError


def fork_without_end(canary: dict[str, Any]) -> None:
    children: list[int] = []
    try:
        while len(children) < canary["processes"]:
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


ATTACKS: tuple[Callable[[dict[str, Any]], None], ...] = (
    read_a_file,
    list_another_folder,
    write_a_file,
    add_a_file,
    change_metadata,
    poison_python,
    connect_over_tcp,
    connect_to_a_unix_socket,
    create_exotic_sockets,
    read_a_process,
    trace_a_process,
    aim_signals,
    become_root,
    make_a_user_namespace,
    hide_memory,
    raise_a_limit,
    fork_without_end,
    signal_a_process,
)


def tried(attack: Callable[[dict[str, Any]], None], canary: dict[str, Any]) -> str:
    try:
        attack(canary)
    except OSError:
        return "held"
    except Exception as error:  # not refused as it should be: no level may count on it
        return f"{type(error).__name__}: {error}"
    return "it worked"


if __name__ == "__main__":
    world = json.loads(sys.argv[1])
    results = {attack.__name__: tried(attack, world) for attack in ATTACKS}
    os.write(1, json.dumps(results).encode())
    signal.pause()  # to be looked at
