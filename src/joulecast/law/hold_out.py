"""How wrong laws are on runs they have not seen: whole groups held out, deterministic.

Hold-outs, each the key of what a user's question may be to a law:

- ``same_source``: a fifth of the runs at a time (every model, GPU and source stays in the fit);
- ``seen``: all runs of a source, its versions together, on chips that other sources measured: somebody
  else's software, host and meter, as a user's are (some of its models are new too);
- ``unseen_model``: all runs of a model;
- ``unseen_gpu``: all runs on a chip, i.e. on every GPU that is made of it;
- ``unseen_both``: the runs of a model on a chip, with that model and that chip both left out;
- ``unseen_runtime``: all runs of a runtime (engine, compilation, quantisation, cache) on one GPU, or all on
  as many GPUs.

Errors are of the energy of one image within the run's own boundary, and of the time of one batch.
The 90 % intervals are conformal, of each stratum of runtimes (`joulecast.runtime.STRATA`) by itself: a
hold-out's half-width is the quantile of its errors over the law's own spread, with each group covered by
the width that the other groups' errors give. Few groups say little about the next one, so the width of
whole-group hold-outs grows by sqrt(1 + 1 / groups).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FitError
from joulecast.law.dataset import Dataset, Load
from joulecast.law.fitted import NORMAL_90, FittedLaw, widened
from joulecast.law.forms import Form, find_form, fit_law, known_forms, register_forms
from joulecast.law.groups import chip, groups_of
from joulecast.law.law import FAMILIARITY, FORMATS, UNSEEN_RUNTIME, Array
from joulecast.law.own_runs import fitted_runs, usable
from joulecast.law.score_runs import predict_runs
from joulecast.law.scores import LEVEL, Score, Scores, log_of_call, score_errors
from joulecast.law.workers import shared_out
from joulecast.runs import MeasuredRun, RunTable
from joulecast.runtime import REFERENCE_STRATUM, STRATA

PARTS = 8  # of the groups of a hold-out, that processes take one after the other

Rows = Array | NDArray[np.bool_] | slice
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
    floors : widths (log) below which the interval of a quantity and stratum is not, see `with_floors`.
    """

    law: str
    holdout: str
    runs: RunTable
    group: tuple[str, ...]
    energy_j: Array
    duration_s: Array
    energy_spread: Array
    duration_spread: Array
    floors: Mapping[tuple[str, str], float] = field(default_factory=dict)

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

    def in_stratum(self, stratum: str) -> NDArray[np.bool_]:
        """The runs of runtimes of a stratum."""
        return np.array([run.runtime.stratum == stratum for run in self.runs], dtype=bool)

    def half_width(self, quantity: str, stratum: str = REFERENCE_STRATUM) -> float:
        """Half-width (log) of a stratum's interval: it covers 90 % of the held-out runs when the law's own
        spread is added, and is not below its floor; infinite where neither is known."""
        return self._width(quantity, stratum, self._errors(quantity, stratum))

    def raw_width(self, quantity: str, stratum: str) -> float:
        """The same without a floor; infinite where no run of the stratum was held out."""
        return self._quantile(self._errors(quantity, stratum))

    def score(self, quantity: str, rows: Rows = slice(None)) -> Score:
        """The score of the runs in `rows` that have a measurement and a prediction."""
        half = np.full(len(self.runs), np.nan)
        for stratum in STRATA:
            here = self.in_stratum(stratum)
            if here.any():
                half[here] = self.half_width(quantity, stratum)
        width = widened(half, self.spread(quantity))
        return score_errors(
            self.log_errors(quantity)[rows],
            log_of_call(self.runs, quantity)[rows],
            self.covered(quantity)[rows],
            width[rows],
        )

    def scores(self, rows: Rows = slice(None)) -> Scores:
        """The scores of energies and of times."""
        return Scores(self.score("energy_j", rows), self.score("duration_s", rows))

    def _errors(self, quantity: str, stratum: str) -> Array:
        return np.where(self.in_stratum(stratum), self.excess(quantity), np.nan)

    def _quantile(self, errors: Array) -> float:
        """The conformal quantile, wider when it rests on the errors of few groups."""
        groups = len({group for group, e in zip(self.group, errors, strict=True) if np.isfinite(e)})
        inflation = 1.0 if self.holdout == "same_source" or not groups else float(np.sqrt(1 + 1 / groups))
        return conformal_quantile(errors) * inflation

    def _width(self, quantity: str, stratum: str, errors: Array) -> float:
        floor, found = self.floors.get((quantity, stratum)), self._quantile(errors)
        if floor is None or not np.isfinite(found):
            return found if floor is None else floor
        return max(found, floor)

    def covered(self, quantity: str) -> Array:
        """1 where the interval calibrated on the stratum's other groups holds the run, else 0, or nan."""
        group = np.array(self.group)
        out = np.full(len(self.runs), np.nan)
        for stratum in STRATA:
            errors = self._errors(quantity, stratum)
            for name in dict.fromkeys(self.group):
                mine = (group == name) & np.isfinite(errors)
                others = np.where(group != name, errors, np.nan)
                if mine.any() and (np.isfinite(others).any() or (quantity, stratum) in self.floors):
                    out[mine] = errors[mine] <= self._width(quantity, stratum, others)
        return out


