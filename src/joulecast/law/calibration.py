"""What hold-outs say of laws: intervals, published errors, the default law, the file of predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import Calibration, FittedLaw
from joulecast.law.forms import find_form, fit_law
from joulecast.law.hold_out import HeldOut, validate
from joulecast.law.law import FAMILIARITY
from joulecast.law.load import law_names, load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.scores import Score
from joulecast.runtime import REFERENCE_STRATUM, STRATA


def calibrated(law: FittedLaw, held: Mapping[str, HeldOut]) -> FittedLaw:
    """The law with half-widths and published errors from its hold-outs, of each stratum of runtimes."""
    reference = _of_stratum(held, REFERENCE_STRATUM)
    return dataclasses.replace(
        law,
        half_widths=reference.half_widths,
        duration_half_widths=reference.duration_half_widths,
        errors=reference.errors,
        runtimes={s: _of_stratum(held, s) for s in STRATA[1:]} if law.knows_runtimes else {},
    )


def _of_stratum(held: Mapping[str, HeldOut], stratum: str) -> Calibration:
    energy, duration = (
        {holdout: held[holdout].half_width(quantity, stratum) for holdout in FAMILIARITY}
        for quantity in ("energy_j", "duration_s")
    )
    rows = next(iter(held.values())).in_stratum(stratum)
    return Calibration(energy, duration, {h: held[h].scores(rows).rounded() for h in FAMILIARITY})


def packaged_law(form: str, held: Mapping[str, HeldOut] | None = None) -> FittedLaw:
    """The law of a form that ships; of a form of one's own, one fitted and calibrated on the packaged runs.

    `held` are its hold-outs where they are known already.
    """
    if form in law_names():
        return load_law(form)
    find_form(form)
    runs = fitted_runs(find_form(form))[0]
    found = held or validate((form,), load=packaged_profile)[form]
    law = calibrated(fit_law(form, Dataset.build(runs, packaged_profile)), found)
    return dataclasses.replace(law, name=form)


RULED_BY = ("unseen_model", "unseen_gpu", "unseen_both")
RULE = (
    "of the runs of the reference runtime, the law whose largest 90th-percentile energy error over the "
    "hold-outs unseen_model, unseen_gpu and unseen_both is smallest, among those whose 90 % interval covers "
    "at least 85 % of the runs in each"
)


def choose_default(held: Mapping[str, Mapping[str, HeldOut]]) -> str:
    """The law to use when none is named, by RULE."""
    scores = {
        form: [_of_reference(by_holdout[holdout]) for holdout in RULED_BY]
        for form, by_holdout in held.items()
    }
    honest = {form: s for form, s in scores.items() if all(one.coverage >= 85 for one in s)} or scores
    return min(honest, key=lambda form: max(one.p90 for one in honest[form]))


def _of_reference(held: HeldOut) -> Score:
    return held.score("energy_j", held.in_stratum(REFERENCE_STRATUM))


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
