"""Calls of a component that follow each other as one: a decoder that is given 16 frames at a time.

Its work is then cut in pieces of so many frames of all videos (`joulecast.compute.pieces`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Container, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from joulecast.compute.tracer import Operator
from joulecast.errors import TraceError

# Than a few: one, and so many that a call of 16 or 24 is surely followed by another.
MORE_FRAMES = (1, 24)

if TYPE_CHECKING:
    from joulecast.compute.capture import Call


def joined(calls: Sequence[Call], names: Container[str]) -> list[Call]:
    """Calls, those of each of the components that follow each other as one with the batch of all.

    Calls that run different operators stay apart.
    """
    out: list[Call] = []
    for (name, *_), run in groupby(calls, key=_alike):
        some = list(run)
        out += [_as_one(some)] if name in names and len(some) > 1 else some
    return out


def in_several_calls(run: Callable[..., list[Call]], few_frames: int | None) -> set[str]:
    """Components that are called more often for more frames than a few, in calls that could be one.

    `run` makes a small request, of a few frames unless it is told how many; they are None of images.
    """
    found: set[str] = set()
    if few_frames is None:
        return found
    few = run()
    for more in MORE_FRAMES:
        with contextlib.suppress(TraceError):  # it makes no clip so long
            found |= _called_more(few, run(frames=few_frames + more))
    return found


def _called_more(few: Sequence[Call], many: Sequence[Call]) -> set[str]:
    once, more = (Counter(call.component for call in calls) for calls in (few, many))
    return {name for name in once if once[name] != more[name] and _follow_each_other(name, many)}


def _follow_each_other(name: str, calls: Sequence[Call]) -> bool:
    return sum(call.component == name for call in joined(calls, {name})) == 1


def _alike(call: Call) -> tuple[object, ...]:
    """What calls have in common that are one: all but how many images there are."""
    kinds = tuple(operator.kind for operator in call.operators)
    return call.component, tuple(shape[1:] for shape in call.shapes), kinds


def _as_one(calls: Sequence[Call]) -> Call:
    shapes = zip(*(call.shapes for call in calls), strict=True)
    columns = zip(*(call.operators for call in calls), strict=True)
    return dataclasses.replace(
        calls[0],
        shapes=tuple(_stacked(some) for some in shapes),
        operators=tuple(_together(some) for some in columns),
        output=_stacked([call.output for call in calls]),
    )


def _stacked(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _together(operators: Sequence[Operator]) -> Operator:
    return dataclasses.replace(
        operators[0],
        flop=sum(operator.flop for operator in operators),
        bytes_read=sum(operator.bytes_read for operator in operators),
        bytes_written=sum(operator.bytes_written for operator in operators),
        launches=sum(operator.launches for operator in operators),
    )
