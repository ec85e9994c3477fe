"""What runs are held out with, and told apart by: their source, model, chip and runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from joulecast.law.law import UNSEEN_RUNTIME, Array
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, RunTable

_VERSION = re.compile(r" v\d+$")
FOLDS = 5
_STRATA = {
    "reference": "eager diffusers on one GPU",
    "one_gpu": "another runtime on one GPU",
    "several_gpus": "several GPUs",
}


def groups_of(holdout: str, runs: RunTable) -> tuple[str, ...]:
    """The group that each run is held out with."""
    if holdout == "same_source":
        return tuple(f"fold {place % FOLDS}" for place in range(len(runs)))
    keys: Mapping[str, Callable[[MeasuredRun], str]] = {
        "seen": publisher,
        "unseen_model": lambda run: run.model,
        "unseen_gpu": chip,
        "unseen_both": lambda run: f"{run.model} on {chip(run)}",
        UNSEEN_RUNTIME: runtime_group,
    }
    return tuple(keys[holdout](run) for run in runs)


def publisher(run: MeasuredRun) -> str:
    """Whose run it is: versions of one source come from the same hands and meters."""
    return _VERSION.sub("", run.source or "unknown")


def chip(run: MeasuredRun) -> str:
    """The chip a run's GPU is made of."""
    return gpu(run.gpu).chip


def runtime_group(run: MeasuredRun) -> str:
    """What is held out with a run's runtime: all of as many GPUs, or all of its family on one."""
    return f"{run.gpu_count} GPUs" if run.gpu_count > 1 else run.runtime.family


def breakdowns(runs: RunTable) -> Iterator[tuple[str, str, Array]]:
    """(dimension, value, rows) for scores by model, GPU, batch size, source and runtime."""
    dimensions: Mapping[str, Callable[[MeasuredRun], object]] = {
        "model": lambda run: run.model,
        "gpu": lambda run: run.gpu,
        "chip": chip,
        "batch_size": lambda run: run.batch_size,
        "source": lambda run: run.source or "unknown",
        "runtime": runtime_group,
        "stratum": lambda run: f"{_STRATA[run.runtime.stratum]}, {'videos' if run.frames > 1 else 'images'}",
    }
    for dimension, key in dimensions.items():
        values = [key(run) for run in runs]
        for value in sorted(set(values), key=lambda v: (isinstance(v, str), v)):
            yield dimension, str(value), np.array([v == value for v in values])


def level(run: MeasuredRun) -> str:
    """What has one level of energy: the runtime is told where it is not the reference."""
    runtime = "" if run.runtime.is_reference else f", {run.runtime.family}"
    return f"{run.model} on {chip(run)}, {run.precision}, {run.boundary}{runtime}"
