"""What to publish beside a model or a service: energy and carbon of an image, and how they were had."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from joulecast.compute.output import CLIP, IMAGE, said_of, together
from joulecast.errors import InputError, UnknownNameError
from joulecast.files.columns import is_missing
from joulecast.files.json_rows import json_cell
from joulecast.files.plain import Json, json_text
from joulecast.footprint.account import Footprint, Site
from joulecast.footprint.tables.row import (
    GPU_COUNT,
    SOURCE,
    WHOLE,
    Row,
    frames_of,
    output_of,
    positive,
    row_footprint,
    size_of,
    words,
)
from joulecast.forecast.predictor import (
    CLIP_S,
    OF_CLIPS,
    PER_SECOND,
    PER_SECOND_HIGH,
    PER_SECOND_LOW,
    RENDERED_FRAMES,
)
from joulecast.report import amounts
from joulecast.report.forms.filling import FORMS
from joulecast.report.forms.impact import SCI_BOUNDARY, SECOND_OF_VIDEO, sci_of
from joulecast.report.markdown import escaped, table_row
from joulecast.report.merged import merged
from joulecast.report.origin import additions_of_row, origin_of, row_warnings, runtime_of_row
from joulecast.uncertainty import Interval
from joulecast.units import JOULES_PER_WATT_HOUR, counted

FORMATS = ("markdown", "json", "huggingface")
MADE_BY = "joulecast"
_SETTINGS = (
    "model", "control", "lora", "lora_rank", "lora_fused", "gpu", "width", "height", "steps", "strength",
    "passes", "precision", "batch_size", "frames", "fps", "engine", "compile", "quantization", "cache",
    "offload", GPU_COUNT, "parallel", "power_limit_w",
)  # fmt: skip
_BOUNDARY = {
    "gross": "gross GPU energy: all that the board drew, idle power included",
    "dynamic": "dynamic GPU energy: idle power subtracted",
}


@dataclass(frozen=True)
class Entry:
    """A row of a card.

    `output` is what its amounts are of; `footprint` is that of one, None without a site and where it cannot
    be. `assumed` says what a prediction took by default.
    """

    settings: dict[str, Json]  # the cells of _SETTINGS that are not empty
    output: str
    energy_j: float
    energy_low_j: float | None
    energy_high_j: float | None
    rendered_frames: int | None
    clip_s: float | None
    energy_per_second_of_video_j: float | None
    energy_per_second_of_video_low_j: float | None
    energy_per_second_of_video_high_j: float | None
    boundary: str
    duration_s: float | None
    obtained: str
    software: str | None
    source: str | None
    assumed: str | None
    runtime: str
    warnings: tuple[str, ...]
    footprint: Footprint | None

    @property
    def sci_per_second_of_video_g(self) -> Interval | None:
        """Carbon of a second of video [g CO2e], hardware included; None without a site or a length."""
        return None if self.footprint is None else sci_of(self.footprint, self.clip_s).get(SECOND_OF_VIDEO)

    def cell(self, name: str) -> str:
        """A setting as text; empty where the row does not state it."""
        return str(self.settings.get(name, ""))

    def to_dict(self, with_footprint: bool) -> dict[str, object]:
        """The same as one JSON object."""
        stated = {f.name: getattr(self, f.name) for f in fields(self)[1:-1]}
        if self.output == IMAGE:
            stated = {name: value for name, value in stated.items() if name not in OF_CLIPS}
        if not with_footprint:
            return {**self.settings, **stated}
        second = self.sci_per_second_of_video_g
        return {
            **self.settings,
            **stated,
            "footprint": self.footprint and self.footprint.to_dict(),
            **({} if self.output == IMAGE else {"sci_g_per_second_of_video": second and second.ends()}),
            "sci_boundary": SCI_BOUNDARY,
        }


def card(rows: Sequence[Row], form: str, at: Site | None = None, made_by: str = MADE_BY) -> str:
    """A card of measured runs or predictions, a row each; carbon where a site is given.

    Raises UnknownNameError for another form, InputError when no row has an energy.
    """
    if form not in FORMATS:
        known = (*FORMATS, *FORMS)
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
    footprint = row_footprint(row, at, 1) if at and is_whole and duration is not None else None
    output = output_of(row)
    return Entry(
        output=output,
        settings=_settings(row),
        energy_j=positive(row, "energy_j"),
        energy_low_j=_number(row, "energy_low_j"),
        energy_high_j=_number(row, "energy_high_j"),
        rendered_frames=None if is_missing(row.get(RENDERED_FRAMES)) else frames_of(row),
        clip_s=_number(row, CLIP_S),
        energy_per_second_of_video_j=_number(row, PER_SECOND),
        energy_per_second_of_video_low_j=_number(row, PER_SECOND_LOW),
        energy_per_second_of_video_high_j=_number(row, PER_SECOND_HIGH),
        boundary=boundary,
        duration_s=duration,
        obtained=origin_of(row).words,
        software=words(row, "software"),
        source=words(row, "source"),
        assumed=words(row, "assumed"),
        runtime=runtime_of_row(row),
        warnings=tuple(row_warnings([row])),
        footprint=footprint and replace(footprint, output=output),
    )


def _settings(row: Row) -> dict[str, Json]:
    """The cells of _SETTINGS that are not empty; the size also where it was assumed."""
    size = size_of(row)
    cells = row if size is None else {**row, "width": size[0], "height": size[1]}
    return {name: json_cell(cells[name]) for name in _SETTINGS if not is_missing(cells.get(name))}


def _number(row: Row, name: str) -> float | None:
    return None if is_missing(row.get(name)) else positive(row, name)


def _markdown(entries: Sequence[Entry], at: Site | None, made_by: str) -> str:
    output = together(entry.output for entry in entries)
    by_second = any(entry.energy_per_second_of_video_j for entry in entries)
    has_runtime = any(entry.runtime for entry in entries)
    head = ["model", "GPU", *(["runtime"] if has_runtime else []), "size", "steps", "precision", "batch"]
    head += [said_of(output, "Wh per image"), "range"]
    head += ["Wh per second of video", "range"] if by_second else []
    head += ["obtained", *([said_of(output, "g CO2e per image"), "range"] if at else [])]
    with_seconds = any(entry.sci_per_second_of_video_g for entry in entries)
    head += ["g CO2e per second of video", "range"] if with_seconds else []
    title = f"## {said_of(output, 'Energy of an image')}"
    lines = [title, "", table_row(head), table_row(["---"] * len(head))]
    lines += [
        table_row(_cells(entry, has_runtime, by_second, at is not None, with_seconds)) for entry in entries
    ]
    boundaries = dict.fromkeys(entry.boundary for entry in entries)
    doubts = dict.fromkeys(told for entry in entries for told in entry.warnings)
    assumed = dict.fromkeys(
        f"{escaped(entry.cell('model') or 'a row')}: {escaped(entry.assumed)}"
        for entry in entries
        if entry.assumed
    )
    lines += ["", *(f"- Beware: {escaped(told)}." for told in merged(doubts))]
    lines += [f"- As it was understood, {told}." for told in assumed]
    lines += [f"- {_BOUNDARY.get(name, name)}." for name in boundaries]
    if at is not None:
        lines += [
            f"- Carbon: {at.grid.accounting}, {escaped(at.grid.source)} ({at.grid.boundary}), embodied "
            "carbon included; ranges are the widest that the factors allow.",
            f"- That carbon is the Software Carbon Intensity (SCI); it counts {SCI_BOUNDARY}.",
            *(f"- {escaped(told)}." for told in _factors(entries)),
            *(f"- Beware: {escaped(told)}." for told in _of_footprints(entries, at)),
        ]
    lines.append(f"- Made by {made_by}.")
    return "\n".join(lines)


def _of_footprints(entries: Sequence[Entry], at: Site) -> list[str]:
    """What the grid and the footprints warn of, each once."""
    of_rows = (told for entry in entries if entry.footprint for told in entry.footprint.warnings)
    return list(dict.fromkeys([*at.grid.warnings, *of_rows]))


def _model(entry: Entry) -> str:
    """The model, and the control and adapters beside it."""
    return ", ".join(filter(None, [entry.cell("model"), *additions_of_row(entry.settings)]))


def _size(entry: Entry) -> str:
    """The size, and the frames of a clip, as far as they are known."""
    sides = [entry.cell(name) for name in ("width", "height")]
    frames = entry.rendered_frames or entry.cell("frames")
    told = [
        "x".join(sides) if all(sides) else "",
        counted(frames, "frame") if frames and entry.output == CLIP else "",
    ]
    return ", ".join(filter(None, told))


def _steps(entry: Entry) -> str:
    """The steps that were asked for, and the strength at which a share of them is made."""
    strength = entry.cell("strength")
    return entry.cell("steps") + (f" at strength {strength}" if strength else "")


def _cells(
    entry: Entry, has_runtime: bool, by_second: bool, with_carbon: bool, with_seconds: bool
) -> list[str]:
    cells = [_model(entry), entry.cell("gpu"), *([entry.runtime] if has_runtime else []), _size(entry)]
    cells += [_steps(entry), entry.cell("precision"), entry.cell("batch_size")]
    cells += _watt_hours(entry.energy_low_j, entry.energy_j, entry.energy_high_j)
    if by_second:
        cells += _watt_hours(
            entry.energy_per_second_of_video_low_j,
            entry.energy_per_second_of_video_j,
            entry.energy_per_second_of_video_high_j,
        )
    cells += [entry.obtained]
    if with_carbon:
        cells += _grams(None if entry.footprint is None else entry.footprint.carbon.amount)
    if with_seconds:
        cells += _grams(entry.sci_per_second_of_video_g)
    return [escaped(cell) for cell in cells]


def _grams(carbon: Interval | None) -> list[str]:
    """A mass of carbon [g] and its range; empty where they are not known."""
    if carbon is None:
        return ["", ""]
    return [amounts.number(carbon.value), amounts.spread(carbon) if math.isfinite(carbon.high) else ""]


def _watt_hours(low_j: float | None, energy_j: float | None, high_j: float | None) -> list[str]:
    """An energy [J] in Wh and its range; empty where they are not known."""
    if energy_j is None:
        return ["", ""]
    told = amounts.number(energy_j / JOULES_PER_WATT_HOUR)
    if not low_j or not high_j:
        return [told, ""]
    return [told, amounts.spread(Interval(low_j, energy_j, high_j) / JOULES_PER_WATT_HOUR)]


def _factors(entries: Sequence[Entry]) -> list[str]:
    """Every factor with its range and source; where rows differ in it, with the GPUs that it is of."""
    told: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        factors = entry.footprint.factors() if entry.footprint else {}
        for name, (amount, source) in factors.items():
            if source == SOURCE:
                continue
            gpus = told.setdefault(name, {}).setdefault(
                f"{amounts.ranged(amount.amount, amount.unit)}: {source}", []
            )
            gpus += [gpu for gpu in (entry.cell("gpu") or "any GPU",) if gpu not in gpus]
    return [
        f"{name} of {', '.join(gpus)} {how}" if len(found) > 1 else f"{name} {how}"
        for name, found in told.items()
        for how, gpus in found.items()
    ]


def _huggingface(entries: Sequence[Entry], at: Site | None, made_by: str) -> str:
    """The model card's metadata block: ``co2_eq_emissions`` of one image or clip, in grams."""
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
            f"  emissions: {grams!r}  # g CO2e of one {first.output}",
            f"  source: {json.dumps(made_by + ', ' + first.obtained)}",
            '  training_type: "inference"',
            f"  geographical_location: {json.dumps(at.grid.region)}",
            f"  hardware_used: {json.dumps(first.cell('gpu'))}",
            "---",
        ]
    )


def grams_per_image(answer: Footprint, bound: str) -> float:
    """What a budget is held against: the ``value``, ``low`` or ``high`` end of the carbon of an image [g]."""
    if bound not in ("value", "low", "high"):
        raise UnknownNameError("bound", bound, ("value", "low", "high"), "known: value, low, high")
    return float(getattr(answer.sci.amount, bound))
