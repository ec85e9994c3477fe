"""What an energy of a GPU includes: all that the board drew (gross), or that less its idle power (dynamic).

Dynamic energy is gross energy minus idle power times time. A prediction and a measurement differ in what
they do where little or nothing is left, so each has its rule here and nowhere else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import UnknownNameError

Floats = NDArray[np.float64]

BOUNDARIES = ("gross", "dynamic")
# A prediction keeps at least this share of the gross energy: a law's energy and its time are off
# separately, and a GPU that works draws more than one that idles.
LEAST_DYNAMIC_SHARE = 0.05


def check_boundary(boundary: object) -> str:
    """`boundary` if it is known, else UnknownNameError."""
    if boundary not in BOUNDARIES:
        raise UnknownNameError("boundary", boundary, BOUNDARIES, f"known: {', '.join(BOUNDARIES)}")
    return str(boundary)


def dynamic_j(gross_j: Floats, idle_j: Floats) -> Floats:
    """A predicted gross energy [J] less what idle power draws in its time [J]."""
    return np.maximum(gross_j - idle_j, LEAST_DYNAMIC_SHARE * gross_j)


def dynamic_share(gross_j: Floats, idle_j: Floats) -> Floats:
    """`dynamic_j` over the gross energy: what is left of each of its parts."""
    share: Floats = np.clip(1 - idle_j / gross_j, LEAST_DYNAMIC_SHARE, 1.0)
    return share


def measured_dynamic_j(gross_j: Floats | float, idle_j: Floats | float) -> Floats:
    """A measured gross energy [J] less what idle power draws in its time [J]; nan where nothing is left.

    No floor: where a meter shows no more than idle power, one of the two readings is wrong.
    """
    above = np.asarray(gross_j, dtype=np.float64) - idle_j
    return np.where(above > 0, above, np.nan)
