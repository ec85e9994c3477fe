"""Loops over frames: a component that decodes a video a few frames at a time runs more operators for more.

Its operators at a number of frames are a start, the same round again and again, and an end. From its
operators at every small number, `lengths_of` finds from where on and in steps of how many frames that
holds, and `columns_of` brings operators at different numbers into line.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import numpy as np

from joulecast.compute.polynomial import applies
from joulecast.compute.tracer import Operator

FRAMES = "frames"
LONGEST_PERIOD = 4  # steps of frames in a round
SCANNED = range(1, 21)  # numbers of frames [steps of the frames rule] that are looked at
ROUNDS = 3  # beside none, with which a loop is told from chance

Kinds = list[Any]
# A component's symbols at one point, and the operators it ran there.
Trace = tuple[dict[str, int], tuple[Operator, ...]]


class Lengths(NamedTuple):
    """Numbers of frames [steps of the frames rule] at which a component runs alike.

    `condition` is that of an operator table; it holds of what no earlier one of a list holds of. `samples`
    are numbers to trace it at and `unseen` others, to check with. `period` is how many make a round, and
    `pieces` are monomials that launches may be where work is cut in pieces (`joulecast.compute.pieces`).
    """

    condition: Mapping[str, int]
    samples: tuple[int, ...]
    unseen: tuple[int, ...] = ()
    period: int = 1
    pieces: tuple[str, ...] = ()

    def holds(self, frames: int) -> bool:
        """Whether a number of frames is one of them."""
        return applies(self.condition, {FRAMES: frames})


EVERY_LENGTH = (Lengths({}, (1,)),)


def by_lengths(traces: Sequence[Trace], lengths: Sequence[Lengths]) -> Iterator[tuple[Lengths, list[Trace]]]:
    """The traces at each of the numbers of frames."""
    left = list(traces)
    for some in lengths:
        yield some, [t for t in left if some.holds(t[0][FRAMES])]
        left = [t for t in left if not some.holds(t[0][FRAMES])]


class Column(NamedTuple):
    """One operator at several points: its kind, and at each its launches, FLOP, bytes read and written."""

    kind: Any
    costs: tuple[tuple[int, ...], ...]


def lengths_of(found: Mapping[int, Sequence[Operator]]) -> tuple[Lengths, ...] | None:
    """How a component runs, by its operators at the numbers of frames `SCANNED` and one size.

    Of the loops that explain them, the one with the fewest kinds of numbers; None where there is none. What
    holds no longer than what came before it may be one of its kind, and explains nothing.
    """
    return min(_explaining(found), key=len, default=None)


def _explaining(found: Mapping[int, Sequence[Operator]]) -> Iterator[tuple[Lengths, ...]]:
    kinds = {frames: tuple(_kinds(operators)) for frames, operators in found.items()}
    for period in range(1, LONGEST_PERIOD + 1):
        for first in range(1, SCANNED.stop - (ROUNDS + 1) * period + 1):
            earlier = before(kinds, first)
            longest = max((len(some.samples) for some in earlier), default=0)
            starts = range(first, first + period)
            if 2 * longest <= SCANNED.stop - first and all(_repeats(found, n, period) for n in starts):
                yield (*earlier, *_from(first, period))


def before(kinds: Mapping[int, Any], first: int) -> list[Lengths]:
    """Numbers of frames before the loop begins, those alike together."""
    runs = [tuple(run) for _, run in groupby(range(1, first), key=lambda n: kinds[n])]
    return [Lengths({f"{FRAMES}<": run[-1] + 1}, run) for run in runs]


def _from(first: int, period: int) -> list[Lengths]:
    """Numbers of frames from where the loop begins, by what remains of them when divided into rounds."""
    out = []
    for start in range(first, first + period):
        rounds = range(start, start + 6 * period, period)
        condition = {} if start == first + period - 1 else {f"{FRAMES}%{period}": start % period}
        out.append(Lengths(condition, tuple(rounds[:4]), tuple(rounds[4:]), period))
    return out


def _repeats(found: Mapping[int, Sequence[Operator]], start: int, period: int) -> bool:
    """Whether from a number of frames on each further period is one more of the same round.

    Its costs then rise in a line with the rounds, or where copies grow with their square.
    """
    numbers = [n for n in SCANNED if n >= start and (n - start) % period == 0]
    lengths = np.array([len(found[n]) for n in numbers])
    if np.diff(lengths, 2).any():
        return False
    at_one_size = {"batch": 1, "height": 1, "width": 1}
    columns = columns_of([({**at_one_size, FRAMES: n}, tuple(found[n])) for n in numbers], period)
    if columns is None:
        return False
    costs = np.array([costs for column in columns for costs in column.costs])
    return not np.diff(costs, ROUNDS).any()


class _Loop(NamedTuple):
    """Where a round is added to a sequence, and how many operators it has."""

    place: int
    size: int


def _loops(none: Kinds, one: Kinds, two: Kinds) -> list[_Loop]:
    """Where sequences with no further round, one and two have more each time; see `_further`."""
    loops: list[_Loop] = []
    done = added = 0
    while added < len(one) - len(none):
        done += _agree(none[done:], one[done + added :])
        size = _further(none[done:], one[done + added :], two[done + 2 * added :])
        loops.append(_Loop(done, size))
        added += size
    return loops


def _further(none: Kinds, one: Kinds, two: Kinds) -> int:
    """The operators in a round that begins here: there twice where there are two rounds.

    Of those that could be, what lets most after it agree, and of these the fewest.
    """
    left = len(one) - len(none)
    twice = [size for size in range(1, left + 1) if two[: 2 * size] == one[:size] * 2]
    if not none or not twice:
        return left
    return max(twice, key=lambda size: (_agree(none, one[size:]), -size))


def _agree(a: Kinds, b: Kinds) -> int:
    """How many members two sequences begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _bodies(longer: Sequence[Any], loops: Sequence[_Loop]) -> list[Sequence[Any]]:
    """What a sequence with one round has in each loop."""
    starts = accumulate((loop.size for loop in loops), initial=0)
    return [
        longer[loop.place + added : loop.place + added + loop.size]
        for loop, added in zip(loops, starts, strict=False)
    ]


