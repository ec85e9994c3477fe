"""Ratios of GPUs' energies that others published without the runs behind them.

The paper states how much more dynamic energy an A6000 takes than an A100 (its beta_gpu), and no A6000
cell. Such a ratio says something of a chip all the same: the roofline law is fitted on it beside the runs.

Source: ``data/published_results.csv``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulecast import data
from joulecast.hardware import Gpu
from joulecast.law.dataset import Dataset
from joulecast.question.gpus import gpu


@dataclass(frozen=True)
class GpuRatio:
    """The mean log ratio of a model's dynamic energy on `gpu` and on `reference`, as `source` states it."""

    model: str
    gpu: Gpu
    reference: Gpu
    log_ratio: float
    source: str

    def cells(self, dataset: Dataset) -> NDArray[np.int64]:
        """Rows of the source's dynamic energies of the model on the reference, in 16 bits.

        None when the chip of the other GPU has no run at all: where it is held out, its ratio is too.
        """
        if self.gpu.chip not in {found.chip for found in dataset.gpus}:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(
            [
                run.source == self.source
                and run.model == self.model
                and run.gpu == self.reference.name
                and run.boundary == "dynamic"
                and run.precision != "fp32"
                for run in dataset.runs
            ]
        )


def published_ratios() -> tuple[GpuRatio, ...]:
    """Every published ratio between two GPUs."""
    return tuple(
        GpuRatio(
            row["model"],
            gpu(row["gpu"]),
            gpu(row["reference_gpu"]),
            float(row["published"]),
            row["source"],
        )
        for row in data.read_table("published_results.csv")
        if row["reference_gpu"]
    )
