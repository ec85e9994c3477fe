"""What a law is asked and what it answers. The seam between laws and everything that uses them.

A law is a pure function of (compute profile at workloads, GPU) with parameters fitted from runs.
It predicts the gross energy of the GPU, the time, and how far off it may be; everything is
computed in columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.boundary import dynamic_share
from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu
from joulecast.law.scores import Scores

Array = NDArray[np.float64]

# Gross energy of one image [J] by component and by what it is spent on, each of shape (workloads,).
Breakdown = Mapping[str, Mapping[str, Array]]

# What a law knows of a (model, GPU) pair, from most to least; the key of its published errors. Measured by
# whoever asks, with the same software and meter; measured by others; one or both not measured.
FAMILIARITY = ("same_source", "seen", "unseen_model", "unseen_gpu", "unseen_both")


@dataclass(frozen=True)
class GpuColumns:
    """The GPU of each workload: distinct GPUs, and their index by workload, shape (workloads,)."""

    gpus: tuple[Gpu, ...]
    index: NDArray[np.int64]

    @classmethod
    def of(cls, gpu: Gpu, workloads: int) -> GpuColumns:
        """The same GPU for all workloads."""
        return cls((gpu,), np.zeros(workloads, dtype=np.int64))

    def column(self, value: Callable[[Gpu], float]) -> Array:
        """A figure of each workload's GPU, shape (workloads,)."""
        return np.array([value(gpu) for gpu in self.gpus], dtype=np.float64)[self.index]

    def take(self, rows: Any) -> GpuColumns:
        """The given workloads."""
        return GpuColumns(self.gpus, self.index[rows])


class Prediction(NamedTuple):
    """A law's answer, every array of shape (workloads,).

    Attributes
    ----------
    energy_j : gross GPU energy of one image [J].
    duration_s : time of one batch [s].
    log_half_width : the 90 % interval of the energy is ``energy_j * exp(+-log_half_width)``.
    duration_log_half_width : the same for the time.
    idle_power_w : power that the dynamic boundary subtracts [W].
    component_energy_j : gross energy of one image by component name [J].
    host_share : how far the time follows the host, which launches the kernels, 0 to 1.
    """

    energy_j: Array
    duration_s: Array
    log_half_width: Array
    duration_log_half_width: Array
    idle_power_w: Array
    component_energy_j: Mapping[str, Array]
    host_share: Array

    def dynamic(self, batch_size: NDArray[np.int64]) -> Prediction:
        """The same without idle power: gross energy minus idle power times time, per image.

        The interval keeps its relative width, which hold-outs of both boundaries calibrated.
        """
        share = dynamic_share(self.energy_j, self.idle_power_w * self.duration_s / batch_size)
        return self._replace(
            energy_j=self.energy_j * share,
            component_energy_j={name: e * share for name, e in self.component_energy_j.items()},
        )


@dataclass(frozen=True)
class FittedOn:
    """The runs a law was fitted on.

    `models` and `gpus` are those with measured energies, `timed_models` and `timed_gpus` those with
    measured times: a GPU whose times alone are known is still unseen to a prediction of energy.
    `ranges` gives (smallest, largest) of ``flop`` (per image), ``pixels``, ``steps`` and
    ``batch_size``; `precisions` those that occurred. `own` and `own_timed` are pairs of a model and a GPU
    that whoever had the law fitted measured, energies and times.
    """

    runs: int
    models: tuple[str, ...]
    gpus: tuple[str, ...]
    timed_models: tuple[str, ...]
    timed_gpus: tuple[str, ...]
    precisions: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    sources: tuple[str, ...]
    own: tuple[tuple[str, str], ...] = ()
    own_timed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class LawFacts:
    """Which law it is: its name and form, the runs behind it, and its published errors by familiarity."""

    name: str
    form: str
    fitted_on: FittedOn
    errors: Mapping[str, Scores]

    def error(self, familiarity: str, timed_familiarity: str) -> Scores:
        """The published errors of energies and of times, each for what was known."""
        none = Scores(None, None)
        return Scores(
            self.errors.get(familiarity, none).energy, self.errors.get(timed_familiarity, none).duration
        )


class Law(Protocol):
    """A fitted law. `form` names its equations, `name` this fit of them."""

    @property
    def name(self) -> str:
        """Of this fit."""
        ...

    @property
    def form(self) -> str:
        """Of its equations."""
        ...

    def predict(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Prediction:
        """Gross energy and time of workloads of one model and precision, each on its GPU."""
        ...

    def familiarity(self, profile: ComputeProfile, gpus: Sequence[Gpu]) -> list[str]:
        """For each GPU, one of FAMILIARITY: whose energies of the model and the GPU were fitted on."""
        ...

    def timed_familiarity(self, profile: ComputeProfile, gpus: Sequence[Gpu]) -> list[str]:
        """The same of times: a model or a GPU may have measured times alone, or energies alone."""
        ...

    def outside(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Mapping[str, NDArray[np.bool_]]:
        """Ways, in words, in which workloads lie outside what the law was fitted on, and which do."""
        ...

    def breakdown(
        self, profile: ComputeProfile, workloads: WorkloadColumns, precision: str, gpus: GpuColumns
    ) -> Breakdown | None:
        """Where the joules go; None of a law that does not say."""
        ...

    def describe(self) -> LawFacts:
        """Name, form, the runs it was fitted on with their sources, and its published errors."""
        ...
