"""Compute profiles: how much arithmetic a pipeline does for a workload. Needs numpy alone.

A profile is made by tracing (see `joulecast.compute.profiler`) and holds, for each component and
precision, its operators grouped by cost, each cost an exact polynomial in the workload's symbols;
which calls the pipeline makes of each component; and the pipeline's own rules for sizes, text and
guidance. It is read from and written to a small JSON file (see `joulecast.compute.profile_file`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import Workload, WorkloadColumns
from joulecast.compute.evaluation import CaseCosts, Cases, Evaluation
from joulecast.compute.operators import Array, Component, Integers, OperatorCosts, mode_of
from joulecast.compute.polynomial import ROWS
from joulecast.errors import InputError

# What a pipeline does with a size off its grid.
REFUSE, ROUND_DOWN, ROUND_UP, IRREGULAR = "refuse", "round_down", "round_up", "irregular"
OFF_GRID = (REFUSE, ROUND_DOWN, ROUND_UP, IRREGULAR)
BYTES_PER_WEIGHT = {"fp16": 2, "bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class SizeRule:
    """Which sizes the pipeline accepts, and what it makes of the others.

    Attributes
    ----------
    unit : pixels in one step of the symbols ``height`` and ``width``.
    off_grid : what the pipeline does with a size that is no multiple of `unit`: ``refuse``,
        ``round_down``, ``round_up``, or ``irregular``, another size for which no rule is known: the
        profile does not hold for it.
    largest : largest side the pipeline accepts [pixels], None when it sets no limit.
    bins : (aspect ratio, height, width) the pipeline maps every request to; empty when it does not.
    native : smallest and largest side the model's authors name [pixels], None when unknown.
    """

    unit: int
    off_grid: str
    largest: int | None = None
    bins: tuple[tuple[float, int, int], ...] = ()
    native: tuple[int, int] | None = None

    def rendered(self, width: Integers, height: Integers) -> tuple[Integers, Integers]:
        """The size at which the pipeline really generates, each of shape (workloads,) [pixels]."""
        if self.bins:
            ratios, heights, widths = self._bins
            nearest = np.abs(ratios - (height / width)[:, None]).argmin(axis=1)
            return widths[nearest], heights[nearest]
        if self.takes_only_its_grid:
            return width, height
        further = self.unit - 1 if self.off_grid == ROUND_UP else 0
        return (width + further) // self.unit * self.unit, (height + further) // self.unit * self.unit

    @cached_property
    def _bins(self) -> tuple[Array, Integers, Integers]:
        ratios, heights, widths = np.array(self.bins).T
        return ratios, heights.astype(np.int64), widths.astype(np.int64)

    def refused(
        self, width: Integers, height: Integers, rendered: tuple[Integers, Integers] | None = None
    ) -> NDArray[np.bool_]:
        """Whether the pipeline refuses the size, shape (workloads,); with bins it takes any.

        `rendered` is what `rendered` gives, for those who know it.
        """
        if self.bins:
            return np.zeros(len(width), dtype=bool)
        wide, high = rendered or self.rendered(width, height)
        bad: NDArray[np.bool_] = np.minimum(wide, high) < self.unit
        if self.takes_only_its_grid:
            bad |= (width % self.unit + height % self.unit).astype(bool)
        if self.largest is not None:
            bad |= np.maximum(np.maximum(width, height), np.maximum(wide, high)) > self.largest
        return bad

    @property
    def takes_only_its_grid(self) -> bool:
        """Whether sizes that are taken are generated as they are."""
        return not self.bins and self.off_grid in (REFUSE, IRREGULAR)

    def expected(self) -> str:
        """What sizes would be accepted, in words."""
        limit = f" up to {self.largest}" if self.largest is not None else ""
        return f"sides that are multiples of {self.unit} pixels{limit}"

    def nearest(self, width: int, height: int) -> str:
        """The next smaller and larger sizes that would be accepted, in words."""
        found = []
        for further in (0, self.unit - 1):
            sides = [(side + further) // self.unit * self.unit for side in (width, height)]
            most = self.largest // self.unit * self.unit if self.largest is not None else None
            sides = [max(side if most is None else min(side, most), self.unit) for side in sides]
            found.append("x".join(map(str, sides)))
        return " or ".join(dict.fromkeys(found))


@dataclass(frozen=True)
class TextRule:
    """How long the text is: tokens the denoiser attends to.

    `adjustable` pipelines take the prompt's length or a maximum; the others always pad to `default`.
    The pipeline's own text length is ``text_tokens - denoiser_offset``, at most `largest`, and padded
    to a multiple of `multiple`.
    """

    default: int
    adjustable: bool
    denoiser_offset: int = 0
    largest: int | None = None
    padded: bool = True
    multiple: int = 1

    def padded_to_multiple(self, own: Integers) -> Integers:
        """The pipeline's own text length as it really encodes it."""
        return own if self.multiple == 1 else -(-own // self.multiple) * self.multiple


TRUE_CFG = "true_cfg_scale"  # classifier-free guidance beside a ``guidance_scale`` that is an input


@dataclass(frozen=True)
class GuidanceRule:
    """When the pipeline makes a second denoiser pass (classifier-free guidance).

    `parameter` is its argument (``guidance_scale`` or `TRUE_CFG`), None when it never does;
    the second pass runs above a scale of `threshold` and, if `needs_negative_prompt`, only with a
    negative prompt.
    """

    parameter: str | None
    needs_negative_prompt: bool = False
    threshold: float = 1.0

    def passes(self, guidance: float | None, negative_prompt: bool) -> int:
        """Denoiser passes in a step for a guidance scale."""
        if self.parameter is None or guidance is None or not guidance > self.threshold:
            return 1
        return 2 if negative_prompt or not self.needs_negative_prompt else 1


@dataclass(frozen=True)
class Defaults:
    """What the model's authors recommend, or their pipeline takes: `guidance` as ``guidance_scale``, of
    which a distilled model makes no second pass, ``true_cfg_scale`` where the pipeline has one, and
    whether its authors give a negative prompt."""

    width: int
    height: int
    steps: int
    guidance: float | None
    precision: str
    true_cfg_scale: float | None = None
    negative_prompt: bool = False


@dataclass(frozen=True, repr=False)
class ComputeProfile:
    """The compute of one pipeline for any workload it accepts. Pure data."""

    name: str
    pipeline: str
    components: tuple[Component, ...]
    size: SizeRule
    text: TextRule
    guidance: GuidanceRule
    defaults: Defaults
    call_exceptions: Mapping[int, int] = field(default_factory=dict)
    hub_id: str | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origin: str = "catalogue"

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def parameters(self) -> int:
        """Parameters of all components."""
        return sum(component.parameters for component in self.components)

    def weight_bytes(self, precision: str) -> int:
        """Memory that the weights of all components take in ``fp16``, ``bf16`` or ``fp32`` [byte]."""
        return self.parameters * BYTES_PER_WEIGHT[precision]

    @property
    def denoisers(self) -> tuple[Component, ...]:
        """The components whose calls follow the steps asked for: of the main stage, not of one before it."""
        return tuple(part for part in self.components if any(group.per_step for group in part.calls[1]))

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
        for row in _places(workloads.frames != 1):
            out[row] = out[row] or f"{self.name} makes images; frames must be 1, not {workloads.frames[row]}"
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
        width, height = self.rendered(workloads)
        out = np.empty((len(ROWS), len(workloads)))
        out[0], out[1], out[2] = 1.0, workloads.batch_size, workloads.frames
        out[3], out[4] = height // self.size.unit, width // self.size.unit
        out[5] = self.text.padded_to_multiple(self.text_tokens(workloads) - self.text.denoiser_offset)
        return out

    def _cases_in(self, precision: str) -> Cases:
        if precision not in self._cases:
            self._cases[precision] = Cases(self.components, precision)
        return self._cases[precision]

    @cached_property
    def _cases(self) -> dict[str, Cases]:
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
            memory = case.memory_bytes @ part.monomials
            ends = np.cumsum((0, *case.groups_of_calls))
            for place, call in enumerate(case.calls):
                groups, table = slice(ends[place], ends[place + 1]), call.table
                yield OperatorCosts(
                    component=call.component,
                    rows=np.arange(size)[part.rows],
                    calls=part.weights[place],
                    launches=float(table.launches.sum()),
                    arithmetic_launches=float(table.launches[table.arithmetic].sum()),
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

    def rendered(self, workloads: WorkloadColumns) -> tuple[Integers, Integers]:
        """Width and height at which the pipeline really generates, each of shape (workloads,) [pixels]."""
        return self._at(workloads).rendered

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
