"""Work that is cut in pieces: an autoencoder that normalises the frames of all videos eight at a time.

It launches more for more frames or videos, one operator for each piece, and otherwise runs alike. Runs of
one operator then count as one (`joulecast.compute.operator_runs`), whose launches are pieces of so many
``pictures``: a monomial such as ``3pictures/8`` (`joulecast.compute.polynomial`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from joulecast.compute.exact_fit import Point, value_at
from joulecast.compute.loops import FRAMES, SCANNED, Kinds, Lengths, before
from joulecast.compute.polynomial import PICTURES
from joulecast.compute.tracer import Operator

LARGEST_PIECE = 16  # pictures: so few that a second piece begins among the numbers that are looked at
FEWEST_ALIKE = 12  # numbers of frames at which a component runs alike
SAMPLES, UNSEEN = slice(0, 10, 3), slice(10, None, 4)  # of these, to make profiles from and to check with


def pieces_of(runs: Mapping[int, Sequence[Operator]]) -> tuple[Lengths, ...] | None:
    """How a component that cuts its work in pieces runs, by its operators, each piece's one with that of the
    others, at the numbers of frames `SCANNED` of one video; None where pieces do not explain them."""
    kinds: Mapping[int, Kinds] = {n: [o.kind for o in operators] for n, operators in runs.items()}
    last = SCANNED[-1]
    alike = [n for n in SCANNED if all(kinds[m] == kinds[last] for m in range(n, last + 1))]
    if len(alike) < FEWEST_ALIKE:
        return None
    points = [{"batch": 1, FRAMES: n} for n in alike]
    pieces: dict[str, None] = {}
    for columns in zip(*(runs[n] for n in alike), strict=True):
        launches = [operator.launches for operator in columns]
        if len(set(launches)) > 1:
            piece = _piece_of(points, launches)
            if piece is None:
                return None
            pieces[piece] = None
    some = Lengths({}, tuple(alike[SAMPLES]), tuple(alike[UNSEEN]), pieces=tuple(pieces))
    return (*(one._replace(pieces=some.pieces) for one in before(kinds, alike[0])), some)


def _piece_of(points: Sequence[Point], launches: Sequence[int]) -> str | None:
    """The pieces that so many launches at the points are; the smallest of those that could be."""
    most = LARGEST_PIECE
    could = (_written(n, size) for size in range(1, most + 1) for n in range(1, most * size + 1))
    return next((text for text in could if is_in_pieces(text, points, launches)), None)


def _written(times: int, size: int) -> str:
    return f"{times if times > 1 else ''}{PICTURES}/{size}"


def is_in_pieces(piece: str, points: Sequence[Point], launches: Sequence[int]) -> bool:
    """Whether an operator is launched once for each of the pieces at all points, and not always alike."""
    return len(set(launches)) > 1 and all(
        value_at(piece, point) == count for point, count in zip(points, launches, strict=True)
    )
