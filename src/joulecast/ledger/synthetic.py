"""Invented logs of a service, for tests, benchmarks and demonstrations: every row says that it is synthetic.

Days have a rhythm, few models and customers make most requests, and some rows are dirt. Nothing in them was
measured: their latencies are drawn around plausible seconds, and no conclusion may be drawn from them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

DIRT: Final = 0.01  # of rows: a model that nobody knows, steps below zero, a time that is none
MARK: Final = "synthetic"
_MODELS: Final = (
    "sdxl", "flux.1-dev", "sd1.5", "qwen-image", "flux.1-schnell", "sd3.5-large", "pixart-sigma",
    "wan2.1-t2v-1.3b",
)  # fmt: skip
_GPUS: Final = ("H100", "A100", "L40S", "RTX 4090")
_SIZES: Final = ("1024x1024", "768x1344", "512x512")
_REGIONS: Final = ("DE", "FR", "US", "SE")
_STEPS: Final = (20, 28, 30, 50)


def synthetic_log(
    rows: int, seed: int = 0, begin: datetime = datetime(2026, 10, 1, tzinfo=UTC), days: int = 30
) -> pl.DataFrame:
    """A log of so many requests from `begin` on, in the order of their times; the same for the same seed."""
    draw = np.random.default_rng(seed)
    hour = draw.choice(24, rows, p=_rhythm())
    second = draw.integers(0, days, rows) * 86_400 + hour * 3600 + draw.integers(0, 3600, rows)
    time = pl.Series((int(begin.timestamp()) + np.sort(second)) * 1_000_000).cast(pl.Datetime("us", "UTC"))
    log = pl.DataFrame({
        "time": time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "model": _drawn(draw, _MODELS, rows, skew=1.2),
        "gpu": _drawn(draw, _GPUS, rows, skew=1.0),
        "size": _drawn(draw, _SIZES, rows, skew=1.0),
        "steps": np.array(_STEPS)[draw.integers(0, len(_STEPS), rows)],
        "batch_size": 2 ** draw.integers(0, 3, rows),
        "region": _drawn(draw, _REGIONS, rows, skew=0.5),
        "customer": _drawn(draw, [f"customer {i}" for i in range(200)], rows, skew=1.1),
        "latency_s": np.where(draw.random(rows) < 0.7, draw.lognormal(1.5, 0.8, rows).round(3), np.nan),
        MARK: np.ones(rows, dtype=bool),
    }).with_columns(pl.col("latency_s").fill_nan(None))  # fmt: skip
    kind = pl.Series("kind", np.where(draw.random(rows) < DIRT, draw.integers(1, 4, rows), 0))
    return log.with_columns(
        model=pl.when(kind == 1).then(pl.lit("nobody-knows")).otherwise("model"),
        steps=pl.when(kind == 2).then(-1).otherwise("steps"),
        time=pl.when(kind == 3).then(pl.lit("yesterday")).otherwise("time"),
    )


def _rhythm() -> np.ndarray:
    """The share of a day's requests in each of its hours: fewest at four in the morning."""
    share = 1.2 - np.cos((np.arange(24) - 4) * 2 * np.pi / 24)
    found: np.ndarray = share / share.sum()
    return found


def _drawn(
    draw: np.random.Generator, names: tuple[str, ...] | list[str], rows: int, skew: float
) -> pl.Series:
    """Names of which the first are the most frequent, as their rank to the power of -`skew`."""
    weight = np.arange(1, len(names) + 1, dtype=np.float64) ** -skew
    place = draw.choice(len(names), rows, p=weight / weight.sum())
    return pl.Series(list(names)).gather(pl.Series(place))
