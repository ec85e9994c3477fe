"""Fit the roofline law: penalised least squares on log energies and log times. Needs scipy.

Beside the runs, it is fitted on published ratios of two GPUs' energies (`joulecast.law.published`).
Every parameter has a prior (what physics or datasheets say before any run), so that few runs move
it little; effects of single chips, engines and sources are drawn to zero, which pools them partially.
Source effects (a software stack's launch time, and its energy level) are estimated to keep them
out of the other parameters; predictions use their mean over the runs that are `Dataset.own`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.boundary import dynamic_j
from joulecast.errors import FitError
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law.conduct import (
    Conduct,
    Facts,
    RuntimeEffects,
    cache_effect,
    cache_share,
    conduct,
    facts_of,
    quantised_name,
)
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import Covariance
from joulecast.law.law import Array, GpuColumns
from joulecast.law.padded import padded_work
from joulecast.law.priors import PRIORS
from joulecast.law.published import GpuRatio, published_ratios
from joulecast.law.roofline import RooflineLaw, RooflineParameters, chip_factor, settle
from joulecast.law.traits import GpuTraits
from joulecast.law.work import WEIGHED_BY, Demand, Setup, Weighed, Work, demand, rates, weigh
from joulecast.runtime import NONE, REFERENCE, Runtime

Rows = NDArray[np.int64]

# Spreads (log) of what single chips, sources, engines, kernels and caches differ by: assumed before any run,
# they decide how far few runs move an effect from zero. None is tuned; beside each, the root mean square of
# the effects that the packaged runs give, which must not be larger (tests/law/test_spreads.py).
SPREADS = {
    # Voltages at one clock, and what of a chip is switched off: a tenth or two. As fitted 0.07.
    "chip_energy": 0.15,
    # What share of its peak a chip is fed, beside what its density tells: a tenth. As fitted 0.06.
    "chip_slowness": 0.1,
    # Processors of a few years and versions of Python and torch: a third. As fitted 0.13, and 0.3 of the
    # seven sources whose runs wait for their host.
    "host": 0.3,
    # Meters and what they leave out, versions of drivers, clocks: a tenth. As fitted 0.05.
    "level": 0.1,
    # Compilers' kernels for the same module: a sixth. As fitted 0.10.
    "engine": 0.15,
    # Kernels of one format are written anew for each engine, and some fall back to other arithmetic, so that
    # a factor of two is not odd. As fitted (median) 0.55; torchao's int4 weights and eager int8 are beyond.
    "quantised": 0.6,
    # Of the share of calls left (logit): from two fifths to three fifths. As fitted 0.36, of two.
    "cache": 0.4,
}
# Spread (log) of a run around the law: what remains of model and software differences. As fitted, 0.06 of
# energies and 0.08 of times of the reference.
ENERGY_SPREAD, DURATION_SPREAD = 0.06, 0.08
# The same beside it of other runtimes, on one GPU and on several: engines of one kind differ, and so do their
# exchanges. As fitted 0.15 of both. Of several GPUs it is wider, because nearly all runs are one source's, a
# model's come thirty at a time, and these share what the law does not know of it.
RUNTIME_SPREAD, SEVERAL_GPUS_SPREAD = 0.15, 0.25
# Runs of which a condition or two had to be inferred stand further from the law: so many times its spread. As
# fitted 1.3 times, of 11 times of the reference.
TRUST_SPREAD = {"A": 1.0, "B": 1.5}
# Of a published ratio: the two we have differ by 0.14, and their workloads are not known.
RATIO_SPREAD = 0.1
LEAST_RUNS, LEAST_SETTINGS = 4, 3
STEP = 1e-5  # of a finite difference
MOST_STEPS, TOLERANCE = 100, 1e-4
# Where a law is near that had all of the runs and more: hold-outs. With all steps, what they predict differs
# by 0.1 % at the median, and no width by more than 4 %.
MOST_STEPS_NEAR = 10
# Where a search begins, beside the priors' medians: attention may be bound by its FLOP or by its scores, and
# a search that begins on one side may stay there.
STARTS: tuple[Mapping[str, float], ...] = ({}, {"exponential_efficiency": 0.2})


def fit_roofline(dataset: Dataset, name: str = "roofline", near: RooflineLaw | None = None) -> RooflineLaw:
    """The roofline law fitted on runs with energies, times or both.

    The search begins at the parameters of a law that is `near`, else at each of STARTS, of which the best end
    is taken; then the law has the covariance of its parameters.

    Raises
    ------
    FitError
        Too few runs, or runs that are all the same workload.
    """
    problem = Search(dataset)
    solution = problem.best() if near is None else problem.from_a(near)
    shared, effects = problem.unpack(solution)
    own = problem.index["host"][dataset.own]
    host = effects["host"]
    for name_of_time in ("launch_time_s", "module_time_s"):
        shared[name_of_time] *= float(np.exp(host[own].mean()))
    parameters = RooflineParameters(
        shared=shared,
        chip_effects=problem.named("chip_energy", effects),
        chip_slowness=problem.named("chip_slowness", effects),
        engine_slowness=problem.named("engine", effects),
        quantised_slowness=problem.named("quantised", effects),
        cache_shares={name: float(cache_share(x)) for name, x in problem.named("cache", effects).items()},
        level=float(np.exp(effects["level"][own].mean())),
        host_spread=max(float(np.std(host)), SPREADS["host"]),
    )
    covariance = problem.covariance(solution) if near is None else None
    return RooflineLaw(name, parameters, dataset.fitted_on(), covariance=covariance)


Effects = Mapping[str, Array]  # by kind of effect: of each name, or of each row
OF_CHIPS = ("chip_energy", "chip_slowness")


def runtime_spread(runtime: Runtime) -> float:
    """The spread (log) of runs of a runtime that its parts do not explain."""
    if runtime.is_reference:
        return 0.0
    return RUNTIME_SPREAD if runtime.gpus == 1 else SEVERAL_GPUS_SPREAD


class _Rows(NamedTuple):
    """Runs on their GPUs, and behind them those of published ratios on the GPUs of these, twice each."""

    work: Work
    traits: GpuTraits
    idle_power_w: Array  # of all GPUs, to subtract [W]; zero where the boundary is gross
    batch: Array
    steps: Array
    joined_text: Array  # tokens of the text that attention joins to the image's
    runtimes: Facts  # of the distinct ones
    runtime: Rows  # of each row
    first: Rows  # a row of each of the distinct runtimes
    places: Mapping[str, Rows]  # of each row's effect of each kind, -1 where it has none

    def effects(self, by_name: Effects) -> Effects:
        """The effects of each row."""
        return {
            kind: np.append(values, 0.0)[self.places[kind]]  # -1, the last, is of a row that has none
            for kind, values in by_name.items()
        }

    def how(self, p: Mapping[str, float], effects: Effects) -> Conduct:
        """What each row's runtime makes of its work; `effects` are of each row."""
        of_runtimes = RuntimeEffects(*(effects[kind][self.first] for kind in RuntimeEffects._fields))
        return conduct(self.runtimes, p, of_runtimes).take(self.runtime).over(self.steps, self.joined_text)


