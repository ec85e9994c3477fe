"""The paper's experiment on its three GPUs, and its claim that diffusion is bound by compute, by our law.

It measured an A100, an A6000 and an A4000. Of the last two no energy is public: what is, are the ratio of an
A6000's energies to an A100's for two models, on which the roofline law is fitted, and other people's times of
an A4000. So the law predicts the public A100 cells on all three, and the paper's form is fitted to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.profile_file import packaged_profile
from joulecast.law.bounds import ARITHMETIC, POWER, bounds
from joulecast.law.dataset import Dataset, Load
from joulecast.law.fit_paper import fit_logarithms
from joulecast.law.law import GpuColumns, LawInput
from joulecast.law.reproduction import (
    PAPER_GPU,
    TRANSFORMERS,
    U_NET,
    UNPUBLISHED_GPU,
    dynamic_on,
    paper_cells,
    published_of,
    regressors,
)
from joulecast.law.roofline import RooflineLaw
from joulecast.question.gpus import gpu
from joulecast.records import Record
from joulecast.runs import RunTable
from joulecast.runtime import REFERENCE, Runtime

GPUS = (PAPER_GPU, UNPUBLISHED_GPU, "RTX A4000")
MOST_OF_THE_TIME = 0.5
BESIDE_IT = 0.05  # of that share: how surely the law knows it, whose rates have errors of 5 to 7 %
YES, ABOUT_HALF, NO = "yes", "about half", "no"


class OnThreeGpus(Record):
    """The paper's form fitted to a model's energies on three GPUs as the law has them.

    Attributes
    ----------
    model : whose cells, in 16 bits.
    cells : of one GPU.
    r2, alpha : of the fit.
    beta_gpu : relative to the A100's, by GPU.
    published : the paper's r2 of the A100 alone, alpha and beta of the A100 and the A6000, where it says.
    fits : whether the GPU's memory holds the weights, by GPU; where it does not, the paper cannot have run it
        so, or moved weights to the host and back, which is not predicted.
    """

    model: str
    cells: int
    r2: float
    alpha: float
    beta_gpu: Mapping[str, float]
    published: Mapping[str, float]
    fits: Mapping[str, bool]


class Bound(Record):
    """What sets the time of a call: shares by `joulecast.law.bounds`, and whether arithmetic sets most of
    what the power limit does not."""

    model: str
    gpu: str
    runtime: str
    pixels: int
    batch_size: int
    shares: Mapping[str, float]

    @property
    def compute_bound(self) -> str:
        """Whether arithmetic sets more than half of the time, beside what follows the power limit: YES, NO,
        or ABOUT_HALF where the law cannot tell."""
        share = self.shares[ARITHMETIC] / (1 - self.shares[POWER])
        if abs(share - MOST_OF_THE_TIME) <= BESIDE_IT:
            return ABOUT_HALF
        return YES if share > MOST_OF_THE_TIME else NO


def on_three_gpus(runs: RunTable, load: Load, law: RooflineLaw) -> Iterator[OnThreeGpus]:
    """Each of the paper's models on its three GPUs."""
    for model in (*TRANSFORMERS, U_NET):
        cells = Dataset.build(paper_cells(runs, model).filter(precision="fp16"), load)
        profile = cells.groups[0].profile
        energies = [np.concatenate([dynamic_on(law, group, name) for group in cells.groups]) for name in GPUS]
        names = np.repeat(np.array(GPUS), len(cells.runs))
        columns = np.tile(regressors(cells, "traced"), (len(GPUS), 1))
        fit = fit_logarithms(columns, np.concatenate(energies), names, "energy", fewest=4)
        two = published_of(f"{model} on A100 and A6000")
        yield OnThreeGpus(
            model=model,
            cells=len(cells.runs),
            r2=fit.r2,
            alpha=float(fit.slopes[1]),
            beta_gpu={name: fit.beta_gpu[name] - fit.beta_gpu[PAPER_GPU] for name in GPUS[1:]},
            published={**{k: v for k, v in published_of(f"{model} on A100").items() if k == "r2"}, **two},
            fits={name: profile.weight_bytes("fp16") <= gpu(name).memory_bytes for name in GPUS},
        )


_FLUX, _SD2, _SD2_OF_16 = ("flux.1-dev", 1024, 1), (U_NET, 512, 1), (U_NET, 512, 16)
_SHARED = Runtime(engine="xdit", gpus=4, parallel=(("ulysses", 4),))
_SERVED = (Runtime(compile=True), Runtime("sglang"), Runtime("sglang", quantization="fp8"), _SHARED)
_NEWER = ("H100-SXM5-80GB", "B200-SXM")
# Model, side of the image and batch, GPU and runtime: on the paper's own, newer chips, and how it is served.
_ASKED = (
    *((work, name, REFERENCE) for work in (_FLUX, _SD2) for name in (*GPUS, *_NEWER)),
    *((_SD2_OF_16, name, REFERENCE) for name in (PAPER_GPU, _NEWER[0])),
    *((_FLUX, _NEWER[0], runtime) for runtime in _SERVED),
)


def what_sets_the_time(law: RooflineLaw) -> Iterator[Bound]:
    """The claim that diffusion is bound by compute, by chip and runtime."""
    for (model, side, batch), name, runtime in _ASKED:
        profile = packaged_profile(model)
        work = WorkloadColumns.from_values(
            {"width": side, "height": side, "steps": profile.defaults.steps, "batch_size": batch}
        )
        shares = bounds(law, LawInput(profile, work, "fp16", GpuColumns.of(gpu(name), 1), runtime))
        yield Bound(
            model,
            name,
            runtime.label,
            side * side,
            batch,
            {part: float(one[0]) for part, one in shares.items()},
        )
