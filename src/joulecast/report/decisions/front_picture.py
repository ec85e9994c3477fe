"""The picture of a front: settings by two measures, those of the front large, named and with their ranges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from joulecast.compute.output import said_of
from joulecast.plan.measures import MEASURES
from joulecast.plan.tradeoff import Outcome, output_of_all
from joulecast.report.charts import BLACK, GPU_COLOURS, GREY, WIDTH, altair, chart, finished
from joulecast.report.decisions.rows import SettingPoint, pareto_keys, pareto_points
from joulecast.report.letters import text_width
from joulecast.units import counted

if TYPE_CHECKING:
    import altair as alt

SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down")
HEIGHT = 400
LABEL_SIZE = 10
# Of the words of labels: their letters' edges, white, half of the width [pixels] on each side.
HALO = {"color": "white", "stroke": "white", "strokeWidth": 3, "strokeJoin": "round"}
MARK = 6.0  # half of a mark of the front [pixels]
LOG_FROM = 4.0  # a measure that spans more than this factor is drawn on a logarithmic scale


def pareto_chart(
    found: Sequence[Outcome], front: Sequence[Outcome], by: Sequence[str], currency: str = ""
) -> alt.TopLevelMixin:
    """Settings by two measures; a line joins the front of two measures, or that of each model."""
    alt = altair()
    rows = pareto_points(found, front, by)
    kept, beaten = [r for r in rows if r["on_front"]], [r for r in rows if not r["on_front"]]
    colour, shape = pareto_keys(found)
    across = _Scale.of([*_ends(rows, "x")], [row["x_high"] for row in kept])
    up = _Scale.of([*_ends(rows, "y")], [row["y_high"] for row in kept])
    along, upwards = (_words(name, currency, output_of_all(found)) for name in by[:2])
    x, y = across.axis(alt.X, "x", along), up.axis(alt.Y, "y", upwards)
    look = {"x": x, "y": y, "color": _category(alt, "colour", [row["colour"] for row in rows], colour)}
    if shape:
        shapes = list(dict.fromkeys(row["shape"] for row in rows))
        scale = alt.Scale(domain=shapes, range=[SHAPES[i % len(SHAPES)] for i in range(len(shapes))])
        look["shape"] = alt.Shape("shape:N", title=shape, scale=scale, legend=alt.Legend(symbolOpacity=1))
    layers = []
    if len(by) == 2:
        line = sorted(kept, key=lambda row: row["x"])
        joined = chart(alt, line).mark_line(color=GREY, strokeDash=[4, 3], interpolate="step-after")
        layers.append(joined.encode(x=x, y=y, detail="model:N"))
    layers += [words.encode(x=x, y=y, text="words:N") for words in _named(alt, labels(kept, across, up))]
    if beaten:
        layers.append(chart(alt, beaten).mark_point(filled=True, size=30, opacity=0.35).encode(**look))
    ranges = chart(alt, kept).mark_rule(strokeWidth=1.5, opacity=0.45)
    layers.append(
        ranges.encode(x=across.axis(alt.X, "x_low", along), x2="x_high:Q", y=y, color=look["color"])
    )
    layers.append(ranges.encode(x=x, y=up.axis(alt.Y, "y_low", upwards), y2="y_high:Q", color=look["color"]))
    layers.append(
        chart(alt, kept)
        .mark_point(filled=True, size=110, opacity=1, stroke=BLACK, strokeWidth=1)
        .encode(**look)
    )
    verb = "is" if len(kept) == 1 else "are"
    settings = f"{len(kept)} of {counted(len(rows), 'setting')}"
    told = f"{settings} {verb} on the front: the large marks, with their 90 % ranges"
    return finished(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT), told)


def _named(alt: Any, found: Iterable[Label]) -> Iterator[Any]:
    """The words of labels, each on a white halo, which lies on lines and under marks."""
    for label in found:
        place = {"align": label.align, "dx": label.right, "dy": label.down, "baseline": "middle"}
        words = chart(alt, [label.row])
        yield words.mark_text(**place, fontSize=LABEL_SIZE, aria=False, **HALO)
        yield words.mark_text(**place, fontSize=LABEL_SIZE)


class Label(NamedTuple):
    """Words at a point, and how far from it they begin or end [pixels]."""

    row: SettingPoint
    align: str
    right: float
    down: float


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right
            and self.top < other.bottom and other.top < self.bottom
        )  # fmt: skip


def labels(kept: Sequence[SettingPoint], across: _Scale, up: _Scale) -> Iterator[Label]:
    """A label for each point of a front, in the picture, where it lies on no mark, range or other label."""

    def right(value: float) -> float:
        return across.share(value) * WIDTH

    def down(value: float) -> float:
        return (1 - up.share(value)) * HEIGHT

    places = [(right(row["x"]), down(row["y"])) for row in kept]
    taken = [_Box(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in places]
    for row, (x, y) in zip(kept, places, strict=True):
        taken.append(_Box(right(row["x_low"]), y - 1, right(row["x_high"]), y + 1))
        taken.append(_Box(x - 1, down(row["y_high"]), x + 1, down(row["y_low"])))
    for row, (x, y) in zip(kept, places, strict=True):
        length = text_width(row["words"], LABEL_SIZE, wide=True)
        for align, dx, dy in _places():
            left = x + dx - (length if align == "right" else 0.0)
            box = _Box(left, y + dy - 6, left + length, y + dy + 6)
            inside = box.left >= 0 and box.right <= WIDTH and box.top >= 0 and box.bottom <= HEIGHT
            if inside and not any(box.meets(other) for other in taken):
                taken.append(box)
                yield Label(row, align, dx, dy)
                break


def _places() -> Iterator[tuple[str, float, float]]:
    """Where words may stand at a point: above or below its range, nearest first, right before left."""
    for down in (10.0, 23.0, 36.0, 49.0, 62.0):
        for sign in (-1, 1):
            yield "left", 8.0, sign * down
            yield "right", -8.0, sign * down


class _Scale(NamedTuple):
    """An axis from `low` to `high`, logarithmic or not."""

    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, numbers: Sequence[float], ends: Sequence[float]) -> _Scale:
        """What holds the numbers, and the upper ends of ranges, with a margin."""
        positive = [number for number in numbers if number > 0]
        low, high = min(positive, default=1.0), max([*positive, *ends], default=1.0)
        if high / low > LOG_FROM and len(positive) == len(numbers):
            return cls(low / 1.15, high * 1.3, True)
        low, high = min(numbers, default=0.0), max([*numbers, *ends], default=1.0)
        margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        return cls(low - margin if low < 0 else max(0.0, low - margin), high + 2 * margin, False)

    def share(self, value: float) -> float:
        """Where on the axis a value lies, from 0 to 1."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def axis(self, make: Any, column: str, words: str) -> Any:
        """The axis of a column, and what is said of it."""
        alt = altair()
        scale = {"domain": [self.low, self.high], "nice": False}
        if self.is_log:
            axis = alt.Axis(values=_ticks(self.low, self.high), format="~g")
            return make(f"{column}:Q", title=words, scale=alt.Scale(type="log", **scale), axis=axis)
        return make(f"{column}:Q", title=words, scale=alt.Scale(**scale), axis=alt.Axis(tickCount=7))


def _words(measure: str, currency: str, output: str) -> str:
    """What an axis says of a measure of outputs."""
    unit = MEASURES[measure].unit_in(currency)
    return said_of(output, MEASURES[measure].label) + (f" [{unit}]" if unit else "")


def _ends(rows: Sequence[SettingPoint], axis: str) -> Iterator[float]:
    """What an axis must hold: every point, and the ranges of those on the front."""
    for row in rows:
        yield row["x"] if axis == "x" else row["y"]
        if row["on_front"]:
            yield row["x_low"] if axis == "x" else row["y_low"]


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 in every decade, or 1 alone where there are many decades."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    steps = (1,) if len(decades) > 5 else (1, 2, 5)
    return [step * 10.0**decade for decade in decades for step in steps]


def _category(alt: Any, column: str, cells: Sequence[str], words: str) -> Any:
    names = list(dict.fromkeys(cells))
    colours = [GPU_COLOURS[i] if i < len(GPU_COLOURS) else GREY for i in range(len(names))]
    scale = alt.Scale(domain=names, range=colours)
    return alt.Color(f"{column}:N", title=words, scale=scale, legend=alt.Legend(symbolOpacity=1))
