"""Pictures of how well laws do, of the kind of `joulecast.report.charts`; rows from `validation.rows`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from joulecast.law.forms import title as form_title
from joulecast.report.charts import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    VERMILLION,
    altair,
    chart,
    finished,
)
from joulecast.report.validation.rows import HOLDOUT_TITLES, Coverage, HeldOutPoint, LawError
from joulecast.units import counted

if TYPE_CHECKING:
    import altair as alt

CHIP_COLOURS = {
    "A100": BLUE,
    "H100": VERMILLION,
    "B200": BLACK,
    "RTX 3090": GREEN,
    "T4": ORANGE,
    "V100": PURPLE,
}
CHIP_SHAPES = {
    "A100": "circle",
    "H100": "triangle-up",
    "B200": "triangle-down",
    "RTX 3090": "square",
    "T4": "diamond",
    "V100": "cross",
}
ANOTHER_CHIP = "another"
QUANTITY_TITLES = {"energy": "energy of one image or clip [J]", "duration": "time of one batch [s]"}
SHORT_QUANTITIES = {"energy": "energy", "duration": "time"}
PREDICTED = {"energy": "predicted [J]", "duration": "predicted [s]"}  # short: beside an axis
UNSEEN = [HOLDOUT_TITLES[holdout] for holdout in ("unseen_model", "unseen_gpu", "unseen_both")]
TARGET = (85, 95)
PANEL = 250
DECADES = [10.0**power for power in range(-3, 9)]


def predicted_against_measured(
    points: Sequence[HeldOutPoint], law: str, quantity: str = "energy"
) -> alt.TopLevelMixin:
    """Held-out predictions of a law against the measurements, a panel a hold-out; the line is equality."""
    alt = altair()
    rows = [p for p in points if p["law"] == law and p["quantity"] == quantity and p["holdout"] in UNSEEN]
    low, high = _decades([p[key] for p in rows for key in ("measured", "predicted")])
    panels = []
    for place, holdout in enumerate(UNSEEN):
        here = [p for p in rows if p["holdout"] == holdout]
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
        dots = _points(alt, here).encode(
            x=alt.X(
                "measured:Q", scale=scale, title=f"measured {QUANTITY_TITLES[quantity]}", axis=_log_axis(alt)
            ),
            y=alt.Y(
                "predicted:Q",
                scale=scale,
                title=PREDICTED[quantity] if not place else None,
                axis=_log_axis(alt),
            ),
            color=_chip_colour(alt, rows),
            shape=_chip_shape(alt, rows),
            tooltip=["run:N", "measured:Q", "predicted:Q"],
        )
        ends = [{"x": low, "y": low}, {"x": high, "y": high}]
        line = chart(alt, ends).mark_line(color=GREY, strokeWidth=1).encode(x="x:Q", y="y:Q")
        title = alt.TitleParams(f"Held out: {holdout}", subtitle=_summary(here))
        panels.append((line + dots).properties(width=PANEL, height=PANEL, title=title))
    what = SHORT_QUANTITIES[quantity]
    return finished(
        alt.hconcat(*panels, spacing=30), f"The {what} that the {law} law predicts for runs it had not seen"
    )


def residuals_by_regime(
    points: Sequence[HeldOutPoint], law: str, quantity: str = "energy"
) -> alt.TopLevelMixin:
    """Errors of runs of models held out, against how launch-bound they are, batch size and FLOP per image."""
    alt = altair()
    here = [
        p
        for p in points
        if p["law"] == law and p["quantity"] == quantity and p["holdout"] == HOLDOUT_TITLES["unseen_model"]
    ]
    rows = [{**p, "tflop": p["flop"] / 1e12, "launch_percent": 100 * p["launch_bound"]} for p in here]
    axes = {
        "launch_percent": ("how far time follows the host's launches [%]", alt.Scale(domain=[0, 100])),
        "batch_size": ("batch size [images]", alt.Scale(type="log", base=2)),
        "tflop": ("compute per image [TFLOP]", alt.Scale(type="log")),
    }
    low, high = min(p["error"] for p in here), max(p["error"] for p in here)
    error = alt.Scale(domain=[min(-50, low - 5), max(50, high + 5)], nice=True)
    panels = []
    for place, (column, (title, scale)) in enumerate(axes.items()):
        axis = _log_axis(alt) if column == "tflop" else alt.Axis(grid=False, tickCount=6)
        dots = _points(alt, rows).encode(
            x=alt.X(f"{column}:Q", title=title, scale=scale, axis=axis),
            y=alt.Y(
                "error:Q",
                scale=error,
                title=f"error of the {SHORT_QUANTITIES[quantity]} [%]" if not place else None,
            ),
            color=_chip_colour(alt, here),
            shape=_chip_shape(alt, here),
            tooltip=["run:N", "error:Q"],
        )
        zero = chart(alt, [{"y": 0}]).mark_rule(color=GREY).encode(y="y:Q")
        panels.append((zero + dots).properties(width=PANEL, height=PANEL))
    return finished(
        alt.hconcat(*panels),
        f"Errors of the {law} law by regime, each model held out in turn ({SHORT_QUANTITIES[quantity]})",
        len(panels) * PANEL,
    )


def interval_coverage(rows: Sequence[Coverage], law: str) -> alt.TopLevelMixin:
    """How many held-out runs the 90 % interval held, by hold-out; rows of `rows.coverage`."""
    alt = altair()
    own = [{**row, "what": SHORT_QUANTITIES[row["quantity"]]} for row in rows if row["law"] == law]
    order = list(HOLDOUT_TITLES.values())
    band = chart(alt, [{"low": TARGET[0], "high": TARGET[1]}]).mark_rect(color=PALE, opacity=0.4)
    percent = alt.Scale(domain=[70, 100], zero=False, nice=False)
    aim = (
        chart(alt, [{"x": 90}]).mark_rule(color=GREY, strokeDash=[4, 3]).encode(x=alt.X("x:Q", scale=percent))
    )
    y = alt.Y("holdout:N", sort=order, title=None, axis=alt.Axis(labelLimit=300))
    dots = (
        chart(alt, own)
        .mark_point(filled=True, size=110, opacity=0.9)
        .encode(
            x=alt.X(
                "coverage:Q",
                title="held-out runs inside their 90 % interval [%]",
                scale=percent,
                axis=alt.Axis(values=list(range(70, 101, 5))),
            ),
            y=y,
            yOffset=alt.YOffset("what:N", scale=alt.Scale(paddingOuter=0.6)),
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=["energy", "time"], range=[BLACK, GREY])
            ),
            shape=alt.Shape(
                "what:N",
                title=None,
                scale=alt.Scale(domain=["energy", "time"], range=["circle", "triangle-up"]),
            ),
        )
    )
    layered = (band.encode(x=alt.X("low:Q", scale=percent), x2="high:Q") + aim + dots).properties(
        width=460, height=220
    )
    return finished(
        layered, f"Coverage of the {law} law's intervals (target band {TARGET[0]} to {TARGET[1]} %)"
    )


def errors_by_law(rows: Sequence[LawError], quantity: str = "energy") -> alt.TopLevelMixin:
    """Median and 90th percentile error of every law, a panel a hold-out; rows of `rows.law_errors`."""
    alt = altair()
    asked = sorted((row for row in rows if row["quantity"] == quantity), key=lambda row: row["p90"])
    order = [form_title(row["law"]) for row in asked if row["holdout"] == UNSEEN[0]]
    here = [{**row, "law": form_title(row["law"])} for row in rows if row["quantity"] == quantity]
    panels = []
    for place, holdout in enumerate(UNSEEN):
        base = chart(alt, [row for row in here if row["holdout"] == holdout])
        y = alt.Y("law:N", sort=order, title=None, axis=alt.Axis(labels=not place, ticks=not place))
        x = alt.X(
            "median:Q",
            scale=alt.Scale(type="log", domain=[2, 300], nice=False),
            title="absolute error [%]",
            axis=_log_axis(alt, [2, 5, 10, 20, 50, 100, 200]),
        )
        bars = base.mark_rule(strokeWidth=3, color=INK, opacity=0.6).encode(x=x, x2="p90:Q", y=y)
        median = base.mark_point(filled=True, size=90, color=INK).encode(x=x, y=y)
        tail = base.mark_tick(thickness=3, size=14, color=INK).encode(x="p90:Q", y=y)
        title = alt.TitleParams(f"Held out: {holdout}")
        panels.append((bars + median + tail).properties(width=PANEL, height=150, title=title))
    what = f"Error of each law on {SHORT_QUANTITIES[quantity]}"
    words = f"{what}: the dot is the median, nine in ten runs lie below the bar"
    return finished(alt.hconcat(*panels), words, len(panels) * PANEL)


def _points(alt: Any, rows: Sequence[Mapping[str, object]]) -> Any:
    keys = ("run", "measured", "predicted", "error", "chip", "batch_size", "tflop", "launch_percent")
    slim = [{key: _short(p[key]) for key in keys if key in p} | {"chip": _named_chip(p)} for p in rows]
    return chart(alt, slim).mark_point(filled=True, size=45, opacity=0.75, aria=False)


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _chip_colour(alt: Any, rows: Sequence[HeldOutPoint]) -> Any:
    chips = _chips(rows)
    return alt.Color(
        "chip:N",
        title="chip",
        scale=alt.Scale(domain=chips, range=[CHIP_COLOURS.get(c, GREY) for c in chips]),
    )


def _chip_shape(alt: Any, rows: Sequence[HeldOutPoint]) -> Any:
    chips = _chips(rows)
    return alt.Shape(
        "chip:N",
        title="chip",
        scale=alt.Scale(domain=chips, range=[CHIP_SHAPES.get(c, "triangle-right") for c in chips]),
    )


def _chips(rows: Sequence[HeldOutPoint]) -> list[str]:
    found = {_named_chip(row) for row in rows}
    return [chip for chip in (*CHIP_COLOURS, ANOTHER_CHIP) if chip in found]


def _named_chip(row: Mapping[str, Any]) -> str:
    """More kinds of dots than these cannot be told apart."""
    return row["chip"] if row["chip"] in CHIP_COLOURS else ANOTHER_CHIP


def _summary(rows: Sequence[HeldOutPoint]) -> str:
    if not rows:
        return "no runs"
    middle, tail = np.quantile([abs(row["error"]) for row in rows], [0.5, 0.9])
    return f"{counted(len(rows), 'run')}, median error {middle:.0f} %, 9 in 10 within {tail:.0f} %"


def _decades(values: Sequence[float]) -> tuple[float, float]:
    return min(values) / 1.3, max(values) * 1.3


def _log_axis(alt: Any, values: Sequence[float] | None = None) -> Any:
    """An axis with grid lines at powers of ten, or at the given values."""
    if values:
        return alt.Axis(format="d", values=list(values))
    words = "datum.value < 1 ? format(datum.value, '~g') : format(datum.value, '~s')"
    return alt.Axis(labelExpr=words, values=DECADES)