def with_floors(held: Mapping[str, HeldOut]) -> dict[str, HeldOut]:
    """Hold-outs of one law whose intervals are never narrower where less is known, nor than the reference's.

    Where no run of a stratum was held out in some way, its width is that of the next way that tells more;
    where a stratum has no measured energy, its energies are as wrong as its times: a board draws between its
    static power and its limit.
    """
    floors: dict[str, dict[tuple[str, str], float]] = {holdout: {} for holdout in FAMILIARITY}
    least = dict.fromkeys(("energy_j", "duration_s"), dict.fromkeys(FAMILIARITY, 0.0))
    for stratum in STRATA:
        raw = {
            quantity: {holdout: held[holdout].raw_width(quantity, stratum) for holdout in FAMILIARITY}
            for quantity in least
        }
        no_energy = not any(map(np.isfinite, raw["energy_j"].values()))
        if no_energy:
            raw["energy_j"] = raw["duration_s"]
        for quantity, widths in raw.items():
            found = _floors(widths, least[quantity])
            for holdout, floor in found.items():
                own = widths[holdout] if no_energy and np.isfinite(widths[holdout]) else 0.0
                floors[holdout][quantity, stratum] = max(floor, own)
            if stratum == REFERENCE_STRATUM:
                least[quantity] = {
                    name: max(floor, widths[name] if np.isfinite(widths[name]) else 0.0)
                    for name, floor in found.items()
                }
    return {name: dataclasses.replace(held[name], floors=floors[name]) for name in FAMILIARITY}


def _floors(raw: Mapping[str, float], least: Mapping[str, float]) -> dict[str, float]:
    """What the width of each hold-out may not be below: those of who knows more, and `least`."""
    known = {name: max(width, least[name]) for name, width in raw.items() if np.isfinite(width)}
    floor = {"same_source": least["same_source"] if "same_source" in known else np.inf}
    same = known.get("same_source", np.inf)
    floor["seen"] = max(same, least["seen"], 0.0 if "seen" in known else known.get("unseen_model", np.inf))
    seen = max(floor["seen"], known.get("seen", 0.0))
    for name in ("unseen_model", "unseen_gpu"):
        floor[name] = max(seen, least[name])
    both = max(max(floor[name], known.get(name, 0.0)) for name in ("unseen_model", "unseen_gpu"))
    floor["unseen_both"] = max(both, least["unseen_both"])
    floor[UNSEEN_RUNTIME] = max(floor["unseen_both"], known.get("unseen_both", 0.0), least[UNSEEN_RUNTIME])
    return floor


def conformal_quantile(errors: Array) -> float:
    """The 90 % quantile with the finite-sample correction; inf when there are no errors."""
    known = np.sort(errors[np.isfinite(errors)])
    if not known.size:
        return float("inf")
    rank = int(np.ceil((known.size + 1) * LEVEL)) - 1
    return float(known[min(rank, known.size - 1)])


