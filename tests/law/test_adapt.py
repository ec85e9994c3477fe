"""What a law that was fitted on a user's runs says of runtimes that these are not of."""

from __future__ import annotations

import numpy as np

from joulecast import estimate
from joulecast.law.adapt import _with_packaged_widths, fit
from joulecast.law.fitted import UNVALIDATED_HALF_WIDTH, Calibration, FittedLaw
from joulecast.law.groups import groups_of
from joulecast.law.hold_out import HeldOut
from joulecast.law.law import FAMILIARITY
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.runs import RunTable


def own_runs() -> RunTable:
    """Images by eager diffusers on two GPUs."""
    return fitted_runs()[0].filter(
        lambda run: (
            run.source == "ML.ENERGY leaderboard v3"
            and run.model in ("sdxl", "sd1.5", "flux.1-dev")
            and run.runtime.is_reference
        )
    )


def assert_not_narrower(found: Calibration, than: Calibration | FittedLaw) -> None:
    for known in FAMILIARITY:
        assert found.half_widths[known] >= than.half_widths[known]
        assert found.duration_half_widths[known] >= than.duration_half_widths[known]


def test_of_other_runtimes_no_width_is_below_the_reference_s() -> None:
    """Half off on what was measured: no less on what was not."""
    law, own = load_law("roofline"), own_runs()
    off = {q: own.column(q).astype(float) * np.exp(0.5) for q in ("energy_j", "duration_s")}
    none = np.zeros(len(own))
    held = HeldOut("roofline", "same_source", own, groups_of("same_source", own), **off,
                   energy_spread=none, duration_spread=none)  # fmt: skip
    found = _with_packaged_widths(law, law, held, own)
    assert min(found.half_widths.values()) > 0.49
    for stratum, before in law.runtimes.items():
        assert_not_narrower(found.runtimes[stratum], before)
        assert_not_narrower(found.runtimes[stratum], found)
        assert found.runtimes[stratum].errors == before.errors


def test_a_law_of_ones_own_runs_alone_was_tested_on_no_other_runtime() -> None:
    """And neither takes another law's errors for its own, nor its widths."""
    law = fit(own_runs(), "roofline", alone=True).law
    for stratum, packaged in load_law("roofline").runtimes.items():
        found = law.runtimes[stratum]
        assert_not_narrower(found, packaged)
        assert_not_narrower(found, law)
        assert not found.errors
        assert min(found.half_widths.values()) == UNVALIDATED_HALF_WIDTH
    guess = estimate("flux.1-dev", "H100-SXM5-80GB", engine="sglang", law=law)
    assert np.log(guess.duration_high_s / guess.duration_s) >= UNVALIDATED_HALF_WIDTH
    assert "was tested on" not in str(guess)
    assert guess.to_dict()["law"]["held_out_error"] == {"energy": None, "duration": None}
