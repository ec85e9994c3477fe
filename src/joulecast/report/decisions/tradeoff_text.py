"""Trade-offs as plain text: what changes do to an image, and the front of many settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from joulecast.plan.tradeoff import Outcome
from joulecast.plan.whatif import Delta, WhatIf
from joulecast.report.amounts import number
from joulecast.report.estimate_text import paragraph, table
from joulecast.uncertainty import Interval

LABELS = {
    "energy_j": "GPU energy of an image",
    "seconds": "GPU time of an image",
    "latency_s": "time of a batch",
    "carbon_g": "carbon of an image",
    "cost": "cost of an image",
}
COLUMNS = {
    "energy_j": "energy [J]",
    "seconds": "GPU time [s]",
    "latency_s": "batch time [s]",
    "carbon_g": "carbon [g CO2e]",
    "cost": "cost",
}
RANGED = ("energy_j", "carbon_g", "cost")  # measures whose ranges a table shows
UNITS = {"energy_j": "J", "seconds": "s", "latency_s": "s", "carbon_g": "g CO2e", "cost": ""}
SHARED = (
    "before and after share most of their errors: what is the same on both sides is one unknown number, "
    "not two. So the range of a change does not follow from the ranges of before and after."
)
QUALITY = {"model", "size", "steps", "precision"}  # settings that change the picture, not only its cost


def what_if_text(found: Sequence[WhatIf], head: str, currency: str = "") -> str:
    """Changes, each with its measures before and after, their ranges, and where the change's comes from."""
    lines = [head]
    for one in found:
        rows = [_row(delta, currency) for delta in one.deltas]
        header = ["", "before", "range", "after", "range", "change", "range"]
        lines += ["", *paragraph("Change", one.described), "", *table(header, rows, right={1, 3})]
        lines += ["", *(line for note in one.notes for line in paragraph("Range", note))]
    lines += ["", *paragraph("All ranges", SHARED)]
    warnings = dict.fromkeys(warning for one in found for warning in one.warnings)
    lines += [line for warning in warnings for line in paragraph("Warning", warning)]
    return "\n".join(lines)


def pareto_text(found: Sequence[Outcome], front: Sequence[Outcome], by: Sequence[str], every: bool) -> str:
    """The front, or all settings with the front marked: what differs between them, then the measures."""
    places = {id(one) for one in front}
    shown = list(found) if every else list(front)
    keys = varying(found)
    names = [name for name in COLUMNS if any(name in one.measures for one in found)]
    marks = [["*"] if id(one) in places else [""] for one in shown] if every else [[] for _ in shown]
    header = [*([""] if every else []), *(key.replace("_", " ") for key in keys)]
    first = len(header)
    header += [cell for name in names for cell in (COLUMNS[name], *(["range"] if name in RANGED else []))]
    rows = [
        [*mark, *(str(one.setting.get(key, "")) for key in keys), *_figures(one, names)]
        for mark, one in zip(marks, shown, strict=True)
    ]
    flush_right = {i for i in range(first, len(header)) if header[i] != "range"}
    lines = table(header, rows, right=flush_right)
    measures = " and ".join(LABELS[name] for name in by)
    told = f"{len(front)} of {len(found)} settings: no other is as good in {measures} and better in one."
    return "\n".join([*lines, "", *paragraph("Front", told), *_doubts(shown)])