def _unrolled(shortest: Sequence[Any], loops: Sequence[_Loop], bodies: Sequence[Sequence[Any]]) -> list[Any]:
    """The sequence without rounds, with something in the place of each loop."""
    out, done = [], 0
    for loop, body in zip(loops, bodies, strict=True):
        out += [*shortest[done : loop.place], *body]
        done = loop.place
    return [*out, *shortest[done:]]


def columns_of(traces: Sequence[Trace], period: int, symbol: str = FRAMES) -> list[Column] | None:
    """The operators at several points as columns; those of rounds, of so many of a symbol, are added up.

    None where they are not the same, or the same with more rounds.
    """
    first = min(traces, key=lambda trace: (len(trace[1]), trace[0][symbol]))[0][symbol]
    none, one, two = _rounds(traces, first, period, symbol)
    loops = _settled(_loops(*map(_kinds, (none, one, two))), none, one)
    bodies = _bodies(one, loops)
    expected = _kinds(_unrolled(none, loops, bodies))
    rows = []
    for symbols, operators in traces:
        row = _in_line(operators, loops, bodies, (symbols[symbol] - first) // period)
        if [kind for kind, _ in row] != expected:
            return None
        rows.append([costs for _, costs in row])
    columns = zip(*rows, strict=True)
    return [
        Column(kind, tuple(zip(*costs, strict=True))) for kind, costs in zip(expected, columns, strict=True)
    ]


def _rounds(traces: Sequence[Trace], first: int, period: int, symbol: str) -> tuple[Sequence[Operator], ...]:
    """Operators without a further round, with one and with two, at points that differ in that symbol alone.

    Where there are none of these, at the same point: those without.
    """
    wanted = [first + rounds * period for rounds in range(3)]
    by_size: dict[Any, dict[int, Sequence[Operator]]] = defaultdict(dict)
    for symbols, operators in traces:
        others = tuple(symbols[name] for name in ("batch", FRAMES, "height", "width") if name != symbol)
        by_size[others][symbols[symbol]] = operators
    for found in by_size.values():
        if all(frames in found for frames in wanted):
            return tuple(found[frames] for frames in wanted)
    return (next(operators for symbols, operators in traces if symbols[symbol] == first),) * 3


def _settled(loops: Sequence[_Loop], none: Sequence[Operator], one: Sequence[Operator]) -> list[_Loop]:
    """Each loop begun so much earlier that operators outside of it cost most alike in both sequences.

    By their kinds alone a round may begin anywhere from its first operator on to the last before the loop
    ends, and what comes before or after, as the last and shorter round, would be taken for another.
    """
    out: list[_Loop] = []
    added = least = 0
    for loop in loops:
        moved = best = 0.0
        place = chosen = loop.place
        while place > least and none[place - 1].kind == one[place - 1 + added + loop.size].kind:
            place -= 1
            with_later, with_earlier = one[place + added + loop.size], one[place + added]
            moved += _unlike(none[place], with_later) - _unlike(none[place], with_earlier)
            if moved < best:
                best, chosen = moved, place
        out.append(_Loop(chosen, loop.size))
        least, added = chosen, added + loop.size
    return out


def _unlike(a: Operator, b: Operator) -> float:
    """How much two operators differ in what they move and compute."""
    pairs = ((a.flop, b.flop), (a.bytes_read, b.bytes_read), (a.bytes_written, b.bytes_written))
    return sum(abs(math.log((x + 1) / (y + 1))) for x, y in pairs)


def _kinds(operators: Sequence[Operator]) -> list[Any]:
    return [operator.kind for operator in operators]


def _in_line(
    operators: Sequence[Operator],
    loops: Sequence[_Loop],
    bodies: Sequence[Sequence[Operator]],
    rounds: int,
) -> list[tuple[Any, tuple[int, ...]]]:
    """Kinds and costs of operators, those of all rounds added up; none where there are not so many."""
    out, done, end = [], 0, 0
    for loop, body in zip(loops, bodies, strict=True):
        start = end + loop.place - done
        out += [(o.kind, _costs([o])) for o in operators[end:start]]
        done, end = loop.place, start + rounds * loop.size
        if rounds < 0 or _kinds(operators[start:end]) != _kinds(body) * rounds:
            return []
        out += [(o.kind, _costs(operators[start + i : end : loop.size])) for i, o in enumerate(body)]
    return out + [(o.kind, _costs([o])) for o in operators[end:]]


def _costs(operators: Sequence[Operator]) -> tuple[int, ...]:
    """Launches, FLOP, bytes read and written of operators together."""
    return (
        sum(o.launches for o in operators),
        sum(o.flop for o in operators),
        sum(o.bytes_read for o in operators),
        sum(o.bytes_written for o in operators),
    )
