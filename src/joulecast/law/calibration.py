"""What hold-outs say of laws: intervals, published errors, the default law, the file of predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from joulecast.compute.profile_file import packaged_profile
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import FittedLaw
from joulecast.law.forms import find_form, fit_law
from joulecast.law.hold_out import HeldOut, validate
from joulecast.law.law import FAMILIARITY
from joulecast.law.load import law_names, load_law
from joulecast.law.own_runs import usable
from joulecast.runs import packaged_runs


def calibrated(law: FittedLaw, held: Mapping[str, HeldOut]) -> FittedLaw:
    """The law with its half-widths and published errors set from its hold-outs.

    Less known is never narrower: each width is at least that of the hold-outs that know more.
    """
    widths = {
        q: _monotone({h: held[h].half_width(q) for h in FAMILIARITY}) for q in ("energy_j", "duration_s")
    }
    errors = {holdout: held[holdout].scores().rounded() for holdout in FAMILIARITY}
    return dataclasses.replace(
        law, half_widths=widths["energy_j"], duration_half_widths=widths["duration_s"], errors=errors
    )


def packaged_law(form: str, held: Mapping[str, HeldOut] | None = None) -> FittedLaw:
    """The law of a form that ships; of a form of one's own, one fitted and calibrated on the packaged runs.

    `held` are its hold-outs where they are known already.
    """
    if form in law_names():
        return load_law(form)
    find_form(form)
    runs = usable(packaged_runs())[0]
    found = held or validate((form,), runs, packaged_profile)[form]
    law = calibrated(fit_law(form, Dataset.build(runs, packaged_profile)), found)
    return dataclasses.replace(law, name=form)


RULE = (
    "the law whose largest 90th-percentile energy error over the hold-outs unseen_model, unseen_gpu and "
    "unseen_both is smallest, among those whose 90 % interval covers at least 85 % of the runs in each"
)


def choose_default(held: Mapping[str, Mapping[str, HeldOut]]) -> str:
    """The law to use when none is named, by RULE."""
    scores = {
        form: [by_holdout[holdout].score("energy_j") for holdout in FAMILIARITY[2:]]
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
