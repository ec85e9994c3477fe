"""The operators' costs at many workloads, evaluated once for everybody who asks.

Workloads are of one `Case` when the pipeline runs the same operators for them: the same mode
(`joulecast.compute.operators.mode_of`), and of every component whose tables have conditions the same
table. The operators of all calls of a case stand side by side over one list of monomials, so that
whatever is linear in their costs is one matrix product:
``coefficients @ monomials``, of shape (costs, workloads).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.operators import (
    BATCH,
    BATCHED,
    ONE_BY_ONE,
    Array,
    CallGroup,
    Component,
    Integers,
    OperatorTable,
    batches_of,
)
from joulecast.compute.polynomial import (
    ROWS,
    Condition,
    Monomials,
    Variable,
    parse_condition,
    parse_monomial,
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
            variables += [Variable(symbol, divisor, offset)] * power
        out.append((tuple(sorted(variables)), scale))
    return out


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


class _Ladder:
    """Batches of which there are tables; the costs of those between rise in a line.

    Components that make images one after the other have a table for each of a few batches. Above the
    largest, their costs are taken to rise in proportion.
    """

    def __init__(self, traced: tuple[int, ...], factor: int) -> None:
        self.traced, self.factor = traced, factor
        self._traced = np.array(traced)
        self.rungs = 2 * len(traced) + 1

    def rung(self, images: Array | float) -> Integers:
        """Where batches stand: an odd number on a traced one, an even number between two."""
        batch = np.asarray(images * self.factor)
        found: Integers = self._traced.searchsorted(batch) + self._traced.searchsorted(batch, side="right")
        return found

    def shares(self, rung: int, images_vary: bool) -> list[tuple[int, Share]]:
        """The traced batches between which a rung stands, and the share of each."""
        last = len(self.traced) - 1
        above = self.traced[min(rung // 2, last)]
        below = self.traced[max((rung + 1) // 2 - 1, 0)]
        slope, fixed = (float(self.factor), 0.0) if images_vary else (0.0, float(self.factor))
        if above == below:
            return [(above, Share(slope, fixed, float(above)))]
        span = float(above - below)
        return [(above, Share(slope, fixed - below, span)), (below, Share(-slope, above - fixed, span))]


class Cases:
    """The cases of one profile in one precision, each prepared when a workload is first of it."""

    def __init__(self, components: tuple[Component, ...], precision: str) -> None:
        self._components = components
        self._precision = precision
        self._known: dict[int, Case] = {}
        tests: dict[tuple[str, int], None] = {}
        self._ladders: dict[tuple[tuple[int, ...], int], _Ladder] = {}
        for group, tables in self._called():
            traced = batches_of(table.condition for table in tables)
            if traced and group.images == BATCHED:
                self._ladders.setdefault((traced, group.batch_factor), _Ladder(traced, group.batch_factor))
            for table in tables:
                for symbol, value in table.condition.items():
                    test = None if traced and symbol == BATCH else test_of(group, symbol, value)
                    if isinstance(test, tuple):
                        tests[test] = None
        self._tests = tuple(tests)
        conditions = [parse_condition(text) for text, _ in tests]
        self._tested = np.array([ROWS.index(c.symbol) for c in conditions], dtype=np.intp)
        self._values = np.array([[float(value)] for _, value in tests])
        self._moduli = np.array([[float(c.modulus or np.inf)] for c in conditions])
        self._is_below = np.array([[c.is_below] for c in conditions])
        self._only_equal = all(c == Condition(c.symbol) for c in conditions)
        self._bits = 2.0 ** np.arange(len(tests))

    def _called(self) -> Iterator[tuple[CallGroup, tuple[OperatorTable, ...]]]:
        for component in self._components:
            for groups in component.calls.values():
                for group in groups:
                    yield group, component.tables[self._precision]

    def at(self, symbols: Array, modes: Integers) -> Iterator[tuple[Integers | slice, Case]]:
        """Each case that occurs, with the places of its workloads."""
        keys = self._keys(symbols, modes)
        found = sorted(set(keys.tolist()))
        if not found:
            yield EVERY, Case((), self._components)
        if len(found) == 1:
            yield EVERY, self._case(int(found[0]))
            return
        for key in found:
            yield np.flatnonzero(keys == key), self._case(int(key))

    def _keys(self, symbols: Array, modes: Integers) -> Array | Integers:
        """A whole number for each workload that is the same for workloads of one case."""
        keys: Array | Integers = modes
        for ladder in self._ladders.values():
            keys = keys * ladder.rungs + ladder.rung(symbols[ROWS.index(BATCH)])
        if self._tests:
            keys = keys * 2.0 ** len(self._tests) + self._bits @ self._hold(symbols[self._tested])
        return keys

    def _hold(self, found: Array) -> NDArray[np.bool_]:
        """Which tests hold of the symbols that they are about, shape (tests, workloads)."""
        if self._only_equal:
            return np.asarray(found == self._values)
        return np.where(self._is_below, found < self._values, found % self._moduli == self._values)

    def _case(self, key: int) -> Case:
        if key not in self._known:
            self._known[key] = self._made(key)
        return self._known[key]

    def _made(self, key: int) -> Case:
        held = {test: bool(key >> bit & 1) for bit, test in enumerate(self._tests)}
        key >>= len(self._tests)
        rungs = {}
        for name, ladder in reversed(self._ladders.items()):
            key, rungs[name] = divmod(key, ladder.rungs)
        calls = [
            call
            for component in self._components
            for group in component.calls.get(key, ())
            for call in _calls(component, group, component.tables[self._precision], held, rungs)
        ]
        return Case(calls, self._components)


def _calls(
    component: Component,
    group: CallGroup,
    tables: tuple[OperatorTable, ...],
    held: Mapping[tuple[str, int], bool],
    rungs: Mapping[tuple[tuple[int, ...], int], int],
) -> list[Call]:
    """The calls of a group with the table that applies: the first whose condition holds."""
    traced = batches_of(table.condition for table in tables)
    if not traced:
        chosen = next((table for table in tables if _holds(group, table.condition, held)), None)
        return [] if chosen is None else [Call(component, group, chosen)]
    ladder, vary = _Ladder(traced, group.batch_factor), group.images == BATCHED
    rung = rungs[traced, group.batch_factor] if vary else int(ladder.rung(1.0))
    out: list[Call] = []
    for batch, share in ladder.shares(rung, vary):
        for table in tables:
            others = {symbol: value for symbol, value in table.condition.items() if symbol != BATCH}
            if table.condition[BATCH] == batch and _holds(group, others, held):
                out.append(Call(component, group, table, share, is_counted=not out))
                break
    return out


def _holds(group: CallGroup, condition: Mapping[str, int], held: Mapping[tuple[str, int], bool]) -> bool:
    tests = [test_of(group, symbol, value) for symbol, value in condition.items()]
    return all(held[test] if isinstance(test, tuple) else test for test in tests)


def test_of(group: CallGroup, symbol: str, value: int) -> tuple[str, int] | bool:
    """A condition on a call as (symbol, value) of the workload; a bool where it always or never holds."""
    if symbol == "text":
        return symbol, value - group.text_offset
    if symbol != BATCH:
        return symbol, value
    if group.images != BATCHED:
        return value == group.batch_factor
    return (symbol, value // group.batch_factor) if value % group.batch_factor == 0 else False
