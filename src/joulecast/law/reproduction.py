"""The paper's fits redone on the cells of its tables that are public, beside what it published.

Per model on one A100 (FLUX, SD3.5-large, Qwen-Image, SD2), across GPUs, and across architectures
(fitted on the transformers, predicting SD2), with traced FLOP and with the paper's own count
(`joulecast.law.kaplan`). Public are 4 or 5 cells a model, where the paper had a whole grid: a
coefficient agrees within a stated tolerance, and where our cells cannot tell, the row says so.

Source: arXiv 2511.17031, quoted second-hand; ``data/published_results.csv``, ``data/runs/paper_a100.csv``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from joulecast import data
from joulecast.errors import MissingExtraError
from joulecast.law.dataset import Dataset, Group, Load
from joulecast.law.fit_paper import SLOPES, dataset_regressors, dynamic_energy_j, fit_logarithms
from joulecast.law.fitted import FittedLaw
from joulecast.law.forms import find_form, fit_law
from joulecast.law.groups import chip
from joulecast.law.kaplan import kaplan_flop, sequence_length, transformer_of
from joulecast.law.law import Array, GpuColumns
from joulecast.law.own_runs import fitted_runs
from joulecast.law.scores import spearman
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, RunTable

TRANSFORMERS = ("flux.1-dev", "sd3.5-large", "qwen-image")
U_NET = "sd2"
PAPER_GPU = "A100-SXM4-80GB"
UNPUBLISHED_GPU = "RTX A6000"
COUNTS = ("traced", "kaplan")
# A coefficient agrees within these: 5 % in the exponent, a factor of 1.16 in a beta (log).
TOLERANCES: Mapping[str, float] = {"r2": 0.01, "alpha": 0.05, "beta_dtype": 0.15, "beta_gpu": 0.15}

AGREES, DIFFERS, OPEN, UNCHECKED, ALONE = (
    "agrees",
    "differs",
    "cannot tell",
    "cannot be checked",
    "not published",
)


@dataclass(frozen=True)
class Row:
    """One quantity of one fit.

    Attributes
    ----------
    fit : which runs, e.g. ``"flux.1-dev on A100"``.
    count : how FLOP are counted: ``"traced"`` or ``"kaplan"``.
    quantity : ``r2``, ``alpha``, ``beta_res``, ``beta_dtype``, ``beta_gpu``, ``log_a``, ``pearson``,
        ``spearman`` or ``level``.
    relation, published : ``=`` or ``>``, and the paper's value; None where it has none.
    ours, standard_error : our value and its standard error; None where there is none.
    runs : behind our value.
    verdict : ``agrees``, ``differs``, ``cannot tell`` (our cells are too few to say), ``cannot be
        checked`` (there are no cells), or ``not published``.
    why : of the verdict, in words.
    """

    fit: str
    count: str
    quantity: str
    relation: str
    published: float | None
    ours: float | None
    standard_error: float | None
    runs: int
    verdict: str
    why: str


@dataclass(frozen=True)
class Fit:
    """The paper's law fitted to some energies; coefficients as in the paper, betas relative to A100."""

    name: str
    count: str
    runs: int
    freedom: int
    r2: float
    coefficients: Mapping[str, float]
    standard_errors: Mapping[str, float]
    left_out: tuple[str, ...]


def reproduction(runs: RunTable, load: Load, law: FittedLaw) -> tuple[Row, ...]:
    """Every fit of the paper that the packaged runs allow, a row a quantity.

    The beta of the GPU that has no public cell is predicted from its datasheet by `law`'s form, fitted
    without its chip; what `law` itself says, which may have been fitted on that beta, stands beside it.
    """
    rows: list[Row] = []
    unseen = _without_chip(law, load, gpu(UNPUBLISHED_GPU).chip)
    for model in (*TRANSFORMERS, U_NET):
        for fit in model_fits(model, runs, load):
            rows += fit_rows(fit)
    for model in TRANSFORMERS[:2]:
        rows += unpublished_gpu_rows(model, runs, load, unseen, law)
        rows += fit_rows(gpus_fit(f"{model} on A100 and H100", _energies(runs, model=model), load))
    rows += fit_rows(gpus_fit("ML.ENERGY v2 models on A100 and H100", _mlenergy_v2(runs), load))
    for count in COUNTS:
        rows += architecture_rows(runs, load, count)
    return tuple(rows)


