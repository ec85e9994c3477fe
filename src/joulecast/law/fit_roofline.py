"""Fit the roofline law: penalised least squares on log energies and log times. Needs scipy.

Beside the runs, it is fitted on published ratios of two GPUs' energies (`joulecast.law.published`).
Every parameter has a prior (what physics or datasheets say before any run), so that few runs move
it little; effects of single chips and sources are drawn to zero, which pools them partially.
Source effects (a software stack's launch time, and its energy level) are estimated to keep them
out of the other parameters; predictions use their mean over the runs that are `Dataset.own`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joulecast.boundary import dynamic_j
from joulecast.compute.operators import DENOISER
from joulecast.errors import FitError
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import Covariance
from joulecast.law.law import Array, GpuColumns
from joulecast.law.published import GpuRatio, published_ratios
from joulecast.law.roofline import (
    CLASSES,
    Demand,
    GpuTraits,
    RooflineLaw,
    RooflineParameters,
    Work,
    chip_factor,
    demand,
    settle,
    weigh,
)

Rows = NDArray[np.int64]
_Unpacked = tuple[dict[str, float], Array, Array, Array]  # shared, and effects of chips, hosts and levels


@dataclass(frozen=True)
class Prior:
    """Median and spread (log) of a parameter before any run; shares lie between 0 and 1 (logit)."""

    median: float
    spread: float
    is_share: bool = False

    def internal(self, value: float) -> float:
        """The unbounded scale on which the fit works."""
        return float(np.log(value / (1 - value)) if self.is_share else np.log(value))

    def natural(self, value: float) -> float:
        """The inverse of `internal`."""
        return float(1 / (1 + np.exp(-value)) if self.is_share else np.exp(value))


# Orders of magnitude from datasheets (a board's power over its peak; DRAM at tens of pJ a byte),
# microbenchmarks (kernels of a few us, launches of tens of us), and the usual shares of a peak
# that libraries reach. They are wide; where the runs speak, the runs decide.
PRIORS: Mapping[str, Prior] = {
    "energy_per_flop_j": Prior(1.5e-12, 0.7),
    "energy_per_score_j": Prior(400e-12, 0.4),
    "energy_per_byte_j": Prior(40e-12, 0.5),
    "energy_per_fp32_flop_j": Prior(12e-12, 1.0),
    "convolution_energy": Prior(1.35, 0.3),
    "convolution_traffic": Prior(3.0, 0.4),
    "gemm_efficiency": Prior(0.75, 0.5, is_share=True),
    "convolution_efficiency": Prior(0.5, 0.6, is_share=True),
    "attention_efficiency": Prior(0.5, 0.4, is_share=True),
    "fp32_efficiency": Prior(0.85, 0.5, is_share=True),
    "bandwidth_efficiency": Prior(0.75, 0.5, is_share=True),
    "kernel_time_s": Prior(4e-6, 0.5),
    "launch_time_s": Prior(10e-6, 0.5),
    "module_time_s": Prior(40e-6, 0.5),
    "static_power_share": Prior(0.2, 0.35, is_share=True),
    "power_limit_share": Prior(0.97, 0.4, is_share=True),
    "lowest_clock": Prior(0.6, 0.35, is_share=True),
    "node_exponent": Prior(1.0, 0.2),
    "clock_exponent": Prior(0.9, 0.3),
}
CHIP_SPREAD = 0.15
HOST_SPREAD = 0.3
SOURCE_SPREAD = 0.1
# Spread (log) of a run around the law: what remains of model and software differences.
ENERGY_SPREAD, DURATION_SPREAD = 0.06, 0.08
# Of a published ratio: the two we have differ by 0.14, and their workloads are not known.
RATIO_SPREAD = 0.1
LEAST_RUNS, LEAST_SETTINGS = 4, 3


def fit_roofline(dataset: Dataset, name: str = "roofline") -> RooflineLaw:
    """The roofline law fitted on runs with energies, times or both.

    Raises
    ------
    FitError
        Too few runs, or runs that are all the same workload.
    """
    problem = _Problem(dataset)
    solution = problem.solve()
    shared, chips, host, level = problem.unpack(solution)
    own = problem.source_index[dataset.own]
    for name_of_time in ("launch_time_s", "module_time_s"):
        shared[name_of_time] *= float(np.exp(host[own].mean()))
    parameters = RooflineParameters(
        shared=shared,
        chip_effects={c: float(v) for c, v in zip(problem.chips, chips, strict=True)},
        level=float(np.exp(level[own].mean())),
        host_spread=max(float(np.std(host)), HOST_SPREAD),
    )
    return RooflineLaw(name, parameters, dataset.fitted_on(), covariance=problem.covariance(solution))


@dataclass
class _Place:
    """Runs on their GPUs, or on others, and what they asked for at the last shared parameters.

    Half of the steps of a Jacobian change effects of chips and sources alone, which come after the demand.
    """

    work: Work
    traits: GpuTraits
    idle_power_w: Array  # to subtract [W]; zero where the boundary is gross
    source: Rows
    batch: Array
    known: tuple[dict[str, float], Demand] | None = None

    def demand(self, p: dict[str, float]) -> Demand:
        """What the runs ask for, with shared parameters `p`."""
        if self.known is None or self.known[0] != p:
            weighed = weigh(self.work, p)
            self.known = p, Demand(*demand(weighed, weighed.table, self.traits)[:, 0])
        return self.known[1]


class _Problem:
    """The runs as padded arrays, and the residuals of a parameter vector."""

    def __init__(self, dataset: Dataset) -> None:
        if len(dataset.runs) < LEAST_RUNS:
            raise FitError(f"{len(dataset.runs)} runs; the roofline law needs at least {LEAST_RUNS}")
        settings = {(r.model, r.width, r.height, r.steps, r.batch_size, r.precision) for r in dataset.runs}
        if len(settings) < LEAST_SETTINGS:
            raise FitError("the runs are all of the same workload; vary size, steps or batch size")
        self.dataset = dataset
        gpus = {gpu.name: gpu for gpu in dataset.gpus}
        names = list(gpus)
        index = np.array([names.index(gpu.name) for gpu in dataset.gpus], dtype=np.int64)
        self.traits = GpuTraits.of(GpuColumns(tuple(gpus.values()), index))
        self.chips = tuple(sorted({gpu.chip for gpu in dataset.gpus}))
        self.sources = tuple(sorted({run.source or "" for run in dataset.runs}))
        self.source_index = np.array([self.sources.index(run.source or "") for run in dataset.runs])
        self.batch = np.array([run.batch_size for run in dataset.runs], dtype=np.float64)
        self.work = padded_work(dataset)
        self.has_energy = np.isfinite(dataset.energy_j)
        self.has_duration = np.isfinite(dataset.duration_s)
        self.log_energy = np.log(np.where(self.has_energy, dataset.energy_j, 1.0))
        self.log_duration = np.log(np.where(self.has_duration, dataset.duration_s, 1.0))
        idle = np.where(dataset.is_dynamic, dataset.idle_power_w, 0.0)
        self.place = _Place(self.work, self.traits, idle, self.source_index, self.batch)
        self.ratios = [
            (ratio, self._places(ratio, rows))
            for ratio in published_ratios()
            if len(rows := ratio.cells(dataset))
        ]
        self.centre = np.array([prior.internal(prior.median) for prior in PRIORS.values()])
        self.spread = np.array([prior.spread for prior in PRIORS.values()])

    def unpack(self, x: Array) -> _Unpacked:
        """Shared parameters, and effects (log) of chips, of sources on host time and on energy."""
        ends = np.cumsum([len(PRIORS), len(self.chips), len(self.sources)])
        shared, chips, host, level = np.split(x, ends)
        named = {n: p.natural(v) for (n, p), v in zip(PRIORS.items(), shared, strict=True)}
        return named, chips, host, level

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Energy of one image within each run's boundary [J], and time of its batch [s]."""
        return self._predict(self.unpack(x), self.place)

    def _predict(self, parameters: _Unpacked, place: _Place) -> tuple[Array, Array]:
        """The same of some runs on some GPUs."""
        p, chips, host, level = parameters
        effects = dict(zip(self.chips, chips, strict=True))
        asked = place.demand(p)
        source = np.exp(level[place.source])
        total = Demand(
            asked.busy_s * source,
            asked.energy_j * chip_factor(place.traits, p, effects) * source,
            asked.host_s * np.exp(host[place.source]),
        )
        duration, dynamic, static = settle(total, place.traits, p)
        gross = static * duration + total.energy_j * dynamic
        return dynamic_j(gross, place.idle_power_w * duration) / place.batch, duration

    def log_ratio(self, parameters: _Unpacked, places: tuple[_Place, _Place]) -> float:
        """The mean log ratio of dynamic energies on a ratio's two GPUs over some runs."""
        on = [self._predict(parameters, place)[0] for place in places]
        return float(np.log(on[0] / on[1]).mean())

    def _places(self, ratio: GpuRatio, rows: Rows) -> tuple[_Place, _Place]:
        """Some runs on a ratio's two GPUs, idle power subtracted."""

        def on(gpu: Gpu) -> _Place:
            traits = GpuTraits.of(GpuColumns.of(gpu, len(rows)))
            idle = idle_power_w(gpu) * np.ones(len(rows))
            return _Place(self.work.take(rows), traits, idle, self.source_index[rows], self.batch[rows])

        return on(ratio.gpu), on(ratio.reference)

    def residuals(self, x: Array) -> Array:
        """Of energies, times, published ratios, and parameters against their priors, each over its spread."""
        parameters = self.unpack(x)
        _, chips, host, level = parameters
        energy, duration = self._predict(parameters, self.place)
        off = [self.log_ratio(parameters, places) - ratio.log_ratio for ratio, places in self.ratios]
        return np.concatenate(
            [
                np.where(self.has_energy, np.log(energy) - self.log_energy, 0.0) / ENERGY_SPREAD,
                np.where(self.has_duration, np.log(duration) - self.log_duration, 0.0) / DURATION_SPREAD,
                np.array(off) / RATIO_SPREAD,
                (x[: len(PRIORS)] - self.centre) / self.spread,
                chips / CHIP_SPREAD,
                host / HOST_SPREAD,
                level / SOURCE_SPREAD,
            ]
        )

    def solve(self) -> Array:
        """The most probable parameters; residuals beyond their spread count less (soft L1)."""
        from scipy.optimize import least_squares

        start = np.concatenate([self.centre, np.zeros(len(self.chips) + 2 * len(self.sources))])
        result = least_squares(self.residuals, start, loss="soft_l1", max_nfev=200, ftol=1e-6)
        if not np.isfinite(result.x).all() or not np.isfinite(result.fun).all():
            raise FitError("the fit did not settle on finite parameters; check the runs' energies and times")
        return np.asarray(result.x)

    def covariance(self, x: Array) -> Covariance:
        """Laplace approximation at the solution, on the fit's internal (log or logit) scale."""
        step = 1e-5
        base = self.residuals(x)
        jacobian = np.column_stack(
            [(self.residuals(x + step * unit) - base) / step for unit in np.eye(len(x))]
        )
        matrix = np.linalg.inv(jacobian.T @ jacobian)[: len(PRIORS), : len(PRIORS)]
        return Covariance(tuple(PRIORS), "log, logit for shares", tuple(map(tuple, matrix.round(8).tolist())))


