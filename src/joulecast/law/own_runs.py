"""A user's runs, made ready: models by their catalogue names, what no law can use left out, and checked."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.architecture.catalogue import find_model
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile, read_profile
from joulecast.errors import FitError, JoulecastError, UnknownNameError
from joulecast.question.gpus import gpu
from joulecast.runs import DATA, MeasuredRun, RunTable, columns, packaged_runs, shares
from joulecast.runtime import NONE, REFERENCE
from joulecast.units import counted

if TYPE_CHECKING:
    from joulecast.law.forms import Form

FEWEST_RUNS, FEWEST_SETTINGS = 3, 2
# Average power of a board that measures right, over its power limit: beyond it, a unit is wrong.
LOWEST_POWER_SHARE, HIGHEST_POWER_SHARE = 0.02, 1.5
# Of runs that say too little to fit on, or contradict themselves.
UNTRUSTED = ("C", "D")
# What two rows of the same measurement share.
MEASUREMENT = (
    "model", "gpu", "gpu_count", "batch_size", "width", "height", "frames", "steps", "passes", "text_tokens",
    "negative_prompt", "precision", "energy_j", "boundary", "duration_s", "scope", "engine", "compile",
    "tf32", "cache", "offload", "quantization", "parallel", "power_limit_w", "attention", "software",
)  # fmt: skip
SETTING = ("model", "batch_size", "width", "height", "frames", "steps", "passes", "precision")


def load_run_profile(model: str) -> ComputeProfile:
    """The profile of a run's model: a name, alias or hub id of the catalogue, else a profile file.

    Raises
    ------
    UnknownNameError
        It is neither.
    FileFormatError
        The file is no profile file, was cut or edited, or is of another version.
    """
    try:
        return packaged_profile(find_model(model))
    except UnknownNameError:
        if model.casefold().endswith(".json") and Path(model).is_file():
            return read_profile(Path(model))
        raise


def named(runs: RunTable) -> RunTable:
    """The same runs with the catalogue's names for its models, and the paths of profile files.

    Raises
    ------
    FitError
        A run's model is unknown, or its profile file cannot be read.
    """
    return RunTable((_named(run) for run in runs), runs.ignored_columns)


def usable(runs: RunTable, knows_runtimes: bool = True) -> tuple[RunTable, Mapping[str, int]]:
    """The runs that laws are made for, and how many are left out by reason.

    A form of law that does not know runtimes is of images made by eager diffusers on one GPU.
    """
    reasons = [left_out_because(run, knows_runtimes) for run in runs]
    kept = RunTable(run for run, reason in zip(runs, reasons, strict=True) if not reason)
    return kept, Counter(reason for reason in reasons if reason)


def fitted_runs(form: Form | None = None) -> tuple[RunTable, Mapping[str, int]]:
    """The packaged runs that the packaged laws of a form are fitted on, and how many others by reason."""
    return usable(packaged_runs(), form is None or form.law.knows_runtimes)


def left_out_because(run: MeasuredRun, knows_runtimes: bool = True) -> str:
    """Why no law can use a run, or an empty string."""
    if run.trust in UNTRUSTED:
        return f"trust {run.trust}: not stated well enough to fit on"
    if not _has_profile(run.model):
        return f"model {run.model}: no profile of it"
    if run.offload != NONE:
        return f"offload {run.offload}: laws are of weights that stay on the GPU"
    if run.tf32 != columns()["tf32"].default:
        return f"tf32 {run.tf32}: laws are of torch's default"
    if run.batch_size % shares(run.parallel).get(DATA, 1):
        return "batches beside each other that are not of one size"
    if run.gpu_count > 1 and not run.parallel:
        return "several GPUs that share the work in no stated way"
    if knows_runtimes:
        return ""
    if not run.runtime.is_reference or run.power_limit_w is not None:
        return f"{run.runtime.label}: such laws are of eager {REFERENCE.label} on one GPU"
    return "a video: such laws are of images" if run.frames > 1 else ""


@cache
def _has_profile(model: str) -> bool:
    try:
        load_run_profile(model)
    except UnknownNameError:
        return False
    return True


def check(own: RunTable, packaged: RunTable, alone: bool) -> None:
    """Refuse runs that cannot support a fit.

    `packaged` are the runs fitted with them; with `alone` there are none.

    Raises
    ------
    FitError
        Too few or degenerate runs, both boundaries, energies and times that no board's power fits, a
        measurement that occurs twice, or, with `alone`, one GPU only.
    """
    if len(own) < FEWEST_RUNS:
        raise FitError(f"{counted(len(own), 'run')} that a law can use; expected at least {FEWEST_RUNS}")
    if len({_values(run, SETTING) for run in own}) < FEWEST_SETTINGS:
        raise FitError("the runs are all of one workload; vary model, size, steps or batch size")
    boundaries = Counter(run.boundary for run in own if run.boundary)
    if len(boundaries) > 1:
        counts = " and ".join(f"{count} {name}" for name, count in sorted(boundaries.items()))
        raise FitError(f"the runs mix boundaries: {counts} energies; fit one boundary at a time")
    _check_power(own)
    _check_twice([*packaged, *own])
    if alone and len({gpu(run.gpu).name for run in own}) == 1:
        raise FitError(
            f"all runs are on {gpu(own[0].gpu).name}, and one GPU says nothing about others; without --alone "
            "they adapt the packaged law to this GPU"
        )


def _check_power(runs: Iterable[MeasuredRun]) -> None:
    for run in runs:
        if run.energy_j is None or run.duration_s is None or run.boundary != "gross":
            continue
        power_w, limit_w = run.energy_j * run.batch_size / run.duration_s, gpu(run.gpu).tdp_w
        if not LOWEST_POWER_SHARE * limit_w <= power_w <= HIGHEST_POWER_SHARE * limit_w:
            watts = f"{power_w:,.0f}" if power_w >= 10 else f"{power_w:.2g}"
            raise FitError(
                f"run {run.run_id}: {watts} W on average, on a board limited to {limit_w:g} W; "
                "energy_j is of one image [J], duration_s of the whole batch [s]"
            )


def _check_twice(runs: Iterable[MeasuredRun]) -> None:
    seen: dict[tuple[Any, ...], str] = {}
    for run in runs:
        first = seen.setdefault(_values(run, MEASUREMENT), run.run_id)
        if first != run.run_id:
            raise FitError(f"runs {first} and {run.run_id} are the same measurement; give it once")


def _named(run: MeasuredRun) -> MeasuredRun:
    try:
        profile = load_run_profile(run.model)
    except JoulecastError as error:
        raise FitError(f"run {run.run_id}: {error}") from error
    known = profile.name if profile.origin == "catalogue" else profile.origin
    return run if known == run.model else dataclasses.replace(run, model=known)


def _values(run: MeasuredRun, names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(getattr(run, name) for name in names)
