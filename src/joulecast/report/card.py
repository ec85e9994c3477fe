"""What to publish beside a model or a service: energy and carbon of an image, and how they were had."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from joulecast.errors import InputError, UnknownNameError
from joulecast.files.columns import is_missing
from joulecast.footprint.account import Footprint, Site
from joulecast.footprint.tables.row import SOURCE, WHOLE, Row, positive, row_footprint, words
from joulecast.report.origin import origin_of
from joulecast.units import JOULES_PER_WATT_HOUR

BOAMPS = "boamps"  # of one row: `boamps.boamps_report`
FORMATS = ("markdown", "json", "huggingface")
MADE_BY = "joulecast"
_SETTINGS = ("model", "gpu", "width", "height", "steps", "passes", "precision", "batch_size")
_BOUNDARY = {
    "gross": "gross GPU energy: all that the board drew, idle power included",
    "dynamic": "dynamic GPU energy: idle power subtracted",
}


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
        return json.dumps({"made_by": made_by, "entries": entries}, indent=2, allow_nan=False)
    if form == "huggingface":
        return _huggingface(entries, at, made_by)
    return _markdown(entries, at, made_by)


def with_energy(rows: Sequence[Row]) -> list[Row]:
    """The rows that a card can be made of: a run may state its time alone."""
    return [row for row in rows if not is_missing(row.get("energy_j"))]


def _entry(row: Row, at: Site | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        **{name: row[name] for name in _SETTINGS if not is_missing(row.get(name))},
        "energy_j": positive(row, "energy_j"),
        **{name: _number(row, name) for name in ("energy_low_j", "energy_high_j")},
        "boundary": words(row, "boundary") or "gross",
        "duration_s": _number(row, "duration_s"),
        "obtained": origin_of(row).words,
        "software": words(row, "software"),
        "source": words(row, "source"),
    }
    if at is not None:
        is_whole = entry["boundary"] == "gross" and (words(row, "scope") or WHOLE) == WHOLE
        can = is_whole and entry["duration_s"] is not None
        entry["footprint"] = row_footprint(row, at, 1).to_dict() if can else None
    return entry


def _number(row: Row, name: str) -> float | None:
    return None if is_missing(row.get(name)) else positive(row, name)


def _markdown(entries: Sequence[dict[str, Any]], at: Site | None, made_by: str) -> str:
    head = ["model", "GPU", "size", "steps", "precision", "batch", "Wh per image", "range", "obtained"]
    head += ["g CO2e per image", "range"] if at else []
    lines = ["## Energy of an image", "", _row(head), _row(["---"] * len(head))]
    lines += [_row(_cells(entry, at is not None)) for entry in entries]
    boundaries = dict.fromkeys(entry["boundary"] for entry in entries)
    lines += ["", *(f"- {_BOUNDARY.get(name, name)}." for name in boundaries)]
    if at is not None:
        lines += [
            f"- Carbon: {at.grid.accounting}, {_plain(at.grid.source)} ({at.grid.boundary}), embodied carbon "
            "included; ranges are the widest that the factors allow.",
            *(f"- {_plain(told)}." for told in _factors(entries)),
            *(f"- Beware: {_plain(told)}." for told in at.grid.warnings),
        ]
    lines.append(f"- Made by {made_by}.")
    return "\n".join(lines)


def _cells(entry: dict[str, Any], with_carbon: bool) -> list[str]:
    size = f"{entry.get('width', '?')}x{entry.get('height', '?')}"
    energy = entry["energy_j"] / JOULES_PER_WATT_HOUR
    low, high = entry["energy_low_j"], entry["energy_high_j"]
    spread = f"{low / JOULES_PER_WATT_HOUR:.3g} to {high / JOULES_PER_WATT_HOUR:.3g}" if low and high else ""
    cells = [entry.get(name, "") for name in ("model", "gpu")]
    cells += [size, *(entry.get(name, "") for name in ("steps", "precision", "batch_size"))]
    cells += [f"{energy:.3g}", spread, entry["obtained"]]
    if with_carbon:
        carbon = entry["footprint"]["carbon_g"] if entry["footprint"] else None
        known = carbon is not None and carbon["high"] is not None
        cells += [f"{carbon['value']:.3g}" if carbon else ""]
        cells += [f"{carbon['low']:.3g} to {carbon['high']:.3g}" if carbon and known else ""]
    return [_plain(str(cell)) for cell in cells]


def _plain(text: str) -> str:
    """Text of a table on one line, which begins neither a cell nor a tag of Markdown."""
    return " ".join(text.split()).replace("|", "/").replace("<", "&lt;")


def _factors(entries: Sequence[dict[str, Any]]) -> list[str]:
    """Every factor with its range and source; where rows differ in it, with the GPUs that it is of."""
    told: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        answer = entry["footprint"] or {"sources": {}}
        for name, source in answer["sources"].items():
            if source == SOURCE:
                continue
            words = f"{_factor(answer['factors'][name])}: {source}"
            gpus = told.setdefault(name, {}).setdefault(words, [])
            gpus += [gpu for gpu in (str(entry.get("gpu", "any GPU")),) if gpu not in gpus]
    lines = []
    for name, found in told.items():
        for words, gpus in found.items():
            lines.append(f"{name} of {', '.join(gpus)} {words}" if len(found) > 1 else f"{name} {words}")
    return lines


def _factor(amount: dict[str, Any]) -> str:
    """A factor's number, its unit (``1`` for none), and its range where it has one."""
    value, low, high = (amount[end] for end in ("value", "low", "high"))
    unit = "" if amount["unit"] == "1" else f" {amount['unit']}"
    return f"{value:.3g}{unit}" + ("" if low == high else f" ({low:.3g} to {high:.3g})")


def _huggingface(entries: Sequence[dict[str, Any]], at: Site | None, made_by: str) -> str:
    """The model card's metadata block: ``co2_eq_emissions`` of one image, in grams."""
    if len(entries) > 1:
        raise InputError(
            f"a Hugging Face card states one figure and the table has {len(entries)} rows: give --row NUMBER"
        )
    first = entries[0]
    if at is None or first.get("footprint") is None:
        raise InputError(
            "a Hugging Face card states carbon: give --region, and rows of gross energy with a time"
        )
    grams = first["footprint"]["carbon_g"]["value"]
    return "\n".join(
        [
            "---",
            "co2_eq_emissions:",
            f"  emissions: {grams!r}  # g CO2e of one image",
            f"  source: {json.dumps(made_by + ', ' + first['obtained'])}",
            '  training_type: "inference"',
            f"  geographical_location: {json.dumps(at.grid.region)}",
            f"  hardware_used: {json.dumps(first.get('gpu', ''))}",
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
