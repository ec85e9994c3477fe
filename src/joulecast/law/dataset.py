"""Runs made ready for a law: grouped by model and precision, with profiles, workloads and GPUs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import FitError, JoulecastError
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law.law import FORMATS, Array, FittedOn, GpuColumns, Kind, LawInput
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, RunTable
from joulecast.runtime import Runtime

Load = Callable[[str], ComputeProfile]


@dataclass(frozen=True)
class Group:
    """Runs of one model in one precision under one runtime: `rows` are their places in the dataset."""

    profile: ComputeProfile
    precision: str
    runtime: Runtime
    rows: NDArray[np.int64]
    workloads: WorkloadColumns
    gpus: GpuColumns

    @property
    def asked(self) -> LawInput:
        """What a law is asked of the runs."""
        return LawInput(self.profile, self.workloads, self.precision, self.gpus, self.runtime)


@dataclass(frozen=True)
class Dataset:
    """Measured runs with what a law needs to predict them.

    Attributes
    ----------
    runs : the runs, in order.
    groups : the same runs by model, precision and runtime.
    runtimes : of each run.
    energy_j : measured energy of one image [J], nan when unknown, shape (runs,).
    duration_s : measured time of one batch [s], nan when unknown.
    is_dynamic : whether the energy is dynamic (idle power subtracted).
    loop_only : whether time and energy cover the denoising loop alone.
    idle_power_w : of each run's GPUs together.
    own : the runs for whose software a law is to predict; by default all.
    """

    runs: RunTable
    groups: tuple[Group, ...]
    gpus: tuple[Gpu, ...]
    runtimes: tuple[Runtime, ...]
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
        load: Load,
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
        members: dict[tuple[str, str, Runtime], list[int]] = defaultdict(list)
        runtimes = tuple(run.runtime for run in runs)
        for row, run in enumerate(runs):
            members[run.model, run.precision, runtimes[row]].append(row)
        gpus = tuple(gpu(run.gpu) for run in runs)
        _check_names(gpus)
        return cls(
            runs=runs,
            groups=tuple(_group(runs, gpus, key, rows, load) for key, rows in members.items()),
            gpus=gpus,
            runtimes=runtimes,
            energy_j=runs.column("energy_j").astype(np.float64),
            duration_s=runs.column("duration_s").astype(np.float64),
            is_dynamic=np.array([run.boundary == "dynamic" for run in runs]),
            loop_only=np.array([run.scope == "denoising_loop" for run in runs]),
            idle_power_w=np.array([idle_power_w(g) * r.gpus for g, r in zip(gpus, runtimes, strict=True)]),
            own=np.array([own(run) for run in runs]),
        )

    def fitted_on(self) -> FittedOn:
        """A description of the runs, for the law that was fitted on them."""
        flop = np.zeros(len(self.runs))
        for group in self.groups:
            total = group.profile.total_flop(group.workloads, group.precision)
            flop[group.rows] = total / group.workloads.batch_size
        energies, times = (
            [row for row, run in enumerate(self.runs) if getattr(run, quantity) is not None]
            for quantity in ("energy_j", "duration_s")
        )
        of_energies, of_times = (self._ranges(flop, rows) for rows in (energies or times, times or energies))
        return FittedOn(
            runs=len(self.runs),
            **self._measured(range(len(self.runs))),
            precisions=tuple(sorted({run.precision for run in self.runs})),
            ranges=of_energies,
            sources=tuple(sorted({run.source for run in self.runs if run.source})),
            kinds=self._kinds(),
            timed_ranges={} if of_times == of_energies else of_times,
            ways=_names(way for runtime in self.runtimes for way, _ in runtime.parallel),
        )

    @property
    def joined_text(self) -> Array:
        """Of each run, the tokens of `ComputeProfile.joined_text`."""
        out = np.zeros(len(self.runs))
        for group in self.groups:
            out[group.rows] = group.profile.joined_text(group.workloads)
        return out

    def _measured(self, rows: Iterable[int]) -> dict[str, Any]:
        """The models and GPUs of the runs in `rows` with energies, and of those with times."""
        some = [(self.runs[row], self.gpus[row].name) for row in rows]
        energies = [(run.model, gpu) for run, gpu in some if run.energy_j is not None]
        times = [(run.model, gpu) for run, gpu in some if run.duration_s is not None]
        return {
            "models": _names(model for model, _ in energies),
            "gpus": _names(gpu for _, gpu in energies),
            "timed_models": _names(model for model, _ in times),
            "timed_gpus": _names(gpu for _, gpu in times),
        }

    def _ranges(self, flop: Array, rows: Sequence[int]) -> dict[str, tuple[float, float]]:
        """The smallest and largest of what the runs in `rows` asked for."""
        runs = [self.runs[row] for row in rows]
        spans: dict[str, list[float]] = {
            "flop": flop[rows].tolist(),
            "pixels": [float(run.width * run.height) for run in runs],
            "steps": [float(run.steps) for run in runs],
            "batch_size": [float(run.shared_batch_size) for run in runs],
        }
        if any(run.frames > 1 for run in runs):
            spans["frames"] = [float(run.frames) for run in runs]
        if any(run.power_limit_w is not None for run in runs):
            boards = [self.gpus[row].tdp_w for row in rows]
            spans["power_limit"] = [
                (run.power_limit_w or board_w) / board_w for run, board_w in zip(runs, boards, strict=True)
            ]
        return {name: (min(values), max(values)) for name, values in spans.items()}

    def _kinds(self) -> tuple[Kind, ...]:
        """The models and GPUs measured of each runtime and number format."""
        by_kind: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, (run, runtime) in enumerate(zip(self.runs, self.runtimes, strict=True)):
            by_kind[runtime.family, FORMATS[run.precision]].append(row)
        return tuple(
            Kind(runtime, number_format, **self._measured(rows))
            for (runtime, number_format), rows in sorted(by_kind.items())
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
    key: tuple[str, str, Runtime],
    rows: list[int],
    load: Load,
) -> Group:
    model, precision, runtime = key
    members: list[MeasuredRun] = [runs[row] for row in rows]
    try:
        profile = load(model)
    except JoulecastError as error:
        raise FitError(f"run {members[0].run_id}: {error}") from error
    workloads = WorkloadColumns.from_values(
        {
            name: [getattr(run, name) for run in members]
            for name in ("width", "height", "frames", "steps", "passes", "negative_prompt")
        }
        | {"batch_size": [run.shared_batch_size for run in members]}
        | {"text_tokens": [-1 if run.text_tokens is None else run.text_tokens for run in members]}
    )
    for run, problem in zip(members, profile.errors(workloads), strict=True):
        if problem:
            raise FitError(f"run {run.run_id}: {problem}")
    names = tuple(dict.fromkeys(gpus[row].name for row in rows))
    distinct = tuple(next(g for g in gpus if g.name == name) for name in names)
    index = np.array([names.index(gpus[row].name) for row in rows], dtype=np.int64)
    return Group(
        profile, precision, runtime, np.array(rows, dtype=np.int64), workloads, GpuColumns(distinct, index)
    )
