"""Trade-offs as plain text and as a table: the front of many settings, and when a grid is clean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.output import said_of
from joulecast.files.columns import Columns
from joulecast.forecast.caveats import is_of_some_gpu
from joulecast.plan.measures import MEASURES, QUALITY
from joulecast.plan.tradeoff import Outcome, has_one_front, output_of_all
from joulecast.question.questions import SEPARATOR
from joulecast.report.amounts import number, spread
from joulecast.report.decisions.rows import HourOfDay, differing, varying
from joulecast.report.lines import paragraph, table
from joulecast.report.merged import merged
from joulecast.units import counted

PICTURE = (
    "model",
    "size",
    "frames",
    "seconds",
    "steps",
    "strength",
    "control",
    "lora",
    "precision",
    "quantization",
    "cache",
)  # settings that change the picture, not only its cost
FAVOURED = {
    "size": "the smallest size",
    "frames": "the fewest frames",
    "seconds": "the shortest clip",
    "steps": "the fewest steps",
    "strength": "the least strength",
}


def pareto_text(
    found: Sequence[Outcome],
    front: Sequence[Outcome],
    by: Sequence[str],
    every: bool,
    left_out: Sequence[str] = (),
    doubts: Sequence[str] = (),
) -> str:
    """The front, or all settings with the front marked: what differs between them, then the measures.

    `left_out` says what cannot run, `doubts` what else to beware of.
    """
    places = {id(one) for one in front}
    shown = list(found) if every else list(front)
    keys = varying(found)
    names = [name for name in MEASURES if any(name in one.measures for one in found)]
    marks = [["*"] if id(one) in places else [""] for one in shown] if every else [[] for _ in shown]
    header = [*([""] if every else []), *(key.replace("_", " ") for key in keys)]
    first = len(header)
    header += [
        cell
        for name in names
        for cell in (MEASURES[name].column, *(["range"] if MEASURES[name].has_range else []))
    ]
    rows = [
        [*mark, *(str(one.setting.get(key, "")) for key in keys), *_figures(one, names)]
        for mark, one in zip(marks, shown, strict=True)
    ]
    flush_right = {i for i in range(first, len(header)) if header[i] != "range"}
    lines = table(header, rows, right=flush_right)
    measures = said_of(output_of_all(found), " and ".join(MEASURES[name].label for name in by))
    rivals = "no other" if has_one_front(found, by) else "no other of the same model"
    kept = f"{len(front)} of {counted(len(found), 'setting')}"
    told = f"{kept}: {rivals} is as good in {measures} and better in one."
    return "\n".join([
        *lines,
        "",
        *_alike(found, keys),
        *paragraph("Front", told),
        *(line for words in merged(left_out) for line in paragraph("Left out", f"{words}.")),
        *(line for words in doubts for line in paragraph("Warning", words)),
        *_doubts(found, shown, by),
    ])  # fmt: skip


def grid_text(rows: Sequence[HourOfDay], timezone: str, caveats: Sequence[str]) -> str:
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
        own = sorted((row for row in rows if row["region"] == region), key=lambda row: row["mean"])
        clean, dirty = own[0], own[-1]
        told = (
            f"cleanest at {clean['hour']:02}:00 with {number(clean['mean'])}, "
            f"dirtiest at {dirty['hour']:02}:00 with {number(dirty['mean'])}."
        )
        lines += paragraph(region, told)
    return "\n".join([*lines, *(line for words in caveats for line in paragraph("Warning", words))])


def outcome_columns(found: Sequence[Outcome], front: Sequence[Outcome]) -> Columns:
    """Every setting as a table: what was set, whether it is on the front, measures, ranges and warnings."""
    places = {id(one) for one in front}
    settings = [one.setting_data() for one in found]
    keys = list(dict.fromkeys(key for given in settings for key in given))
    columns = {key: _column([given.get(key) for given in settings]) for key in keys}
    columns["on_front"] = np.ma.array([int(id(one) in places) for one in found])
    for name in (name for name in MEASURES if any(name in one.measures for one in found)):
        columns[name] = _column([one.measures.get(name) for one in found])
        ranges = [one.ranges.get(name) for one in found]
        if any(a is not None for a in ranges):
            for end in ("low", "high"):
                columns[_end(name, end)] = _column([getattr(a, end, None) for a in ranges])
    columns["warning"] = _column([SEPARATOR.join(one.warnings) for one in found])
    return columns


def outcome_data(found: Sequence[Outcome], front: Sequence[Outcome]) -> list[dict[str, object]]:
    """Outcomes for JSON: settings, measures and their ranges, those of the front marked."""
    places = {id(one) for one in front}
    return [
        {
            **one.setting_data(),
            "output": output_of_all([one]),
            "on_front": id(one) in places,
            **one.measures,
            "ranges": {name: {"low": a.low, "high": a.high} for name, a in one.ranges.items()},
            "warnings": list(dict.fromkeys(one.warnings)),
        }
        for one in found
    ]


def _column(cells: Sequence[object]) -> NDArray[Any]:
    """Cells of which some are None as a column: of whole numbers, of numbers, else of words."""
    is_missing = np.array([cell is None for cell in cells])
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int}:
        return np.ma.array([cell or 0 for cell in cells], dtype=np.int64, mask=is_missing)
    if kinds <= {int, float}:
        return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    return np.array([None if cell is None else str(cell) for cell in cells], dtype=object)


def _end(measure: str, end: str) -> str:
    """The column of a range's end: ``energy_low_j`` of ``energy_j``."""
    name, _, unit = measure.rpartition("_")
    return f"{name}_{end}_{unit}" if name else f"{measure}_{end}"


