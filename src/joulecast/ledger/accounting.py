"""What one request used, from what was predicted of its question and what was logged of its running.

The rule, in order:

1. A measured energy is the energy, and is compared with what would have been said without it.
2. A logged time of execution is the time. What it is longer than predicted the GPU waited at idle power, what
   it is shorter it did not; the energy lies between idle power and the power limit for that time.
3. A logged latency, which may hold waiting in a queue, is the most that the execution took: the energy is at
   most the power limit for it.
4. Else the prediction.

Requests that ran beside each other on the same GPUs (CONCURRENCY) share its time evenly. A batch (the key
``batch_size``) is one execution of several images; a request of more images than one batch is executed
several times, one after the other, and one of fewer shares its execution with others.
"""

from __future__ import annotations

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
SUMS: Final = (
    OUTPUTS, VIDEO_S, GPU_S, GPU_S_LOW, GPU_S_HIGH, ENERGY_J, ENERGY_LOW_J, ENERGY_HIGH_J, MEASURED_J, SAID_J,
    SAID_LOW_J, SAID_HIGH_J,
)  # fmt: skip
COUNTS: Final = (BY_TIME, BY_LATENCY, BY_METER)


def accounted(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Rows with the answers of their questions, to which SUMS and COUNTS are added."""
    batch = pl.col(of.BATCH)
    outputs = pl.col(IMAGES).fill_null(batch)
    shared = pl.col(CONCURRENCY).fill_null(1.0) * pl.max_horizontal(outputs / batch, pl.lit(1.0))
    time, most = pl.col(EXECUTION) / shared, pl.col(LATENCY) / shared
    ran = time.is_not_null()
    waited = time.is_null() & most.is_not_null()

    def seconds(name: str) -> pl.Expr:
        """Time of one batch [s]."""
        predicted = pl.col(name)
        return (
            pl.when(ran).then(time).when(waited).then(pl.min_horizontal(predicted, most)).otherwise(predicted)
        )

    def joules(name: str) -> pl.Expr:
        """Energy of one output [J]."""
        predicted, limit, idle = pl.col(name), pl.col(of.LIMIT_W), pl.col(of.IDLE_W)
        moved = predicted + idle * (time - pl.col(of.TIME_S)) / batch
        bounded = moved.clip(idle * time / batch, limit * time / batch)
        capped = pl.min_horizontal(predicted, limit * most / batch)
        return pl.when(ran).then(bounded).when(waited).then(capped).otherwise(predicted)

    measured = pl.col(MEASURED)
    said = {name: joules(name) * outputs for name in (of.ENERGY, of.ENERGY_LOW, of.ENERGY_HIGH)}
    is_measured = measured.is_not_null()
    gpu_s = {
        name: seconds(name) * pl.col(of.GPUS) / batch * outputs
        for name in (of.TIME_S, of.TIME_LOW, of.TIME_HIGH)
    }
    where_measured = [
        pl.when(is_measured).then(value).otherwise(0.0).alias(name)
        for name, value in zip(
            (MEASURED_J, SAID_J, SAID_LOW_J, SAID_HIGH_J), (measured, *said.values()), strict=True
        )
    ]
    return rows.with_columns(
        outputs.alias(OUTPUTS),
        (pl.col(of.CLIP_S).fill_null(0.0) * outputs).alias(VIDEO_S),
        *[
            value.alias(name)
            for name, value in zip((GPU_S, GPU_S_LOW, GPU_S_HIGH), gpu_s.values(), strict=True)
        ],
        *[
            pl.when(is_measured).then(measured).otherwise(value).alias(name)
            for name, value in zip((ENERGY_J, ENERGY_LOW_J, ENERGY_HIGH_J), said.values(), strict=True)
        ],
        *where_measured,
        (ran & ~is_measured).alias(BY_TIME),
        (waited & ~is_measured & (joules(of.ENERGY) < pl.col(of.ENERGY))).alias(BY_LATENCY),
        is_measured.alias(BY_METER),
    )
