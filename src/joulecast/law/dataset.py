"""Runs made ready for a law: grouped by model and precision, with profiles, workloads and GPUs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import FitError, JoulecastError
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law.law import Array, FittedOn, GpuColumns
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, RunTable


@dataclass(frozen=True)
class Group:
    """Runs of one model in one precision: `rows` are their places in the dataset."""

    profile: ComputeProfile
    precision: str
    rows: NDArray[np.int64]
    workloads: WorkloadColumns
    gpus: GpuColumns


@dataclass(frozen=True)
class Dataset:
    """Measured runs with what a law needs to predict them.

    Attributes
    ----------
    runs : the runs, in order.
    groups : the same runs by model and precision.
    energy_j : measured energy of one image [J], nan when unknown, shape (runs,).
    duration_s : measured time of one batch [s], nan when unknown.
    is_dynamic : whether the energy is dynamic (idle power subtracted).
    loop_only : whether time and energy cover the denoising loop alone.
    idle_power_w : of each run's GPU.
    own : the runs for whose software a law is to predict; by default all.
    """

    runs: RunTable
    groups: tuple[Group, ...]
    gpus: tuple[Gpu, ...]
    energy_j: Array
    duration_s: Array
    is_dynamic: NDArray[np.bool_]
    loop_only: NDArray[np.bool_]
    idle_power_w: Array
    own: NDArray[np.bool_]

    @classmethod
    def build(
        cls,
        runs: RunTable,
        load: Callable[[str], ComputeProfile],
        own: Callable[[MeasuredRun], bool] = lambda run: True,
    ) -> Dataset:
        """Look up each run's profile and GPU.

        Raises
        ------
        FitError
            There are no runs, a run's model is unknown, its pipeline would refuse the workload, or two
            different GPUs have the same name.
        """
        if not len(runs):
            raise FitError("there are no runs to work on")
        members: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, run in enumerate(runs):
            members[run.model, run.precision].append(row)
        gpus = tuple(gpu(run.gpu) for run in runs)
        _check_names(gpus)
        return cls(
            runs=runs,
            groups=tuple(_group(runs, gpus, key, rows, load) for key, rows in members.items()),
            gpus=gpus,
            energy_j=runs.column("energy_j").astype(np.float64),
            duration_s=runs.column("duration_s").astype(np.float64),
            is_dynamic=np.array([run.boundary == "dynamic" for run in runs]),
            loop_only=np.array([run.scope == "denoising_loop" for run in runs]),
            idle_power_w=np.array([idle_power_w(g) for g in gpus]),
            own=np.array([own(run) for run in runs]),
        )

    def fitted_on(self) -> FittedOn:
        """A description of the runs, for the law that was fitted on them."""
        flop = np.zeros(len(self.runs))
        for group in self.groups:
            total = group.profile.total_flop(group.workloads, group.precision)
            flop[group.rows] = total / group.workloads.batch_size
        spans: dict[str, list[float]] = {
            "flop": flop.tolist(),
            "pixels": [float(run.width * run.height) for run in self.runs],
            "steps": [float(run.steps) for run in self.runs],
            "batch_size": [float(run.batch_size) for run in self.runs],
        }
        on = list(zip(self.gpus, self.runs, strict=True))
        return FittedOn(
            runs=len(self.runs),
            models=_names(run.model for run in self.runs if run.energy_j is not None),
            gpus=_names(gpu.name for gpu, run in on if run.energy_j is not None),
            timed_models=_names(run.model for run in self.runs if run.duration_s is not None),
            timed_gpus=_names(gpu.name for gpu, run in on if run.duration_s is not None),
            precisions=tuple(sorted({run.precision for run in self.runs})),
            ranges={name: (float(min(values)), float(max(values))) for name, values in spans.items()},
            sources=tuple(sorted({run.source for run in self.runs if run.source})),
        )


def _check_names(gpus: Iterable[Gpu]) -> None:
    known: dict[str, Gpu] = {}
    for found in gpus:
        if known.setdefault(found.name, found) != found:
            places = sorted({found.origin, known[found.name].origin})
            raise FitError(f"two different GPUs are named {found.name} ({' and '.join(places)}); rename one")


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _group(
    runs: RunTable,
    gpus: tuple[Gpu, ...],
    key: tuple[str, str],
    rows: list[int],
    load: Callable[[str], ComputeProfile],
) -> Group:
    model, precision = key
    members: list[MeasuredRun] = [runs[row] for row in rows]
    try:
        profile = load(model)
    except JoulecastError as error:
        raise FitError(f"run {members[0].run_id}: {error}") from error
    workloads = WorkloadColumns.from_values(
        {
            name: [getattr(run, name) for run in members]
            for name in ("width", "height", "frames", "steps", "passes")
        }
        | {"batch_size": [run.batch_size for run in members]}
        | {"text_tokens": [-1 if run.text_tokens is None else run.text_tokens for run in members]}
    )
    for run, problem in zip(members, profile.errors(workloads), strict=True):
        if problem:
            raise FitError(f"run {run.run_id}: {problem}")
    names = tuple(dict.fromkeys(gpus[row].name for row in rows))
    distinct = tuple(next(g for g in gpus if g.name == name) for name in names)
    index = np.array([names.index(gpus[row].name) for row in rows], dtype=np.int64)
    return Group(profile, precision, np.array(rows, dtype=np.int64), workloads, GpuColumns(distinct, index))
