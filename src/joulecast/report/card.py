"""What to publish beside a model or a service: energy and carbon of an image, and how they were had."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from joulecast.errors import InputError, UnknownNameError, visible
from joulecast.files.columns import is_missing
from joulecast.files.json_rows import json_cell
from joulecast.files.plain import Json, json_text
from joulecast.footprint.account import Footprint, Site
from joulecast.footprint.quantity import Quantity
from joulecast.footprint.tables.row import SOURCE, WHOLE, Row, positive, row_footprint, words
from joulecast.report.merged import merged
from joulecast.report.origin import origin_of, row_warnings
from joulecast.units import JOULES_PER_WATT_HOUR

BOAMPS = "boamps"  # of one row: `boamps.boamps_report`
FORMATS = ("markdown", "json", "huggingface")
MADE_BY = "joulecast"
_SETTINGS = ("model", "gpu", "width", "height", "steps", "passes", "precision", "batch_size")
_BOUNDARY = {
    "gross": "gross GPU energy: all that the board drew, idle power included",
    "dynamic": "dynamic GPU energy: idle power subtracted",
}


@dataclass(frozen=True)
class Entry:
    """A row of a card; `footprint` is that of one image, None without a site and where it cannot be.

    `assumed` says what a prediction took by default.
    """

    settings: dict[str, Json]  # the cells of _SETTINGS that are not empty
    energy_j: float
    energy_low_j: float | None
    energy_high_j: float | None
    boundary: str
    duration_s: float | None
    obtained: str
    software: str | None
    source: str | None
    assumed: str | None
    warnings: tuple[str, ...]
    footprint: Footprint | None

    def cell(self, name: str) -> str:
        """A setting as text; empty where the row does not state it."""
        return str(self.settings.get(name, ""))

    def to_dict(self, with_footprint: bool) -> dict[str, object]:
        """The same as one JSON object."""
        stated = {f.name: getattr(self, f.name) for f in fields(self)[1:-1]}
        answer = {"footprint": self.footprint and self.footprint.to_dict()} if with_footprint else {}
        return {**self.settings, **stated, **answer}


def card(rows: Sequence[Row], form: str, at: Site | None = None, made_by: str = MADE_BY) -> str:
    """A card of measured runs or predictions, a row each; carbon where a site is given.

    Raises UnknownNameError for another form, InputError when no row has an energy.
    """
    if form not in FORMATS:
        known = (*FORMATS, BOAMPS)
        raise UnknownNameError("format", form, known, f"known: {', '.join(known)}")
    entries = [_entry(row, at) for row in with_energy(rows)]
    if not entries:
        raise InputError("no row has an energy_j: there is nothing to put on a card")
    if form == "json":
        listed = [entry.to_dict(with_footprint=at is not None) for entry in entries]
        return json_text({"made_by": made_by, "entries": listed})
    if form == "huggingface":
        return _huggingface(entries, at, made_by)
    return _markdown(entries, at, made_by)


def with_energy(rows: Sequence[Row]) -> list[Row]:
    """The rows that a card can be made of: a run may state its time alone."""
    return [row for row in rows if not is_missing(row.get("energy_j"))]


def _entry(row: Row, at: Site | None) -> Entry:
    boundary, duration = words(row, "boundary") or "gross", _number(row, "duration_s")
    is_whole = boundary == "gross" and (words(row, "scope") or WHOLE) == WHOLE
    return Entry(
        settings={name: json_cell(row[name]) for name in _SETTINGS if not is_missing(row.get(name))},
        energy_j=positive(row, "energy_j"),
        energy_low_j=_number(row, "energy_low_j"),
        energy_high_j=_number(row, "energy_high_j"),
        boundary=boundary,
        duration_s=duration,
        obtained=origin_of(row).words,
        software=words(row, "software"),
        source=words(row, "source"),
        assumed=words(row, "assumed"),
        warnings=tuple(row_warnings([row])),
        footprint=row_footprint(row, at, 1) if at and is_whole and duration is not None else None,
    )


def _number(row: Row, name: str) -> float | None:
    return None if is_missing(row.get(name)) else positive(row, name)


def _markdown(entries: Sequence[Entry], at: Site | None, made_by: str) -> str:
    head = ["model", "GPU", "size", "steps", "precision", "batch", "Wh per image", "range", "obtained"]
    head += ["g CO2e per image", "range"] if at else []
    lines = ["## Energy of an image", "", _row(head), _row(["---"] * len(head))]
    lines += [_row(_cells(entry, at is not None)) for entry in entries]
    boundaries = dict.fromkeys(entry.boundary for entry in entries)
    doubts = dict.fromkeys(told for entry in entries for told in entry.warnings)
    assumed = dict.fromkeys(
        f"{_plain(entry.cell('model') or 'a row')}: {_plain(entry.assumed)}"
        for entry in entries
        if entry.assumed
    )
    lines += ["", *(f"- Beware: {_plain(told)}." for told in merged(doubts))]
    lines += [f"- Not stated, so by default, {told}." for told in assumed]
    lines += [f"- {_BOUNDARY.get(name, name)}." for name in boundaries]
    if at is not None:
        lines += [
            f"- Carbon: {at.grid.accounting}, {_plain(at.grid.source)} ({at.grid.boundary}), embodied carbon "
            "included; ranges are the widest that the factors allow.",
            *(f"- {_plain(told)}." for told in _factors(entries)),
            *(f"- Beware: {_plain(told)}." for told in _of_footprints(entries, at)),
        ]
    lines.append(f"- Made by {made_by}.")
    return "\n".join(lines)


def _of_footprints(entries: Sequence[Entry], at: Site) -> list[str]:
    """What the grid and the footprints warn of, each once."""
    of_rows = (told for entry in entries if entry.footprint for told in entry.footprint.warnings)
    return list(dict.fromkeys([*at.grid.warnings, *of_rows]))


def _cells(entry: Entry, with_carbon: bool) -> list[str]:
    sides = [entry.cell(name) for name in ("width", "height")]
    size = "x".join(sides) if all(sides) else ""
    low, high = entry.energy_low_j, entry.energy_high_j
    spread = f"{low / JOULES_PER_WATT_HOUR:.3g} to {high / JOULES_PER_WATT_HOUR:.3g}" if low and high else ""
    cells = [entry.cell("model"), entry.cell("gpu"), size]
    cells += [entry.cell(name) for name in ("steps", "precision", "batch_size")]
    cells += [f"{entry.energy_j / JOULES_PER_WATT_HOUR:.3g}", spread, entry.obtained]
    if with_carbon:
        carbon = entry.footprint and entry.footprint.carbon.amount
        cells += [f"{carbon.value:.3g}" if carbon else ""]
        cells += [f"{carbon.low:.3g} to {carbon.high:.3g}" if carbon and math.isfinite(carbon.high) else ""]
    return [_plain(cell) for cell in cells]


def _plain(text: str) -> str:
    """Text of a table on one line, which begins neither a cell, a tag, a link nor an image of Markdown."""
    line = visible(" ".join(text.split())).replace("|", "/").replace("<", "&lt;")
    return _MARKDOWN.sub(r"\\\g<0>", line)


_MARKDOWN = re.compile(r"[\\`*\[\]]|(?<=:)//|(?<=www)\.")  # also what is made a link without being marked


def _factors(entries: Sequence[Entry]) -> list[str]:
    """Every factor with its range and source; where rows differ in it, with the GPUs that it is of."""
    told: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        factors = entry.footprint.factors() if entry.footprint else {}
        for name, (amount, source) in factors.items():
            if source == SOURCE:
                continue
            gpus = told.setdefault(name, {}).setdefault(f"{_factor(amount)}: {source}", [])
            gpus += [gpu for gpu in (entry.cell("gpu") or "any GPU",) if gpu not in gpus]
    return [
        f"{name} of {', '.join(gpus)} {how}" if len(found) > 1 else f"{name} {how}"
        for name, found in told.items()
        for how, gpus in found.items()
    ]


def _factor(factor: Quantity) -> str:
    """A factor's number, its unit (``1`` for none), and its range where it has one."""
    amount, unit = factor.amount, "" if factor.unit == "1" else f" {factor.unit}"
    return f"{amount.value:.3g}{unit}" + (
        "" if amount.is_exact else f" ({amount.low:.3g} to {amount.high:.3g})"
    )


