"""Joules so far and left of a call, as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joulecast.report import amounts as quantity

if TYPE_CHECKING:
    from joulecast.forecast.steps import StepProgress


def steps_text(progress: StepProgress) -> str:
    """One line: which of its numbers were measured, and which predicted."""
    step = f"step {progress.step} of {progress.steps}"
    left = quantity.energy(progress.left_j)
    whole = f"{quantity.energy(progress.predicted_j)} predicted in all"
    if progress.problem:
        done = quantity.energy(progress.done_j)
        return f"{step}: {done} so far and {left} left, both predicted, not measured ({progress.problem})"
    by = "at the measured rate" if progress.is_rate_measured else "as predicted"
    so_far = (
        "too soon to be measured"
        if progress.measured_j is None
        else f"{quantity.energy(progress.measured_j)} drawn"
    )
    return f"{step}: {so_far}, about {left} left {by}; {whole}"
