"""How many bytes torch's allocator counts for tensors that are allocated one after the other on a GPU.

As `CUDACachingAllocator.cpp` of torch has it: sizes are rounded up to 512 byte; a tensor above 1 MiB is cut
from a buffer of 20 MiB, or from 10 MiB on has one of its own, a multiple of 2 MiB; and what is left of a
buffer is given back only if it is more than 1 MiB, else it is counted with the tensor.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from joulecast.units import BYTES_PER_MEBIBYTE

LEAST = 512
LARGE = 1 * BYTES_PER_MEBIBYTE
BUFFER = 20 * BYTES_PER_MEBIBYTE
OWN_BUFFER = 10 * BYTES_PER_MEBIBYTE
BUFFER_UNIT = 2 * BYTES_PER_MEBIBYTE


def allocated_bytes(sizes: Iterable[int]) -> int:
    """The bytes that are counted as allocated for tensors of these sizes [byte]."""
    total, free = 0, list[int]()
    for size in sizes:
        needed = _rounded(size, LEAST)
        taken, rest = needed, 0
        if needed > LARGE:
            place = bisect.bisect_left(free, needed)
            buffer = free.pop(place) if place < len(free) else _buffer(needed)
            taken, rest = (needed, buffer - needed) if buffer - needed > LARGE else (buffer, 0)
        if rest:
            bisect.insort(free, rest)
        total += taken
    return total


def _buffer(size: int) -> int:
    return BUFFER if size < OWN_BUFFER else _rounded(size, BUFFER_UNIT)


def _rounded(size: int, unit: int) -> int:
    return -(-size // unit) * unit