def model_fits(model: str, runs: RunTable, load: Load) -> Iterator[Fit]:
    """The fits of one model on the paper's A100 cells, whole and without the resolution."""
    dataset = Dataset.build(paper_cells(runs, model), load)
    name = f"{model} on A100"
    for count in COUNTS if model in TRANSFORMERS else COUNTS[:1]:
        yield _fit(name, dataset, count)
    yield _fit(f"{name}, without beta_res", dataset, "traced", without=("beta_res",))


def gpus_fit(name: str, runs: RunTable, load: Load) -> Fit:
    """One fit over two GPUs; gross energies become dynamic by idle power and time."""
    return _fit(name, Dataset.build(runs, load), "traced")


def regressors(dataset: Dataset, count: str) -> Array:
    """The law's regressors with traced FLOP, or with Kaplan's count of the denoiser, shape (runs, 4).

    Text encoders and decoder are traced either way.
    """
    columns = dataset_regressors(dataset)
    for group in dataset.groups if count == "kaplan" else ():
        work = group.workloads
        denoiser = group.profile.denoisers[0].name
        traced = group.profile.flop(work, group.precision)
        tokens = sequence_length(
            (work.width * work.height).astype(np.float64),
            group.profile.text_tokens(work).astype(np.float64),
        )
        denoising = kaplan_flop(tokens, transformer_of(group.profile)) * work.steps * work.passes
        rest = sum((f for name, f in traced.items() if name != denoiser), np.zeros(len(work)))
        columns[group.rows, 1] = np.log(denoising + rest / work.batch_size)
    return columns


def _fit(name: str, dataset: Dataset, count: str, without: Sequence[str] = ()) -> Fit:
    columns = regressors(dataset, count)
    columns[:, [SLOPES.index(slope) for slope in without]] = 0.0
    names = np.array([device.name for device in dataset.gpus])
    found = fit_logarithms(columns, dynamic_energy_j(dataset), names, "energy", fewest=4)
    errors = dict(zip(found.columns, np.sqrt(np.diag(found.covariance)).tolist(), strict=True))
    names_of = ("log_a", *SLOPES[1:])
    coefficients = dict(zip(names_of, found.slopes.tolist(), strict=True))
    standard = {"log_a": errors["intercept"], **{slope: errors.get(slope) for slope in SLOPES[1:]}}
    other = [device for device in found.beta_gpu if not device.startswith("A100")]
    if other:
        base = next(device for device in found.beta_gpu if device.startswith("A100"))
        coefficients["beta_gpu"] = found.beta_gpu[other[0]] - found.beta_gpu[base]
        standard["beta_gpu"] = next(errors[n] for n in (other[0], base) if n in errors)
    kept = {key: value for key, value in standard.items() if value is not None}
    return Fit(
        name=name,
        count=count,
        runs=found.runs,
        freedom=found.runs - len(found.columns),
        r2=found.r2,
        coefficients={key: value for key, value in coefficients.items() if key in kept},
        standard_errors=kept,
        left_out=tuple(slope for slope in SLOPES[1:] if slope not in kept),
    )


def fit_rows(fit: Fit) -> Iterator[Row]:
    """A fit's quantities beside the published ones, then what the paper published and we have not."""
    published = published_of(fit.name)
    values = {"r2": fit.r2, **fit.coefficients}
    order = ["r2", "alpha", "beta_dtype", "beta_gpu", "beta_res", "log_a"]
    for quantity in sorted(values, key=order.index):
        error = fit.standard_errors.get(quantity)
        stated = published.pop(quantity, None)
        verdict, why = _verdict(quantity, stated, values[quantity], error, fit)
        yield Row(fit.name, fit.count, quantity, "=", stated, values[quantity], error, fit.runs, verdict, why)
    for quantity, stated in published.items():
        why = f"{quantity} is the same in all cells"
        yield Row(fit.name, fit.count, quantity, "=", stated, None, None, fit.runs, UNCHECKED, why)


def unpublished_gpu_rows(
    model: str, runs: RunTable, load: Load, unseen: FittedLaw, shipped: FittedLaw
) -> Iterator[Row]:
    """The published fits over A100 and A6000: no A6000 cell is public; `unseen` predicts its beta."""
    name = f"{model} on A100 and A6000"
    published = published_of(name)
    no_cell = "no A6000 cell is public"
    yield Row(name, "traced", "alpha", "=", published["alpha"], None, None, 0, UNCHECKED, no_cell)
    cells = Dataset.build(paper_cells(runs, model).filter(precision="fp16"), load)
    ours, fitted = (predicted_beta(law, cells, UNPUBLISHED_GPU, PAPER_GPU) for law in (unseen, shipped))
    close = abs(ours - published["beta_gpu"]) <= TOLERANCES["beta_gpu"]
    why = (
        f"{no_cell}; ours: the {shipped.name} law's from the datasheet, fitted without this chip; "
        f"fitted on the published betas it says {fitted:.3f}"
    )
    verdict = AGREES if close else DIFFERS
    yield Row(
        name, "traced", "beta_gpu", "=", published["beta_gpu"], ours, None, len(cells.runs), verdict, why
    )


