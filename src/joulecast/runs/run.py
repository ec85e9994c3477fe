"""One measured run, which validates itself against the columns of a table of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from joulecast.errors import InputError, shown
from joulecast.hardware import CATALOGUE
from joulecast.question.gpus import gpu
from joulecast.runs.columns import check_value, columns
from joulecast.runtime import CFG, DATA, PIPEFUSION, REFERENCE, RING, TENSOR, ULYSSES, Runtime, read_degrees

REFERENCE_ENGINE: Final = REFERENCE.engine
MODES: Final = (CFG, ULYSSES, RING, TENSOR, PIPEFUSION, DATA)  # how GPUs share the work
NOTHING_KNOWN: Final = "energy_j and duration_s are both unknown"


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """One measured generation of images or of a video. None is unknown; ``data/runs/columns.csv`` has the
    meanings.

    `energy_j` [J] is the GPU energy of one image inside `boundary` (``"gross"`` or ``"dynamic"``),
    `duration_s` [s] the time of one batch; at least one of them is known. A GPU alias becomes the
    catalogue's name, and `gpu_stated` keeps what was written.

    Raises InputError when a value is not what its column accepts.
    """

    run_id: str
    model: str
    checkpoint: str | None = None
    gpu: str
    gpu_stated: str | None = None
    gpu_count: int = 1
    parallel: str | None = None
    power_limit_w: float | None = None
    batch_size: int
    width: int
    height: int
    frames: int = 1
    fps: float | None = None
    steps: int
    passes: int
    text_tokens: int | None = None
    negative_prompt: bool = False
    precision: str
    quantization: str = "none"
    energy_j: float | None = None
    boundary: str | None = None
    duration_s: float | None = None
    scope: str = "pipeline"
    engine: str = REFERENCE_ENGINE
    compile: bool = False
    tf32: str = "default"
    cache: str = "none"
    offload: str = "none"
    attention: str | None = None
    software: str | None = None
    assumptions: str | None = None
    source: str | None = None
    source_url: str | None = None
    trust: str = "A"
    note: str | None = None
    is_invented: bool = False

    def __post_init__(self) -> None:
        for column in columns().values():
            check_value(column, getattr(self, column.name))
        if self.energy_j is None and self.duration_s is None:
            raise InputError(f"{NOTHING_KNOWN}; expected at least one of them")
        if self.energy_j is not None and self.boundary is None:
            raise InputError("boundary is unknown; expected gross or dynamic beside an energy_j")
        if self.energy_j is None and self.boundary is not None:
            raise InputError(f"boundary is {self.boundary} without an energy_j; expected both or neither")
        _check_shares(self.parallel, self.gpu_count)
        self._name_gpu()

    @cached_property
    def runtime(self) -> Runtime:
        """How it was executed, of GPUs that share a batch: whole batches beside each other are as one.

        Raises InputError of GPUs that share the work in no stated way.
        """
        ways = shares(self.parallel)
        parallel = tuple(sorted((way, degree) for way, degree in ways.items() if degree > 1 and way != DATA))
        return Runtime(
            self.engine,
            self.compile,
            self.quantization,
            self.cache,
            self.offload,
            self.gpu_count // ways.get(DATA, 1),
            parallel,
            self.power_limit_w,
        )

    @property
    def shared_batch_size(self) -> int:
        """Images of the batch that GPUs share: part of all where whole batches are made beside each other."""
        return self.batch_size // shares(self.parallel).get(DATA, 1)

    def _name_gpu(self) -> None:
        found = gpu(self.gpu)
        if found.origin == CATALOGUE and found.name != self.gpu:
            if self.gpu_stated is None:
                object.__setattr__(self, "gpu_stated", self.gpu)
            object.__setattr__(self, "gpu", found.name)


def shares(parallel: str | None) -> Mapping[str, int]:
    """How GPUs share the work, by mode: ``"ulysses=2,ring=2"`` as ``{"ulysses": 2, "ring": 2}``.

    Raises InputError unless each is a mode of MODES and a whole number, each mode once.
    """
    if parallel is None:
        return {}
    try:
        found = read_degrees(parallel, DATA)
    except InputError:
        found = {}
    if not found:
        raise InputError(
            f"parallel is {shown(parallel)}; expected modes and their degrees, each once, e.g. "
            f"ulysses=2,ring=2; modes are {', '.join(MODES)}"
        )
    return found


def _check_shares(parallel: str | None, gpu_count: int) -> None:
    found = shares(parallel)
    if found and math.prod(found.values()) != gpu_count:
        raise InputError(
            f"parallel is {shown(parallel)}, {math.prod(found.values())} GPUs, and gpu_count {gpu_count}; "
            "expected the product of the degrees to be gpu_count"
        )
