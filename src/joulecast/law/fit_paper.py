"""Fit the paper's law by least squares on logarithms, with the covariance of its coefficients."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from joulecast.boundary import measured_dynamic_j
from joulecast.errors import FitError
from joulecast.law.dataset import Dataset
from joulecast.law.law import Array
from joulecast.law.paper import (
    Coefficients,
    PaperLaw,
    PaperParameters,
    ReferenceGpu,
    paper_regressors,
    peak_flop_per_s,
)

SLOPES = ("intercept", "alpha", "beta_res", "beta_dtype")
FEWEST_RUNS = 6


def fit_paper(dataset: Dataset, name: str = "paper") -> PaperLaw:
    """The paper's law fitted on runs of whole pipelines.

    Gross energies become dynamic by the GPU's idle power and the run's time; a run with neither a
    dynamic energy nor a time is left out.

    Raises
    ------
    FitError
        Too few runs, or all alike.
    """
    regressors = dataset_regressors(dataset)
    dynamic = dynamic_energy_j(dataset)
    seconds = dataset.duration_s / np.array([run.batch_size for run in dataset.runs])
    seconds[dataset.loop_only] = np.nan
    gpu_names = np.array([gpu.name for gpu in dataset.gpus])
    energy = fit_logarithms(regressors, dynamic, gpu_names, "energy")
    duration = fit_logarithms(regressors, seconds, gpu_names, "duration")
    reference = next(gpu for gpu in dataset.gpus if gpu.name == energy.reference)
    parameters = PaperParameters(
        energy,
        _rebased(duration, energy.reference),
        ReferenceGpu(reference.name, reference.tdp_w, peak_flop_per_s(reference)),
    )
    return PaperLaw(name, parameters, dataset.fitted_on())


def dataset_regressors(dataset: Dataset) -> Array:
    """The law's regressors for every run, shape (runs, 4)."""
    out = np.zeros((len(dataset.runs), len(SLOPES)))
    for group in dataset.groups:
        flop = group.profile.total_flop(group.workloads, group.precision)
        out[group.rows] = paper_regressors(
            flop / group.workloads.batch_size, group.workloads, group.precision
        )
    return out


def dynamic_energy_j(dataset: Dataset) -> Array:
    """Dynamic energy of one image [J], nan where it cannot be known, shape (runs,)."""
    batch = np.array([run.batch_size for run in dataset.runs])
    from_gross = measured_dynamic_j(dataset.energy_j, dataset.idle_power_w * dataset.duration_s / batch)
    energy = np.where(dataset.is_dynamic, dataset.energy_j, from_gross)
    return np.where(dataset.loop_only, np.nan, energy)


def fit_logarithms(
    regressors: Array, target: Array, gpu_names: NDArray[np.str_], kind: str, fewest: int = FEWEST_RUNS
) -> Coefficients:
    """Least squares of log(target) on the regressors and one beta a GPU.

    A regressor that is the same in every run is left out (its coefficient is 0); the GPU with the
    most runs is the reference, whose beta is 0.

    Parameters
    ----------
    regressors : see `joulecast.law.paper.paper_regressors`, shape (runs, 4).
    target : energy [J] or time [s], nan where unknown, shape (runs,).
    gpu_names : shape (runs,).
    kind : what `target` is, ``"energy"`` or ``"duration"``.
    fewest : fewer known targets than this are an error.

    Raises
    ------
    FitError
        Too few runs, or runs too alike for as many coefficients.
    """
    known = np.isfinite(target) & (target > 0)
    names, counts = np.unique(gpu_names[known], return_counts=True)
    if known.sum() < fewest:
        raise FitError(f"{known.sum()} runs with {kind}; the paper's law needs at least {fewest}")
    reference = str(names[np.argmax(counts)])
    others = [str(n) for n in names if n != reference]
    dummies = (
        np.column_stack([gpu_names[known] == n for n in others]) if others else np.zeros((known.sum(), 0))
    )
    varying = _varying(regressors[known])
    design = np.column_stack([regressors[known][:, varying], dummies]).astype(np.float64)
    _check_design(design, varying, kind)
    solution, *_ = np.linalg.lstsq(design, np.log(target[known]), rcond=None)
    residuals = np.log(target[known]) - design @ solution
    spread = float(residuals @ residuals / (len(design) - design.shape[1]))
    variance = float(np.sum((np.log(target[known]) - np.log(target[known]).mean()) ** 2))
    covariance = spread * np.linalg.inv(design.T @ design)
    slopes = dict.fromkeys(SLOPES, 0.0) | {
        SLOPES[i]: float(c) for i, c in zip(varying, solution, strict=False)
    }
    betas = {reference: 0.0} | {n: float(c) for n, c in zip(others, solution[len(varying) :], strict=True)}
    return Coefficients(
        target=kind,
        **slopes,
        beta_gpu=betas,
        reference=reference,
        runs=int(known.sum()),
        residual_sd=spread**0.5,
        r2=1 - float(residuals @ residuals) / variance if variance > 0 else math.nan,
        columns=(*(SLOPES[i] for i in varying), *others),
        covariance=tuple(map(tuple, covariance.tolist())),
    )


def _check_design(design: Array, varying: list[int], kind: str) -> None:
    """Raise FitError where the runs cannot tell the coefficients apart."""
    if varying == [0]:
        raise FitError(f"the runs with {kind} are all of one workload; vary size, steps or model")
    if np.linalg.matrix_rank(design) < design.shape[1] or len(design) <= design.shape[1]:
        raise FitError(
            f"the runs with {kind} are too alike to fit {design.shape[1]} coefficients; vary size and steps"
        )


def _varying(regressors: Array) -> list[int]:
    """The intercept and the regressors that are not the same in every run."""
    return [0] + [i for i in range(1, regressors.shape[1]) if np.ptp(regressors[:, i]) > 0]


def _rebased(coefficients: Coefficients, reference: str) -> Coefficients:
    """The same fit with another GPU as the one whose beta is zero."""
    betas = coefficients.beta_gpu
    if reference not in betas:
        raise FitError(f"no run on {reference} has a time")
    shift = betas[reference]
    return dataclasses.replace(
        coefficients,
        intercept=coefficients.intercept + shift,
        beta_gpu={name: beta - shift for name, beta in betas.items()},
    )