def _rows_of(
    dataset: Dataset, ratios: Sequence[tuple[GpuRatio, Rows]], index: Mapping[str, Rows], chips: Sequence[str]
) -> _Rows:
    sides = [(gpu, rows) for ratio, rows in ratios for gpu in (ratio.gpu, ratio.reference)]
    taken = np.concatenate([np.arange(len(dataset.runs)), *(rows for _, rows in sides)])
    further = [gpu for gpu, rows in sides for _ in rows]
    gpus = [*dataset.gpus, *further]
    kinds = {kind: place for place, kind in enumerate(dict.fromkeys(dataset.runtimes))}
    runtime = np.array([kinds[kind] for kind in dataset.runtimes], dtype=np.int64)[taken]
    known = {chip: place for place, chip in enumerate(chips)}
    chip = np.array([known.get(gpu.chip, -1) for gpu in gpus], dtype=np.int64)
    idle = np.where(dataset.is_dynamic, dataset.idle_power_w, 0.0)
    return _Rows(
        work=padded_work(dataset).take(taken),
        traits=GpuTraits.of(_columns(gpus)),
        idle_power_w=np.concatenate([idle, [idle_power_w(gpu) for gpu in further]]),
        batch=np.array([dataset.runs[row].shared_batch_size for row in taken], dtype=np.float64),
        steps=np.array([dataset.runs[row].steps for row in taken], dtype=np.float64),
        joined_text=dataset.joined_text[taken],
        runtimes=facts_of(tuple(kinds)),
        runtime=runtime,
        first=np.array([int(np.argmax(runtime == place)) for place in range(len(kinds))], dtype=np.int64),
        places={**{kind: of[taken] for kind, of in index.items()}, **dict.fromkeys(OF_CHIPS, chip)},
    )


