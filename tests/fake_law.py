"""A law simple enough to check by hand: energy per FLOP and time per FLOP are constants of the GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu
from joulecast.law.law import Breakdown, FittedOn, LawFacts, LawInput, Prediction
from joulecast.law.scores import Score, Scores
from joulecast.runtime import REFERENCE, Runtime

UTILISATION = 0.4
POWER_SHARE = 0.9
IDLE_W = 50.0
LARGEST_STEPS = 100
SCORE = Score(
    runs=7,
    r2=0.9,
    median=9.6,
    p90=30.0,
    worst=61.2,
    bias=-1.5,
    spearman=0.9,
    kendall=0.8,
    coverage=88.0,
    width=1.3,
)


class FakeLaw:
    """Runs at 40 % of the peak and 90 % of the power limit; fitted on flux.1-dev and the A100-SXM4-80GB."""

    name = "fake"
    form = "constant"

    def predict(self, asked: LawInput) -> Prediction:
        flop = asked.profile.flop(asked.workloads, asked.precision)
        rate = asked.gpus.column(lambda gpu: UTILISATION * gpu.peak_flop_per_s(asked.precision))
        power = asked.gpus.column(lambda gpu: POWER_SHARE * gpu.tdp_w)
        parts = {name: power * f / rate / asked.workloads.batch_size for name, f in flop.items()}
        ones = np.ones(len(asked.workloads))
        return Prediction(
            energy_j=sum(parts.values(), 0 * ones),
            duration_s=sum(flop.values(), 0 * ones) / rate,
            log_half_width=0.3 * ones,
            duration_log_half_width=0.2 * ones,
            idle_power_w=IDLE_W * ones,
            component_energy_j=parts,
            host_share=0 * ones,
        )

    def familiarity(
        self, profile: ComputeProfile, gpus: Sequence[Gpu], precision: str, runtime: Runtime = REFERENCE
    ) -> list[str]:
        model = "seen" if profile.name == "flux.1-dev" else "unseen_model"
        other = "unseen_gpu" if model == "seen" else "unseen_both"
        return [model if gpu.name == "A100-SXM4-80GB" else other for gpu in gpus]

    def timed_familiarity(
        self, profile: ComputeProfile, gpus: Sequence[Gpu], precision: str, runtime: Runtime = REFERENCE
    ) -> list[str]:
        return self.familiarity(profile, gpus, precision, runtime)

    def outside(self, asked: LawInput) -> Mapping[str, NDArray[np.bool_]]:
        return {f"steps are more than {LARGEST_STEPS}": asked.workloads.steps > LARGEST_STEPS}

    def breakdown(self, asked: LawInput) -> Breakdown | None:
        return None

    def describe(self) -> LawFacts:
        models, gpus = ("flux.1-dev",), ("A100-SXM4-80GB",)
        fitted_on = FittedOn(3, models, gpus, models, gpus, ("bf16",), {"steps": (1.0, 100.0)}, ("a table",))
        errors = {"seen": Scores(SCORE, SCORE), "unseen_model": Scores(SCORE, None)}
        return LawFacts(self.name, self.form, fitted_on, errors)