def _huggingface(entries: Sequence[Entry], at: Site | None, made_by: str) -> str:
    """The model card's metadata block: ``co2_eq_emissions`` of one image, in grams."""
    if len(entries) > 1:
        raise InputError(
            f"a Hugging Face card states one figure and the table has {len(entries)} rows: give --row NUMBER"
        )
    first = entries[0]
    if at is None or first.footprint is None:
        raise InputError(
            "a Hugging Face card states carbon: give --region, and rows of gross energy with a time"
        )
    grams = first.footprint.carbon.amount.value
    return "\n".join(
        [
            "---",
            *(f"# Beware: {' '.join(told.split())}" for told in first.warnings),
            "co2_eq_emissions:",
            f"  emissions: {grams!r}  # g CO2e of one image",
            f"  source: {json.dumps(made_by + ', ' + first.obtained)}",
            '  training_type: "inference"',
            f"  geographical_location: {json.dumps(at.grid.region)}",
            f"  hardware_used: {json.dumps(first.cell('gpu'))}",
            "---",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def grams_per_image(answer: Footprint, bound: str) -> float:
    """What a budget is held against: the ``value``, ``low`` or ``high`` end of the carbon of an image [g]."""
    if bound not in ("value", "low", "high"):
        raise UnknownNameError("bound", bound, ("value", "low", "high"), "known: value, low, high")
    return float(getattr(answer.sci.amount, bound))
