"""A law fitted on a user's runs: alone, or with the packaged ones, which adapts it to the user's GPU.

With the packaged runs, the user's move what they speak of (their chip, their software's host time
and level) and the rest stays as physics and the packaged runs have it. Intervals: the user's runs,
held out of the fit a fifth at a time, say how wide the interval of what the user measured must be, on
each GPU with enough of them; it is never narrower than the packaged law's on a fifth of its own runs.
For what the user did not measure, no width is narrower than the packaged law's, nor one of another
runtime than the reference's.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from joulecast.law.calibration import calibrated, packaged_law
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import Calibration, FittedLaw, unvalidated
from joulecast.law.forms import find_form, fit_law
from joulecast.law.groups import groups_of
from joulecast.law.hold_out import HeldOut, Say, validate
from joulecast.law.law import FAMILIARITY, FORMATS, FittedOn, Own
from joulecast.law.load import default_law
from joulecast.law.own_runs import check, fitted_runs, load_run_profile, named, usable
from joulecast.law.score_runs import OnRuns, on_runs, predict_runs
from joulecast.law.scores import Scores
from joulecast.presented import Presented
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, RunTable, as_runs
from joulecast.runtime import REFERENCE_STRATUM

# Runs behind which a conformal 90 % quantile exists: (n + 1) * 0.9 <= n.
FEWEST_FOR_INTERVAL = 9
OWN_SOURCE = "your runs"
QUANTITIES: Mapping[str, str] = {"energy_j": "energy", "duration_s": "duration"}


@dataclass(frozen=True, repr=False)
class Adaptation(Presented):
    """A fit on a user's runs.

    Attributes
    ----------
    law : the fitted law.
    before, after : how the packaged law of the same form does on the user's runs, and how `law` does,
        which has seen them.
    held_out : how laws do that did not see a fifth of the user's runs at a time.
    moved : parameters that changed: name -> (packaged, fitted), None where there is none.
    left_out : runs that no law can use, by reason.
    """

    text_by = "fit_text:adaptation_text"

    law: FittedLaw
    before: OnRuns
    after: OnRuns
    held_out: HeldOut
    moved: Mapping[str, tuple[float | None, float | None]]
    left_out: Mapping[str, int]


def fit(
    runs: RunTable | str | os.PathLike[str],
    form: str | None = None,
    name: str = "mine",
    *,
    alone: bool = False,
    say: Say | None = None,
) -> Adaptation:
    """Fit a law on a user's runs, with the packaged ones unless `alone`.

    `runs` are a table, or the path of its CSV file; `form` is that of the default law unless given; `name`
    becomes the law's name; `say` is told what is being done.

    Raises
    ------
    UnknownNameError
        There is no such form.
    InputError, FileFormatError
        `runs` are neither a table nor the file of one.
    MissingExtraError
        The fit needs an extra that is not installed.
    FitError
        The runs cannot support the fit: too few or degenerate, one GPU only (`alone`), both boundaries,
        a measurement that occurs twice, an unknown model.
    """
    say = say or (lambda words: None)
    form = form or default_law()
    find_form(form).check_extras()
    packaged = packaged_law(form)
    own, left_out = usable(named(as_runs(runs)), find_form(form).law.knows_runtimes)
    others = RunTable() if alone else fitted_runs(find_form(form))[0]
    check(own, others, alone)
    own = _with_source(own)
    say(f"fitting {form} on {len(own)} runs of yours and {len(others)} packaged ones")
    dataset = _dataset(others, own)
    law = fit_law(form, dataset, None if alone else packaged)
    say("fitting again without a fifth of your runs at a time")
    if alone:
        held = validate((form,), own, load_run_profile)[form]
        own_held = _of_a_known_host(held["same_source"])
        law = _wider(calibrated(law, {**held, "same_source": own_held}), packaged, own)
    else:
        own_held = _hold_out_own(form, others, own, packaged)
        law = _with_packaged_widths(law, packaged, own_held, own)
    fitted_on = dataclasses.replace(
        law.fitted_on, own=_pairs(own, "energy_j"), own_timed=_pairs(own, "duration_s")
    )
    law = dataclasses.replace(law, name=name, fitted_on=fitted_on)
    mine = Dataset.build(own, load_run_profile)
    return Adaptation(
        law, on_runs(packaged, mine), on_runs(law, mine), own_held, moved(packaged, law), left_out
    )


def _pairs(own: RunTable, quantity: str) -> tuple[Own, ...]:
    """What the user measured the quantity of, on GPUs with enough runs to say how well."""
    measured = _well_measured(own, quantity)
    pairs = {
        (run.model, gpu(run.gpu).name, run.runtime.family, FORMATS[run.precision])
        for run in own
        if getattr(run, quantity) is not None
    }
    return tuple(sorted(pair for pair in pairs if pair[1] in measured))


def _well_measured(own: RunTable, quantity: str) -> set[str]:
    """The GPUs with enough runs to calibrate an interval."""
    counts = _runs_by_gpu(own, quantity)
    return {name for name, count in counts.items() if count >= FEWEST_FOR_INTERVAL}


def _runs_by_gpu(own: RunTable, quantity: str) -> Counter[str]:
    return Counter(gpu(run.gpu).name for run in own if getattr(run, quantity) is not None)


def moved(before: FittedLaw, after: FittedLaw) -> dict[str, tuple[float | None, float | None]]:
    """Parameters that differ by more than rounding, by dotted name."""
    old, new = (dict(_numbers(dataclasses.asdict(law.parameters))) for law in (before, after))
    names = list(dict.fromkeys([*old, *new]))
    pairs = {name: (old.get(name), new.get(name)) for name in names}
    return {
        name: (a, b)
        for name, (a, b) in pairs.items()
        if a is None or b is None or not math.isclose(a, b, rel_tol=1e-3)
    }


_NO_PARAMETERS = ("covariance", "runs", "residual_sd", "r2", "reference_gpu", "host_spread")


def _numbers(parameters: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    out: list[tuple[str, float]] = []
    for key, value in parameters.items():
        if key in _NO_PARAMETERS:
            continue
        if isinstance(value, Mapping):
            out += _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            out.append((prefix + key, float(value)))
    return out


def _dataset(others: RunTable, own: RunTable) -> Dataset:
    mine = {run.run_id for run in own}
    return Dataset.build(others + own, load_run_profile, own=lambda run: run.run_id in mine)


def _with_source(own: RunTable) -> RunTable:
    """The runs with a source, so that their software's effects are told apart from the packaged ones'."""

    def sourced(run: MeasuredRun) -> MeasuredRun:
        return run if run.source else dataclasses.replace(run, source=OWN_SOURCE)

    return RunTable(map(sourced, own), own.ignored_columns)


def _hold_out_own(form: str, others: RunTable, own: RunTable, packaged: FittedLaw) -> HeldOut:
    """The user's runs predicted by laws fitted without a fifth of them at a time."""
    folds = groups_of("same_source", own)
    result = np.full((4, len(own)), np.nan)
    for fold in dict.fromkeys(folds):
        inside = np.array([f == fold for f in folds])
        rest = RunTable(run for run, out in zip(own, inside, strict=True) if not out)
        law = fit_law(form, _dataset(others, rest), packaged)
        left = RunTable(run for run, out in zip(own, inside, strict=True) if out)
        result[:, inside] = predict_runs(law, Dataset.build(left, load_run_profile))
    return _of_a_known_host(HeldOut(form, "same_source", own, folds, *result))


