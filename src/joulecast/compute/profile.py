"""Compute profiles: how much arithmetic a pipeline does for a workload. Needs numpy alone.

A profile is made by tracing (see `joulecast.compute.profiler`) and holds, for each component and
precision, its operators grouped by cost, each cost an exact polynomial in the workload's symbols;
which calls the pipeline makes of each component; and the pipeline's own rules for sizes, text and
guidance. It is read from and written to a small JSON file (see `joulecast.compute.profile_file`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import Workload, WorkloadColumns
from joulecast.compute.cases import Cases
from joulecast.compute.evaluation import CaseCosts, Evaluation
from joulecast.compute.memory import MemoryUse, PeakCases
from joulecast.compute.operators import DENOISER, Array, Component, Integers, OperatorCosts, mode_of
from joulecast.compute.output import CLIP, IMAGE
from joulecast.compute.polynomial import ROWS
from joulecast.compute.profile_rules import (
    IRREGULAR,
    ONLY,
    TRUE_CFG,
    Defaults,
    FrameRule,
    GuidanceRule,
    ImageRule,
    SizeRule,
    TextRule,
)
from joulecast.errors import InputError
from joulecast.records import Record
from joulecast.runtime import NONE

BYTES_PER_WEIGHT = {"fp16": 2, "bf16": 2, "fp32": 4}


class ComputeProfile(Record):
    """The compute of one pipeline for any workload it accepts. Pure data."""

    name: str
    pipeline: str
    components: tuple[Component, ...]
    size: SizeRule
    text: TextRule
    guidance: GuidanceRule
    defaults: Defaults
    frames: FrameRule | None = None
    images: ImageRule = field(default_factory=ImageRule)
    call_exceptions: Mapping[int, int] = field(default_factory=dict)
    hub_id: str | None = None
    revision: str | None = None  # of the hub's repository, of which the configs were
    made_with: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origin: str = "catalogue"
    adapters: int = 0  # LoRA adapters that were put beside its layers since it was traced; in no file

    __repr__ = object.__repr__  # all its numbers would fill a book

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def parameters(self) -> int:
        """Parameters of all modules."""
        return sum({component.module: component.parameters for component in self.components}.values())

    @property
    def output(self) -> str:
        """What the pipeline makes, IMAGE or CLIP: an image, or a clip of video."""
        return IMAGE if self.frames is None else CLIP

    def weight_bytes(self, precision: str) -> int:
        """Memory that the weights of all components take in ``fp16``, ``bf16`` or ``fp32`` [byte]."""
        return self.parameters * BYTES_PER_WEIGHT[precision]

    def memory(self, workloads: WorkloadColumns, precision: str) -> MemoryUse | None:
        """The memory of a batch of images by component; None in profiles that do not know it."""
        known = self._at(workloads).memory
        if precision not in known:
            symbols, modes = self._symbols(workloads), self._modes(workloads)
            known[precision] = self._peaks_in(precision).use(symbols, modes)
        return known[precision]

    def peak_bytes(self, workloads: WorkloadColumns, precision: str, offload: str = NONE) -> Array | None:
        """The most memory in use at once for a batch of images [byte], shape (workloads,); see `memory`."""
        use = self.memory(workloads, precision)
        return None if use is None else use.peak(offload)

    @property
    def denoisers(self) -> tuple[Component, ...]:
        """The components whose calls follow the steps asked for: of the main stage, not of one before it."""
        return tuple(part for part in self.components if any(group.per_step for group in part.calls[1]))

    @property
    def denoising_modules(self) -> tuple[str, ...]:
        """Names of the `denoisers`, and of those that take over from one of them part of the way."""
        followed = {part.name for part in self.denoisers}
        return tuple(
            part.name
            for part in self.components
            if part.name in followed or (part.role == DENOISER and not part.is_called)
        )

    def guiding_scale(
        self, guidance: float | None = None, true_cfg_scale: float | None = None
    ) -> float | None:
        """The scale on which a second pass depends, as given, else the pipeline's own."""
        own = self.defaults
        if self.guidance.parameter == TRUE_CFG:
            return own.true_cfg_scale if true_cfg_scale is None else true_cfg_scale
        asked = true_cfg_scale if guidance is None else guidance
        return own.guidance if asked is None else asked

    def passes(
        self,
        guidance: float | None = None,
        true_cfg_scale: float | None = None,
        *,
        negative_prompt: bool = False,
    ) -> int:
        """Denoiser passes a step that the pipeline makes at scales of guidance; None is its own."""
        return self.guidance.passes(self.guiding_scale(guidance, true_cfg_scale), negative_prompt)

    def check(self, workload: Workload) -> None:
        """Raise InputError where the pipeline would refuse the workload."""
        error = self.errors(workload.columns())[0]
        if error:
            raise InputError(error)

    def errors(self, workloads: WorkloadColumns) -> list[str]:
        """For each workload, why the pipeline would refuse it, or an empty string."""
        out = [""] * len(workloads)
        for row in _places(self.size.refused(workloads.width, workloads.height, self.rendered(workloads))):
            out[row] = self._size_error(int(workloads.width[row]), int(workloads.height[row]))
        for row in _places(self._text_refused(workloads.text_tokens)):
            out[row] = out[row] or self._text_error(int(workloads.text_tokens[row]))
        for row in _places(self._frames_refused(workloads.frames)):
            out[row] = out[row] or self._frames_error(int(workloads.frames[row]))
        for row in () if self._has_two_passes else _places(workloads.passes == 2):
            out[row] = out[row] or f"{self.name} never makes a second denoiser pass; passes must be 1"
        return out

    @cached_property
    def _by_negative_prompt(self) -> tuple[int, ...]:
        """Passes at which a negative prompt makes other calls."""
        kept = {mode for component in self.components for mode in component.calls}
        return tuple(passes for passes in (1, 2) if mode_of(passes, True) in kept)

    def _modes(self, workloads: WorkloadColumns) -> Integers:
        """The mode of each workload's calls, shape (workloads,)."""
        modes = workloads.passes
        for passes in self._by_negative_prompt:
            changed = (workloads.negative_prompt == 1) & (workloads.passes == passes)
            modes = np.where(changed, mode_of(passes, True), modes)
        return modes

    @cached_property
    def _has_two_passes(self) -> bool:
        return any(2 in component.calls for component in self.components)

    def evaluation(self, workloads: WorkloadColumns, precision: str) -> Evaluation:
        """The operators' costs at workloads: found once, then remembered with the workloads."""
        known = self._at(workloads).evaluations
        if precision not in known:
            known[precision] = self._evaluated(workloads, precision)
        return known[precision]

    def _evaluated(self, workloads: WorkloadColumns, precision: str) -> Evaluation:
        symbols, steps = self._symbols(workloads), workloads.steps.astype(np.float64)
        for special, surplus in self.call_exceptions.items():
            steps[workloads.steps == special] += surplus
        parts = [
            CaseCosts.of(case, rows, symbols[:, rows], steps[rows])
            for rows, case in self._cases_in(precision).at(symbols, self._modes(workloads))
        ]
        return Evaluation(self.components, len(workloads), parts)

    def _symbols(self, workloads: WorkloadColumns) -> Array:
        """Every symbol of the polynomials at the workloads, shape (rows, workloads)."""
        known = self._at(workloads)
        if known.symbols is None:
            known.symbols = self._found_symbols(workloads)
        return known.symbols

    def _found_symbols(self, workloads: WorkloadColumns) -> Array:
        width, height = self.rendered(workloads)
        out = np.empty((len(ROWS), len(workloads)))
        out[0], out[1], out[2] = 1.0, workloads.batch_size, self._frame_steps(workloads.frames)
        out[3], out[4] = height // self.size.unit, width // self.size.unit
        out[5] = self.text.padded_to_multiple(self.text_tokens(workloads) - self.text.denoiser_offset)
        out[6] = out[1] * out[2]
        return out

    def _cases_in(self, precision: str) -> Cases:
        if precision not in self._cases:
            self._cases[precision] = Cases(self.components, precision)
        return self._cases[precision]

    @cached_property
    def _cases(self) -> dict[str, Cases]:
        return {}

    def _peaks_in(self, precision: str) -> PeakCases:
        if precision not in self._peaks:
            self._peaks[precision] = PeakCases(self.components, precision)
        return self._peaks[precision]

    @cached_property
    def _peaks(self) -> dict[str, PeakCases]:
        return {}

    def _at(self, workloads: WorkloadColumns) -> _Known:
        known = workloads.memo.get(id(self))
        if not isinstance(known, _Known):
            given = workloads.text_tokens
            known = _Known(
                self,
                self.size.rendered(workloads.width, workloads.height),
                np.where(given < 0, self.text.default, given),
            )
            workloads.memo[id(self)] = known
        return known

    def _by_component(self, table: Array) -> dict[str, Array]:
        return {component.name: values for component, values in zip(self.components, table, strict=True)}

    def costs(self, workloads: WorkloadColumns, precision: str) -> Iterator[OperatorCosts]:
        """Operator costs of every kind of call.

        Yields each (component, kind of call, operator table) with the workloads it applies to;
        multiply by `calls` and sum for the cost of a batch of images. Whole numbers below 2**53 are
        exact.
        """
        size = len(workloads)
        for part in self.evaluation(workloads, precision).parts:
            case = part.case
            flop, moved = case.flop @ part.monomials, case.bytes @ part.monomials
            memory, launches, arithmetic = (
                one @ part.monomials for one in (case.memory_bytes, case.launches, case.arithmetic_launches)
            )
            ends = np.cumsum((0, *case.groups_of_calls))
            for place, call in enumerate(case.calls):
                groups, table = slice(ends[place], ends[place + 1]), call.table
                yield OperatorCosts(
                    component=call.component,
                    rows=np.arange(size)[part.rows],
                    calls=part.weights[place],
                    launches=launches[place],
                    arithmetic_launches=arithmetic[place],
                    table=table,
                    arithmetic=table.arithmetic,
                    flop=flop[groups].T,
                    bytes=moved[groups].T,
                    memory_bytes=memory[place],
                )

    def flop(self, workloads: WorkloadColumns, precision: str) -> dict[str, Array]:
        """FLOP of a whole batch of images by component name, each of shape (workloads,)."""
        return self._by_component(self.evaluation(workloads, precision).flop)

    def total_flop(self, workloads: WorkloadColumns, precision: str) -> Array:
        """FLOP of a whole batch of images, shape (workloads,)."""
        return self.evaluation(workloads, precision).total_flop

    def calls(self, workloads: WorkloadColumns) -> dict[str, Array]:
        """Calls of each component for a batch of images, each of shape (workloads,)."""
        known = next(iter(self._at(workloads).evaluations), self._traced_precision)
        return self._by_component(self.evaluation(workloads, known).calls)

    @property
    def _traced_precision(self) -> str:
        """A precision that the profile was traced in: calls are the same in all."""
        traced = self.components[0].tables
        return self.defaults.precision if self.defaults.precision in traced else next(iter(traced))

    def text_tokens(self, workloads: WorkloadColumns) -> Integers:
        """Text tokens the denoiser attends to, defaults filled in, shape (workloads,)."""
        return self._at(workloads).text_tokens

    def joined_text(self, workloads: WorkloadColumns) -> Array:
        """Text tokens that the denoiser's attention joins to those of the image, shape (workloads,).

        0 of a denoiser whose image attends to a text that is not changed itself.
        """
        return np.asarray((self._symbols(workloads)[5] + self.text.denoiser_offset) * self._joins_text)

    @cached_property
    def _joins_text(self) -> bool:
        denoisers = (component for component in self.components if component.role == DENOISER)
        return any(t.joins_text for c in denoisers for tables in c.tables.values() for t in tables)

    def rendered(self, workloads: WorkloadColumns) -> tuple[Integers, Integers]:
        """Width and height at which the pipeline really generates, each of shape (workloads,) [pixels]."""
        return self._at(workloads).rendered

    def rendered_frames(self, workloads: WorkloadColumns) -> Integers:
        """Frames that the pipeline really makes, shape (workloads,)."""
        return workloads.frames if self.frames is None else self.frames.rendered(workloads.frames)

    def _frame_steps(self, frames: Integers) -> Integers:
        rule = self.frames
        return frames if rule is None else rule.steps(rule.rendered(frames))

    def _frames_refused(self, frames: Integers) -> NDArray[np.bool_]:
        return np.asarray(frames != 1) if self.frames is None else self.frames.refused(frames)

    def _frames_error(self, frames: int) -> str:
        rule = self.frames
        if rule is None:
            return f"{self.name} makes images; frames must be 1, not {frames}"
        near = f"{rule.expected()}, e.g. {rule.nearest(frames)}"
        if rule.off_grid == IRREGULAR and (rule.largest is None or frames <= rule.largest):
            return f"the profile of {self.name} does not hold at {frames} frames; it holds for {near}"
        return f"{self.name} refuses {frames} frames; it takes {near}"

    def _text_refused(self, text_tokens: Integers) -> NDArray[np.bool_]:
        given: NDArray[np.bool_] = text_tokens >= 0
        if not self.text.adjustable:
            return np.asarray(given & (text_tokens != self.text.default))
        bad = text_tokens < self.text.denoiser_offset + 1
        if self.text.largest is not None:
            bad |= text_tokens > self.text.denoiser_offset + self.text.largest
        return np.asarray(given & bad)

    def _size_error(self, width: int, height: int) -> str:
        size, near = f"{width}x{height}", f"{self.size.expected()}, e.g. {self.size.nearest(width, height)}"
        if self.size.off_grid == ONLY:
            return f"the profile of {self.name} does not hold at {size}; it holds for {self.size.expected()}"
        if self.size.off_grid == IRREGULAR:
            return f"the profile of {self.name} does not hold at {size}; it holds for {near}"
        return f"{self.name} refuses {size}; it takes {near}"

    def _text_error(self, text_tokens: int) -> str:
        if not self.text.adjustable:
            return f"{self.name} always encodes {self.text.default} text tokens, not {text_tokens}"
        low = 1 + self.text.denoiser_offset
        high = (
            ""
            if self.text.largest is None
            else f" and at most {self.text.largest + self.text.denoiser_offset}"
        )
        return f"{self.name} takes at least {max(low, 1)}{high} text tokens, not {text_tokens}"


def _places(holds: NDArray[np.bool_]) -> list[int]:
    """Where a mask holds, mostly nowhere."""
    found: list[int] = np.flatnonzero(holds).tolist() if np.count_nonzero(holds) else []
    return found


class _Known:
    """What is known of a table of workloads: sizes generated, text lengths, and costs by precision."""

    def __init__(
        self, profile: ComputeProfile, rendered: tuple[Integers, Integers], text_tokens: Integers
    ) -> None:
        self.profile = profile  # held, so that its id stays its own
        self.rendered, self.text_tokens = rendered, text_tokens
        self.evaluations: dict[str, Evaluation] = {}
        self.memory: dict[str, MemoryUse | None] = {}
        self.symbols: Array | None = None
