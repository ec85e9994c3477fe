"""Compute profiles: how much arithmetic a pipeline does for a workload. Needs numpy alone.

A profile is made by tracing (see `joulecast.compute.profiler`) and holds, for each component and
precision, its operators grouped by cost, each cost an exact polynomial in the workload's symbols;
which calls the pipeline makes of each component; and the pipeline's own rules for sizes, text and
guidance. It is read from and written to a small JSON file (see `joulecast.compute.profile_file`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.architecture.workload import Workload, WorkloadColumns
from joulecast.compute.polynomial import evaluate_monomials
from joulecast.errors import InputError

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
MEMORY = "memory"  # the family of operators without FLOP
TEXT_ENCODER, DENOISER, DECODER = "text_encoder", "denoiser", "decoder"
ROLES = (TEXT_ENCODER, DENOISER, DECODER)
# How a component is given the images of a batch.
BATCHED, ONE_BY_ONE, ONCE = "batched", "one_by_one", "once"
IMAGES = (BATCHED, ONE_BY_ONE, ONCE)
# What a pipeline does with a size off its grid.
REFUSE, ROUND_DOWN, ROUND_UP, IRREGULAR = "refuse", "round_down", "round_up", "irregular"
OFF_GRID = (REFUSE, ROUND_DOWN, ROUND_UP, IRREGULAR)
BYTES_PER_WEIGHT = {"fp16": 2, "bf16": 2, "fp32": 4}


@dataclass(frozen=True, eq=False)
class OperatorTable:
    """Operators of one call of a component, equal ones grouped.

    Attributes
    ----------
    condition : symbols that must have these values for the table to apply (``{"batch": 1}``:
        at batch 1 some copies become views); empty for every other workload.
    monomials : column names of the three coefficient matrices.
    names, families, dtypes : of each group, shape (groups,). ``half`` stands for fp16 or bf16.
    launches : operators in the group, shape (groups,).
    head_dims : width of an attention head, 0 for other operators, shape (groups,).
    flop, bytes_read, bytes_written : coefficients of the whole group, shape (monomials, groups).
    """

    condition: Mapping[str, int]
    monomials: tuple[str, ...]
    names: tuple[str, ...]
    families: tuple[str, ...]
    dtypes: tuple[str, ...]
    launches: Array
    head_dims: Array
    flop: Array
    bytes_read: Array
    bytes_written: Array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OperatorTable) and all(
            np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
            for mine, theirs in ((getattr(one, part.name) for one in (self, other)) for part in fields(self))
        )

    @cached_property
    def arithmetic(self) -> Integers:
        """The groups that have FLOP."""
        return np.flatnonzero([family != MEMORY for family in self.families])

    @cached_property
    def bytes(self) -> Array:
        """Coefficients of the bytes read and written, shape (monomials, groups)."""
        return self.bytes_read + self.bytes_written

    def arithmetic_costs(self, dtype: type[np.floating[Any]]) -> Any:
        """Coefficients of the FLOP, then of the bytes, of the groups with FLOP, side by side."""
        known = self._arithmetic_costs
        if dtype not in known:
            parts = [cost[:, self.arithmetic] for cost in (self.flop, self.bytes)]
            known[dtype] = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=dtype)
        return known[dtype]

    @cached_property
    def _arithmetic_costs(self) -> dict[Any, Any]:
        return {}

    @cached_property
    def memory_bytes(self) -> Array:
        """Coefficients of the bytes of all groups without FLOP, shape (monomials,)."""
        total = self.bytes.sum(axis=1) - self.bytes[:, self.arithmetic].sum(axis=1)
        return np.asarray(total)

    @cached_property
    def total_flop(self) -> Array:
        """Coefficients of the FLOP of all groups, shape (monomials,)."""
        return np.asarray(self.flop.sum(axis=1))


@dataclass(frozen=True)
class CallGroup:
    """Equal calls that the pipeline makes of a component for one batch of images.

    ``count = fixed + per_step * steps``, where steps are the pipeline's ``num_inference_steps``; the
    call's text length is the pipeline's text length plus ``text_offset``. `images` says what several
    images make of the call:

    - ``batched``: the same calls, each with a batch of ``batch_factor`` times the images;
    - ``one_by_one``: the calls for one image after the other, each with a batch of ``batch_factor``;
    - ``once``: the calls of one image, whatever the number of images.
    """

    fixed: int
    per_step: int
    batch_factor: int
    text_offset: int
    images: str = BATCHED


@dataclass(frozen=True)
class Component:
    """A module of the pipeline: its role, size, calls by denoiser passes, operators by precision."""

    name: str
    class_name: str
    role: str
    parameters: int
    calls: Mapping[int, tuple[CallGroup, ...]]
    tables: Mapping[str, tuple[OperatorTable, ...]]


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
            table = np.array(self.bins)
            nearest = np.abs(table[:, 0] - (height / width)[:, None]).argmin(axis=1)
            return table[nearest, 2].astype(np.int64), table[nearest, 1].astype(np.int64)
        if self.off_grid in (REFUSE, IRREGULAR):  # what is taken is on the grid
            return width, height
        further = self.unit - 1 if self.off_grid == ROUND_UP else 0
        return (width + further) // self.unit * self.unit, (height + further) // self.unit * self.unit

    def refused(self, width: Integers, height: Integers) -> NDArray[np.bool_]:
        """Whether the pipeline refuses the size, shape (workloads,); with bins it takes any."""
        if self.bins:
            return np.zeros(len(width), dtype=bool)
        off = (width % self.unit != 0) | (height % self.unit != 0)
        wide, high = self.rendered(width, height)
        bad: NDArray[np.bool_] = (wide < self.unit) | (high < self.unit)
        if self.off_grid in (REFUSE, IRREGULAR):
            bad |= off
        if self.largest is not None:
            bad |= (np.maximum(width, wide) > self.largest) | (np.maximum(height, high) > self.largest)
        return bad

    def expected(self) -> str:
        """What sizes would be accepted, in words."""
        limit = f" up to {self.largest}" if self.largest is not None else ""
        return f"sides that are multiples of {self.unit} pixels{limit}"


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


@dataclass(frozen=True)
class GuidanceRule:
    """When the pipeline makes a second denoiser pass (classifier-free guidance).

    `parameter` is its argument (``guidance_scale`` or ``true_cfg_scale``), None when it never does;
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
    """What the model's authors recommend."""

    width: int
    height: int
    steps: int
    guidance: float | None
    precision: str