def _of_a_known_host(held: HeldOut) -> HeldOut:
    """The user's own host is known: all of an error is the interval's, none is what hosts differ by."""
    none = np.zeros(len(held.runs))
    return dataclasses.replace(held, energy_spread=none, duration_spread=none)


def _with_packaged_widths(law: FittedLaw, packaged: FittedLaw, held: HeldOut, own: RunTable) -> FittedLaw:
    """The packaged widths, of each stratum of runtimes at least as wide as the user's held-out runs ask for.

    A GPU that the packaged law had not seen, with too few runs to tell, stays as uncertain as one.
    """
    strata = {REFERENCE_STRATUM: _of_reference(packaged), **packaged.runtimes}
    adapted = {
        stratum: _adapted(old, packaged.fitted_on, held, own, stratum) for stratum, old in strata.items()
    }
    return _with(law, adapted.pop(REFERENCE_STRATUM), adapted)


def _adapted(packaged: Calibration, on: FittedOn, held: HeldOut, own: RunTable, stratum: str) -> Calibration:
    mine = own.filter(lambda run: run.runtime.stratum == stratum)
    if not len(mine):
        return packaged
    errors = {known: packaged.errors.get(known, Scores(None, None)) for known in FAMILIARITY}
    widths = {}
    for quantity, label in QUANTITIES.items():
        known, old = (
            (on.gpus, packaged.half_widths)
            if label == "energy"
            else (on.timed_gpus, packaged.duration_half_widths)
        )
        counts, measured = _runs_by_gpu(mine, quantity), _well_measured(mine, quantity)
        too_few = set(counts) - set(known) - measured
        asked = held.half_width(quantity, stratum) if counts else 0.0
        of_own = held.score(quantity, held.in_stratum(stratum)).rounded() if measured else None
        errors["same_source"] = dataclasses.replace(errors["same_source"], **{label: of_own})
        if too_few:
            errors["seen"] = dataclasses.replace(errors["seen"], **{label: None})
        seen = max(old["unseen_gpu" if too_few else "seen"], asked)
        widths[label] = {name: max(old[name], seen) for name in FAMILIARITY}
        widths[label]["same_source"] = max(old["same_source"], asked)
    return Calibration(widths["energy"], widths["duration"], errors)


def _wider(law: FittedLaw, packaged: FittedLaw, own: RunTable) -> FittedLaw:
    """Widths at least the packaged law's: few runs of one user cannot prove a law better.

    Of runtimes that none of the user's runs is of, the law was not tested.
    """
    tested = {run.runtime.stratum for run in own}
    untested = Calibration(unvalidated(), unvalidated(), {})
    runtimes = {
        stratum: _at_least(found if stratum in tested else untested, packaged.runtimes[stratum])
        for stratum, found in law.runtimes.items()
    }
    return _with(law, _at_least(_of_reference(law), _of_reference(packaged)), runtimes)


def _of_reference(law: FittedLaw) -> Calibration:
    return Calibration(law.half_widths, law.duration_half_widths, law.errors)


def _with(law: FittedLaw, reference: Calibration, runtimes: Mapping[str, Calibration]) -> FittedLaw:
    """The law with what is known of its errors; of other runtimes no width is below the reference's."""
    return dataclasses.replace(
        law,
        half_widths=reference.half_widths,
        duration_half_widths=reference.duration_half_widths,
        errors=reference.errors,
        runtimes={stratum: _at_least(found, reference) for stratum, found in runtimes.items()},
    )


def _at_least(found: Calibration, other: Calibration) -> Calibration:
    """The same with no width below the other's."""
    energy, duration = (
        {known: max(mine[known], least[known]) for known in FAMILIARITY}
        for mine, least in (
            (found.half_widths, other.half_widths),
            (found.duration_half_widths, other.duration_half_widths),
        )
    )
    return Calibration(energy, duration, found.errors)