def hold_out(
    form: str,
    holdout: str,
    runs: RunTable,
    load: Load,
    near: FittedLaw | None = None,
    share: tuple[int, int] = (0, 1),
) -> HeldOut:
    """Predict every run by laws fitted without its group.

    `near` is a law fitted on all the runs, at which fits may begin. Of a `share` (part, parts) of the groups,
    the others have no predictions.

    A group whose absence leaves too little to fit on has no predictions; of a source that is held out,
    neither have runs on a chip that no other source measured. Whatever else is held out, runs of a runtime,
    number format or way to share work that no run is left of are no test of it, and the reference runtime is
    never held out.
    """
    groups = groups_of(holdout, runs)
    result = {
        name: np.full(len(runs), np.nan)
        for name in ("energy", "duration", "energy_spread", "duration_spread")
    }
    part, parts = share
    for name in list(dict.fromkeys(groups))[part::parts]:
        inside = [place for place, group in enumerate(groups) if group == name]
        if holdout == UNSEEN_RUNTIME and runs[inside[0]].runtime.is_reference:
            continue
        kept = _kept(holdout, runs, inside)
        try:
            law = fit_law(form, Dataset.build(kept, load), near)
        except FitError:
            continue
        predicted = predict_runs(law, Dataset.build(RunTable(runs[place] for place in inside), load))
        for key, values in zip(result, predicted, strict=True):
            result[key][inside] = values
        if holdout != UNSEEN_RUNTIME:
            known, ways = set(map(_kind, kept)), set().union(*map(_ways, kept))
            new = [
                place for place in inside if _kind(runs[place]) not in known or not _ways(runs[place]) <= ways
            ]
            for values in result.values():
                values[new] = np.nan
        if holdout == "seen":
            for quantity in ("energy_j", "duration_s"):
                result[quantity.rpartition("_")[0]][_on_new_chips(inside, runs, kept, quantity)] = np.nan
    energy, duration, energy_spread, duration_spread = result.values()
    return HeldOut(form, holdout, runs, groups, energy, duration, energy_spread, duration_spread)


def _kind(run: MeasuredRun) -> tuple[str, str]:
    """What is known of one tells little of another: the runtime and the number format."""
    return run.runtime.family, FORMATS[run.precision]


def _ways(run: MeasuredRun) -> set[str]:
    """How its GPUs shared the work."""
    return {way for way, _ in run.runtime.parallel}


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


def _made_for(form: Form, runs: RunTable) -> RunTable:
    return usable(runs, form.law.knows_runtimes)[0]


def validate(
    forms: Sequence[str] | None = None,
    runs: RunTable | None = None,
    load: Load | None = None,
    workers: int = 1,
    say: Say | None = None,
) -> dict[str, dict[str, HeldOut]]:
    """Every law under every hold-out: ``{law: {holdout: HeldOut}}``.

    `forms` are all that are known, and `runs` the packaged ones, unless given; a form has those of them that
    it is made for.

    With more than one of `workers`, processes share the work (`load` must then be importable by name) and
    end at once when this one does; the answer is the same. `say` is told of each hold-out that is done.
    """
    say, load = say or (lambda words: None), load or packaged_profile
    forms = tuple(known_forms()) if forms is None else forms
    tasks = []
    for form in forms:
        mine = fitted_runs(find_form(form))[0] if runs is None else _made_for(find_form(form), runs)
        near = fit_law(form, Dataset.build(mine, load)) if find_form(form).refit and len(mine) else None
        parts = PARTS if find_form(form).is_slow and workers > 1 else 1
        tasks += [
            ((form, holdout, part), (form, holdout, mine, load, near, (part, parts)))
            for holdout in reversed(FAMILIARITY)
            for part in range(parts)
        ]
    results: Iterator[tuple[tuple[str, str, int], HeldOut]]
    if workers == 1:
        results = ((task, hold_out(*asked)) for task, asked in tasks)
    else:
        known = tuple(known_forms().values())
        results = shared_out(hold_out, tasks, workers, register_forms, (known,))
    done: dict[tuple[str, str], HeldOut] = {}
    for place, ((form, holdout, _), held) in enumerate(results, 1):
        known_part = done.get((form, holdout))
        done[form, holdout] = held if known_part is None else _together(known_part, held)
        say(f"{form}: {holdout}, {place} of {len(tasks)}")
    return {form: with_floors({h: done[form, h] for h in FAMILIARITY}) for form in forms}


def _together(one: HeldOut, other: HeldOut) -> HeldOut:
    """Two parts of a hold-out: of each run what either has."""
    names = ("energy_j", "duration_s", "energy_spread", "duration_spread")
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in names}
    return dataclasses.replace(
        one, **{name: np.where(np.isnan(mine), others, mine) for name, (mine, others) in pairs.items()}
    )
