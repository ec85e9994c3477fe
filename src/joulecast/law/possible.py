"""What a law may say: the ranges of its parameters, names and figures, checked when a law file is read.

A right checksum tells that nobody edited a file by hand, not that it is true. Every check raises InputError.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from joulecast.errors import InputError, one_line, shown
from joulecast.files.numbers import within
from joulecast.law.law import FAMILIARITY, FittedOn
from joulecast.law.priors import PRIORS
from joulecast.law.scores import Scores
from joulecast.runtime import STRATA

if TYPE_CHECKING:
    from joulecast.law.roofline import RooflineParameters

MOST_HALF_WIDTH: Final = 20.0  # a factor of 5e8: the worst rule of thumb that ships has 3.5


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


def check_stratum(stratum: str) -> None:
    """One of the strata of runtimes, other than the reference."""
    if stratum not in STRATA[1:]:
        raise InputError(f"runtimes {shown(stratum)}; known: {', '.join(STRATA[1:])}")


def check_errors(errors: Mapping[str, Scores]) -> None:
    """Published errors: figures, or nan where there is none."""
    for known, scores in errors.items():
        if known not in FAMILIARITY:
            raise InputError(f"errors of {shown(known)}; known: {', '.join(FAMILIARITY)}")
        for score in (scores.energy, scores.duration):
            for name, figure in {} if score is None else dataclasses.asdict(score).items():
                if not (isinstance(figure, float) and math.isnan(figure)):
                    within(figure, f"{name} of the errors of {known}", -1e12, 1e12)


def check_roofline(parameters: RooflineParameters) -> None:
    """The roofline law's parameters."""
    shared = parameters.shared
    ranges = {name: (prior.least, prior.most) for name, prior in PRIORS.items()}
    check_numbers(shared, ranges, "parameters.shared")
    if shared["static_power_share"] >= shared["power_limit_share"]:
        raise InputError("static_power_share is not below power_limit_share: nothing is left for work")
    for name in ("chip_effects", "chip_slowness", "engine_slowness", "quantised_slowness"):
        for of, effect in getattr(parameters, name).items():
            within(effect, f"{name} of {shown(of)}", -5, 5)
    for of, share in parameters.cache_shares.items():
        within(share, f"cache_shares of {shown(of)}", 0.01, 0.99)
    within(parameters.level, "level", 0.05, 20)
    within(parameters.host_spread, "host_spread", 0.001, 5)


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
    pairs = [name for own in (*on.own, *on.own_timed) for name in own]
    for kind in on.kinds:
        pairs += [kind.runtime, kind.format, *kind.models, *kind.gpus, *kind.timed_models, *kind.timed_gpus]
    for names in (
        *(on.models, on.gpus, on.timed_models, on.timed_gpus, on.precisions, on.sources, on.ways),
        pairs,
    ):
        for name in names:
            one_line(name, "a name of fitted_on", most=300)
    for ranges in (on.ranges, on.timed_ranges or on.ranges):
        for label in (
            "flop",
            "pixels",
            "steps",
            "batch_size",
            *sorted(ranges.keys() & {"frames", "power_limit"}),
        ):
            low, high = ranges[label]
            within(high, f"the range of {label}", within(low, f"the range of {label}", 0, 1e30), 1e30)
