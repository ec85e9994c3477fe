"""Which operators workloads run, and their costs together: batches between traced ones, and conditions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from joulecast.architecture.workload import WorkloadColumns
from joulecast.compute.operators import BATCHED, ONCE, CallGroup, OperatorTable
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile


def table(condition: Mapping[str, int], flop: float) -> OperatorTable:
    """One matrix product of so many FLOP, whatever the workload."""
    row = np.array([[flop]])
    one, none = np.ones(1), np.zeros(1)
    return OperatorTable(condition, ("1",), ("mm",), ("gemm",), ("half",), one, none, row, row, row)


def profile(*tables: OperatorTable, images: str = BATCHED, factor: int = 1) -> ComputeProfile:
    """A pipeline of one component, called 3 times a step."""
    whole = packaged_profile("sdxl")
    part = dataclasses.replace(
        whole.components[0],
        calls={1: (CallGroup(0, 3, factor, 0, images),)},
        tables={"fp16": tables},
    )
    return dataclasses.replace(whole, components=(part,))


def workloads(**values: list[int] | int) -> WorkloadColumns:
    return WorkloadColumns.from_values({"width": 1024, "height": 1024, "steps": 1, **values})


def test_batches_between_traced_ones_cost_on_a_line_and_beyond_in_proportion() -> None:
    made = profile(table({"batch": 2}, 100.0), table({"batch": 6}, 500.0))
    asked = workloads(batch_size=[1, 2, 3, 4, 6, 12])
    (flop,) = made.flop(asked, "fp16").values()
    # a call of 2 costs 100, of 6 costs 500; 1 is half of 2, 12 twice 6; 3 calls
    assert flop.tolist() == pytest.approx([150, 300, 600, 900, 1500, 3000])
    (calls,) = made.calls(asked).values()
    assert calls.tolist() == [3.0] * 6


def test_a_traced_batch_counts_what_the_call_is_given() -> None:
    tables = table({"batch": 2}, 100.0), table({"batch": 6}, 500.0)
    doubled = profile(*tables, factor=2).flop(workloads(batch_size=[1, 2, 3]), "fp16")
    assert [flop.tolist() for flop in doubled.values()] == [pytest.approx([300, 900, 1500])]
    once = profile(*tables, images=ONCE, factor=4).flop(workloads(batch_size=[1, 50]), "fp16")
    assert [flop.tolist() for flop in once.values()] == [pytest.approx([900, 900])]


def test_the_first_table_whose_condition_holds_applies() -> None:
    made = profile(
        table({"height": 64, "width": 64}, 1.0), table({"batch": 1}, 10.0), table({"text": 77}, 100.0)
    )
    asked = workloads(
        height=[512, 512, 512, 1024, 512], width=[512, 512, 1024, 512, 1024], batch_size=[1, 2, 1, 1, 2]
    )  # sdxl's unit is 8 pixels: 512 is 64
    (flop,) = made.flop(asked, "fp16").values()
    assert flop.tolist() == [3, 3, 30, 30, 300]


def test_no_operators_where_no_condition_holds() -> None:
    made = profile(table({"batch": 4}, 1.0), table({"height": 64}, 10.0), factor=8)
    (flop,) = made.flop(workloads(batch_size=[1, 4], height=[1024, 512]), "fp16").values()
    assert flop.tolist() == [0, 30]


def test_costs_are_found_once_for_a_table_of_workloads() -> None:
    made, asked = packaged_profile("sdxl"), workloads(batch_size=[1, 2])
    assert made.evaluation(asked, "fp16") is made.evaluation(asked, "fp16")
    assert made.evaluation(asked, "fp16") is not made.evaluation(asked, "bf16")
    other = packaged_profile("flux.1-dev")
    assert list(other.flop(asked, "fp16")) == [part.name for part in other.components]


def test_each_workload_of_a_mixed_table_costs_what_it_costs_alone() -> None:
    made = packaged_profile("pixart-sigma")  # its tables have conditions on both sides
    values = {"width": [1024, 512, 1408, 1024], "height": [1024, 1024, 704, 1024], "passes": [1, 2, 2, 1]}
    together = made.costs(workloads(**values, batch_size=[1, 3, 1, 2]), "fp16")
    by_row: dict[int, list[float]] = {}
    for cost in together:
        for place, row in enumerate(cost.rows.tolist()):
            by_row.setdefault(row, []).extend(cost.flop[place].tolist())
    for row, batch in enumerate([1, 3, 1, 2]):
        one = workloads(**{name: column[row] for name, column in values.items()}, batch_size=batch)
        alone = [flop for cost in made.costs(one, "fp16") for flop in cost.flop[0].tolist()]
        assert by_row[row] == alone
