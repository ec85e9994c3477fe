"""Trade-offs as plain text and CSV: the front of many settings, and when a grid is clean."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from joulecast.files.documents import inert
from joulecast.plan.measures import MEASURES, QUALITY
from joulecast.plan.tradeoff import Outcome
from joulecast.question.questions import SEPARATOR
from joulecast.report.amounts import number, spread
from joulecast.report.decisions.rows import HourOfDay, differing, varying
from joulecast.report.lines import paragraph, table
from joulecast.report.merged import merged

PICTURE = ("model", "size", "steps", "precision")  # settings that change the picture, not only its cost
FAVOURED = {"size": "the smallest size", "steps": "the fewest steps"}


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
    measures = " and ".join(MEASURES[name].label for name in by)
    rivals = "no other" if has_one_front(found, by) else "no other of the same model"
    told = f"{len(front)} of {len(found)} settings: {rivals} is as good in {measures} and better in one."
    return "\n".join([
        *lines,
        "",
        *paragraph("Front", told),
        *(line for words in merged(left_out) for line in paragraph("Left out", f"{words}.")),
        *(line for words in doubts for line in paragraph("Warning", words)),
        *_doubts(found, shown, by),
    ])  # fmt: skip


def has_one_front(found: Sequence[Outcome], by: Sequence[str]) -> bool:
    """Whether settings were compared with all others, and not with those of their model alone."""
    return QUALITY in by or len({one.setting["model"] for one in found}) == 1


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


def outcomes_csv(found: Sequence[Outcome], front: Sequence[Outcome]) -> str:
    """Every setting as CSV: what was set, whether it is on the front, its measures, ranges and warnings."""
    places = {id(one) for one in front}
    keys = list(dict.fromkeys(key for one in found for key in one.setting))
    names = [name for name in MEASURES if any(name in one.measures for one in found)]
    ranged = [name for name in names if any(name in one.ranges for one in found)]
    columns = [
        column for n in names for column in (n, *([_end(n, "low"), _end(n, "high")] if n in ranged else []))
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*keys, "on_front", *columns, "warning"], lineterminator="\n")
    writer.writeheader()
    for one in found:
        row = {**one.setting, "on_front": int(id(one) in places), "warning": SEPARATOR.join(one.warnings)}
        row |= {name: value for name, value in one.measures.items() if name in names}
        row |= {_end(n, end): getattr(a, end) for n, a in one.ranges.items() for end in ("low", "high")}
        writer.writerow({key: inert(cell) for key, cell in row.items()})
    return text.getvalue()


def _end(measure: str, end: str) -> str:
    """The column of a range's end: ``energy_low_j`` of ``energy_j``."""
    name, _, unit = measure.rpartition("_")
    return f"{name}_{end}_{unit}" if name else f"{measure}_{end}"


def _figures(one: Outcome, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield number(one.measures[name]) if name in one.measures else ""
        if MEASURES[name].has_range:
            yield spread(one.ranges[name]) if name in one.ranges else ""


def _doubts(found: Sequence[Outcome], shown: Sequence[Outcome], by: Sequence[str]) -> Iterator[str]:
    for warning in merged(w for one in shown for w in one.warnings):
        yield from paragraph("Warning", warning)
    yield from paragraph(
        "Ranges",
        "settings of one model, GPU or place share most of their errors, so two of them may differ surely "
        "though their ranges overlap: `joulecast what-if` tells how surely.",
    )
    differ = [key for key in PICTURE if key in differing(found)]
    if QUALITY not in by and differ:
        yield from paragraph(
            "Quality", f"{_quality_words(differ)} --quality MODEL=FIGURE makes it a measure."
        )


def _quality_words(differ: Sequence[str]) -> str:
    """What a front without a quality favours, where settings that change the picture differ."""
    told = "these settings make different pictures, and how good they are is in none of the measures"
    if "model" in differ:
        told += ": one front of all would favour the smallest model, so each model has its own"
    favoured = [FAVOURED[key] for key in differ if key in FAVOURED]
    return f"{told}; a front favours {' and '.join(favoured)}." if favoured else f"{told}."
