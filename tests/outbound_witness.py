"""A network of its own, whose only way out leads to us: `outbound_witness.py FILE`.

To be run in a new network namespace, whose only interface is loopback. It makes a TUN device, sends
all that is not for loopback through it, IPv4 and IPv6, and writes each packet that comes down to
FILE, one a line: whatever some process in there tried to reach, if only a name server.
Says `ready` once it listens; nothing is answered, as by a cable that somebody cut.
"""

import fcntl
import ipaddress
import os
import socket
import struct
import sys
from pathlib import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
SIOCADDRT, SIOCGIFINDEX, SIOCSIFFLAGS, SIOCSIFADDR = 0x890B, 0x8933, 0x8914, 0x8916
UP_AND_RUNNING, RTF_UP = 0x41, 0x1
NAME = b"out0"
OWN_4, OWN_6 = "198.51.100.2", "2001:db8::2"
OF_THE_KERNEL = {2, 58}  # IGMP and ICMPv6: an interface greets its neighbours by them


def bring_up(name: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, UP_AND_RUNNING))


def address_4(address: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def route_4() -> None:
    """`struct rtentry`, which names its device by a pointer, is written by ctypes' help."""
    import ctypes

    device = ctypes.create_string_buffer(NAME)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16s", NAME) + address_4(OWN_4) + bytes(8))
        anything = address_4("0.0.0.0")
        entry = struct.pack("L16s16s16sHhLP", 0, anything, anything, anything, RTF_UP, 0, 0, 0)
        entry += struct.pack("hPLLH", 0, ctypes.addressof(device), 0, 0, 0)
        fcntl.ioctl(control, SIOCADDRT, entry + bytes(16))


def route_6() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        found = fcntl.ioctl(control, SIOCGIFINDEX, struct.pack("16s24x", NAME))
        index = struct.unpack_from("i", found, 16)[0]
        own = socket.inet_pton(socket.AF_INET6, OWN_6)
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16sIi", own, 128, index))
        entry = struct.pack(
            "16s16s16sIHHILIi", bytes(16), bytes(16), bytes(16), 0, 0, 0, 1, 0, RTF_UP, index
        )
        fcntl.ioctl(control, SIOCADDRT, entry)


def described(packet: bytes) -> str:
    """Empty for what the kernel says of itself."""
    if packet[0] >> 4 == 4:
        protocol, target, start = packet[9], packet[16:20], (packet[0] & 15) * 4
    else:
        protocol, target, start = packet[6], packet[24:40], 40
    if protocol in OF_THE_KERNEL or (protocol == 0 and packet[0] >> 4 == 6):
        return ""
    port = struct.unpack_from("!H", packet, start + 2)[0] if len(packet) >= start + 4 else 0
    words = bytes(each if 32 < each < 127 else 46 for each in packet[start + 8 : start + 80])
    return f"{ipaddress.ip_address(target)} protocol {protocol} port {port} {words.decode()}"


def main(path: Path) -> None:
    tunnel = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH22x", NAME, IFF_TUN | IFF_NO_PI))
    for name in (b"lo", NAME):
        bring_up(name)
    route_4()
    route_6()
    with path.open("w", encoding="utf-8", buffering=1) as seen:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            if line := described(os.read(tunnel, 65536)):
                seen.write(line + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
