"""Carbon, water and money of a ledger's cells, each with the grid of its region and hour."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from joulecast.footprint.tables.columns import NUMBERS, Sites, footprint_columns
from joulecast.ledger.accounting import (
    ENERGY_HIGH_J,
    ENERGY_J,
    ENERGY_LOW_J,
    GPU_S,
    GPU_S_HIGH,
    GPU_S_LOW,
    OUTPUTS,
)
from joulecast.ledger.meanings import REGION
from joulecast.ledger.partition import GPU, OF_HOUR

# The columns of a footprint that add up; those of one image do not.
AMOUNTS: Final = tuple(name for name in NUMBERS if not name.startswith("sci"))
FAILED, WARNING, CURRENCY = "footprint_error", "footprint_warning", "currency"
_RANGES: Final = {
    "energy_j": ENERGY_J, "energy_low_j": ENERGY_LOW_J, "energy_high_j": ENERGY_HIGH_J,
    "duration_s": GPU_S, "duration_low_s": GPU_S_LOW, "duration_high_s": GPU_S_HIGH,
}  # fmt: skip


def with_footprints(cells: pl.DataFrame, sites: Sites) -> pl.DataFrame:
    """Cells with AMOUNTS of all their outputs, null where there is none, and FAILED says why."""
    if not cells.height:
        return cells
    columns: dict[str, object] = {
        name: (cells[ours] / cells[OUTPUTS]).to_numpy() for name, ours in _RANGES.items()
    }
    columns |= {"images": cells[OUTPUTS].to_numpy(), "gpu": cells[GPU].to_list()}
    columns |= {name: cells[name].to_list() for name in (REGION, OF_HOUR) if name in sites.columns.values()}
    found = footprint_columns(columns, sites)
    numbers = [pl.Series(name, np.asarray(found[name], dtype=np.float64)).fill_nan(None) for name in AMOUNTS]
    words = [pl.Series(name, list(map(str, found[name]))) for name in (FAILED, WARNING, CURRENCY)]
    return cells.with_columns(*numbers, *words)