@dataclass(frozen=True)
class OperatorCosts:
    """Costs of one call of a component, for the workloads in `rows`.

    Operators bound by memory add up, so they come as one sum; those with FLOP come one by one,
    because each may be bound by arithmetic or by memory.

    Attributes
    ----------
    component : the component that is called.
    rows : places of the workloads, shape (rows,).
    calls : calls of this kind for one batch of images, shape (rows,).
    launches, arithmetic_launches : operators launched in one call, and those of them with FLOP.
    table : the operators; `arithmetic` are the groups with FLOP, shape (groups,).
    flop, bytes : of each group with FLOP, shape (rows, groups).
    memory_bytes : read and written by all other operators, shape (rows,).
    """

    component: Component
    rows: Integers
    calls: Array
    launches: float
    arithmetic_launches: float
    table: OperatorTable
    arithmetic: Integers
    flop: Array
    bytes: Array
    memory_bytes: Array


@dataclass(frozen=True)
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

    @property
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

    def check(self, workload: Workload) -> None:
        """Raise InputError where the pipeline would refuse the workload."""
        error = self.errors(workload.columns())[0]
        if error:
            raise InputError(error)

    def errors(self, workloads: WorkloadColumns) -> list[str]:
        """For each workload, why the pipeline would refuse it, or an empty string."""
        out = [""] * len(workloads)
        for row in np.flatnonzero(self.size.refused(workloads.width, workloads.height)):
            out[row] = self._size_error(f"{workloads.width[row]}x{workloads.height[row]}")
        for row in np.flatnonzero(self._text_refused(workloads.text_tokens)):
            out[row] = out[row] or self._text_error(int(workloads.text_tokens[row]))
        for row in np.flatnonzero(workloads.frames != 1):
            out[row] = out[row] or f"{self.name} makes images; frames must be 1, not {workloads.frames[row]}"
        two_passes = any(2 in component.calls for component in self.components)
        for row in np.flatnonzero(workloads.passes == 2) if not two_passes else ():
            out[row] = out[row] or f"{self.name} never makes a second denoiser pass; passes must be 1"
        return out

    def costs(
        self,
        workloads: WorkloadColumns,
        precision: str,
        dtype: type[np.floating[Any]] = np.float64,
        roles: Collection[str] = ROLES,
    ) -> Iterator[OperatorCosts]:
        """Operator costs of every kind of call to components of these roles.

        Yields each (component, kind of call, operator table) with the workloads it applies to;
        multiply by `calls` and sum for the cost of a batch of images. In float64 whole numbers below
        2**53 are exact; float32 is enough for a law, and twice as fast.
        """
        for component, group, table, rows, symbols, shares in self._calls(workloads, precision, roles):
            matrix = evaluate_monomials(table.monomials, symbols)
            costs = matrix.astype(dtype, copy=False) @ table.arithmetic_costs(dtype)
            groups = len(table.arithmetic)
            yield OperatorCosts(
                component=component,
                rows=rows,
                calls=shares * self._call_counts(group, workloads, rows),
                launches=float(table.launches.sum()),
                arithmetic_launches=float(table.launches[table.arithmetic].sum()),
                table=table,
                arithmetic=table.arithmetic,
                flop=costs[:, :groups],
                bytes=costs[:, groups:],
                memory_bytes=matrix @ table.memory_bytes,
            )

    def flop(self, workloads: WorkloadColumns, precision: str) -> dict[str, Array]:
        """FLOP of a whole batch of images by component name, each of shape (workloads,)."""
        out = {component.name: np.zeros(len(workloads)) for component in self.components}
        for component, group, table, rows, symbols, shares in self._calls(workloads, precision):
            per_call = evaluate_monomials(table.monomials, symbols) @ table.total_flop
            out[component.name][rows] += per_call * shares * self._call_counts(group, workloads, rows)
        return out

    def calls(self, workloads: WorkloadColumns) -> dict[str, Array]:
        """Calls of each component for a batch of images, each of shape (workloads,)."""
        out = {component.name: np.zeros(len(workloads)) for component in self.components}
        for component in self.components:
            for passes, groups in component.calls.items():
                rows = np.flatnonzero(workloads.passes == passes)
                for group in groups:
                    out[component.name][rows] += self._call_counts(group, workloads, rows)
        return out

    def text_tokens(self, workloads: WorkloadColumns) -> Integers:
        """Text tokens the denoiser attends to, defaults filled in, shape (workloads,)."""
        return np.where(workloads.text_tokens < 0, self.text.default, workloads.text_tokens)

    def _calls(
        self, workloads: WorkloadColumns, precision: str, roles: Collection[str] = ROLES
    ) -> Iterator[tuple[Any, ...]]:
        width, height = self.size.rendered(workloads.width, workloads.height)
        text = self.text.padded_to_multiple(self.text_tokens(workloads) - self.text.denoiser_offset)
        for component in self.components:
            for passes, groups in component.calls.items() if component.role in roles else ():
                of_passes = np.flatnonzero(workloads.passes == passes)
                for group in groups if of_passes.size else ():
                    images = workloads.batch_size[of_passes] if group.images == BATCHED else 1
                    symbols = {
                        "batch": np.broadcast_to(images * group.batch_factor, of_passes.size),
                        "frames": workloads.frames[of_passes],
                        "height": height[of_passes] // self.size.unit,
                        "width": width[of_passes] // self.size.unit,
                        "text": text[of_passes] + group.text_offset,
                    }
                    tables = component.tables[precision]
                    for batch, shares in _traced_batches(tables, symbols["batch"]):
                        for table, rows in _split_by_condition(tables, symbols | {"batch": batch}):
                            at_rows = {name: values[rows] for name, values in symbols.items()}
                            yield component, group, table, of_passes[rows], at_rows, shares[rows]

    def _call_counts(self, group: CallGroup, workloads: WorkloadColumns, rows: Integers) -> Array:
        steps = workloads.steps[rows]
        counts = group.fixed + group.per_step * steps.astype(np.float64)
        if group.per_step:
            for special, surplus in self.call_exceptions.items():
                counts = np.where(steps == special, counts + surplus * group.per_step, counts)
        return counts * workloads.batch_size[rows] if group.images == ONE_BY_ONE else counts

    def _text_refused(self, text_tokens: Integers) -> NDArray[np.bool_]:
        given = text_tokens >= 0
        if not self.text.adjustable:
            wrong: NDArray[np.bool_] = given & (text_tokens != self.text.default)
            return wrong
        own = text_tokens - self.text.denoiser_offset
        too_long = own > self.text.largest if self.text.largest is not None else np.zeros_like(given)
        bad: NDArray[np.bool_] = given & ((own < 1) | too_long)
        return bad

    def _size_error(self, size: str) -> str:
        if self.size.off_grid == IRREGULAR:
            return f"the profile of {self.name} does not hold at {size}; it holds for {self.size.expected()}"
        return f"{self.name} refuses {size}; it takes {self.size.expected()}"

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


