"""Runs of one operator: a mask filled row by row counts as one operator with many launches."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

from joulecast.compute.capture import Call
from joulecast.compute.loops import columns_of
from joulecast.compute.operator_runs import merged, spans_when_merged, with_runs
from joulecast.compute.peaks import FOREVER, Span, peak_of
from joulecast.compute.tracer import GEMM, MEMORY, Operator

FILL = Operator("fill_", MEMORY, "half", 0, 0, 4)
PRODUCT = Operator("mm", GEMM, "half", 100, 8, 8)
COPY = Operator("clone", MEMORY, "half", 0, 6, 6)


def a_call(operators: list[Operator], component: str = "vae") -> Call:
    return Call(component, (), (), tuple(operators), (), (), 0, {})


def test_a_run_is_one_operator_with_the_sum_of_its_costs() -> None:
    found = merged([COPY, FILL, FILL, FILL, PRODUCT, PRODUCT])
    assert found == (COPY, Operator("fill_", MEMORY, "half", 0, 0, 12, launches=3), PRODUCT, PRODUCT)
    assert sum(operator.launches for operator in found) == 6


def test_two_operators_in_turn_are_two() -> None:
    found = merged([PRODUCT, COPY, FILL, COPY, FILL, COPY, FILL, PRODUCT])
    assert [(operator.name, operator.launches) for operator in found] == [
        ("mm", 1), ("clone", 3), ("fill_", 3), ("mm", 1),
    ]  # fmt: skip
    assert found[1].bytes_read == 3 * COPY.bytes_read


def test_the_last_of_a_run_may_begin_two_in_turn() -> None:
    norm = Operator("native_group_norm", MEMORY, "half", 0, 6, 6)
    found = merged([PRODUCT, COPY, COPY, norm, COPY, norm, COPY, norm, PRODUCT])
    assert [(operator.name, operator.launches) for operator in found] == [
        ("mm", 1), ("clone", 1), ("clone", 3), ("native_group_norm", 3), ("mm", 1),
    ]  # fmt: skip
    assert [o.launches for o in merged([COPY, COPY, norm, PRODUCT])] == [2, 1, 1]


@pytest.mark.parametrize("rounds", [2, 3, 7])
def test_spans_of_a_run_are_those_of_its_last_round(rounds: int) -> None:
    """A mask is made, each round makes a number and copies it there, and a product takes the mask."""
    operators = [COPY, *[COPY, FILL] * rounds, PRODUCT]
    end = 1 + 2 * rounds
    numbers = [Span(1 + 2 * i, 3 + 2 * i, 8) for i in range(rounds)]
    spans = [Span(0, FOREVER, 5), Span(0, end + 1, 100), *numbers, Span(end, FOREVER, 40)]
    found = spans_when_merged(spans, [PRODUCT, *operators[1:]])
    assert found == (Span(0, FOREVER, 5), Span(0, 4, 100), Span(1, 3, 8), Span(3, FOREVER, 40))
    assert peak_of(found) == peak_of(spans)


def test_a_component_has_runs_where_sizes_differ_by_them_alone() -> None:
    few, many = [COPY, FILL, FILL, PRODUCT], [COPY, FILL, FILL, FILL, PRODUCT]
    assert with_runs([a_call(few)], [a_call(many)]) == {"vae"}
    assert with_runs([a_call(few)], [a_call(few)]) == set()
    assert with_runs([a_call(few)], [a_call([*many, COPY])]) == set()
    assert with_runs([a_call(few)], [a_call(many, "unet")]) == set()


def test_columns_count_the_launches_of_a_run() -> None:
    def traces() -> Any:
        for rows in (2, 3, 5):
            symbols = {"batch": 1, "height": rows, "width": 1, "frames": 1}
            yield symbols, merged([COPY, *[FILL] * rows, PRODUCT])

    columns = columns_of(list(traces()), 1)
    assert columns is not None
    assert columns[1].costs[0] == (2, 3, 5)
    assert columns[1].costs[3] == (8, 12, 20)
