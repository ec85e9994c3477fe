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

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast.boundary import dynamic_j
from joulecast.compute.operators import DENOISER
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FitError
from joulecast.law.dataset import Dataset, Group
from joulecast.law.fitted import NORMAL_90, FittedLaw, Gross, widened
from joulecast.law.forms import fit_law, known_forms, register_forms
from joulecast.law.law import FAMILIARITY, Array
from joulecast.law.own_runs import usable
from joulecast.law.scores import LEVEL, Score, Scores, log_of_call, score_errors
from joulecast.law.workers import shared_out
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, RunTable, packaged_runs

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

    def score(self, quantity: str, rows: Array | slice = slice(None)) -> Score:
        """The score of the runs in `rows` that have a measurement and a prediction."""
        width = widened(self.half_width(quantity), self.spread(quantity))
        return score_errors(
            self.log_errors(quantity)[rows],
            log_of_call(self.runs, quantity)[rows],
            self.covered(quantity)[rows],
            width[rows],
        )

    def scores(self, rows: Array | slice = slice(None)) -> Scores:
        """The scores of energies and of times."""
        return Scores(self.score("energy_j", rows), self.score("duration_s", rows))

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
    """Energy of one image and time of a batch within each run's boundary and scope, and the spreads."""
    size = len(dataset.runs)
    energy, duration, spread, duration_spread = (np.full(size, np.nan) for _ in range(4))
    for group in dataset.groups:
        gross = law.gross(group.profile, group.workloads, group.precision, group.gpus)
        energy[group.rows], duration[group.rows] = as_measured(dataset, group, gross)
        spread[group.rows], duration_spread[group.rows] = gross.energy_spread, gross.duration_spread
    return energy, duration, spread, duration_spread


def as_measured(dataset: Dataset, group: Group, gross: Gross) -> tuple[Array, Array]:
    """A law's answer for a group of runs as energy of one image and time of a batch, within each run's
    boundary and scope.

    For a run of the denoising loop alone, the time is the whole pipeline's times the denoiser's
    share of the energy.
    """
    parts, seconds = gross.component_energy_j, gross.duration_s
    whole = sum(parts.values(), np.zeros(len(group.rows)))
    roles = {component.name: component.role for component in group.profile.components}
    denoising = sum((e for name, e in parts.items() if roles[name] == DENOISER), np.zeros(len(group.rows)))
    loop = np.where(dataset.loop_only[group.rows], denoising / whole, 1.0)
    idle = dataset.idle_power_w[group.rows] * seconds / group.workloads.batch_size
    energy = np.where(dataset.is_dynamic[group.rows], dynamic_j(whole, idle), whole) * loop
    return energy, seconds * loop


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
    forms: Sequence[str] | None = None,
    runs: RunTable | None = None,
    load: Load | None = None,
    workers: int = 1,
    say: Say | None = None,
) -> dict[str, dict[str, HeldOut]]:
    """Every law under every hold-out: ``{law: {holdout: HeldOut}}``.

    `forms` are all that are known, and `runs` the packaged ones, unless given.

    With more than one of `workers`, processes share the work (`load` must then be importable by name) and
    end at once when this one does; the answer is the same. `say` is told of each hold-out that is done.
    """
    say, load = say or (lambda words: None), load or packaged_profile
    forms = tuple(known_forms()) if forms is None else forms
    runs = usable(packaged_runs())[0] if runs is None else runs
    tasks = [
        ((form, holdout), (form, holdout, runs, load)) for form in forms for holdout in reversed(FAMILIARITY)
    ]
    results: Iterator[tuple[tuple[str, str], HeldOut]]
    if workers == 1:
        results = ((task, hold_out(*asked)) for task, asked in tasks)
    else:
        known = tuple(known_forms().values())
        results = shared_out(hold_out, tasks, workers, register_forms, (known,))
    done: dict[tuple[str, str], HeldOut] = {}
    for task, held in results:
        done[task] = held
        say(f"{task[0]}: {task[1]}, {len(done)} of {len(tasks)}")
    return {form: {holdout: done[form, holdout] for holdout in FAMILIARITY} for form in forms}
