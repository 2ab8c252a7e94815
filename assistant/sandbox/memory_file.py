"""A file without a name, to hand bytes to a program that is about to be started."""

import os


def memory_file(content: bytes) -> int:
    """A descriptor at the beginning of `content`; the caller closes it."""
    descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
