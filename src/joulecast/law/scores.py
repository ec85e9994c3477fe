"""How wrong predictions are, in figures: of any predictions of runs, held out or not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from joulecast.records import Record

if TYPE_CHECKING:
    from joulecast.runs import RunTable

Array = NDArray[np.float64]
ScoresData = dict[str, dict[str, float | int | None] | None]  # as JSON has them
LEVEL = 0.9  # of intervals, and of the quantile of errors that is shown


class Score(Record):
    """Errors of a set of runs: percentages unless stated; nan where it has no meaning.

    `r2` is of the log of a call's energy (or time); `bias` the mean log error in per cent;
    `width` the median factor between the interval's end and its middle.
    """

    runs: int
    r2: float
    median: float
    p90: float
    worst: float
    bias: float
    spearman: float
    kendall: float
    coverage: float
    width: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Score) and np.array_equal(
            dataclasses.astuple(self), dataclasses.astuple(other), equal_nan=True
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of_dict(cls, value: Mapping[str, float | None]) -> Score:
        """The score that `to_dict` wrote."""
        known = {name: math.nan if figure is None else figure for name, figure in value.items()}
        return cls(runs=int(known.pop("runs")), **known)

    def rounded(self) -> Score:
        """To the four digits that are published."""
        return Score.of_dict(self.to_dict())

    def to_dict(self) -> dict[str, float | int | None]:
        """As JSON has it: rounded to four digits, None for what has no meaning."""
        return {
            name: (value if isinstance(value, int) else float(f"{value:.4g}") if np.isfinite(value) else None)
            for name, value in dataclasses.asdict(self).items()
        }


class Scores(Record):
    """Errors of energies and of times; None where nothing is published."""

    energy: Score | None
    duration: Score | None

    @classmethod
    def of_dict(cls, value: Mapping[str, Mapping[str, float | None] | None]) -> Scores:
        """The scores that `to_dict` wrote."""
        energy, duration = value["energy"], value["duration"]
        return cls(*(None if one is None else Score.of_dict(one) for one in (energy, duration)))

    def rounded(self) -> Scores:
        """To the four digits that are published."""
        return Scores.of_dict(self.to_dict())

    def to_dict(self) -> ScoresData:
        """As JSON has it."""
        return {
            "energy": None if self.energy is None else self.energy.to_dict(),
            "duration": None if self.duration is None else self.duration.to_dict(),
        }


def log_of_call(runs: RunTable, quantity: str) -> Array:
    """Log of the measured energy [J] or time [s] of a whole call, nan where unknown, shape (runs,)."""
    measured = runs.column(quantity).astype(np.float64)
    batch = np.array([run.batch_size for run in runs], dtype=np.float64)
    return np.log(measured * batch if quantity == "energy_j" else measured)


SAME_LOG = 9  # decimals of a logarithm to which two predictions are equal


def score_errors(errors: Array, log_measured: Array, covered: Array, log_width: Array) -> Score:
    """The score of log errors, nan where there is none; every array of shape (runs,).

    `log_measured` is of the whole call, `covered` 1 or 0 (nan: unknown), `log_width` the interval's
    half-width (log).
    """
    known = np.isfinite(errors)
    if not known.any():
        return Score(0, *[float("nan")] * 9)
    e, call, covered = errors[known], log_measured[known], covered[known]
    percent = np.abs(np.expm1(e)) * 100
    predicted = np.round(call + e, SAME_LOG)  # else rounding in the last bit orders equal predictions
    spread = float(np.sum((call - call.mean()) ** 2))
    return Score(
        runs=int(known.sum()),
        r2=1 - float(np.sum(e**2)) / spread if spread > 0 else float("nan"),
        median=float(np.median(percent)),
        p90=float(np.quantile(percent, LEVEL)),
        worst=float(percent.max()),
        bias=float(e.mean() * 100),
        spearman=spearman(predicted, call),
        kendall=kendall(predicted, call),
        coverage=float(np.nanmean(covered) * 100) if np.isfinite(covered).any() else float("nan"),
        width=float(np.exp(np.median(log_width[known]))),
    )


def spearman(a: Array, b: Array) -> float:
    """Spearman's rank correlation, ties by average rank; nan for fewer than 3 values."""
    if len(a) < 3:
        return float("nan")
    ranks = [_ranks(x) for x in (a, b)]
    if min(np.ptp(r) for r in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def kendall(a: Array, b: Array) -> float:
    """Kendall's tau-b; nan for fewer than 3 values."""
    if len(a) < 3:
        return float("nan")
    upper = np.triu_indices(len(a), 1)
    da, db = (np.sign(np.subtract.outer(x, x))[upper] for x in (a, b))
    size = np.sqrt(np.sum(da != 0) * np.sum(db != 0))
    return float(np.sum(da * db) / size) if size else float("nan")


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    averages = last - (counts - 1) / 2
    ranks: Array = averages[inverse]
    return ranks
