"""A profile with LoRA adapters beside the layers that they adapt, not fused into their weights.

An adapted linear layer runs, for each adapter, two thin matrix products and adds their scaled result to its
own, as peft's ``lora.Linear`` does: ``result = result + B(A(x)) * scaling``, each an operator of its own.
All are polynomials where the layer's rows are, so a profile with adapters is as exact as the one without.
Needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from joulecast.compute.allocator import allocated_bytes
from joulecast.compute.operators import (
    ALWAYS,
    BATCH,
    MEMORY,
    NEVER,
    OF_SEVERAL,
    Array,
    Component,
    LinearLayers,
    OperatorTable,
)
from joulecast.compute.peaks import Memory, Peak, largest_terms
from joulecast.compute.polynomial import ONE
from joulecast.compute.profile import BYTES_PER_WEIGHT, ComputeProfile

GEMM = "gemm"
HALF = "half"
# Of one adapted layer beside what it holds anyway: what A makes, a copy of its input where there is one, and
# two of what B makes, scaled and added.
RESULTS_HELD = 2

Cost = tuple[float, float]  # a number for each row, and one whatever the rows


def takes_lora(profile: ComputeProfile) -> bool:
    """Whether it is known which layers a LoRA adapts."""
    return any(part.linears for part in profile.components)


def with_lora(profile: ComputeProfile, adapters: int, rank: int) -> ComputeProfile:
    """The profile with so many adapters of a rank on every layer that one adapts."""
    parts = tuple(_adapted(part, adapters, rank) for part in profile.components)
    return replace(profile, components=parts, adapters=adapters)


def adapted_layers(profile: ComputeProfile) -> int:
    """How many linear layers a LoRA adapts."""
    return sum(some.count for part in profile.components for some in part.linears)


def lora_parameters(part: Component, rank: int) -> int:
    """Parameters of one adapter of a component."""
    return sum(some.count * rank * (some.inputs + some.outputs) for some in part.linears)


def _adapted(part: Component, adapters: int, rank: int) -> Component:
    if not part.linears:
        return part
    tables = {
        precision: tuple(_table(one, part.linears, adapters, rank, precision) for one in some)
        for precision, some in part.tables.items()
    }
    return replace(
        part,
        parameters=part.parameters + adapters * lora_parameters(part, rank),
        tables=tables,
        memory={p: _memory(known, part.linears, adapters, rank, p) for p, known in part.memory.items()},
    )


def _operators(
    some: LinearLayers, rank: int, size: int, several: bool
) -> list[tuple[str, str, Cost, Cost, Cost]]:
    """Name, family, FLOP, bytes read and bytes written of the operators of one adapted layer."""
    a, b = some.inputs, some.outputs
    is_copied = some.copied == ALWAYS or (several and some.copied == OF_SEVERAL)
    copy: list[tuple[str, str, Cost, Cost, Cost]] = [("clone", MEMORY, (0, 0), (size * a, 0), (size * a, 0))]
    return [
        *(copy if is_copied else ()),
        ("mm", GEMM, (2.0 * a * rank, 0), (size * a, size * a * rank), (size * rank, 0)),
        ("mm", GEMM, (2.0 * rank * b, 0), (size * rank, size * rank * b), (size * b, 0)),
        ("mul", MEMORY, (0, 0), (size * b, 0), (size * b, 0)),
        ("add", MEMORY, (0, 0), (2 * size * b, 0), (size * b, 0)),
    ]


def _table(
    table: OperatorTable, linears: Sequence[LinearLayers], adapters: int, rank: int, precision: str
) -> OperatorTable:
    """A table with the adapters' operators after its own."""
    size = BYTES_PER_WEIGHT[precision]
    dtype = HALF if size == BYTES_PER_WEIGHT["fp16"] else precision
    several = table.condition.get(BATCH) != 1
    added = [(some, o) for some in linears for o in _operators(some, rank, size, several)]
    monomials = _with(table.monomials, linears)
    places = {monomial: place for place, monomial in enumerate(monomials)}
    costs = np.zeros((4, len(monomials), len(added)))
    for column, (some, (_, _, *of_each)) in enumerate(added):
        times = some.count * adapters
        costs[0, places[ONE], column] = times
        for kind, (each, fixed) in enumerate(of_each, 1):
            costs[kind, places[ONE], column] += times * fixed
            for monomial, rows in some.rows:
                costs[kind, places[monomial], column] += times * each * rows

    def joined(own: Array, more: Array) -> Array:
        return np.concatenate([_padded(own, len(monomials)), more], axis=1)

    return OperatorTable(
        condition=table.condition,
        monomials=monomials,
        names=(*table.names, *(o[0] for _, o in added)),
        families=(*table.families, *(o[1] for _, o in added)),
        dtypes=(*table.dtypes, *(dtype for _ in added)),
        head_dims=np.concatenate([table.head_dims, np.zeros(len(added))]),
        launches=joined(table.launches, costs[0]),
        flop=joined(table.flop, costs[1]),
        bytes_read=joined(table.bytes_read, costs[2]),
        bytes_written=joined(table.bytes_written, costs[3]),
    )


def _with(monomials: Sequence[str], linears: Sequence[LinearLayers]) -> tuple[str, ...]:
    """The monomials, then those of the layers' rows that are not among them, and the constant."""
    further = [monomial for some in linears for monomial, _ in some.rows]
    return tuple(dict.fromkeys([*monomials, *further, ONE]))


def _padded(own: Array, monomials: int) -> Array:
    """Coefficients of the first of so many monomials, the others nothing."""
    return np.concatenate([own, np.zeros((monomials - len(own), *own.shape[1:]))])


# --- memory ---------------------------------------------------------------------------------------


def _memory(
    known: Memory, linears: Sequence[LinearLayers], adapters: int, rank: int, precision: str
) -> Memory:
    """The memory with the adapters' weights, and a bound on what an adapted layer holds besides."""
    size = BYTES_PER_WEIGHT[precision]
    sides = [(some.inputs, some.outputs) * some.count for some in linears]
    weights = allocated_bytes([rank * side * size for some in sides for side in some] * adapters)
    return Memory(
        known.weights + weights,
        known.called + weights,
        tuple(_peak(peak, linears, rank, size) for peak in known.peaks),
    )


def _peak(peak: Peak, linears: Sequence[LinearLayers], rank: int, size: int) -> Peak:
    """A bound: whatever is alive, and beside it what the layer that holds most needs for an adapter."""
    monomials = _with(peak.monomials, linears)
    more = largest_terms(monomials, np.array([_held(some, rank, size, monomials) for some in linears]))
    alive = _padded(peak.alive.T, len(monomials)).T
    return Peak(
        condition=peak.condition,
        monomials=monomials,
        alive=largest_terms(monomials, np.array([one + term for one in alive for term in more])),
        least=_padded(peak.least.T, len(monomials)).T,
        held=_padded(peak.held, len(monomials)),
    )


def _held(some: LinearLayers, rank: int, size: int, monomials: Sequence[str]) -> Array:
    rows: Mapping[str, float] = dict(some.rows)
    copy = 0 if some.copied == NEVER else some.inputs
    each = size * (rank + copy + RESULTS_HELD * some.outputs)
    return np.array([each * rows.get(monomial, 0.0) for monomial in monomials])
