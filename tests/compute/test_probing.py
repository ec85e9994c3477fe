"""How the steps in size are found that a pipeline follows evenly."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

from joulecast.compute.probing import on_a_line
from joulecast.compute.sizes import EVENLY


def shapes(side: int, channels: int = 4) -> list[Any]:
    """What two modules are given: a latent, and as many tokens beside a text."""
    return [((1, channels, 64, side),), ((1, 64 * side, 32), (1, 77, 32))]


@pytest.mark.parametrize(
    ("sides", "is_even"),
    [
        ([64, 65, 66, 77], True),
        ([64, 72, 80, 168], True),
        ([64, 72, 72, 80], False),  # rounded up to some steps
        ([12, 13, 14, 22], False),  # in a line for the first three alone
        ([64, 64, 64, 64], True),
    ],
)
def test_even_steps(sides: list[int], is_even: bool) -> None:
    assert on_a_line(EVENLY, [shapes(side) for side in sides]) is is_even


def test_sizes_that_are_refused_or_take_another_way_are_not_even() -> None:
    found = [shapes(side) for side in (64, 65, 66, 77)]
    assert not on_a_line(EVENLY, [*found[:3], None])
    assert not on_a_line(EVENLY, [*found[:3], found[3][:1]])
    assert not on_a_line(EVENLY, [*found[:3], shapes(77, channels=8)])
