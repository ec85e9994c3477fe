"""What a law may say: the ranges of its parameters, names and figures, checked when a law file is read.

A right checksum tells that nobody edited a file by hand, not that it is true. Every check raises InputError.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from joulecast.errors import InputError, one_line, shown
from joulecast.files.numbers import within
from joulecast.law.law import FAMILIARITY, FittedOn
from joulecast.law.scores import Scores

MOST_HALF_WIDTH: Final = 20.0  # a factor of 5e8: the worst rule of thumb that ships has 3.5

# What each shared parameter of the roofline law may be: orders of magnitude around what chips of the last
# ten years do.
SHARE, SECONDS = (1e-3, 1.0), (0.0, 0.1)
ROOFLINE: Mapping[str, tuple[float, float]] = {
    "energy_per_flop_j": (1e-14, 1e-9),
    "energy_per_score_j": (0.0, 1e-6),
    "energy_per_byte_j": (1e-13, 1e-8),
    "energy_per_fp32_flop_j": (1e-14, 1e-8),
    "convolution_energy": (0.02, 50.0),
    "convolution_traffic": (0.02, 200.0),
    "gemm_efficiency": SHARE,
    "convolution_efficiency": SHARE,
    "attention_efficiency": SHARE,
    "fp32_efficiency": SHARE,
    "bandwidth_efficiency": SHARE,
    "kernel_time_s": SECONDS,
    "launch_time_s": SECONDS,
    "module_time_s": SECONDS,
    "static_power_share": (0.0, 0.9),
    "power_limit_share": (0.05, 1.0),
    "lowest_clock": (0.01, 1.0),
    "node_exponent": (0.0, 4.0),
    "clock_exponent": (0.0, 4.0),
}


def check_name(name: str) -> None:
    """A law's name: one line, and nothing that a spreadsheet would run."""
    if one_line(name, "name")[0] in "=+-@":
        raise InputError(f"name {shown(name)} begins like a formula of a spreadsheet")


def check_widths(widths: Mapping[str, float]) -> None:
    """Half-widths (log) by what is known: none is negative; infinite where nothing is known."""
    for known in FAMILIARITY:
        width = widths.get(known, math.nan)
        if width != math.inf:
            within(width, f"the half-width of {known}", 0, MOST_HALF_WIDTH)


def check_errors(errors: Mapping[str, Scores]) -> None:
    """Published errors: figures, or nan where there is none."""
    for known, scores in errors.items():
        if known not in FAMILIARITY:
            raise InputError(f"errors of {shown(known)}; known: {', '.join(FAMILIARITY)}")
        for score in (scores.energy, scores.duration):
            for name, figure in {} if score is None else dataclasses.asdict(score).items():
                if not (isinstance(figure, float) and math.isnan(figure)):
                    within(figure, f"{name} of the errors of {known}", -1e12, 1e12)


def check_roofline(
    shared: Mapping[str, float], chip_effects: Mapping[str, float], level: float, host_spread: float
) -> None:
    """The roofline law's parameters."""
    check_numbers(shared, ROOFLINE, "parameters.shared")
    if shared["static_power_share"] >= shared["power_limit_share"]:
        raise InputError("static_power_share is not below power_limit_share: nothing is left for work")
    for chip, effect in chip_effects.items():
        within(effect, f"chip_effects of {shown(chip)}", -3, 3)
    within(level, "level", 0.05, 20)
    within(host_spread, "host_spread", 0.001, 5)


def check_numbers(values: Mapping[str, float], ranges: Mapping[str, tuple[float, float]], where: str) -> None:
    """Raise InputError where `values` are not exactly those of `ranges`, each within its range."""
    if not isinstance(values, Mapping) or set(values) != set(ranges):
        odd = sorted(set(values) ^ set(ranges)) if isinstance(values, Mapping) else [values]
        raise InputError(f"{where} must be {', '.join(ranges)}; not so: {shown(odd)}")
    for name, (least, most) in ranges.items():
        within(values[name], name, least, most)


def check_covariance(names: Sequence[str], matrix: Sequence[Sequence[float]]) -> None:
    """Raise InputError where a covariance has not a row and a column of finite numbers for each name."""
    for name in names:
        one_line(name, "a parameter of the covariance")
    if [len(row) for row in matrix] != [len(names)] * len(names):
        raise InputError(f"a covariance has not {len(names)} rows of as many numbers")
    for place, row in enumerate(matrix):
        for value in row:
            within(value, "a covariance", -1e9, 1e9)
        within(row[place], "a variance", 0, 1e9)


def check_fitted_on(on: FittedOn) -> None:
    """Raise InputError where what is said of a law's runs cannot be."""
    within(on.runs, "fitted_on.runs", 0, 1e9)
    pairs = [name for pair in (*on.own, *on.own_timed) for name in pair]
    for names in (on.models, on.gpus, on.timed_models, on.timed_gpus, on.precisions, on.sources, pairs):
        for name in names:
            one_line(name, "a name of fitted_on", most=300)
    for label in ("flop", "pixels", "steps", "batch_size"):
        low, high = on.ranges[label]
        within(high, f"the range of {label}", within(low, f"the range of {label}", 0, 1e30), 1e30)
