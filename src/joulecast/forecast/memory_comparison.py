"""Computed peaks of memory beside published ones, of ``data/peak_memory.csv``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from joulecast import data
from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile
from joulecast.forecast.memory import peak_bytes
from joulecast.units import BYTES_PER_GIBIBYTE

EAGER = "eager"
PUBLISHED_DIGITS = 1e-4  # of a published peak, which has three digits after the point, as a share of it
AIM = 0.10  # of a computed peak: at most so far above a published one, as a share of it, and never below


@dataclass(frozen=True)
class Compared:
    """A published peak of torch's allocator and the computed one [byte], weights included."""

    model: str
    workload: Workload
    runtime: str
    published_bytes: float
    computed_bytes: float
    source: str

    @property
    def off(self) -> float:
        """How far the computed peak is above the published one, as a share of it."""
        return self.computed_bytes / self.published_bytes - 1

    @property
    def is_in_aim(self) -> bool:
        """Whether it is never below, beyond the digits that were published, and at most AIM above."""
        return -PUBLISHED_DIGITS <= self.off <= AIM


def compared() -> list[Compared]:
    """Every published peak of a model whose memory is known."""
    rows = map(_compared, data.read_table("peak_memory.csv"))
    return [one for one in rows if not math.isnan(one.computed_bytes)]


def _compared(row: dict[str, str]) -> Compared:
    workload = Workload(
        width=int(row["width"]),
        height=int(row["height"]),
        steps=int(row["steps"]),
        passes=int(row["passes"]),
        batch_size=int(row["batch_size"]),
        precision=row["precision"],
    )
    found = peak_bytes(packaged_profile(row["model"]), workload.columns(), workload.precision)
    published = float(row["peak_gib"]) * BYTES_PER_GIBIBYTE
    return Compared(row["model"], workload, row["runtime"], published, float(found[0]), row["source"])
