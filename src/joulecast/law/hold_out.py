"""How wrong laws are on runs they have not seen: whole groups held out, deterministic.

Hold-outs, each the key of what a user's question may be to a law:

- ``same_source``: a fifth of the runs at a time (every model, GPU and source stays in the fit);
- ``seen``: all runs of a source, its versions together, on chips that other sources measured: somebody
  else's software, host and meter, as a user's are (some of its models are new too);
- ``unseen_model``: all runs of a model;
- ``unseen_gpu``: all runs on a chip, i.e. on every GPU that is made of it;
- ``unseen_both``: the runs of a model on a chip, with that model and that chip both left out.

Errors are of the energy of one image within the run's own boundary, and of the time of one batch.
The 90 % intervals are conformal: a hold-out's half-width is the quantile of its errors over the
law's own spread, with each group covered by the width that the other groups' errors give. Few groups
say little about the next one, so the width of whole-group hold-outs grows by sqrt(1 + 1 / groups).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from joulecast.boundary import dynamic_share
from joulecast.compute.profile import ComputeProfile
from joulecast.errors import FitError
from joulecast.hardware import gpu
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import NORMAL_90, FittedLaw, widened
from joulecast.law.forms import fit_law
from joulecast.law.law import FAMILIARITY, Array
from joulecast.runs import MeasuredRun, RunTable

LEVEL = 0.9
_VERSION = re.compile(r" v\d+$")
FOLDS = 5

Load = Callable[[str], ComputeProfile]
Say = Callable[[str], None]


@dataclass(frozen=True)
class HeldOut:
    """Predictions of runs by laws that had not seen them; arrays of shape (runs,), nan where none.

    Attributes
    ----------
    law, holdout : the form of the law, and one of FAMILIARITY.
    runs : every run, in order.
    group : the group each run was held out with.
    energy_j, duration_s : predicted, in the run's boundary and scope.
    energy_spread, duration_spread : what the law itself knows to vary (log), see `Gross`.
    """

    law: str
    holdout: str
    runs: RunTable
    group: tuple[str, ...]
    energy_j: Array
    duration_s: Array
    energy_spread: Array
    duration_spread: Array

    def log_errors(self, quantity: str) -> Array:
        """log(predicted / measured) of ``energy_j`` or ``duration_s``."""
        measured = self.runs.column(quantity).astype(np.float64)
        result: Array = np.log(getattr(self, quantity) / measured)
        return result

    def spread(self, quantity: str) -> Array:
        """The law's own spread (log) for each run."""
        return self.energy_spread if quantity == "energy_j" else self.duration_spread

    def excess(self, quantity: str) -> Array:
        """The part of the absolute log errors that the law's own spread does not account for."""
        own = NORMAL_90 * self.spread(quantity)
        result: Array = np.sqrt(np.maximum(self.log_errors(quantity) ** 2 - own**2, 0.0))
        return result

    def half_width(self, quantity: str) -> float:
        """Half-width (log) that covers 90 % of the held-out runs when the law's own spread is added."""
        return self._width(self.excess(quantity))

    def _width(self, errors: Array) -> float:
        """The conformal quantile, wider when it rests on the errors of few groups."""
        groups = len({group for group, e in zip(self.group, errors, strict=True) if np.isfinite(e)})
        inflation = 1.0 if self.holdout == "same_source" or not groups else float(np.sqrt(1 + 1 / groups))
        return conformal_quantile(errors) * inflation

    def covered(self, quantity: str) -> Array:
        """1 where the interval calibrated on the other groups covers the run, else 0; nan where none."""
        errors = self.excess(quantity)
        group = np.array(self.group)
        out = np.full(len(errors), np.nan)
        for name in dict.fromkeys(self.group):
            mine = (group == name) & np.isfinite(errors)
            others = np.where(group != name, errors, np.nan)
            if mine.any() and np.isfinite(others).any():
                out[mine] = errors[mine] <= self._width(others)
        return out


def conformal_quantile(errors: Array) -> float:
    """The 90 % quantile with the finite-sample correction; inf when there are no errors."""
    known = np.sort(errors[np.isfinite(errors)])
    if not known.size:
        return float("inf")
    rank = int(np.ceil((known.size + 1) * LEVEL)) - 1
    return float(known[min(rank, known.size - 1)])


def groups_of(holdout: str, runs: RunTable) -> tuple[str, ...]:
    """The group that each run is held out with."""
    if holdout == "same_source":
        return tuple(f"fold {place % FOLDS}" for place in range(len(runs)))
    keys: Mapping[str, Callable[[MeasuredRun], str]] = {
        "seen": publisher,
        "unseen_model": lambda run: run.model,
        "unseen_gpu": chip,
        "unseen_both": lambda run: f"{run.model} on {chip(run)}",
    }
    return tuple(keys[holdout](run) for run in runs)


def publisher(run: MeasuredRun) -> str:
    """Whose run it is: versions of one source come from the same hands and meters."""
    return _VERSION.sub("", run.source or "unknown")


