"""The operators' costs at many workloads, evaluated once for everybody who asks.

Workloads are of one `Case` when the pipeline runs the same operators for them: the same mode
(`joulecast.compute.operators.mode_of`), and of every component whose tables have conditions the same
table. The operators of all calls of a case stand side by side over one list of monomials, so that
whatever is linear in their costs is one matrix product:
``coefficients @ monomials``, of shape (costs, workloads).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from joulecast.compute.operators import (
    BATCH,
    BATCHED,
    ONE_BY_ONE,
    Array,
    CallGroup,
    Component,
    Integers,
    OperatorTable,
)
from joulecast.compute.polynomial import (
    PICTURES,
    ROWS,
    Monomials,
    Variable,
    parse_monomial,
    times_of,
)

EVERY = slice(None)
# Multiplications up to which OpenBLAS stays on the thread that asks. Beyond, it calls threads of its own,
# which wait for each other and for those between which a table is shared.
MOST_ON_ONE_THREAD = 2**18


def product(coefficients: Array, values: Array) -> Array:
    """``coefficients @ values``, of shape (costs, workloads), a few workloads at a time, on one thread."""
    workloads = values.shape[1]
    if workloads * coefficients.size <= MOST_ON_ONE_THREAD:
        found: Array = coefficients @ values
        return found
    step = max(MOST_ON_ONE_THREAD // coefficients.size, 1)
    out = np.empty((len(coefficients), workloads))
    for start in range(0, workloads, step):
        block = slice(start, start + step)
        np.matmul(coefficients, values[:, block], out=out[:, block])
    return out


class Share(NamedTuple):
    """How much of a table's cost a call has: ``(slope * images + start) / span``, mostly all of it."""

    slope: float = 0.0
    start: float = 1.0
    span: float = 1.0


WHOLE = Share()


class Call(NamedTuple):
    """Equal calls of a component, the operators of one of them, and what share of these it has.

    `is_counted` is False where the same calls stand in another `Call` already, with other operators.
    """

    component: Component
    group: CallGroup
    table: OperatorTable
    share: Share = WHOLE
    is_counted: bool = True


class Polynomials:
    """Polynomials of several calls, each over its own monomials, side by side over one list of monomials."""

    def __init__(self, parts: Sequence[tuple[Sequence[str], CallGroup]]) -> None:
        self._products = [_products(monomials, group) for monomials, group in parts]
        distinct = dict.fromkeys(product for some in self._products for product, _ in some)
        self._places = {product: place for place, product in enumerate(distinct)}
        self._monomials = Monomials(list(self._places))

    def monomials(self, symbols: Array) -> Array:
        """Shape (monomials, workloads)."""
        return self._monomials.at(symbols)

    def coefficients(self, place: int, matrix: Array) -> Array:
        """A matrix (own monomials, polynomials) of one call as (polynomials, monomials of all)."""
        out = np.zeros((matrix.shape[1], len(self._places)))
        for (product, scale), row in zip(self._products[place], matrix, strict=True):
            out[:, self._places[product]] += scale * row
        return out

    @cached_property
    def of_text(self) -> Array:
        """1 where a monomial rises with the tokens of the text alone, of each image or not, (monomials,)."""
        others = ([v.symbol for v in product if v.symbol != BATCH] for product in self._places)
        return np.array([float(symbols == ["text"]) for symbols in others])

    def stacked(self, matrices: Sequence[Array]) -> Array:
        """A matrix of each call, one below the other: (polynomials of all, monomials)."""
        parts = [self.coefficients(place, matrix) for place, matrix in enumerate(matrices)]
        return np.concatenate([np.zeros((0, len(self._places))), *parts], axis=0)


