"""Which case each of many workloads is of: what its pipeline runs, and of which tables.

A case is prepared when a workload is first of it; see `joulecast.compute.evaluation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.evaluation import EVERY, Call, Case, Share
from joulecast.compute.operators import (
    BATCH,
    BATCHED,
    Array,
    CallGroup,
    Component,
    Integers,
    OperatorTable,
    batches_of,
)
from joulecast.compute.polynomial import ROWS, Condition, parse_condition


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