def chip(run: MeasuredRun) -> str:
    """The chip a run's GPU is made of."""
    return gpu(run.gpu).chip


def hold_out(form: str, holdout: str, runs: RunTable, load: Load) -> HeldOut:
    """Predict every run by laws fitted without its group.

    A group whose absence leaves too little to fit on has no predictions; of a source that is held out,
    neither have runs on a chip that no other source measured.
    """
    groups = groups_of(holdout, runs)
    result = {
        name: np.full(len(runs), np.nan)
        for name in ("energy", "duration", "energy_spread", "duration_spread")
    }
    for name in dict.fromkeys(groups):
        inside = [place for place, group in enumerate(groups) if group == name]
        kept = _kept(holdout, runs, inside)
        try:
            law = fit_law(form, Dataset.build(kept, load))
        except FitError:
            continue
        predicted = predict_runs(law, Dataset.build(RunTable(runs[place] for place in inside), load))
        for key, values in zip(result, predicted, strict=True):
            result[key][inside] = values
        if holdout == "seen":
            for quantity in ("energy_j", "duration_s"):
                result[quantity.rpartition("_")[0]][_on_new_chips(inside, runs, kept, quantity)] = np.nan
    return HeldOut(form, holdout, runs, groups, *result.values())


def _on_new_chips(places: Sequence[int], runs: RunTable, kept: RunTable, quantity: str) -> list[int]:
    """The places of runs on chips of which no kept run has the quantity."""
    chips = {chip(run) for run in kept if getattr(run, quantity) is not None}
    return [place for place in places if chip(runs[place]) not in chips]


def _kept(holdout: str, runs: RunTable, inside: Sequence[int]) -> RunTable:
    if holdout != "unseen_both":
        out = set(inside)
        return RunTable(run for place, run in enumerate(runs) if place not in out)
    first = runs[inside[0]]
    return runs.filter(lambda run: run.model != first.model and chip(run) != chip(first))


def predict_runs(law: FittedLaw, dataset: Dataset) -> tuple[Array, Array, Array, Array]:
    """Energy of one image and time of a batch within each run's boundary and scope, and the spreads.

    For a run of the denoising loop alone, the time is the whole pipeline's times the denoiser's
    share of the energy.
    """
    size = len(dataset.runs)
    energy, duration, spread, duration_spread = (np.full(size, np.nan) for _ in range(4))
    for group in dataset.groups:
        parts, seconds, e_spread, d_spread = law.gross(
            group.profile, group.workloads, group.precision, group.gpus
        )
        gross = sum(parts.values(), np.zeros(len(group.rows)))
        roles = {component.name: component.role for component in group.profile.components}
        denoising = sum(
            (e for name, e in parts.items() if roles[name] == "denoiser"), np.zeros(len(group.rows))
        )
        loop = np.where(dataset.loop_only[group.rows], denoising / gross, 1.0)
        idle = dataset.idle_power_w[group.rows] * seconds / group.workloads.batch_size
        share = np.where(dataset.is_dynamic[group.rows], dynamic_share(gross, idle), 1.0)
        energy[group.rows] = gross * share * loop
        duration[group.rows] = seconds * loop
        spread[group.rows], duration_spread[group.rows] = e_spread, d_spread
    return energy, duration, spread, duration_spread


