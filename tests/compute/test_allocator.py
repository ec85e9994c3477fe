"""What torch's allocator counts, against its rules by hand."""

from __future__ import annotations

import pytest

from joulecast.compute.allocator import allocated_bytes

MIB = 2**20


@pytest.mark.parametrize(
    ("sizes", "counted"),
    [
        ([], 0),
        ([1, 512, 513], 512 + 512 + 1024),
        ([MIB], MIB),  # of the small buffers, which are cut at any size
        ([9 * MIB, 9 * MIB], 18 * MIB),  # both from one buffer of 20 MiB
        ([9 * MIB, 12 * MIB], 21 * MIB),  # the second has a buffer of its own
        ([9 * MIB, 10 * MIB], 20 * MIB),  # the second has the first's rest, all of it
        ([9 * MIB, 9 * MIB, 3 * MIB // 2], 9 * MIB + 9 * MIB + 2 * MIB),  # the buffer's last 2 MiB
        ([11 * MIB], 12 * MIB),  # less than 1 MiB more than asked for is not given back
        ([11 * MIB - 512], 11 * MIB - 512),
    ],
)
def test_counts_by_hand(sizes: list[int], counted: int) -> None:
    assert allocated_bytes(sizes) == counted