def _columns(gpus: Sequence[Gpu]) -> GpuColumns:
    distinct = tuple({gpu.name: gpu for gpu in gpus}.values())
    place = {gpu.name: i for i, gpu in enumerate(distinct)}
    return GpuColumns(distinct, np.array([place[gpu.name] for gpu in gpus], dtype=np.int64))


class Search:
    """The runs as padded arrays, and the residuals of a parameter vector."""

    def __init__(self, dataset: Dataset) -> None:
        if len(dataset.runs) < LEAST_RUNS:
            raise FitError(f"{len(dataset.runs)} runs; the roofline law needs at least {LEAST_RUNS}")
        settings = {(r.model, r.width, r.height, r.steps, r.batch_size, r.precision) for r in dataset.runs}
        if len(settings) < LEAST_SETTINGS:
            raise FitError("the runs are all of the same workload; vary size, steps or batch size")
        self.names, self.index = _effects_of(dataset)
        self.has_energy = np.isfinite(dataset.energy_j)
        self.has_duration = np.isfinite(dataset.duration_s)
        self.log_energy = np.log(np.where(self.has_energy, dataset.energy_j, 1.0))
        self.log_duration = np.log(np.where(self.has_duration, dataset.duration_s, 1.0))
        trust = np.array([TRUST_SPREAD[run.trust] for run in dataset.runs])
        own = np.array([runtime_spread(runtime) for runtime in dataset.runtimes])
        ratios = [(ratio, rows) for ratio in published_ratios() if len(rows := ratio.cells(dataset))]
        self.rows = _rows_of(dataset, ratios, self.index, self.names["chip_energy"])
        self.weighed_by: tuple[float, ...] = ()
        self.log_ratios = np.array([ratio.log_ratio for ratio, _ in ratios])
        self.of_ratios = _differences([len(rows) for _, rows in ratios])
        spreads = [np.hypot(spread, own) * trust for spread in (ENERGY_SPREAD, DURATION_SPREAD)]
        self.measured_spread = np.concatenate([*spreads, np.full(len(ratios), RATIO_SPREAD)])
        effects = np.array([SPREADS[kind] for kind, names in self.names.items() for _ in names])
        medians = [prior.internal(prior.median) for prior in PRIORS.values()]
        self.centre = np.concatenate([medians, 0 * effects])
        self.spread = np.concatenate([[prior.spread for prior in PRIORS.values()], effects])

    def unpack(self, x: Array) -> tuple[dict[str, float], Effects]:
        """Shared parameters, and effects by kind, of each name."""
        sizes = [len(PRIORS), *(len(names) for names in self.names.values())]
        shared, *effects = np.split(x, np.cumsum(sizes)[:-1])
        p = {name: prior.natural(v) for (name, prior), v in zip(PRIORS.items(), shared, strict=True)}
        return p, dict(zip(self.names, effects, strict=True))

    def named(self, kind: str, effects: Effects) -> dict[str, float]:
        """The effects of a kind by name."""
        return {name: float(value) for name, value in zip(self.names[kind], effects[kind], strict=True)}

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Energy of one image within each run's boundary [J], and time of its batch [s]."""
        energy, duration = np.exp(self._logs(x))[:, : len(self.log_energy)]
        return energy, duration

    def _logs(self, x: Array) -> Array:
        """Of energies and times of all rows, shape (2, rows)."""
        p, effects = self.unpack(x)
        return self._log_predicted(p, self.rows.effects(effects))

    def _log_predicted(self, p: Mapping[str, float], effects: Effects) -> Array:
        """The same from shared parameters and the effects of each row."""
        key = tuple(p[name] for name in WEIGHED_BY)
        if key == self.weighed_by:
            weighed = self.weighed._replace(table=self.weighed.table.copy())  # `demand` overwrites it
        else:
            weighed = weigh(self.rows.work, dict(zip(WEIGHED_BY, key, strict=True)))
        return _log_predicted(p, effects, self.rows, weighed)

    def _weigh_at(self, x: Array) -> None:
        """Keep the rows' work as it is weighed there: most steps of a difference leave it as it is."""
        p = self.unpack(x)[0]
        self.weighed_by = tuple(p[name] for name in WEIGHED_BY)
        self.weighed = weigh(self.rows.work, p)

    def residuals(self, x: Array) -> Array:
        """Of energies, times, published ratios, and parameters against their priors, each over its spread."""
        measured = np.concatenate([self.log_energy, self.log_duration, self.log_ratios])
        known = np.concatenate([self.has_energy, self.has_duration, np.ones(len(self.log_ratios))])
        off = self._of_measured(self._logs(x)) - known * measured / self.measured_spread
        return np.concatenate([off, (x - self.centre) / self.spread])

    def _of_measured(self, logs: Array) -> Array:
        """What was measured of the rows' logs, each over its spread, 0 of what was not; linear in them."""
        runs = len(self.log_energy)
        found = np.concatenate(
            [
                np.where(self.has_energy, logs[0, :runs], 0.0),
                np.where(self.has_duration, logs[1, :runs], 0.0),
                self.of_ratios @ logs[0, runs:],
            ]
        )
        return np.asarray(found / self.measured_spread)

    def jacobian(self, x: Array) -> Array:
        """Of the residuals. A row has one effect of each kind: one step of all gives all their columns."""
        p, effects = self.unpack(x)
        self._weigh_at(x)
        base, on_rows = self._logs(x), self.rows.effects(effects)
        measured = np.zeros((len(self.measured_spread), len(x)))
        for column in range(len(PRIORS)):
            moved = x.copy()
            moved[column] += STEP
            measured[:, column] = self._of_measured((self._logs(moved) - base) / STEP)
        start = len(PRIORS)
        for kind, names in self.names.items():
            further = {**on_rows, kind: on_rows[kind] + STEP}
            by_row = (self._log_predicted(p, further) - base) / STEP
            for place in range(len(names)):
                measured[:, start + place] = self._of_measured(by_row * (self.rows.places[kind] == place))
            start += len(names)
        return np.concatenate([measured, np.diag(1 / self.spread)])

    def start(self, near: RooflineLaw | None, at: Mapping[str, float] | None = None) -> Array:
        """Where to begin: at a law's parameters, or at the priors' medians but for those in `at`."""
        if near is None:
            given = at or {}
            shared = [prior.internal(given.get(name, prior.median)) for name, prior in PRIORS.items()]
            return np.array([*shared, *np.zeros(sum(map(len, self.names.values())))])
        q = near.parameters
        shared = [prior.internal(q.shared[name]) for name, prior in PRIORS.items()]
        known: Mapping[str, Mapping[str, float]] = {
            "chip_energy": q.chip_effects,
            "chip_slowness": q.chip_slowness,
            "engine": q.engine_slowness,
            "quantised": q.quantised_slowness,
            "cache": {name: cache_effect(share) for name, share in q.cache_shares.items()},
        }
        effects = [known.get(kind, {}).get(name, 0.0) for kind, names in self.names.items() for name in names]
        return np.array([*shared, *effects])

    def solve(self, start: Array, most_steps: int = MOST_STEPS) -> Array:
        """The most probable parameters; residuals beyond their spread count less (soft L1)."""
        from scipy.optimize import least_squares

        result = least_squares(
            self.residuals,
            start,
            self.jacobian,
            x_scale=self.spread,
            loss="soft_l1",
            max_nfev=most_steps,
            ftol=TOLERANCE,
        )
        if not np.isfinite(result.x).all() or not np.isfinite(result.fun).all():
            raise FitError("the fit did not settle on finite parameters; check the runs' energies and times")
        return np.asarray(result.x)

    def from_a(self, near: RooflineLaw) -> Array:
        """The end of a search from a law fitted on nearly the same runs."""
        had_all = near.fitted_on.runs > len(self.log_energy)
        return self.solve(self.start(near), MOST_STEPS_NEAR if had_all else MOST_STEPS)

    def best(self) -> Array:
        """The best of the ends of searches from STARTS."""
        return min((self.solve(self.start(None, at)) for at in STARTS), key=self.cost)

    def cost(self, x: Array) -> float:
        """What `solve` makes smallest: the soft L1 loss of all residuals."""
        return float((np.hypot(1.0, self.residuals(x)) - 1).sum())

    def covariance(self, x: Array) -> Covariance:
        """Laplace approximation at the solution, on the fit's internal (log or logit) scale."""
        jacobian = self.jacobian(x)
        matrix = np.linalg.inv(jacobian.T @ jacobian)[: len(PRIORS), : len(PRIORS)]
        return Covariance(tuple(PRIORS), "log, logit for shares", tuple(map(tuple, matrix.round(8).tolist())))