@dataclass(frozen=True)
class Score:
    """Errors of a set of held-out runs: percentages unless stated; nan where it has no meaning.

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


def score(held: HeldOut, quantity: str, rows: Array | None = None) -> Score:
    """The score of the runs in `rows` (default: all) that have a measurement and a prediction."""
    width = widened(held.half_width(quantity), held.spread(quantity))
    chosen = slice(None) if rows is None else rows
    return score_errors(
        held.log_errors(quantity)[chosen],
        log_of_call(held.runs, quantity)[chosen],
        held.covered(quantity)[chosen],
        width[chosen],
    )


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


def breakdowns(runs: RunTable) -> Iterator[tuple[str, str, Array]]:
    """(dimension, value, rows) for scores by model, GPU, batch size and source."""
    dimensions: Mapping[str, Callable[[MeasuredRun], object]] = {
        "model": lambda run: run.model,
        "gpu": lambda run: run.gpu,
        "chip": chip,
        "batch_size": lambda run: run.batch_size,
        "source": lambda run: run.source or "unknown",
    }
    for dimension, key in dimensions.items():
        values = [key(run) for run in runs]
        for value in sorted(set(values), key=lambda v: (isinstance(v, str), v)):
            yield dimension, str(value), np.array([v == value for v in values])


def within_groups(law: FittedLaw, runs: RunTable, load: Load) -> dict[str, float]:
    """R2 of the log energy of a call within one model and chip, after a fit of the group's level.

    Only groups with at least four settings; this is what the paper reports, and it says little
    about models or GPUs that were not measured.
    """
    with_energy = runs.filter(lambda run: run.energy_j is not None)
    dataset = Dataset.build(with_energy, load)
    predicted = np.log(predict_runs(law, dataset)[0])
    measured = np.log(dataset.energy_j)
    batch = np.log([run.batch_size for run in with_energy])
    keys = [f"{run.model} on {chip(run)}, {run.precision}, {run.boundary}" for run in with_energy]
    out = {}
    for key in dict.fromkeys(keys):
        rows = np.array([k == key for k in keys])
        call = (measured + batch)[rows]
        if rows.sum() >= 4 and np.ptp(call) > 0:
            residual = (predicted - measured)[rows]
            residual = residual - residual.mean()
            out[key] = 1 - float(np.sum(residual**2) / np.sum((call - call.mean()) ** 2))
    return out


def validate(
    forms: Sequence[str], runs: RunTable, load: Load, workers: int = 1, say: Say = lambda words: None
) -> dict[str, dict[str, HeldOut]]:
    """Every law under every hold-out: ``{law: {holdout: HeldOut}}``.

    With more than one of `workers`, processes share the work (`load` must then be importable by name);
    the answer is the same. `say` is told of each hold-out that is done.
    """
    tasks = [(form, holdout) for form in forms for holdout in reversed(FAMILIARITY)]
    done: dict[tuple[str, str], HeldOut] = {}
    if workers == 1:
        for task in tasks:
            done[task] = hold_out(*task, runs, load)
            say(f"{task[0]}: {task[1]}, {len(done)} of {len(tasks)}")
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            pending = {pool.submit(hold_out, *task, runs, load): task for task in tasks}
            for future in as_completed(pending):
                task = pending[future]
                done[task] = future.result()
                say(f"{task[0]}: {task[1]}, {len(done)} of {len(tasks)}")
    return {form: {holdout: done[form, holdout] for holdout in FAMILIARITY} for form in forms}


def calibrated(law: FittedLaw, held: Mapping[str, HeldOut]) -> FittedLaw:
    """The law with its half-widths and published errors set from its hold-outs.

    Less known is never narrower: each width is at least that of the hold-outs that know more.
    """
    widths = {
        q: _monotone({h: held[h].half_width(q) for h in FAMILIARITY}) for q in ("energy_j", "duration_s")
    }
    errors = {
        holdout: {
            "energy": plain(score(held[holdout], "energy_j")),
            "duration": plain(score(held[holdout], "duration_s")),
        }
        for holdout in FAMILIARITY
    }
    return dataclasses.replace(
        law, half_widths=widths["energy_j"], duration_half_widths=widths["duration_s"], errors=errors
    )


RULE = (
    "the law whose largest 90th-percentile energy error over the hold-outs unseen_model, unseen_gpu and "
    "unseen_both is smallest, among those whose 90 % interval covers at least 85 % of the runs in each"
)


def choose_default(held: Mapping[str, Mapping[str, HeldOut]]) -> str:
    """The law to use when none is named, by RULE."""
    scores = {
        form: [score(by_holdout[holdout], "energy_j") for holdout in FAMILIARITY[2:]]
        for form, by_holdout in held.items()
    }
    honest = {form: s for form, s in scores.items() if all(one.coverage >= 85 for one in s)} or scores
    return min(honest, key=lambda form: max(one.p90 for one in honest[form]))


def held_out_rows(held: Mapping[str, Mapping[str, HeldOut]]) -> Iterator[dict[str, object]]:
    """One row for each law, hold-out and run: what was predicted without having seen it."""
    for form, by_holdout in held.items():
        for holdout, result in by_holdout.items():
            inside = {q: result.covered(q) for q in ("energy_j", "duration_s")}
            for place, run in enumerate(result.runs):
                yield {
                    "law": form,
                    "holdout": holdout,
                    "group": result.group[place],
                    "run_id": run.run_id,
                    "energy_j": _cell(result.energy_j[place], run.energy_j),
                    "energy_covered": _cell(inside["energy_j"][place], run.energy_j, digits=1),
                    "duration_s": _cell(result.duration_s[place], run.duration_s),
                    "duration_covered": _cell(inside["duration_s"][place], run.duration_s, digits=1),
                }


def _cell(value: float, measured: float | None, digits: int = 5) -> str:
    """A predicted value, empty where nothing was measured or predicted."""
    return "" if measured is None or not np.isfinite(value) else f"{value:.{digits}g}"


def _monotone(widths: Mapping[str, float]) -> dict[str, float]:
    same = widths["same_source"]
    seen = max(same, widths["seen" if np.isfinite(widths["seen"]) else "unseen_model"])
    model, chip_width = max(seen, widths["unseen_model"]), max(seen, widths["unseen_gpu"])
    both = max(model, chip_width, widths["unseen_both"])
    return dict(zip(FAMILIARITY, (same, seen, model, chip_width, both), strict=True))


def plain(result: Score) -> dict[str, float | int | None]:
    """A score as JSON: rounded to four digits, None for what has no meaning."""
    return {
        name: (value if isinstance(value, int) else float(f"{value:.4g}") if np.isfinite(value) else None)
        for name, value in dataclasses.asdict(result).items()
    }