class Case(Polynomials):
    """What the pipeline runs for workloads of one case: coefficients by call or group of operators.

    Groups are those with FLOP, in the order of the calls.
    """

    def __init__(self, calls: Sequence[Call], components: Sequence[Component]) -> None:
        super().__init__([(call.table.monomials, call.group) for call in calls])
        self.calls = tuple(calls)
        self.components = tuple(components)
        groups = [call.group for call in self.calls]
        self._fixed = np.array([[float(group.fixed)] for group in groups]).reshape(-1, 1)
        self._per_step = np.array([[float(group.per_step)] for group in groups]).reshape(-1, 1)
        self._one_by_one = np.flatnonzero([group.images == ONE_BY_ONE for group in groups])
        self._shares = None if all(call.share == WHOLE for call in self.calls) else _columns(self.calls)

    def counts(self, steps: Array, images: Array) -> Array:
        """How often each call is made for a batch of images, shape (calls, workloads)."""
        out: Array = self._per_step * steps
        out += self._fixed
        if self._one_by_one.size:
            out[self._one_by_one] *= images
        return out

    def weights(self, counts: Array, images: Array) -> Array:
        """The same, times the share that a call has of its operators' costs."""
        if self._shares is None:
            return counts
        slope, start, span = self._shares
        return np.asarray(counts * ((slope * images + start) / span))

    @cached_property
    def groups_of_calls(self) -> tuple[int, ...]:
        """Groups with FLOP of each call."""
        return tuple(len(call.table.arithmetic) for call in self.calls)

    @cached_property
    def flop(self) -> Array:
        """FLOP of each group with any, shape (groups, monomials)."""
        return self.stacked([call.table.flop[:, call.table.arithmetic] for call in self.calls])

    @cached_property
    def bytes(self) -> Array:
        """Bytes read and written by each group with FLOP, shape (groups, monomials)."""
        return self.stacked([call.table.bytes[:, call.table.arithmetic] for call in self.calls])

    @cached_property
    def memory_bytes(self) -> Array:
        """Bytes read and written by all groups without FLOP, shape (calls, monomials)."""
        return self.stacked([call.table.memory_bytes[:, None] for call in self.calls])

    @cached_property
    def launches(self) -> Array:
        """Operators launched, shape (calls, monomials)."""
        return self.stacked([call.table.all_launches[:, None] for call in self.calls])

    @cached_property
    def arithmetic_launches(self) -> Array:
        """Operators launched that have FLOP, shape (calls, monomials)."""
        return self.stacked([call.table.arithmetic_launches[:, None] for call in self.calls])

    @cached_property
    def attention_launches(self) -> Array:
        """Operators launched that are attention, shape (calls, monomials)."""
        return self.stacked([call.table.attention_launches[:, None] for call in self.calls])

    @cached_property
    def total_flop(self) -> Array:
        """FLOP of all groups, shape (calls, monomials)."""
        return self.stacked([call.table.flop.sum(axis=1)[:, None] for call in self.calls])

    @cached_property
    def call_of_groups(self) -> Array:
        """1 where a group with FLOP is of a call, shape (calls, groups)."""
        return np.repeat(np.eye(len(self.calls)), self.groups_of_calls, axis=1)

    @cached_property
    def by_component(self) -> Array:
        """1 where a call is of a component, shape (components, calls)."""
        return np.array(
            [[float(call.component is part) for call in self.calls] for part in self.components]
        ).reshape(len(self.components), len(self.calls))

    @cached_property
    def counted(self) -> Array:
        """The same, of the calls that are counted."""
        return np.asarray(self.by_component * np.array([float(call.is_counted) for call in self.calls]))


def _products(monomials: Sequence[str], group: CallGroup) -> list[tuple[tuple[Variable, ...], float]]:
    """A call's monomials as products of the workload's variables, and what they are multiplied with."""
    out = []
    for monomial in monomials:
        variables, scale = [], 1.0
        for symbol, divisor, power in parse_monomial(monomial):
            if symbol == BATCH:
                scale *= float(group.batch_factor) ** power
                if group.images != BATCHED:
                    continue
            offset = group.text_offset if symbol == "text" else 0
            variables += [Variable(_of_images(symbol, group), divisor, offset)] * power
        out.append((tuple(sorted(variables)), scale))
    return out


def _of_images(symbol: str, group: CallGroup) -> str:
    """A call's symbol as the workload's: its pictures are those of as many videos as it works on."""
    times, row = times_of(symbol)
    if row != PICTURES:
        return symbol
    return f"{times * group.batch_factor}{PICTURES if group.images == BATCHED else 'frames'}"


def _columns(calls: Sequence[Call]) -> tuple[Array, Array, Array]:
    """Slope, start and span of the calls' shares, each of shape (calls, 1)."""
    shares = np.array([[call.share.slope, call.share.start, call.share.span] for call in calls])
    return shares[:, :1], shares[:, 1:2], shares[:, 2:]


class CaseCosts(NamedTuple):
    """Workloads of one case: their places, the monomials at them, and how often each call is made.

    Attributes
    ----------
    case : what is run.
    rows : places of the workloads among all; EVERY where they are all.
    monomials : shape (monomials, rows).
    counts : calls for one batch of images, shape (calls, rows).
    weights : `counts` times the share that a call has of its operators' costs.
    """

    case: Case
    rows: Integers | slice
    monomials: Array
    counts: Array
    weights: Array

    @classmethod
    def of(cls, case: Case, rows: Integers | slice, symbols: Array, steps: Array) -> CaseCosts:
        """Costs of the workloads in `rows`, at whose symbols and steps the others are."""
        images = symbols[ROWS.index(BATCH)]
        counts = case.counts(steps, images)
        return cls(case, rows, case.monomials(symbols), counts, case.weights(counts, images))


class Evaluation:
    """A profile's costs in one precision at workloads."""

    def __init__(self, components: tuple[Component, ...], size: int, parts: Sequence[CaseCosts]) -> None:
        self.components, self.size, self.parts = components, size, parts
        self._flop: Array | None = None
        self._total_flop: Array | None = None

    @property
    def flop(self) -> Array:
        """FLOP of a whole batch of images, shape (components, workloads)."""
        if self._flop is None:
            self._flop = self.gathered(
                p.case.by_component @ (product(p.case.total_flop, p.monomials) * p.weights)
                for p in self.parts
            )
        return self._flop

    @property
    def total_flop(self) -> Array:
        """The same of all components together, shape (workloads,)."""
        if self._total_flop is None:
            self._total_flop = np.add.reduce(self.flop, axis=0)
        return self._total_flop

    @property
    def calls(self) -> Array:
        """Calls for a batch of images, shape (components, workloads)."""
        return self.gathered(part.case.counted @ part.counts for part in self.parts)

    def gathered(self, found: Iterable[Array]) -> Array:
        """What was found of each part, of shape (..., rows), as one array of all workloads."""
        values = list(found)
        if len(values) == 1:
            return values[0]
        out = np.empty((*values[0].shape[:-1], self.size))
        for part, some in zip(self.parts, values, strict=True):
            out[..., part.rows] = some
        return out
