"""What a law is asked and what it answers. The seam between laws and everything that uses them.

A law is a pure function of (compute profile at workloads, GPU) with parameters fitted from runs.
It predicts the gross energy of the GPU, the time, and how far off it may be; everything is
computed in columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import WorkloadColumns
from joulecast.boundary import dynamic_share
from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu
from joulecast.law.scores import Scores
from joulecast.records import Record
from joulecast.runtime import REFERENCE, REFERENCE_STRATUM, Runtime

Array = NDArray[np.float64]

# Number formats of weights and arithmetic that runs tell apart.
FORMATS = {"fp32": "fp32", "fp16": "16 bits", "bf16": "16 bits"}

# Gross energy of one image [J] by component and by what it is spent on, each of shape (workloads,).
Breakdown = Mapping[str, Mapping[str, Array]]

# What a law knows of a (model, GPU) pair, from most to least; the key of its published errors. Measured by
# whoever asks, with the same software and meter; measured by others; one or both not measured; and where no
# run of any model had this runtime.
UNSEEN_RUNTIME: Final = "unseen_runtime"
FAMILIARITY = ("same_source", "seen", "unseen_model", "unseen_gpu", "unseen_both", UNSEEN_RUNTIME)


class GpuColumns(Record):
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


class LawInput(NamedTuple):
    """What a law is asked: workloads of one model and precision under one runtime, each on its GPU.

    Attributes
    ----------
    profile : the exact compute of the model.
    workloads : columns of shape (workloads,).
    precision : of weights and arithmetic, a key of FORMATS.
    gpus : the GPU of each workload.
    runtime : how all of them are executed.
    """

    profile: ComputeProfile
    workloads: WorkloadColumns
    precision: str
    gpus: GpuColumns
    runtime: Runtime = REFERENCE


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


Own = tuple[str, str, str, str]


class Kind(Record):
    """Runs of one runtime and number format that a law was fitted on: whose energies and whose times.

    `runtime` is a `Runtime.family`, `format` of FORMATS: what is known of one says less of another.
    """

    runtime: str
    format: str
    models: tuple[str, ...]
    gpus: tuple[str, ...]
    timed_models: tuple[str, ...]
    timed_gpus: tuple[str, ...]


class FittedOn(Record):
    """The runs a law was fitted on.

    `models` and `gpus` are those with measured energies, `timed_models` and `timed_gpus` those with
    measured times: a GPU whose times alone are known is still unseen to a prediction of energy.
    `ranges` gives (smallest, largest) of ``flop`` (per image), ``pixels``, ``steps`` and ``batch_size``, and
    of ``frames`` where there were videos and ``power_limit`` (of the board's own) where one was set, of the
    runs with energies; `timed_ranges` of those with times, and is empty where they are the same. `precisions`
    those that occurred. `own` and `own_timed` are what whoever had the law fitted measured, energies and
    times: a model, a GPU, a `Runtime.family` and a number format. `kinds` are the same models and GPUs by
    runtime and number format; none of a law that was not told of
    runtimes, whose runs were all of the reference. `ways` are those in which several GPUs shared the work.
    """

    runs: int
    models: tuple[str, ...]
    gpus: tuple[str, ...]
    timed_models: tuple[str, ...]
    timed_gpus: tuple[str, ...]
    precisions: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    sources: tuple[str, ...]
    own: tuple[Own, ...] = ()
    own_timed: tuple[Own, ...] = ()
    kinds: tuple[Kind, ...] = ()
    timed_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ways: tuple[str, ...] = ()


class LawFacts(Record):
    """Which law it is: its name and form, the runs behind it, and its published errors by familiarity.

    `errors` are of the reference runtime, `runtime_errors` of the other strata of runtimes.
    """

    name: str
    form: str
    fitted_on: FittedOn
    errors: Mapping[str, Scores]
    runtime_errors: Mapping[str, Mapping[str, Scores]] = field(default_factory=dict)

    def error(self, familiarity: str, timed_familiarity: str, runtime: Runtime) -> Scores:
        """The published errors of energies and of times, each for what was known of such a runtime."""
        of_stratum = {REFERENCE_STRATUM: self.errors, **self.runtime_errors}.get(runtime.stratum, {})
        none = Scores(None, None)
        return Scores(
            of_stratum.get(familiarity, none).energy, of_stratum.get(timed_familiarity, none).duration
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

    def predict(self, asked: LawInput) -> Prediction:
        """Gross energy and time of workloads of one model and precision, each on its GPU."""
        ...

    def familiarity(
        self, profile: ComputeProfile, gpus: Sequence[Gpu], precision: str, runtime: Runtime = REFERENCE
    ) -> list[str]:
        """For each GPU, one of FAMILIARITY: whose energies of the model and the GPU were fitted on, in such a
        number format under such a runtime."""
        ...

    def timed_familiarity(
        self, profile: ComputeProfile, gpus: Sequence[Gpu], precision: str, runtime: Runtime = REFERENCE
    ) -> list[str]:
        """The same of times: a model or a GPU may have measured times alone, or energies alone."""
        ...

    def outside(self, asked: LawInput) -> Mapping[str, NDArray[np.bool_]]:
        """Ways, in words, in which workloads lie outside what the law was fitted on, and which do."""
        ...

    def breakdown(self, asked: LawInput) -> Breakdown | None:
        """Where the joules go; None of a law that does not say."""
        ...

    def describe(self) -> LawFacts:
        """Name, form, the runs it was fitted on with their sources, and its published errors."""
        ...
