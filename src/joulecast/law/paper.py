"""The paper's law: log energy is linear in log FLOP, log tokens, precision and GPU.

    log E = log A + alpha * log(FLOP) + beta_res * log(H * W / 256) + beta_dtype * [fp32] + beta_gpu

E is the GPU's dynamic energy of one image [J]; FLOP is traced and counts every denoiser pass, so
that it equals the paper's ``FLOP * 2^cfg``; H * W / 256 is the number of 16 x 16 pixel tokens.
Time of one image follows the same equation with parameters of its own, and gross energy is dynamic
energy plus idle power times time. Source: arXiv 2511.17031, section 3.

Beyond the paper: a GPU that was not fitted on takes its beta from the datasheet, TDP over peak.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu, idle_power_w
from joulecast.law.fitted import FittedLaw, Gross
from joulecast.law.law import Array, GpuColumns

PIXELS_PER_TOKEN = 256.0
REFERENCE_PRECISION = "fp16"


class PaperLaw(FittedLaw):
    """See the module's docstring. Parameters: ``energy`` and ``duration``, each with the coefficients
    ``intercept``, ``alpha``, ``beta_res``, ``beta_dtype`` and ``beta_gpu`` by GPU, and ``reference_gpu``."""

    form = "paper"

    def gross(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Gross:
        """See `FittedLaw.gross`; the uncertainty is the same for every workload."""
        by_component = profile.flop(workloads, precision)
        total = sum(by_component.values(), np.zeros(len(workloads)))
        regressors = paper_regressors(total / workloads.batch_size, workloads, precision)
        dynamic, seconds = (
            np.exp(self._log_prediction(self.parameters[target], regressors, gpus))
            for target in ("energy", "duration")
        )
        energy = dynamic + gpus.column(idle_power_w) * seconds
        shares = {name: energy * flop / total for name, flop in by_component.items()}
        none = np.zeros(len(workloads))
        return Gross(shares, seconds * workloads.batch_size, none, none)

    def _log_prediction(self, coefficients: Mapping[str, Any], regressors: Array, gpus: GpuColumns) -> Array:
        slopes = np.array([coefficients[name] for name in ("intercept", "alpha", "beta_res", "beta_dtype")])
        reference = self.parameters["reference_gpu"]
        gpu_effect = gpus.column(
            lambda gpu: coefficients["beta_gpu"].get(gpu.name, _datasheet_beta(gpu, reference, coefficients))
        )
        result: Array = regressors @ slopes + gpu_effect
        return result


def paper_regressors(flop_per_image: Array, workloads: WorkloadColumns, precision: str) -> Array:
    """Columns 1, log FLOP, log tokens, [fp32]; shape (workloads, 4)."""
    size = len(workloads)
    tokens = workloads.width * workloads.height / PIXELS_PER_TOKEN
    return np.column_stack(
        [np.ones(size), np.log(flop_per_image), np.log(tokens), np.full(size, float(precision == "fp32"))]
    )


def _datasheet_beta(gpu: Gpu, reference: Mapping[str, float], coefficients: Mapping[str, Any]) -> float:
    """Effect of a GPU that was not fitted on, as if energy per FLOP went with TDP over peak.

    `reference` holds the ``tdp_w`` and ``peak_flop_per_s`` (16-bit) of the GPU whose beta is 0. Time
    goes with one over the peak.
    """
    peak = gpu.fp16_flop_per_s or gpu.bf16_flop_per_s or gpu.fp32_flop_per_s
    assert peak is not None  # a GPU record has at least one peak
    speed = float(np.log(peak / reference["peak_flop_per_s"]))
    power = float(np.log(gpu.tdp_w / reference["tdp_w"])) if coefficients["target"] == "energy" else 0.0
    return power - speed
