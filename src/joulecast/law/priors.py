"""What the roofline law's shared parameters may be, and what is thought of each before any run.

Medians are orders of magnitude from datasheets (a board's power over its peak; DRAM at tens of pJ a byte),
microbenchmarks (kernels of a few us, launches of tens of us), and the usual shares of a peak that libraries
reach. Spreads are wide; where the runs speak, the runs decide. What a law file may say lies within `least`
and `most`, orders of magnitude around what chips of the last ten years do: never 0, nor 1 of a share, which
the fit's scales do not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Prior(NamedTuple):
    """Median and spread (log, of shares logit) of a parameter before any run, and what it may be at all."""

    median: float
    spread: float
    least: float
    most: float
    is_share: bool = False

    def internal(self, value: float) -> float:
        """The unbounded scale on which the fit works."""
        return float(np.log(value / (1 - value)) if self.is_share else np.log(value))

    def natural(self, value: float) -> float:
        """The inverse of `internal`."""
        return float(1 / (1 + np.exp(-value)) if self.is_share else np.exp(value))


def _share(median: float, spread: float, least: float = 1e-3, most: float = 0.999) -> Prior:
    return Prior(median, spread, least, most, is_share=True)


def _seconds(median: float, spread: float) -> Prior:
    return Prior(median, spread, 1e-9, 0.1)


REFERENCE_PRIORS: Mapping[str, Prior] = {
    "energy_per_flop_j": Prior(1.5e-12, 0.7, 1e-14, 1e-9),
    "energy_per_score_j": Prior(400e-12, 0.4, 1e-15, 1e-6),
    "energy_per_byte_j": Prior(40e-12, 0.5, 1e-13, 1e-8),
    "energy_per_fp32_flop_j": Prior(12e-12, 1.0, 1e-14, 1e-8),
    "convolution_energy": Prior(1.35, 0.3, 0.02, 50.0),
    "convolution_traffic": Prior(3.0, 0.4, 0.02, 200.0),
    "gemm_efficiency": _share(0.75, 0.5),
    "convolution_efficiency": _share(0.5, 0.6),
    "attention_efficiency": _share(0.5, 0.4),
    "exponential_efficiency": _share(0.5, 0.6),
    "fp32_efficiency": _share(0.85, 0.5),
    "bandwidth_efficiency": _share(0.75, 0.5),
    "kernel_time_s": _seconds(4e-6, 0.5),
    "launch_time_s": _seconds(10e-6, 0.5),
    "module_time_s": _seconds(40e-6, 0.5),
    "static_power_share": _share(0.2, 0.35, most=0.9),
    "power_limit_share": _share(0.97, 0.4, least=0.05, most=0.9999),
    "lowest_clock": _share(0.6, 0.35, least=0.01),
    "node_exponent": Prior(1.0, 0.2, 0.01, 4.0),
    "clock_exponent": Prior(0.9, 0.3, 0.01, 4.0),
}
# Of runtimes, from what is fused, overlapped, scaled, expanded or exchanged: see `joulecast.law.conduct`.
RUNTIME_PRIORS: Mapping[str, Prior] = {
    "attention_3_time": _share(0.6, 0.4),
    "fused_time": Prior(1.0, 0.15, 0.05, 5.0),
    "fused_bytes": _share(0.5, 0.6),
    "fused_kernels": _share(0.4, 0.6),
    "fused_host": _share(0.3, 0.8),
    "eight_bit_efficiency": _share(0.7, 0.6),
    "quantising_traffic": Prior(1.0, 0.6, 1e-3, 100.0),
    "dequantising_traffic": Prior(2.0, 0.8, 1e-3, 100.0),
    "unsplit_share": _share(0.02, 1.0, least=1e-5),
    "repeated_share": _share(0.5, 1.0),
    "link_efficiency": _share(0.6, 0.6),
    "exchange_traffic": Prior(3.0, 0.7, 1e-3, 100.0),
    "exchange_time_s": _seconds(30e-6, 0.7),
    "exchange_host_s": _seconds(20e-6, 1.0),
    "waiting_power_share": _share(0.3, 0.8),
}
PRIORS: Mapping[str, Prior] = {**REFERENCE_PRIORS, **RUNTIME_PRIORS}
