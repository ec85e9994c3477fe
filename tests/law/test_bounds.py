"""What sets the time: shares that add up, and each regime where it must be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile_file import packaged_profile
from joulecast.law.bounds import ARITHMETIC, EXCHANGES, LAUNCHES, MEMORY, POWER, bounds
from joulecast.law.forms import find_form
from joulecast.law.law import GpuColumns, LawInput
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.paper_gpus import GPUS, Bound, OnThreeGpus, on_three_gpus, what_sets_the_time
from joulecast.law.roofline import RooflineLaw
from joulecast.question.gpus import gpu
from joulecast.runtime import REFERENCE, Runtime

ADDS_UP = 1e-4  # of differences of 1e-5


@cache
def law() -> RooflineLaw:
    found = load_law("roofline")
    assert isinstance(found, RooflineLaw)
    return found


def shares(model: str, device: str, runtime: Runtime = REFERENCE, **work: int) -> dict[str, float]:
    asked = WorkloadColumns.from_values({"width": 1024, "height": 1024, "steps": 20, **work})
    found = bounds(
        law(), LawInput(packaged_profile(model), asked, "fp16", GpuColumns.of(gpu(device), 1), runtime)
    )
    return {part: float(one[0]) for part, one in found.items()}


@given(
    st.sampled_from(["flux.1-dev", "sdxl", "sd1.5", "sana1.5-1.6b"]),
    st.sampled_from(["T4", "A100", "H100", "B200", "RTX A4000"]),
    st.sampled_from([REFERENCE, Runtime("sglang"), Runtime(gpus=2, parallel=(("ulysses", 2),))]),
    st.sampled_from([1, 16]),
)
@settings(max_examples=30, deadline=None)
def test_shares_are_shares(model: str, device: str, runtime: Runtime, batch: int) -> None:
    found = shares(model, device, runtime, batch_size=batch)
    assert sum(found.values()) == pytest.approx(1, abs=ADDS_UP)
    assert min(found.values()) > -ADDS_UP
    assert (found[EXCHANGES] > ADDS_UP) <= (runtime.gpus > 1)


def test_each_regime_where_it_must_be() -> None:
    small = shares("sd1.5", "H100", width=512, height=512)
    assert small[LAUNCHES] > 0.9  # small kernels wait for the host
    large = shares("flux.1-dev", "B200", batch_size=16)
    assert large[ARITHMETIC] > large[MEMORY] > large[LAUNCHES]
    assert shares("flux.1-dev", "A100", batch_size=16)[POWER] > 0.2  # a saturated A100 runs at its limit
    limited = Runtime(power_limit_w=250.0)
    assert shares("flux.1-dev", "A100", limited, batch_size=16)[POWER] > 0.4
    assert shares("flux.1-dev", "H100", Runtime(gpus=8, parallel=(("ulysses", 8),)))[EXCHANGES] > 0.05


def test_fused_kernels_are_less_bound_by_memory() -> None:
    eager, fused = (shares("flux.1-dev", "H100", one, batch_size=8) for one in (REFERENCE, Runtime("sglang")))
    assert fused[MEMORY] < eager[MEMORY] / 2


# --- the paper's GPUs ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three() -> dict[str, OnThreeGpus]:
    runs = fitted_runs(find_form("paper"))[0]
    return {one.model: one for one in on_three_gpus(runs, packaged_profile, law())}


def test_the_papers_experiment_on_three_gpus(three: dict[str, OnThreeGpus]) -> None:
    """Its form describes each model on the three about as well as it does on one."""
    assert list(three) == ["flux.1-dev", "sd3.5-large", "qwen-image", "sd2"]
    for one in three.values():
        assert one.cells == 4
        assert 0.98 < one.r2 <= 1
        assert tuple(one.beta_gpu) == GPUS[1:]
    assert three["flux.1-dev"].published == {"r2": 1.0, "alpha": 0.997, "beta_gpu": 0.45}
    assert three["sd2"].published == {}


def test_which_cards_hold_the_weights(three: dict[str, OnThreeGpus]) -> None:
    """34 GB of FLUX on 80, 48 and 16 GB."""
    assert three["flux.1-dev"].fits == dict(zip(GPUS, (True, True, False), strict=True))
    assert all(three["sd2"].fits.values())


def test_the_claim_of_being_bound_by_compute() -> None:
    """True of FLUX on an A100, of a small U-Net of large batches alone."""
    found = {(one.model, one.gpu, one.runtime, one.batch_size): one for one in what_sets_the_time(law())}
    for one in found.values():
        assert np.isclose(sum(one.shares.values()), 1, atol=ADDS_UP)
    assert found["flux.1-dev", "A100-SXM4-80GB", "diffusers", 1].compute_bound == "yes"
    assert found["flux.1-dev", "H100-SXM5-80GB", "diffusers", 1].compute_bound == "about half"
    assert found["sd2", "A100-SXM4-80GB", "diffusers", 1].compute_bound == "no"
    assert found["sd2", "A100-SXM4-80GB", "diffusers", 16].compute_bound == "yes"


@pytest.mark.parametrize(
    ("arithmetic", "power", "verdict"),
    [
        (0.44, 0.0, "no"),
        (0.46, 0.0, "about half"),
        (0.54, 0.0, "about half"),
        (0.56, 0.0, "yes"),
        (0.3, 0.5, "yes"),
    ],
)
def test_what_the_law_cannot_tell_is_said_so(arithmetic: float, power: float, verdict: str) -> None:
    shares = {ARITHMETIC: arithmetic, POWER: power, MEMORY: 1 - arithmetic - power}
    assert Bound("m", "g", "diffusers", 1, 1, shares).compute_bound == verdict
