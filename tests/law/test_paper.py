"""The paper's law: hand values, and its least squares against statsmodels."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm  # type: ignore[import-untyped]

from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FitError
from joulecast.hardware import idle_power_w
from joulecast.law.dataset import Dataset
from joulecast.law.fit_paper import SLOPES, dataset_regressors, dynamic_energy_j, fit_logarithms, fit_paper
from joulecast.law.fitted import Gross
from joulecast.law.law import FAMILIARITY, GpuColumns, LawInput
from joulecast.law.paper import Coefficients, PaperLaw, PaperParameters, ReferenceGpu, paper_regressors
from joulecast.question.gpus import gpu
from joulecast.runs import RunTable

SAME_ALGEBRA = 1e-6  # two least-squares solvers on a design of condition ~1e3, in float64
FLUX = packaged_profile("flux.1-dev")


def coefficients(target: str, intercept: float) -> Coefficients:
    return Coefficients(
        target, intercept, alpha=0.9, beta_res=0.1, beta_dtype=2.0,
        beta_gpu={"A100-SXM4-80GB": 0.0, "H100-SXM5-80GB": -0.5}, reference="A100-SXM4-80GB",
        runs=0, residual_sd=0.0, r2=1.0, columns=(), covariance=(),
    )  # fmt: skip


@pytest.fixture
def law(dataset: Dataset) -> PaperLaw:
    parameters = PaperParameters(
        coefficients("energy", -25.0),
        coefficients("duration", -30.0),
        ReferenceGpu("A100-SXM4-80GB", tdp_w=400.0, peak_flop_per_s=312e12),
    )
    half = dict.fromkeys(FAMILIARITY, 0.3)
    return PaperLaw("by hand", parameters, dataset.fitted_on(), half, half)


def test_regressors_by_hand() -> None:
    """512 x 512 pixels are 1024 tokens of 16 x 16 (arXiv 2511.17031)."""
    workload = Workload(512, 512, 20, precision="fp32").columns()
    rows = paper_regressors(np.array([1e15]), workload, "fp32")
    assert rows.tolist() == [[1.0, math.log(1e15), math.log(1024), 1.0]]


@pytest.mark.parametrize(("device", "beta"), [("A100-SXM4-80GB", 0.0), ("H100-SXM5-80GB", -0.5)])
def test_energy_by_hand(law: PaperLaw, device: str, beta: float) -> None:
    """Gross energy is exp of the sum, plus idle power times the time that follows the same form."""
    workload = Workload(512, 512, 20, precision="fp32").columns()
    answer = law.gross(LawInput(FLUX, workload, "fp32", GpuColumns.of(gpu(device), 1)))
    flop = sum(float(f[0]) for f in FLUX.flop(workload, "fp32").values())
    common = 0.9 * math.log(flop) + 0.1 * math.log(1024) + 2.0 + beta
    seconds = math.exp(common - 30)
    assert answer.duration_s[0] == pytest.approx(seconds)
    assert sum(e[0] for e in answer.component_energy_j.values()) == pytest.approx(
        math.exp(common - 25) + idle_power_w(gpu(device)) * seconds
    )


def test_guidance_doubles_the_denoiser_as_two_to_the_cfg() -> None:
    one, two = (Workload(512, 512, 20, passes=passes).columns() for passes in (1, 2))
    flop = [FLUX.flop(columns, "fp16")["transformer"][0] for columns in (one, two)]
    assert flop[1] == 2 * flop[0]


def test_a_gpu_that_was_not_fitted_takes_its_beta_from_the_datasheet(law: PaperLaw) -> None:
    """log(TDP over peak) relative to the reference, A100: RTX A6000 has 300 W and 154.8 TFLOP/s."""
    workload = Workload(512, 512, 20).columns()
    device = gpu("RTX A6000")
    assert (device.tdp_w, device.fp16_flop_per_s) == (300.0, 154.8e12)
    reference = law.gross(LawInput(FLUX, workload, "fp16", GpuColumns.of(gpu("A100-SXM4-80GB"), 1)))
    answer = law.gross(LawInput(FLUX, workload, "fp16", GpuColumns.of(device, 1)))
    assert answer.duration_s[0] / reference.duration_s[0] == pytest.approx(312 / 154.8)

    def dynamic(found: Gross, name: str) -> float:
        gross = sum(e[0] for e in found.component_energy_j.values())
        return float(gross - idle_power_w(gpu(name)) * found.duration_s[0])

    ratio = dynamic(answer, "RTX A6000") / dynamic(reference, "A100-SXM4-80GB")
    assert ratio == pytest.approx(300 / 400 * 312 / 154.8)


@pytest.mark.parametrize("kind", ["energy", "duration"])
def test_the_fit_is_ordinary_least_squares(dataset: Dataset, kind: str) -> None:
    """Coefficients, their covariance and R2 against statsmodels."""
    columns = dataset_regressors(dataset)
    batch = np.array([run.batch_size for run in dataset.runs])
    target = dynamic_energy_j(dataset)
    if kind == "duration":
        target = np.where(dataset.loop_only, np.nan, dataset.duration_s / batch)
    names = np.array([device.name for device in dataset.gpus])
    fit = fit_logarithms(columns, target, names, kind)

    known = np.isfinite(target)
    slopes = [SLOPES.index(name) for name in fit.columns if name in SLOPES]
    dummies = [names[known] == name for name in fit.columns if name not in SLOPES]
    design = np.column_stack([columns[known][:, slopes], *dummies]).astype(float)
    oracle = sm.OLS(np.log(target[known]), design).fit()

    ours = [getattr(fit, name) if name in SLOPES else fit.beta_gpu[name] for name in fit.columns]
    np.testing.assert_allclose(ours, oracle.params, rtol=SAME_ALGEBRA)
    np.testing.assert_allclose(fit.covariance, oracle.cov_params(), rtol=SAME_ALGEBRA, atol=1e-12)
    assert fit.r2 == pytest.approx(oracle.rsquared, rel=SAME_ALGEBRA)
    assert fit.runs == known.sum()


def test_fit_paper_predicts_what_its_least_squares_fitted(dataset: Dataset) -> None:
    law = fit_paper(dataset)
    found = law.parameters.energy
    slopes = np.array([getattr(found, name) for name in SLOPES])
    betas = np.array([found.beta_gpu.get(device.name, 0.0) for device in dataset.gpus])
    expected = np.exp(dataset_regressors(dataset) @ slopes + betas)
    for group in dataset.groups:
        answer = law.predict(LawInput(group.profile, group.workloads, group.precision, group.gpus))
        dynamic = answer.energy_j - answer.idle_power_w * answer.duration_s / group.workloads.batch_size
        rows = [place for place, row in enumerate(group.rows) if dataset.gpus[row].name in found.beta_gpu]
        np.testing.assert_allclose(dynamic[rows], expected[group.rows[rows]], rtol=SAME_ALGEBRA)


def test_too_few_runs(eager: RunTable) -> None:
    few = eager.filter(model="qwen-image")
    with pytest.raises(FitError, match=r"4 runs with energy; the paper's law needs at least 6"):
        fit_paper(Dataset.build(few, packaged_profile))


def test_runs_that_are_all_alike_are_no_fit(eager: RunTable) -> None:
    one = eager.filter(gpu="H100", model="flux.1-dev")[0]
    alike = RunTable(dataclasses.replace(one, run_id=f"r{i}") for i in range(8))
    with pytest.raises(FitError, match="all of one workload"):
        fit_paper(Dataset.build(alike, packaged_profile))


def test_two_regressors_that_say_the_same_are_refused(eager: RunTable) -> None:
    """Batch, steps and precision alike: FLOP and tokens then move together when only two sizes occur."""
    base = eager.filter(gpu="H100", model="flux.1-dev")[0]
    runs = RunTable(
        dataclasses.replace(base, run_id=f"r{i}", width=512 * (1 + i % 2), height=512 * (1 + i % 2))
        for i in range(8)
    )
    with pytest.raises(FitError, match="too alike to fit 3 coefficients"):
        fit_paper(Dataset.build(runs, packaged_profile))


def test_runs_on_a_gpu_file_are_fitted_by_the_gpus_name(eager: RunTable, tmp_path: Path) -> None:
    file = tmp_path / "card.toml"
    file.write_text(
        'name = "My card"\ntdp_w = 350\nmemory_gb = 24\nbandwidth_gb_per_s = 900\nfp16_tflops = 200\n'
    )
    mine = RunTable(
        dataclasses.replace(run, run_id=f"mine-{run.run_id}", gpu=str(file), gpu_stated=None)
        for run in eager.filter(gpu="H100", source="ML.ENERGY leaderboard v3")
    )
    data = Dataset.build(eager + mine, packaged_profile)
    law = fit_paper(data)
    assert "My card" in law.parameters.energy.beta_gpu
    assert "My card" in law.fitted_on.gpus
    assert law.familiarity(FLUX, [gpu(file)], "bf16") == ["seen"]