def predicted_beta(law: FittedLaw, dataset: Dataset, other: str, reference: str) -> float:
    """Mean log ratio of dynamic energies on two GPUs that `law` predicts for the dataset's workloads."""
    ratios = [
        np.log(dynamic_on(law, group, other) / dynamic_on(law, group, reference)) for group in dataset.groups
    ]
    return float(np.concatenate(ratios).mean())


def architecture_rows(runs: RunTable, load: Load, count: str) -> Iterator[Row]:
    """Fitted on the transformers' cells, predicting SD2's: does the order hold, and the level?"""
    name = f"transformers on A100 predicting {U_NET}"
    train = Dataset.build(paper_cells(runs, *TRANSFORMERS), load)
    test = Dataset.build(paper_cells(runs, U_NET), load)
    names = np.array([device.name for device in train.gpus])
    fit = fit_logarithms(regressors(train, count), dynamic_energy_j(train), names, "energy")
    predicted = regressors(test, "traced") @ fit.slopes
    measured = np.log(dynamic_energy_j(test))
    how = "U-Net cells counted by tracing" if count == "kaplan" else "of logarithms"
    for quantity, value in (
        ("pearson", float(np.corrcoef(predicted, measured)[0, 1])),
        ("spearman", spearman(predicted, measured)),
    ):
        stated = published_of(name)[quantity]
        verdict = AGREES if value > stated else DIFFERS
        yield Row(name, count, quantity, ">", stated, value, None, len(measured), verdict, how)
    level = float(np.exp(np.median(predicted - measured)))
    why = "median of predicted over measured"
    yield Row(name, count, "level", "=", None, level, None, len(measured), ALONE, why)


def _without_chip(law: FittedLaw, load: Load, out: str) -> FittedLaw:
    """A law of the same form, fitted on the same packaged runs as it but those on a chip."""
    runs = fitted_runs(find_form(law.form))[0].filter(lambda run: chip(run) != out)
    return fit_law(law.form, Dataset.build(runs, load), law)


def _verdict(
    quantity: str, published: float | None, ours: float, error: float | None, fit: Fit
) -> tuple[str, str]:
    few = f"{fit.runs} runs for {fit.runs - fit.freedom} coefficients"
    left = f"; left out: {', '.join(fit.left_out)}" if fit.left_out else ""
    if published is None:
        return ALONE, few + left
    off = abs(ours - published)
    if off <= TOLERANCES[quantity]:
        return AGREES, f"within {TOLERANCES[quantity]:g}; {few}{left}"
    if error is not None and off <= _student(fit.freedom) * error:
        return OPEN, f"our 95 % interval is +-{_student(fit.freedom) * error:.2g}; {few}{left}"
    return DIFFERS, few + left


def _student(freedom: int) -> float:
    """Half a 95 % interval in standard errors, for so many degrees of freedom."""
    try:
        from scipy.special import stdtrit
    except ImportError as error:
        raise MissingExtraError("fit", "the paper's fits") from error
    return float(stdtrit(freedom, 0.975))


def published_of(fit: str) -> dict[str, float]:
    """What the paper published of a fit, by quantity."""
    rows = data.read_table("published_results.csv")
    return {row["quantity"]: float(row["published"]) for row in rows if row["fit"] == fit}


def dynamic_on(law: FittedLaw, group: Group, name: str) -> Array:
    """Dynamic energies [J] of one image of a group's workloads on a GPU, as a law has them."""
    size = len(group.rows)
    answer = law.predict(group.asked._replace(gpus=GpuColumns.of(gpu(name), size)))
    return answer.dynamic(group.workloads.batch_size).energy_j


def paper_cells(runs: RunTable, *models: str) -> RunTable:
    """The public cells of the paper's own A100."""
    return runs.filter(model=models, gpu=PAPER_GPU, boundary="dynamic")


def _energies(runs: RunTable, **equal_to: object) -> RunTable:
    return runs.filter(lambda run: run.energy_j is not None, **equal_to)


def _mlenergy_v2(runs: RunTable) -> RunTable:
    def measured(run: MeasuredRun) -> bool:
        return run.energy_j is not None and (run.source or "") == "ML.ENERGY leaderboard v2"

    return runs.filter(measured)
