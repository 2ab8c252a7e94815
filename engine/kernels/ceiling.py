"""Reading memory and doing nothing else: what decoding can at best reach."""

from numba import njit

from engine.kernels.vector import load_i32, reduce_sum_i32, splat_i32


@njit(nogil=True)
def read_all(address: int, size: int) -> int:
    """Read `size` bytes, a multiple of 256; the result only keeps the loads from being dropped."""
    a = b = c = d = splat_i32(0)
    for at in range(address, address + size, 256):
        a = a ^ load_i32(at)
        b = b ^ load_i32(at + 64)
        c = c ^ load_i32(at + 128)
        d = d ^ load_i32(at + 192)
    return reduce_sum_i32((a ^ b) ^ (c ^ d))
