"""Runs of operators: a component that fills a mask row by row launches more for a larger image.

Its operators at two sizes are then the same but for the lengths of runs of one operator, or of two in turn;
each counts as one operator that is launched several times.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from joulecast.compute.capture import Call
from joulecast.compute.peaks import FOREVER, Span
from joulecast.compute.tracer import MEMORY, Operator

LONGEST_RUN = 2  # operators that are repeated in turn


def merged(operators: Sequence[Operator]) -> tuple[Operator, ...]:
    """Operators with those of each run that is bound by memory as one, or two."""
    out: list[Operator] = []
    done = 0
    while done < len(operators):
        size, times = _run(operators, done)
        run = operators[done : done + size * times]
        out += [_sum_of(run[place::size]) for place in range(size)]
        done += len(run)
    return tuple(out)


def spans_when_merged(spans: Sequence[Span], operators: Sequence[Operator]) -> tuple[Span, ...]:
    """Spans of a call counted in its operators as `merged` has them.

    Of memory that each round of a run takes and gives back the last round's is left, which is all that is in
    use at once.
    """
    places = _places(operators)
    moved = (
        s._replace(first=places[s.first], end=FOREVER if s.end == FOREVER else places[s.end]) for s in spans
    )
    return tuple(span for span in moved if span.end == FOREVER or span.first < span.end)


def _places(operators: Sequence[Operator]) -> list[int]:
    """The place of each operator, and of the end, among those that are merged."""
    places: list[int] = []
    merged_ones = 0
    while len(places) < len(operators):
        size, times = _run(operators, len(places))
        places += [merged_ones + i for i in range(size)] * times
        merged_ones += size
    return [*places, merged_ones]


def _run(operators: Sequence[Operator], start: int) -> tuple[int, int]:
    """How many operators are repeated from a place on, and how often they are there.

    The last of a run of one may be the first of two that are repeated in turn.
    """
    for size in range(1, LONGEST_RUN + 1):
        times = _times(operators, start, size)
        if size == 1 < times and _times(operators, start + times - 1, LONGEST_RUN) > 1:
            times -= 1
            return size, times
        if times > 1:
            return size, times
    return 1, 1


def _times(operators: Sequence[Operator], start: int, size: int) -> int:
    """How often so many operators that are bound by memory are there in turn, from a place on; 0 if not."""
    first = operators[start : start + size]
    if any(operator.family != MEMORY for operator in first):
        return 0
    times = 1
    while _alike(first, operators[start + times * size : start + (times + 1) * size]):
        times += 1
    return times


def _alike(some: Sequence[Operator], others: Sequence[Operator]) -> bool:
    return [operator.kind for operator in some] == [operator.kind for operator in others]


def _sum_of(run: Sequence[Operator]) -> Operator:
    if len(run) == 1:
        return run[0]
    return dataclasses.replace(
        run[0],
        bytes_read=sum(operator.bytes_read for operator in run),
        bytes_written=sum(operator.bytes_written for operator in run),
        launches=sum(operator.launches for operator in run),
    )


def with_runs(small: Sequence[Call], large: Sequence[Call]) -> set[str]:
    """Components whose operators at two sizes are the same but for the lengths of runs."""
    by_name = defaultdict(list)
    for few, many in zip(small, large, strict=False):
        if few.component == many.component:
            by_name[few.component].append((few.operators, many.operators))
    return {name for name, pairs in by_name.items() if any(_differ_by_runs(*pair) for pair in pairs)}


def _differ_by_runs(few: Sequence[Operator], many: Sequence[Operator]) -> bool:
    if len(few) == len(many):
        return False
    return _alike(merged(few), merged(many))
