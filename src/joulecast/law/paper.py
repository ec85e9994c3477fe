"""The paper's law: log energy is linear in log FLOP, log tokens, precision and GPU.

    log E = log A + alpha * log(FLOP) + beta_res * log(H * W / 256) + beta_dtype * [fp32] + beta_gpu

E is the GPU's dynamic energy of one image [J]; FLOP is traced and counts every denoiser pass, so
that it equals the paper's ``FLOP * 2^cfg``; H * W / 256 is the number of 16 x 16 pixel tokens.
Time of one image follows the same equation with parameters of its own, and gross energy is dynamic
energy plus idle power times time. Source: arXiv 2511.17031, section 3.

Beyond the paper: a GPU that was not fitted on takes its beta from the datasheet, TDP over peak.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from joulecast.architecture.workload import WorkloadColumns
from joulecast.errors import InputError, one_line, shown
from joulecast.files.numbers import within
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law import possible
from joulecast.law.fitted import Decoded, FittedLaw, Gross, Parameters
from joulecast.law.law import Array, GpuColumns, LawInput
from joulecast.records import Record

PIXELS_PER_TOKEN = 256.0


class Coefficients(Record):
    """A fit of the equation to logarithms of one `target`, ``energy`` or ``duration``.

    Attributes
    ----------
    intercept, alpha, beta_res, beta_dtype, beta_gpu : the equation's, the last by GPU, 0 of `reference`.
    runs, residual_sd, r2 : how many runs it was fitted to, and how well.
    columns, covariance : of the coefficients that the runs could tell.
    """

    target: str
    intercept: float
    alpha: float
    beta_res: float
    beta_dtype: float
    beta_gpu: Mapping[str, float]
    reference: str
    runs: int
    residual_sd: float
    r2: float
    columns: tuple[str, ...]
    covariance: tuple[tuple[float, ...], ...]

    @property
    def slopes(self) -> Array:
        """Intercept, alpha, beta_res and beta_dtype: of the columns of `paper_regressors`."""
        return np.array([self.intercept, self.alpha, self.beta_res, self.beta_dtype])

    @classmethod
    def of(cls, value: Decoded) -> Coefficients:
        """As a law file has them; JSON has no nan."""
        r2 = math.nan if value["r2"] is None else value["r2"]
        lists = {"columns": tuple(value["columns"]), "covariance": tuple(map(tuple, value["covariance"]))}
        return cls(**{**value, "r2": r2, **lists})


class ReferenceGpu(Record):
    """The GPU whose beta is 0: its power limit [W] and its 16-bit peak [FLOP/s]."""

    name: str
    tdp_w: float
    peak_flop_per_s: float


class PaperParameters(Parameters, Record):
    """Coefficients of energy and of time, and the GPU that others are relative to."""

    energy: Coefficients
    duration: Coefficients
    reference_gpu: ReferenceGpu


class PaperLaw(FittedLaw):
    """See the module's docstring."""

    form = "paper"
    parameters: PaperParameters

    @classmethod
    def parameters_of(cls, value: Decoded) -> PaperParameters:
        """See `FittedLaw.parameters_of`."""
        energy, duration = (Coefficients.of(value[target]) for target in ("energy", "duration"))
        return PaperParameters(energy, duration, ReferenceGpu(**value["reference_gpu"]))

    def check(self) -> None:
        """See `FittedLaw.check`."""
        super().check()
        reference = self.parameters.reference_gpu
        one_line(reference.name, "reference_gpu.name")
        within(reference.tdp_w, "reference_gpu.tdp_w", 1, 1e5)
        within(reference.peak_flop_per_s, "reference_gpu.peak_flop_per_s", 1e9, 1e19)
        for target in ("energy", "duration"):
            _check_coefficients(getattr(self.parameters, target), target)

    def gross(self, asked: LawInput) -> Gross:
        """See `FittedLaw.gross`; the uncertainty is the same for every workload."""
        profile, workloads, precision, gpus, _ = asked
        by_component = profile.flop(workloads, precision)
        total = profile.total_flop(workloads, precision)
        regressors = paper_regressors(total / workloads.batch_size, workloads, precision)
        dynamic, seconds = (
            np.exp(self._log_prediction(coefficients, regressors, gpus))
            for coefficients in (self.parameters.energy, self.parameters.duration)
        )
        energy = dynamic + gpus.column(idle_power_w) * seconds
        shares = {name: energy * flop / total for name, flop in by_component.items()}
        none = np.zeros(len(workloads))
        return Gross(shares, seconds * workloads.batch_size, none, none, none)

    def _log_prediction(self, coefficients: Coefficients, regressors: Array, gpus: GpuColumns) -> Array:
        reference = self.parameters.reference_gpu
        gpu_effect = gpus.column(
            lambda gpu: coefficients.beta_gpu.get(
                gpu.name, _datasheet_beta(gpu, reference, coefficients.target)
            )
        )
        result: Array = regressors @ coefficients.slopes + gpu_effect
        return result


def _check_coefficients(found: Coefficients, target: str) -> None:
    """Raise InputError where the equation of a target cannot be of any GPU and model."""
    if found.target != target:
        raise InputError(f"the coefficients of {target} say that they are of {shown(found.target)}")
    one_line(found.reference, f"{target}.reference")
    within(found.intercept, f"{target}.intercept", -200, 200)
    within(found.alpha, f"{target}.alpha", 0, 5)
    for name, value in {"beta_res": found.beta_res, "beta_dtype": found.beta_dtype}.items():
        within(value, f"{target}.{name}", -20, 20)
    for gpu, value in found.beta_gpu.items():
        within(value, f"{target}.beta_gpu of {shown(gpu)}", -20, 20)
    within(found.runs, f"{target}.runs", 0, 1e9)
    within(found.residual_sd, f"{target}.residual_sd", 0, 100)
    if not math.isnan(found.r2):
        within(found.r2, f"{target}.r2", -1e9, 1)
    possible.check_covariance(found.columns, found.covariance)


def paper_regressors(flop_per_image: Array, workloads: WorkloadColumns, precision: str) -> Array:
    """Columns 1, log FLOP, log tokens, [fp32]; shape (workloads, 4)."""
    size = len(workloads)
    tokens = workloads.width * workloads.height / PIXELS_PER_TOKEN
    return np.column_stack(
        [np.ones(size), np.log(flop_per_image), np.log(tokens), np.full(size, float(precision == "fp32"))]
    )


def peak_flop_per_s(gpu: Gpu) -> float:
    """The 16-bit peak [FLOP/s]; where a GPU file states none, that of fp32."""
    peak = gpu.fp16_flop_per_s or gpu.bf16_flop_per_s or gpu.fp32_flop_per_s
    assert peak is not None  # a GPU record has at least one peak
    return peak


def _datasheet_beta(gpu: Gpu, reference: ReferenceGpu, target: str) -> float:
    """Effect of a GPU that was not fitted on, as if energy per FLOP went with TDP over peak.

    Time goes with one over the peak.
    """
    speed = float(np.log(peak_flop_per_s(gpu) / reference.peak_flop_per_s))
    power = float(np.log(gpu.tdp_w / reference.tdp_w)) if target == "energy" else 0.0
    return power - speed
