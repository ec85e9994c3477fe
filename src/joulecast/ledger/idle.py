"""What a fleet drew while it waited: the line between what requests used and what a meter shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import polars as pl

from joulecast.errors import InputError, shown
from joulecast.files.numbers import whole
from joulecast.hardware import idle_power_w
from joulecast.ledger.accounting import GPU_S
from joulecast.ledger.partition import BEGIN, END, GPU
from joulecast.question.gpus import gpu as find_gpu
from joulecast.records import Record

MOST_IN_FLEET: Final = 10_000_000
EXAMPLE: Final = "e.g. --fleet H100=8,L40S=4"


class Idle(Record):
    """GPUs of one name over the period of a log.

    Attributes
    ----------
    count, period_s : GPUs, and the time between the first and the last request [s].
    busy_s : GPU time of requests [s]; more than there is where the log or the fleet is not whole.
    idle_w : power of a board with no process on it [W]; is_known : whether anybody measured it.
    """

    gpu: str
    count: int
    period_s: float
    busy_s: float
    idle_w: float
    is_known: bool

    @property
    def idle_s(self) -> float:
        """GPU time in which no request ran [s], none where there is not so much."""
        return max(self.count * self.period_s - self.busy_s, 0.0)

    @property
    def energy_j(self) -> float:
        """Energy of waiting [J]."""
        return self.idle_s * self.idle_w

    @property
    def is_overfull(self) -> bool:
        """Whether requests took more GPU time than there is."""
        return self.busy_s > self.count * self.period_s


def read_fleet(text: str) -> dict[str, int]:
    """GPUs and how many of each, as ``H100=8,L40S=4``, by catalogue name. Raises InputError."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, count = part.partition("=")
        if not equals:
            raise InputError(f"--fleet {shown(text)}: each GPU is NAME=COUNT, {EXAMPLE}")
        known = find_gpu(name.strip()).name
        if known in found:
            raise InputError(f"--fleet names {known} twice")
        found[known] = whole(count.strip(), f"--fleet {name.strip()}", 1, MOST_IN_FLEET)
    return found


def idle_of(cells: pl.DataFrame, fleet: Mapping[str, int]) -> list[Idle]:
    """What each kind of GPU of a fleet did not do. Raises InputError where the log says no times."""
    begin, end = (getattr(cells[name], ending)() for name, ending in ((BEGIN, "min"), (END, "max")))
    if not isinstance(begin, datetime) or not isinstance(end, datetime):
        raise InputError("--fleet needs times of requests: the log has none, or none that can be read")
    period = (end - begin).total_seconds()
    return [_idle(cells, name, count, period) for name, count in fleet.items()]


def _idle(cells: pl.DataFrame, name: str, count: int, period_s: float) -> Idle:
    device = find_gpu(name)
    busy = math.fsum(cells.filter(pl.col(GPU) == name)[GPU_S].to_list())
    return Idle(name, count, period_s, busy, idle_power_w(device), device.idle_power_w is not None)
