"""Work cut in pieces of so many frames of all videos, and rounds of one video: exact where never traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.compute.evaluation import Polynomials
from joulecast.compute.loops import EVERY_LENGTH, SCANNED, Lengths
from joulecast.compute.operator_runs import merged
from joulecast.compute.operators import BATCHED, ONCE, CallGroup, OperatorTable
from joulecast.compute.pieces import pieces_of
from joulecast.compute.points import MANY, ROUNDS_OF_IMAGES, with_frames
from joulecast.compute.polynomial import SYMBOLS, evaluate_monomials
from joulecast.compute.solving import depends_on_batch, has_rounds_of_images, solve
from joulecast.compute.tracer import Operator

POINTS = [
    (1, 8, 11, 0), (1, 13, 9, 0), (1, 10, 17, 0), (1, 7, 14, 0), (1, 19, 6, 0), (1, 12, 15, 0),
    (2, 9, 12, 0), (3, 14, 8, 0), (2, 11, 16, 0), (4, 8, 13, 0), (3, 18, 7, 0), (5, 10, 10, 0),
]  # fmt: skip


def operator(name: str, flop: int, moved: int) -> Operator:
    return Operator(name, "convolution" if flop else "memory", "half", flop, moved, moved)


def decoder(batch: int, frames: int, height: int, width: int, *, most: int, times: int) -> Any:
    """Normalises `most` pictures at a time, of which it has `times` for each frame; a piece is copied before
    where there is one video, and reads 64 numbers of weights."""
    pictures, area = times * batch * frames, height * width
    out = [operator("convolution", 54 * pictures * area, 4 * pictures * area + 300)]
    out += [operator("silu", 0, 2 * pictures * area)]
    for start in range(0, pictures, most):
        here = min(most, pictures - start) * area
        out += [operator("clone", 0, 2 * here)] if batch == 1 else []
        out += [operator("native_group_norm", 0, 2 * here + 128)]
    return (*out, operator("cat", 0, 2 * pictures * area))


def scanned(most: int, times: int) -> dict[int, tuple[Operator, ...]]:
    return {n: merged(decoder(1, n, 4, 5, most=most, times=times)) for n in SCANNED}


def transformer(batch: int, frames: int, height: int, width: int) -> tuple[Operator, ...]:
    """Attends to each video on its own, in two layers."""
    tokens, out = frames * height * width, []
    for _ in range(2):
        out += [operator("mm", 1000 * batch * tokens, 8 * batch * tokens)]
        for _ in range(batch):
            out += [operator("index", 0, tokens), operator("attention", 4 * tokens**2, 3 * tokens)]
        out += [operator("cat", 0, 2 * batch * tokens)]
    return tuple(out)


def symbols_of(batch: int, frames: int, height: int, width: int) -> dict[str, int]:
    return dict(zip(SYMBOLS, (batch, frames, height, width, 0), strict=True))


def told(tables: tuple[OperatorTable, ...], symbols: dict[str, int]) -> list[float]:
    table = next(t for t in tables if t.applies(symbols))
    row = evaluate_monomials(table.monomials, {k: np.array([v]) for k, v in symbols.items()})
    costs = (table.launches, table.flop, table.bytes_read, table.bytes_written)
    return [float((row @ cost).sum()) for cost in costs]


def really(operators: tuple[Operator, ...]) -> list[float]:
    kinds = ("launches", "flop", "bytes_read", "bytes_written")
    return [float(sum(getattr(o, kind) for o in operators)) for kind in kinds]


@pytest.mark.parametrize(("most", "times"), [(8, 1), (8, 3), (8, 6), (5, 2)])
def test_pieces_of_all_videos_are_exact_at_numbers_never_traced(most: int, times: int) -> None:
    lengths = pieces_of(scanned(most, times))
    assert lengths is not None
    assert all(some.pieces for some in lengths)
    traces = [
        (symbols_of(b, n, h, w), merged(decoder(b, n, h, w, most=most, times=times)))
        for b, h, w, _, n in with_frames(POINTS, [lengths])
    ]
    tables = solve("vae", traces, {"height": 50, "width": 50}, lengths=lengths)

    @settings(max_examples=80, deadline=None)
    @given(st.integers(1, 40), st.integers(3, 60), st.integers(3, 60), st.integers(1, 200))
    def check(batch: int, height: int, width: int, frames: int) -> None:
        real = decoder(batch, frames, height, width, most=most, times=times)
        assert told(tables, symbols_of(batch, frames, height, width)) == really(real)

    check()


def test_so_many_videos_of_one_frame_are_traced_that_pieces_are_told() -> None:
    assert {batch for batch, *_ in MANY} == {9, 12}
    lengths = (
        Lengths({"frames<": 2}, (1,), pieces=("pictures/8",)),
        Lengths({}, (2, 9), pieces=("pictures/8",)),
    )
    assert {sample[0] for sample in with_frames(POINTS, [lengths])} >= {9, 12}
    assert not {9, 12} & {sample[0] for sample in with_frames(POINTS, [EVERY_LENGTH])}


def test_the_smallest_pieces_that_could_be_are_taken() -> None:
    lengths = pieces_of(scanned(8, 3))
    assert lengths is not None
    assert lengths[-1].pieces == ("3pictures/8",)


@pytest.mark.parametrize("launches", [lambda n: n * n, lambda n: 1 + (n > 7) + 5 * (n > 11)])
def test_other_numbers_of_launches_are_no_pieces(launches: Any) -> None:
    assert pieces_of({n: merged([operator("clone", 0, 4)] * launches(n)) for n in SCANNED}) is None


def test_rounds_of_one_video_are_exact_at_numbers_never_traced() -> None:
    samples = [(b, h, w, 1) for b, h, w, _ in (*POINTS, *ROUNDS_OF_IMAGES)]
    traces = [(symbols_of(b, n, h, w), transformer(b, n, h, w)) for b, h, w, n in samples]
    assert depends_on_batch(traces)
    assert has_rounds_of_images(traces)
    assert not has_rounds_of_images(traces[: len(POINTS)])  # of none that differ in videos alone
    tables = solve("transformer", traces, {"height": 50, "width": 50})
    assert [table.condition for table in tables] == [{"batch": 1}, {}]
    for batch, height, width in ((1, 22, 9), (2, 50, 50), (7, 31, 8), (64, 9, 44)):
        assert told(tables, symbols_of(batch, 1, height, width)) == really(
            transformer(batch, 1, height, width)
        )


@pytest.mark.parametrize(("images", "expected"), [(BATCHED, [5.0, 8.0]), (ONCE, [2.0, 2.0])])
def test_pieces_of_a_call_are_of_the_videos_that_it_works_on(images: str, expected: list[float]) -> None:
    """3 pictures in pieces of 8, two videos to each that is asked for, of 3 and of 5 videos of 2 frames."""
    group = CallGroup(fixed=1, per_step=0, batch_factor=2, text_offset=0, images=images)
    polynomials = Polynomials([(("3pictures/8",), group)])
    symbols = np.array([[1.0, 1], [3, 5], [2, 2], [1, 1], [1, 1], [0, 0], [6, 10]])
    assert polynomials.monomials(symbols).tolist() == [expected]
