"""Cells added up, with the error of the sum.

Rows of one model, GPU and runtime share the law's error wholly: a million requests do not make a law a
thousand times more certain. How much two such groups share is not assumed but counted, on held-out runs
(`joulecast.plan.ratio`): where the ratio of two predictions is known better than either, their errors are
alike. Where nobody counted, they are taken to be the same, which is the widest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from joulecast.ledger.accounting import (
    COUNTS,
    ENERGY_HIGH_J,
    ENERGY_J,
    ENERGY_LOW_J,
    GPU_S,
    GPU_S_HIGH,
    GPU_S_LOW,
    MEASURED_J,
    OUTPUTS,
    SAID_HIGH_J,
    SAID_J,
    SAID_LOW_J,
    SUMS,
    VIDEO_S,
)
from joulecast.ledger.partition import GPU, KNOWN, MODEL, REQUESTS, RUNTIME
from joulecast.plan.ratio import known_ratio_error, lesser
from joulecast.records import Record
from joulecast.uncertainty import Interval

GROUP: Final = (MODEL, GPU, RUNTIME)
Floats = NDArray[np.float64]


class Total(Record):
    """What some cells used together.

    Attributes
    ----------
    requests, outputs, video_s : requests, images and clips, and seconds of video [s] where they are known.
    energy_j : gross GPU energy [J], with its 90 % interval.
    gpu_s : GPU time [s], as if all of its error were shared.
    by_time, by_latency, by_meter : requests whose energy a logged time, a logged latency or a meter moved.
    untimed : requests of clips of no known frame rate.
    """

    requests: int
    outputs: float
    video_s: float
    energy_j: Interval
    gpu_s: Interval
    by_time: int
    by_latency: int
    by_meter: int
    untimed: int

    @property
    def is_measured(self) -> bool:
        """Whether a meter told the energy of every request."""
        return self.by_meter == self.requests


def total(cells: pl.DataFrame, law: str) -> Total:
    """Cells added up; `law` is the name of the law that predicted them, whose hold-outs are asked."""
    groups = _summed(cells, (*GROUP, KNOWN))
    energy = groups[ENERGY_J].to_numpy()
    below, above = energy - groups[ENERGY_LOW_J].to_numpy(), groups[ENERGY_HIGH_J].to_numpy() - energy
    names = list(groups.select(*GROUP, KNOWN).iter_rows())
    width = _widths(energy, above)
    value = math.fsum(energy.tolist())
    alike = _alike(names, width, law)
    low = value - _together(below, alike)
    high = value + _together(above, alike)
    return Total(
        requests=int(groups[REQUESTS].sum()),
        outputs=math.fsum(groups[OUTPUTS].to_list()),
        video_s=math.fsum(groups[VIDEO_S].to_list()),
        energy_j=Interval(max(low, 0.0), value, high),
        gpu_s=Interval(*(math.fsum(groups[name].to_list()) for name in (GPU_S_LOW, GPU_S, GPU_S_HIGH))),
        **{name: int(groups[name].sum()) for name in COUNTS},
    )


def grouped(cells: pl.DataFrame, by: Sequence[str], law: str) -> list[tuple[tuple[object, ...], Total]]:
    """The totals of each combination of `by`, in its order."""
    parts = cells.sort(by, nulls_last=True).partition_by(list(by), as_dict=True, maintain_order=True)
    return [(key, total(part, law)) for key, part in parts.items()]


class Drift(Record):
    """Measured energies of a model, GPU and runtime, beside what would have been said without them [J]."""

    model: str
    gpu: str
    runtime: str
    requests: int
    measured_j: float
    said_j: Interval

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured_j / self.said_j.value

    @property
    def is_outside(self) -> bool:
        """Whether the measured energy lies outside of the interval that was said."""
        return not self.said_j.low <= self.measured_j <= self.said_j.high


def drifts(cells: pl.DataFrame) -> list[Drift]:
    """How measured energies compare with predictions, by model, GPU and runtime."""
    found = _summed(cells, GROUP).filter(pl.col("by_meter") > 0)
    return [
        Drift(
            model=row[MODEL],
            gpu=row[GPU],
            runtime=row[RUNTIME],
            requests=row["by_meter"],
            measured_j=row[MEASURED_J],
            said_j=Interval(row[SAID_LOW_J], row[SAID_J], row[SAID_HIGH_J]),
        )
        for row in found.iter_rows(named=True)
    ]


def _summed(cells: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Cells added up by some of their names, in an order of their own: sums are the same each time."""
    numbers = [pl.col(name).sort_by(ENERGY_J).sum() for name in (*SUMS, *COUNTS, REQUESTS)]
    return cells.group_by(by).agg(*numbers).sort(by, nulls_last=True)


def _widths(energy: Floats, above: Floats) -> Floats:
    """Half of each group's interval, as a logarithm."""
    found: Floats = np.log1p(np.divide(above, energy, out=np.zeros_like(above), where=energy > 0))
    return found


def _together(ends: Floats, alike: Floats) -> float:
    """How far a sum may be off whose parts may be off by `ends`, of which they share what `alike` says."""
    return math.sqrt(max(float(ends @ alike @ ends), 0.0))


def _alike(names: Sequence[tuple[str, ...]], width: Floats, law: str) -> Floats:
    """The correlation of the errors of every two groups."""
    found = np.ones((len(names), len(names)))
    for i, one in enumerate(names):
        for j in range(i):
            found[i, j] = found[j, i] = _correlation(one, names[j], float(width[i]), float(width[j]), law)
    return found


def _correlation(
    one: tuple[str, ...], other: tuple[str, ...], width: float, other_width: float, law: str
) -> float:
    """Of the errors of two groups, from how far off the ratio of two such predictions is."""
    if not width or not other_width:
        return 1.0
    kinds = frozenset(kind for kind, a, b in zip(GROUP, one, other, strict=False) if a != b)
    ratio = _ratio_width(law, lesser(one[-1], other[-1]), kinds)
    if ratio is None:
        return 1.0
    return float(np.clip((width**2 + other_width**2 - ratio**2) / (2 * width * other_width), 0.0, 1.0))


@cache
def _ratio_width(law: str, familiarity: str, kinds: frozenset[str]) -> float | None:
    found = known_ratio_error(law, familiarity, "energy_j", kinds)
    return None if found is None else found.log_half_width