def padded_work(dataset: Dataset) -> Work:
    """The work of every run as one call with the same number of groups, zeros where a run has fewer."""
    runs = len(dataset.runs)
    columns: dict[int, list[tuple[Rows, Array, Array]]] = {place: [] for place in range(len(CLASSES))}
    sums = np.zeros((4, runs))
    for group in dataset.groups:
        for part in group.profile.evaluation(group.workloads, group.precision).parts:
            rows, work = group.rows[part.rows], Work.of(part.case)
            is_denoiser = np.array([[call.component.role == DENOISER] for call in part.case.calls])
            calls = part.weights * (is_denoiser | ~dataset.loop_only[rows])
            by_group = work.of_call.T @ calls
            flop, moved = (cost @ part.monomials * by_group for cost in (work.flop, work.bytes))
            for place, parts in columns.items():
                parts.append((rows, flop[work.classes == place], moved[work.classes == place]))
            scores, memory = (cost @ part.monomials for cost in (work.scores, work.memory_bytes))
            for total, value in zip(sums, (scores, memory, work.launches, work.modules), strict=True):
                total[rows] = (value * calls).sum(axis=0)
    padded = [_padded(runs, parts) for parts in columns.values()]
    flop, moved = np.concatenate(padded, axis=1)
    classes = np.repeat(np.arange(len(CLASSES)), [found.shape[1] for found in padded])
    return Work(classes, np.ones((1, len(classes))), flop, moved, *sums[:, None, :])


def _padded(runs: int, parts: list[tuple[Rows, Array, Array]]) -> Array:
    """FLOP and bytes of the groups of one class, shape (2, groups, runs)."""
    out = np.zeros((2, max(len(flop) for _, flop, _ in parts), runs))
    for rows, *costs in parts:
        for table, cost in zip(out, costs, strict=True):
            table[: len(cost), rows] = cost
    return out
