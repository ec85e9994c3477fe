"""What one request used, from what was predicted of its question and what was logged of its running.

The rule, in order:

1. A measured energy is the energy, and is compared with what would have been said without it.
2. A logged time of execution is the time. What it is longer than predicted the GPU waited at idle power, what
   it is shorter it did not; the energy lies between idle power and the power limit for that time.
3. A logged latency, which may hold waiting in a queue, is the most that the execution took: the energy is at
   most the power limit for it.
4. Else the prediction.

The range. A logged time bounds an energy, it does not tell it: whether the GPU waited or worked all along at
the predicted power is not known, so both ends hold either, and never more than the limit allows. A latency
shorter than predicted tells less than an execution of that time: its range reaches as low, and below what it
allows an energy is no surer, relative to itself, than the prediction was.

Requests that ran beside each other on the same GPUs (CONCURRENCY) share its time evenly. A batch (the key
``batch_size``) is one execution of several images; a request of more images than one batch is executed
several times, one after the other, and one of fewer shares its execution with others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from joulecast.ledger import answers as of
from joulecast.ledger.meanings import CONCURRENCY, EXECUTION, IMAGES, LATENCY, MEASURED

# Of a request: outputs, GPU seconds, joules and their ranges, seconds of video.
OUTPUTS, VIDEO_S = "outputs", "video_s"
GPU_S, GPU_S_LOW, GPU_S_HIGH = "gpu_s", "gpu_s_low", "gpu_s_high"
ENERGY_J, ENERGY_LOW_J, ENERGY_HIGH_J = "energy_j", "energy_low_j", "energy_high_j"
# Of requests with measured energies alone: what was measured, and what would have been said without it.
MEASURED_J, SAID_J, SAID_LOW_J, SAID_HIGH_J = "measured_j", "said_j", "said_low_j", "said_high_j"
BY_TIME, BY_LATENCY, BY_METER = "by_time", "by_latency", "by_meter"  # whether they moved the energy
UNTIMED = "untimed"  # whether it is of clips of no known frame rate, whose seconds are in no sum
SUMS: Final = (
    OUTPUTS, VIDEO_S, GPU_S, GPU_S_LOW, GPU_S_HIGH, ENERGY_J, ENERGY_LOW_J, ENERGY_HIGH_J, MEASURED_J, SAID_J,
    SAID_LOW_J, SAID_HIGH_J,
)  # fmt: skip
COUNTS: Final = (BY_TIME, BY_LATENCY, BY_METER, UNTIMED)


def accounted(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with the answers of their questions, to which SUMS and COUNTS are added."""
    batch, measured = pl.col(of.BATCH), pl.col(MEASURED)
    outputs = pl.col(IMAGES).fill_null(batch)
    shared = pl.col(CONCURRENCY).fill_null(1.0) * pl.max_horizontal(outputs / batch, pl.lit(1.0))
    logged = _Logged(pl.col(EXECUTION) / shared, pl.col(LATENCY) / shared)
    is_measured = measured.is_not_null()
    said = [energy * outputs for energy in logged.energies()]
    known = [pl.when(is_measured).then(measured).otherwise(energy) for energy in said]
    compared = [pl.when(is_measured).then(value).otherwise(0.0) for value in (measured, *said)]
    gpu_s = [seconds * pl.col(of.GPUS) / batch * outputs for seconds in logged.times()]
    return rows.with_columns(
        outputs.alias(OUTPUTS),
        (pl.col(of.CLIP_S).fill_null(0.0) * outputs).alias(VIDEO_S),
        *_named(gpu_s, (GPU_S, GPU_S_LOW, GPU_S_HIGH)),
        *_named(known, (ENERGY_J, ENERGY_LOW_J, ENERGY_HIGH_J)),
        *_named(compared, (MEASURED_J, SAID_J, SAID_LOW_J, SAID_HIGH_J)),
        (logged.ran & ~is_measured).alias(BY_TIME),
        (logged.is_capped & ~is_measured).alias(BY_LATENCY),
        is_measured.alias(BY_METER),
        pl.col(of.CLIP_S).is_null().alias(UNTIMED),
    )


def _named(values: Sequence[pl.Expr], names: Sequence[str]) -> list[pl.Expr]:
    return [value.alias(name) for value, name in zip(values, names, strict=True)]


class _Logged:
    """What a logged time of execution, or else a latency, says of a batch: both [s], null where unknown."""

    def __init__(self, time: pl.Expr, latency: pl.Expr) -> None:
        self._time, self._latency = time, latency
        self.ran = time.is_not_null()
        self._waited = time.is_null() & latency.is_not_null()
        batch = pl.col(of.BATCH)
        self._least, self._most = (pl.col(watts) * time / batch for watts in (of.IDLE_W, of.LIMIT_W))
        self._cap = pl.col(of.LIMIT_W) * latency / batch
        self.is_capped = (self._waited & (self._cap < pl.col(of.ENERGY))).fill_null(False)

    def times(self) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
        """Time of one batch, and its range [s]."""
        central, low, high = pl.col(of.TIME_S), pl.col(of.TIME_LOW), pl.col(of.TIME_HIGH)
        latency = self._latency
        kept = pl.min_horizontal(central, latency)
        return (
            self._chosen(self._time, kept, central),
            self._chosen(self._time, pl.min_horizontal(low, kept * low / central), low),
            self._chosen(self._time, pl.min_horizontal(high, latency), high),
        )

    def energies(self) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
        """Energy of one output, and its range [J]."""
        central, low, high = pl.col(of.ENERGY), pl.col(of.ENERGY_LOW), pl.col(of.ENERGY_HIGH)
        bounded = self._with_idling(central).clip(self._least, self._most)
        capped = pl.min_horizontal(central, self._cap)
        lowest = pl.min_horizontal(self._with_idling(low), self._at_its_power(low, self._time))
        highest = pl.max_horizontal(self._with_idling(high), self._at_its_power(high, self._time))
        shorter = self._at_its_power(low, pl.min_horizontal(pl.col(of.TIME_S), self._latency))
        return (
            self._chosen(bounded, capped, central),
            self._chosen(
                pl.max_horizontal(lowest, self._least),
                pl.min_horizontal(capped * low / central, shorter),
                low,
            ),
            self._chosen(highest.clip(self._least, self._most), pl.min_horizontal(high, self._cap), high),
        )

    def _with_idling(self, predicted: pl.Expr) -> pl.Expr:
        """What is predicted, and idle power for the time beyond that predicted."""
        return predicted + pl.col(of.IDLE_W) * (self._time - pl.col(of.TIME_S)) / pl.col(of.BATCH)

    def _at_its_power(self, predicted: pl.Expr, seconds: pl.Expr) -> pl.Expr:
        """What is predicted, at the same power for another time [s]."""
        return predicted * seconds / pl.col(of.TIME_S)

    def _chosen(self, of_time: pl.Expr, of_latency: pl.Expr, otherwise: pl.Expr) -> pl.Expr:
        return pl.when(self.ran).then(of_time).when(self._waited).then(of_latency).otherwise(otherwise)