def _traced_batches(tables: tuple[OperatorTable, ...], batch: Integers) -> Iterator[tuple[Integers, Array]]:
    """Batches that there are tables for, and each one's share in the cost of a batch.

    Components that make images one after the other have a table for each of a few batches. Their costs
    rise in a line between those; above the largest, they are taken to rise in proportion.
    """
    traced = np.unique([table.condition.get("batch", -1) for table in tables])
    if traced[0] < 1:
        yield batch, np.ones(len(batch))
        return
    above = traced[np.minimum(np.searchsorted(traced, batch), len(traced) - 1)]
    below = traced[np.maximum(np.searchsorted(traced, batch, side="right") - 1, 0)]
    share = np.where(above > below, (batch - below) / np.maximum(above - below, 1), batch / above)
    yield above, share
    if (above > below).any():
        yield np.where(above > below, below, -1), 1 - share


def _split_by_condition(
    tables: tuple[OperatorTable, ...], symbols: Mapping[str, Integers]
) -> Iterator[tuple[OperatorTable, Integers]]:
    """Each table with the rows it applies to; the first whose condition holds wins."""
    left = np.ones(len(symbols["batch"]), dtype=bool)
    for table in tables:
        applies = left.copy()
        for symbol, value in table.condition.items():
            applies &= symbols[symbol] == value
        left &= ~applies
        if applies.any():
            yield table, np.flatnonzero(applies)
