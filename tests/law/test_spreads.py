"""The spreads that a fit assumes are not contradicted by what it finds."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast.compute.profile_file import packaged_profile
from joulecast.law.conduct import cache_effect
from joulecast.law.dataset import Dataset
from joulecast.law.fit_roofline import (
    DURATION_SPREAD,
    ENERGY_SPREAD,
    RUNTIME_SPREAD,
    SEVERAL_GPUS_SPREAD,
    SPREADS,
    Search,
)
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.roofline import RooflineLaw

TO_A_NORMAL = 0.6745  # the median of absolute deviations of a normal distribution of spread 1


def law() -> RooflineLaw:
    found = load_law("roofline")
    assert isinstance(found, RooflineLaw)
    return found


@pytest.mark.parametrize("kind", ["chip_energy", "chip_slowness", "engine", "quantised", "cache"])
def test_effects_are_no_wider_than_was_assumed(kind: str) -> None:
    """Of quantised kernels their median: two formats of one project are many times slower."""
    q = law().parameters
    effects = np.array(
        {
            "chip_energy": [*q.chip_effects.values()],
            "chip_slowness": [*q.chip_slowness.values()],
            "engine": [*q.engine_slowness.values()],
            "quantised": [*q.quantised_slowness.values()],
            "cache": [cache_effect(share) for share in q.cache_shares.values()],
        }[kind]
    )
    found = np.median(np.abs(effects)) / TO_A_NORMAL if kind == "quantised" else np.sqrt(np.mean(effects**2))
    assert SPREADS[kind] / 4 < found < SPREADS[kind]


@pytest.mark.slow
def test_runs_are_no_wider_around_the_law_than_was_assumed() -> None:
    """In sample, every effect fitted; within a third of what each run's weight says."""
    dataset = Dataset.build(fitted_runs()[0], packaged_profile)
    problem = Search(dataset)
    x = problem.solve(problem.start(law()))
    logs = np.log(problem.predict(x)) - np.array([problem.log_energy, problem.log_duration])
    stratum = np.array([runtime.stratum for runtime in dataset.runtimes])
    for of, place, has, assumed in (
        ("reference", 0, problem.has_energy, ENERGY_SPREAD),
        ("reference", 1, problem.has_duration, DURATION_SPREAD),
        ("one_gpu", 1, problem.has_duration, RUNTIME_SPREAD),
        ("several_gpus", 0, problem.has_energy, SEVERAL_GPUS_SPREAD),
        ("several_gpus", 1, problem.has_duration, SEVERAL_GPUS_SPREAD),
    ):
        off = logs[place][has & (stratum == of)]
        assert np.median(np.abs(off)) / TO_A_NORMAL < assumed < 3 * np.std(off), of
    _, effects = problem.unpack(x)
    for kind in ("host", "level"):
        assert np.sqrt(np.mean(effects[kind] ** 2)) < SPREADS[kind]