def _alike(found: Sequence[Outcome], columns: Sequence[str]) -> list[str]:
    """What is the same in all settings and has no column, e.g. the GPU where no other can run any."""
    given = found[0].setting.items()
    told = [f"{key.replace('_', ' ')} {value}" for key, value in given if key not in columns]
    return paragraph("In all", ", ".join(told)) if told else []


def _figures(one: Outcome, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield number(one.measures[name]) if name in one.measures else ""
        if MEASURES[name].has_range:
            yield spread(one.ranges[name]) if name in one.ranges else ""


def _doubts(found: Sequence[Outcome], shown: Sequence[Outcome], by: Sequence[str]) -> Iterator[str]:
    keys = differing(found)
    for warning in merged(_attributed(w, one, keys) for one in shown for w in one.warnings):
        yield from paragraph("Warning", warning)
    yield from paragraph(
        "Ranges",
        "settings of one model, GPU or place share most of their errors, so two of them may differ surely "
        "though their ranges overlap: `joulecast what-if` tells how surely.",
    )
    differ = [key for key in PICTURE if key in keys]
    if QUALITY not in by and differ:
        yield from paragraph(
            "Quality", f"{_quality_words(differ)} --quality MODEL=FIGURE makes it a measure."
        )


def _attributed(warning: str, one: Outcome, keys: Sequence[str]) -> str:
    """A warning, which says of which GPU it is where several are compared; `keys` are what differs."""
    if "gpu" not in keys or not is_of_some_gpu(warning):
        return warning
    model = f"{one.setting['model']} on " if "model" in keys else ""
    return f"{model}{one.setting['gpu']}: {warning}"


def _quality_words(differ: Sequence[str]) -> str:
    """What a front without a quality favours, where settings that change the picture differ."""
    told = "these settings make different pictures, and how good they are is in none of the measures"
    if "model" in differ:
        told += ": one front of all would favour the smallest model, so each model has its own"
    favoured = [FAVOURED[key] for key in differ if key in FAVOURED]
    return f"{told}; a front favours {' and '.join(favoured)}." if favoured else f"{told}."
