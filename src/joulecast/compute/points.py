"""The points at which a pipeline is traced: images, sizes, text lengths and frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from joulecast.compute.loops import Lengths

Point = tuple[int, int, int, int]  # batch, height and width in size units, text length
Sample = tuple[int, int, int, int, int]  # the same, and the frames in steps of the frames rule

# Sample points. Odd and even sides, so that the levels of a U-Net (halved and rounded up) can be
# told apart; no two in proportion. The first of each kind are enough for most pipelines.
SINGLE: list[Point] = [
    (1, 16, 18, 24), (1, 21, 17, 40), (1, 13, 26, 33), (1, 24, 11, 57), (1, 30, 22, 24),
    (1, 19, 33, 40), (1, 27, 29, 57), (1, 35, 15, 33),
]  # fmt: skip
SEVERAL: list[Point] = [
    (2, 17, 16, 29), (3, 22, 19, 43), (2, 29, 12, 61), (4, 15, 27, 22), (3, 13, 31, 61),
    (2, 25, 23, 43), (5, 18, 21, 29), (3, 26, 14, 29), (2, 20, 35, 22), (4, 11, 17, 61),
]  # fmt: skip
HINTED = [*SINGLE[:4], *SEVERAL[:4]]  # where another precision is solved already
FEW, ALL = [*SINGLE[:6], *SEVERAL[:6]], [*SINGLE, *SEVERAL]
# Further points of videos, which have one more symbol.
MORE_SINGLE: list[Point] = [
    (1, 12, 25, 24), (1, 25, 28, 33), (1, 18, 14, 57), (1, 32, 20, 40), (1, 14, 34, 24), (1, 28, 13, 33),
]  # fmt: skip
MORE_SEVERAL: list[Point] = [
    (2, 31, 18, 22), (3, 18, 33, 29), (4, 24, 13, 61), (2, 14, 28, 43), (5, 27, 24, 22), (3, 33, 15, 43),
]  # fmt: skip
MORE = {*MORE_SINGLE, *MORE_SEVERAL}  # where the frames vary
VIDEO = [*SINGLE, *MORE_SINGLE, *SEVERAL, *MORE_SEVERAL]
VIDEO_HINTED = [*SINGLE[:4], *MORE_SINGLE[:2], *SEVERAL[:4], *MORE_SEVERAL[:2]]
# So many videos that those of one frame are worked on in several pieces.
MANY: list[Point] = [(9, 12, 15, 29), (12, 15, 11, 43)]
# That differ in the number of videos alone, so that what is run once more for each is told.
ROUNDS_OF_IMAGES: list[Point] = [(2, 12, 17, 29), (3, 12, 17, 29), (4, 12, 17, 29)]
CHECK: list[Point] = [(3, 17, 25, 41), (1, 23, 20, 50)]
CHECK_BATCH_TABLES: list[Point] = [(2, 17, 25, 41), (1, 23, 20, 50)]
SHORTEST_TEXT = 40  # added to every sample's text: some pipelines drop a template's tokens
# Where modules pad their tokens to a multiple, costs are polynomials between multiples of so many
# size units and tokens only.
COARSE_UNITS, COARSE_TOKENS = 8, 32
SMALLER = 3
EXPERTS = 4
COARSE, SMALL = "coarse", "small"
# Points and their grid, in the order in which they are tried; the first where another precision is solved.
IMAGE_ATTEMPTS = [(HINTED, ""), (FEW, ""), (ALL, ""), (ALL, COARSE)]
VIDEO_ATTEMPTS = [(VIDEO_HINTED, ""), (VIDEO, ""), (VIDEO, SMALL)]


def with_frames(
    points: Sequence[Point], lengths: Iterable[Sequence[Lengths]], unseen: bool = False
) -> list[Sample]:
    """Points at numbers of frames: all of them for each way in which a component works on its frames.

    With `unseen` at a number of each way that is no sample, the points in turn.
    """
    ways = [some for of_component in lengths for some in of_component]
    if unseen:
        numbers = sorted({(some.unseen or some.samples)[-1] for some in ways})
        turns = range(max(len(points), len(numbers)))
        return [(*points[i % len(points)], numbers[i % len(numbers)]) for i in turns]
    if any(some.pieces and some.condition for some in ways):
        points = [*points, *MANY]
    chosen = sorted({some.samples for some in ways})
    return _anchors(points, chosen) + [
        (*point, numbers[i % len(numbers)])
        for numbers in chosen
        for i, point in enumerate(p for p in points if len(numbers) > 1 or p not in MORE)
    ]


def _anchors(points: Sequence[Point], chosen: Sequence[tuple[int, ...]]) -> list[Sample]:
    """A point of one image and one of several, at numbers of frames that differ by rounds alone."""
    found = (next((p for p in points if (p[0] > 1) is several), None) for several in (False, True))
    anchors = [point for point in found if point is not None]
    return [(*point, n) for numbers in chosen if len(numbers) > 1 for n in numbers[:3] for point in anchors]


def on_grid(sample: Sample, grid: str, only: tuple[int, int] | None = None) -> Sample:
    """The sample as it is, or moved to the coarse or the small grid; where there is `only` one height and
    width, its text is longer as it was higher, so that texts differ that sizes told apart, and a multiple of
    as many tokens as experts that share them get a whole number of."""
    batch, height, width, text, frames = sample
    if only is not None:
        longer = EXPERTS * (height + -(-text // EXPERTS))
        *_, text, _ = on_grid((batch, height, width, longer, frames), grid)
        return (batch, *only, text, frames)
    if grid == SMALL:
        return batch, -(-height // SMALLER), -(-width // SMALLER), text, frames
    if grid != COARSE:
        return sample
    return (
        batch,
        COARSE_UNITS * -(-height // 4),
        COARSE_UNITS * -(-width // 4),
        COARSE_TOKENS * -(-(text + SHORTEST_TEXT) // COARSE_TOKENS),
        frames,
    )
