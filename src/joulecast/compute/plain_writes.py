"""Writes of one number to a part of a tensor, known without running them: a mask that is filled row by row
has tens of thousands.

Needs the extra `trace`.
"""

from __future__ import annotations

from typing import Any

from joulecast.compute.values import Values

import torch  # isort: skip - after values, which says so when the extra is missing

_INT_OR_NONE = (int, type(None))


def plainly_written(x: Any, places: Any, value: Any, values: Values) -> int | None:
    """How many elements ``x[places] = value`` writes, if that is plain: a Python number, to places given by
    Python's numbers and slices, of a tensor of floats on meta that holds no known values. Else None.
    """
    if type(value) not in (int, float) or type(x) is not torch.Tensor:
        return None
    if not (x.is_meta and x.dtype.is_floating_point) or values.follows(x):
        return None
    places = places if isinstance(places, tuple) else (places,)
    if len(places) > x.dim():
        return None
    count = 1
    for place, size in zip(places, x.shape, strict=False):
        taken = _taken(place, size)
        if not taken:
            return None
        count *= taken
    for size in x.shape[len(places) :]:
        count *= size
    return count or None


def _taken(place: Any, size: int) -> int | None:
    """How many of a dimension's places are meant; None where torch must say."""
    if type(place) is int:
        return 1 if -size <= place < size else None
    if type(place) is not slice or not all(
        type(part) in _INT_OR_NONE for part in (place.start, place.stop, place.step)
    ):
        return None
    return None if (place.step or 1) < 1 else len(range(*place.indices(size)))
