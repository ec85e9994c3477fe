"""What probes of a pipeline's sizes and frames share: whether it follows a grid, and how far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def on_a_line(places: Sequence[int], found: Sequence[Any]) -> bool:
    """Whether all dimensions of the shapes of calls rise in a line with the places; not where one is None."""
    if any(shapes is None for shapes in found):
        return False
    if len({_outline(shapes) for shapes in found}) > 1:
        return False
    sides = np.array([[side for call in shapes for tensor in call for side in tensor] for shapes in found])
    rise = (sides[1] - sides[0]) // (places[1] - places[0])
    return all((sides[i] == sides[0] + rise * (place - places[0])).all() for i, place in enumerate(places))


def _outline(shapes: Any) -> Any:
    """How many calls, tensors and dimensions there are."""
    return tuple(tuple(len(tensor) for tensor in call) for call in shapes)


def last_accepted(accepts: Callable[[int], bool], accepted: int, refused: int) -> int:
    """The largest number that is accepted, between one that is and one that is not."""
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        if accepts(middle):
            accepted = middle
        else:
            refused = middle
    return accepted
