"""Loops over frames: where they are found, and that what they cost is exact at numbers never traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.compute.loops import EVERY_LENGTH, SCANNED, Lengths, columns_of, lengths_of
from joulecast.compute.operators import OperatorTable
from joulecast.compute.polynomial import SYMBOLS, evaluate_monomials
from joulecast.compute.solving import OperatorsChangeError, solve
from joulecast.compute.tracer import Operator

PLACES = [(1, 8, 11), (1, 13, 9), (1, 10, 17), (1, 7, 14), (1, 19, 6), (1, 12, 15), (1, 9, 9), (1, 16, 10)]
SEVERAL = [(2, 9, 12), (3, 14, 8), (2, 11, 16), (4, 8, 13), (3, 18, 7), (2, 13, 14), (5, 10, 10), (2, 15, 9)]


def scan(kinds: Any) -> dict[int, list[Operator]]:
    return {frames: [operator(name, 0) for name in kinds(frames)] for frames in SCANNED}


def conditions(found: tuple[Lengths, ...] | None) -> list[dict[str, int]]:
    assert found is not None
    return [dict(some.condition) for some in found]


def test_a_component_without_a_loop_runs_alike_at_every_length() -> None:
    (only,) = lengths_of(scan(lambda frames: "abcab")) or ()
    assert (only.condition, only.period, only.samples) == ({}, 1, (1, 2, 3, 4))
    assert not set(only.samples) & set(only.unseen)


def test_a_loop_that_begins_with_another_first_round() -> None:
    found = lengths_of(scan(lambda frames: "start" + "first" + "again" * (frames - 1) + "end"))
    assert conditions(found) == [{}]
    found = lengths_of(scan(lambda frames: "one" if frames == 1 else "first" + "again" * (frames - 1)))
    assert conditions(found) == [{"frames<": 2}, {}]


def test_two_loops_of_several_frames_a_round() -> None:
    """Tiles of three frames, decoded one after the other and then blended, as of a real decoder."""

    def kinds(frames: int) -> str:
        tiles = -(-frames // 3)
        return (
            "pab" if frames < 4 else "p" + "ab" * tiles + "mixx" * (tiles - 1) + ("z" if frames % 3 else "")
        )

    found = lengths_of(scan(kinds))
    assert conditions(found) == [{"frames<": 4}, {"frames%3": 1}, {"frames%3": 2}, {}]
    for frames in range(1, 40):
        holding = [some for some in found or () if some.holds(frames)]
        assert holding, frames
    assert [some.samples for some in found or ()][1:] == [(4, 7, 10, 13), (5, 8, 11, 14), (6, 9, 12, 15)]


@pytest.mark.parametrize(
    "kinds",
    [
        lambda frames: "a" * (frames * frames),
        lambda frames: "ab" * (frames // 5) + "c" * (frames % 5),
        lambda frames: "ab" * -(-frames // 5),
        lambda frames: "ab" * -(-frames // 6),
    ],
)
def test_what_no_loop_explains(kinds: Any) -> None:
    assert lengths_of(scan(kinds)) is None


# --- costs ----------------------------------------------------------------------------------------


def operator(name: str, flop: int, read: int = 7, written: int = 5) -> Operator:
    return Operator(name, "convolution" if flop else "memory", "half", flop, read, written)


def decoder(batch: int, height: int, width: int, frames: int, tile: int) -> tuple[Operator, ...]:
    """A decoder of `tile` frames at a time: its first and last rounds cost differently, its copies grow."""
    area, out = batch * height * width, [operator("prepare", 0, batch * height * width * frames)]
    rounds = -(-frames // tile)
    for index in range(rounds):
        here = min(tile, frames - index * tile)
        padded = (here + 2) * (height + 2) * (width + 2) * batch
        out += [operator("convolution", 54 * area * here, 2 * padded + 300, 2 * area * here)]
        out += [operator("add", 0, 4 * area * here, 2 * area * here + (area if index == 0 else 0))]
        out += [operator("cat", 0, 2 * area * tile * index, 2 * area * tile * (index + 1))]
    return (*out, *(operator("blend", 0, area) for _ in range(rounds - 1)), operator("cat", 0, area * frames))


def traces(lengths: tuple[Lengths, ...], tile: int) -> list[Any]:
    found = []
    for some in lengths:
        for points in (PLACES, SEVERAL):
            anchors = [(*points[0], frames) for frames in some.samples[:3]]
            turns = [(*p, some.samples[i % len(some.samples)]) for i, p in enumerate(points * 2)]
            for batch, height, width, frames in dict.fromkeys((*anchors, *turns)):
                symbols = dict(zip(SYMBOLS, (batch, frames, height, width, 0), strict=True))
                found.append((symbols, decoder(batch, height, width, frames, tile)))
    return found


def told(tables: tuple[OperatorTable, ...], symbols: dict[str, int]) -> list[float]:
    table = next(t for t in tables if t.applies(symbols))
    row = evaluate_monomials(table.monomials, {k: np.array([v]) for k, v in symbols.items()})
    return [
        float((row @ m).sum()) for m in (table.launches, table.flop, table.bytes_read, table.bytes_written)
    ]


@pytest.mark.parametrize("tile", [1, 2, 3, 4])
def test_costs_are_exact_at_numbers_of_frames_never_traced(tile: int) -> None:
    lengths = lengths_of({n: decoder(1, 4, 5, n, tile) for n in SCANNED})
    assert lengths is not None
    assert {some.period for some in lengths if some.unseen} == {tile}
    tables = solve("decoder", traces(lengths, tile), {"height": 50, "width": 50}, lengths=lengths)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 6), st.integers(3, 60), st.integers(3, 60), st.integers(1, 200))
    def check(batch: int, height: int, width: int, frames: int) -> None:
        symbols = dict(zip(SYMBOLS, (batch, frames, height, width, 0), strict=True))
        real = decoder(batch, height, width, frames, tile)
        assert told(tables, symbols) == [
            len(real),
            sum(o.flop for o in real),
            sum(o.bytes_read for o in real),
            sum(o.bytes_written for o in real),
        ]

    check()


def test_operators_that_do_not_line_up_are_refused() -> None:
    def trace(frames: int, names: str) -> Any:
        symbols = dict(zip(SYMBOLS, (1, frames, 4, 4, 0), strict=True))
        return symbols, tuple(operator(name, 0) for name in names)

    assert columns_of([trace(1, "ab"), trace(2, "abb"), trace(3, "abbb")], 1)
    for third in ("abab", "abb", "b", "abbbb", ""):
        assert columns_of([trace(1, "ab"), trace(2, "abb"), trace(3, third)], 1) is None, third
    with pytest.raises(OperatorsChangeError, match="the operators of it change with its size"):
        solve("it", [trace(1, "ab"), trace(2, "ba")], {"height": 1, "width": 1}, lengths=EVERY_LENGTH)
