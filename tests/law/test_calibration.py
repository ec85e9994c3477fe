"""Intervals never narrow where less is known, and the default law is the one that the rule chooses."""

from __future__ import annotations

import json

from joulecast import data
from joulecast.compute.profile_file import packaged_profile
from joulecast.law import hold_out as validation
from joulecast.law.calibration import RULE, RULED_BY, calibrated
from joulecast.law.dataset import Dataset
from joulecast.law.forms import fit_law, known_forms
from joulecast.law.load import default_law
from joulecast.runs import RunTable
from published_errors import published


def test_calibration_never_narrows_where_less_is_known(eager: RunTable, dataset: Dataset) -> None:
    form = "tdp_time"
    held = validation.validate((form,), eager, packaged_profile)[form]
    law = calibrated(fit_law(form, dataset), held)
    for widths in (law.half_widths, law.duration_half_widths):
        assert widths["same_source"] <= widths["seen"] <= widths["unseen_model"] <= widths["unseen_both"]
        assert widths["seen"] <= widths["unseen_gpu"] <= widths["unseen_both"]


def test_the_default_law_is_the_one_that_the_rule_chooses() -> None:
    """The smallest of each law's largest p90, among laws that cover at least 85 % in each hold-out."""
    assert RULED_BY == ("unseen_model", "unseen_gpu", "unseen_both")
    unseen = {form: [published(form, holdout, "energy") for holdout in RULED_BY] for form in known_forms()}
    honest = {form: s for form, s in unseen.items() if all(one["coverage"] >= 85 for one in s)}
    best = min(honest, key=lambda form: max(one["p90"] for one in honest[form]))
    written = json.loads(data.read_text("default_law.json"))
    assert written == {"default": best, "rule": RULE}
    assert default_law() == best