def _effects_of(dataset: Dataset) -> tuple[dict[str, tuple[str, ...]], dict[str, Rows]]:
    """The names of each kind of effects, and each run's place among them, -1 where it has none."""
    chips = [gpu.chip for gpu in dataset.gpus]
    sources = [run.source or "" for run in dataset.runs]
    of_runs = {
        "chip_energy": chips,
        "chip_slowness": chips,
        "host": sources,
        "level": sources,
        "engine": [runtime.kernels for runtime in dataset.runtimes],
        "quantised": [quantised_name(runtime) for runtime in dataset.runtimes],
        "cache": [runtime.cache for runtime in dataset.runtimes],
    }
    left_out = {NONE, REFERENCE.kernels, ""}
    names = {
        kind: tuple(sorted(set(values) - (left_out if kind in ("engine", "quantised", "cache") else set())))
        for kind, values in of_runs.items()
    }
    places = {kind: {name: place for place, name in enumerate(some)} for kind, some in names.items()}
    index = {
        kind: np.array([places[kind].get(value, -1) for value in values], dtype=np.int64)
        for kind, values in of_runs.items()
    }
    return names, index


def _differences(sizes: Sequence[int]) -> Array:
    """Means over a ratio's rows on its GPU less those on its reference, shape (ratios, rows of all)."""
    sides = [sign * np.ones(size) / size for size in sizes for sign in (1, -1)]
    out = np.zeros((len(sizes), sum(map(len, sides))))
    ends = np.cumsum([0, *map(len, sides)])
    for place, side in enumerate(sides):
        out[place // 2, ends[place] : ends[place + 1]] = side
    return out


def _log_predicted(p: Mapping[str, float], effects: Effects, rows: _Rows, weighed: Weighed) -> Array:
    """Energy of one image within each row's boundary, and time of its batch: logs, shape (2, rows).

    `weighed`, the rows' work, is overwritten.
    """
    traits, how = rows.traits, rows.how(p, effects)
    setup = Setup(traits, how, rates(traits, how, p, effects["chip_slowness"]))
    asked = demand(weighed, weighed.table, setup, p).sum(axis=1)
    level = np.exp(effects["level"])
    factor = chip_factor(traits, p, {}) * np.exp(effects["chip_energy"]) * level
    total = Demand(
        busy_s=asked[0] * level,
        energy_j=asked[1] * factor,
        host_s=asked[2] * np.exp(effects["host"]),
        waiting_s=asked[3] * level,
    )
    duration, dynamic, static = settle(total, traits, how, p)
    gross = static * duration + total.energy_j * dynamic
    return np.log([dynamic_j(gross, rows.idle_power_w * duration) / rows.batch, duration])