def grid_text(rows: Sequence[Mapping[str, Any]], timezone: str, caveats: Sequence[str]) -> str:
    """Intensity by hour of the day: a row an hour, two columns a region; then the cleanest hours."""
    regions = list(dict.fromkeys(row["region"] for row in rows))
    by_place = {(row["region"], row["hour"]): row for row in rows}
    cells = []
    for hour in sorted({row["hour"] for row in rows}):
        found = [by_place.get((region, hour)) for region in regions]
        pairs = [
            ("", "") if r is None else (number(r["mean"]), f"{r['low']:.0f} to {r['high']:.0f}")
            for r in found
        ]
        cells.append([f"{hour:02}:00", *(cell for pair in pairs for cell in pair)])
    header = [timezone, *(cell for region in regions for cell in (region, "9 days in 10"))]
    lines = [
        "Carbon intensity by hour of the day [g CO2e/kWh]",
        "",
        *table(header, cells, right=set(range(1, len(header), 2))),
        "",
    ]
    for region in regions:
        own = sorted((row for row in rows if row["region"] == region), key=lambda row: float(row["mean"]))
        clean, dirty = own[0], own[-1]
        told = (
            f"cleanest at {clean['hour']:02}:00 with {number(clean['mean'])}, "
            f"dirtiest at {dirty['hour']:02}:00 with {number(dirty['mean'])}."
        )
        lines += paragraph(region, told)
    return "\n".join([*lines, *(line for words in caveats for line in paragraph("Warning", words))])


def outcomes_csv(found: Sequence[Outcome], front: Sequence[Outcome]) -> str:
    """Every setting as CSV: what was set, whether it is on the front, its measures, ranges and warnings."""
    places = {id(one) for one in front}
    keys = list(dict.fromkeys(key for one in found for key in one.setting))
    names = [name for name in COLUMNS if any(name in one.measures for one in found)]
    ranged = [name for name in names if any(name in one.ranges for one in found)]
    columns = [
        column for n in names for column in (n, *([_end(n, "low"), _end(n, "high")] if n in ranged else []))
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*keys, "on_front", *columns, "warning"], lineterminator="\n")
    writer.writeheader()
    for one in found:
        row = {**one.setting, "on_front": int(id(one) in places), "warning": "; ".join(one.warnings)}
        row |= {name: value for name, value in one.measures.items() if name in names}
        row |= {_end(n, end): getattr(a, end) for n, a in one.ranges.items() for end in ("low", "high")}
        writer.writerow(row)
    return text.getvalue()


def _end(measure: str, end: str) -> str:
    """The column of a range's end: ``energy_low_j`` of ``energy_j``."""
    name, _, unit = measure.rpartition("_")
    return f"{name}_{end}_{unit}" if name else f"{measure}_{end}"


def varying(found: Sequence[Outcome]) -> list[str]:
    """Keys in which settings differ; the model and the GPU where none does."""
    return _differing(found) or ["model", "gpu"]


def _differing(found: Sequence[Outcome]) -> list[str]:
    keys = dict.fromkeys(key for one in found for key in one.setting)
    return [k for k in keys if len({str(one.setting.get(k)) for one in found}) > 1]


def _figures(one: Outcome, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield number(one.measures[name]) if name in one.measures else ""
        if name in RANGED:
            yield _range(one.ranges[name]) if name in one.ranges else ""


def _doubts(shown: Sequence[Outcome]) -> Iterator[str]:
    yield from paragraph(
        "Ranges",
        "settings of one model, GPU or place share most of their errors, so two of them may differ surely "
        "though their ranges overlap: `joulecast what-if` tells how surely.",
    )
    if QUALITY & set(_differing(shown)):
        yield from paragraph(
            "Quality", "these settings make different pictures; how good they are is in none of the measures."
        )
    for warning in dict.fromkeys(w for one in shown for w in one.warnings):
        yield from paragraph("Warning", warning)


def _row(delta: Delta, currency: str) -> list[str]:
    unit = UNITS[delta.measure] or currency
    told, _, within = delta.words().partition(" (")
    return [
        LABELS[delta.measure],
        f"{number(delta.before.value)} {unit}",
        _range(delta.before),
        f"{number(delta.after.value)} {unit}",
        _range(delta.after),
        told,
        within.rstrip(")"),
    ]


def _range(amount: Interval) -> str:
    return "" if amount.is_exact else f"{number(amount.low)} to {number(amount.high)}"
