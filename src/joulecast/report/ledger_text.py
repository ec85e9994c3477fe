"""A ledger in words: its headline, its totals, what is in no sum, and how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from joulecast.compute.output import CLIP, IMAGE
from joulecast.ledger.accounting import UNTIMED
from joulecast.ledger.footprints import FAILED
from joulecast.ledger.idle import Idle
from joulecast.ledger.make import Ledger
from joulecast.ledger.partition import BEGIN, END, FIRST, GPU, MODEL, OUTPUT, REASON, REQUESTS, RUNTIME
from joulecast.ledger.totals import Drift, Total, drifts, grouped, total
from joulecast.report.amounts import energy_unit, energy_wh, number, ranged, share, suited
from joulecast.report.lines import heading, paragraph, table
from joulecast.uncertainty import Interval
from joulecast.units import (
    SECONDS_PER_HOUR,
    counted,
)

if TYPE_CHECKING:
    import polars as pl

MOST_LINES: Final = 12  # of a table on a terminal
GROUPS: Final = (MODEL, GPU, RUNTIME)
NOT_KNOWN: Final = "not known"
DRIFTS: Final = (
    MODEL, GPU, RUNTIME, "requests", "measured_j", "predicted_j", "predicted_low_j", "predicted_high_j",
    "ratio", "is_outside",
)  # fmt: skip
HEADER: Final = ("GPU energy", "90 % range", "GPU-hours", "requests", "made")
CARBON: Final = "carbon_g"
_CARBON_ENDS: Final = (CARBON, "carbon_low_g", "carbon_high_g")
SHARED: Final = (
    "Requests of one model, GPU and runtime share the law's whole error, so their number does not narrow the "
    "range; between models, GPUs and runtimes it is shared as far as held-out runs share it"
)
CARBON_SHARED: Final = "The ends of carbon's ranges add up: grids and overheads are off together"


def headline(ledger: Ledger) -> str:
    """What a reader takes away, in a sentence fit for a report."""
    whole = total(ledger.cells, ledger.law.name)
    if not whole.requests:
        return f"No request of {ledger.requests:,} could be reckoned with"
    range_of = "" if whole.is_measured else "90 % range "
    told = (
        f"{_period(ledger.cells)}{_counted(whole.requests, 'request')} made {made(ledger.cells)} with "
        f"{_kwh(whole.energy_j)} of GPU energy ({range_of}{_ends(whole)}) in "
        f"{ranged(_in_hours(whole.gpu_s), 'GPU-hours')}"
    )
    carbon, ends = _carbon_words(ledger.cells)
    return f"{told}: {carbon} CO2e ({ends})" if ends else told


def text(ledger: Ledger) -> str:
    """What the command prints."""
    lines = [*heading(f"{headline(ledger)}."), ""]
    if ledger.cells.height:
        for by in dict.fromkeys((ledger.by, GROUPS)):
            if by:
                lines += [*_table(ledger, by), ""]
    for label, words in notes(ledger):
        lines += paragraph(label, words)
    return "\n".join(lines).rstrip()


def notes(ledger: Ledger) -> list[tuple[str, str]]:
    """What is in no sum, what was assumed, how measured energies compare, and how sure the total is."""
    found = _of_what(ledger)
    if ledger.aside:
        first = ledger.set_aside.row(0, named=True)
        found.append((
            "Set aside",
            f"{_counted(ledger.aside, 'request')} of {ledger.requests:,} "
            f"({share(ledger.aside, ledger.requests)}), in no sum above; most often ({first[REQUESTS]:,}): "
            f"{first[REASON]} (first in {first['file']}, row {first[FIRST]:,})",
        ))  # fmt: skip
    if ledger.others:
        found.append(("No requests", f"{_counted(ledger.others, 'row')} of the log, as the map says"))
    for key, count in ledger.filled.items():
        if count:
            found.append(("Given for all", f"{key} of {_counted(count, 'request')}"))
    for label, told in (("Assumed", ledger.assumed), ("Doubted", ledger.warned)):
        if told:
            words, count = next(iter(told.items()))
            others = f"; {len(told) - 1:,} more in manifest.json" if len(told) > 1 else ""
            found.append((label, f"most often ({_counted(count, 'request')}): {words}{others}"))
    whole = total(ledger.cells, ledger.law.name) if ledger.cells.height else None
    if whole is not None and whole.requests:
        found += _of_running(whole)
        found += [("Drift", _drift_words(one)) for one in drifts(ledger.cells) if one.is_outside]
        found += _without_carbon(ledger.cells)
        found += _intensities(ledger.cells)
        found += [("Idle", words) for words in _idle_words(ledger)]
        found += [("Range", words) for words in _range_words(ledger, whole)]
    return found


def _of_what(ledger: Ledger) -> list[tuple[str, str]]:
    """What the energy is of, and what predicted it."""
    if not ledger.cells.height:
        return []
    law = ledger.law.describe()
    return [(
        "Counts",
        "gross energy of GPU boards, the time in which they waited for other requests and the rest of the "
        f"node not included; predicted by the law {law.name}, fitted on {law.fitted_on.runs:,} runs, but "
        "where a meter told it (docs/ledger.md has the rule)",
    )]  # fmt: skip


def _range_words(ledger: Ledger, whole: Total) -> list[str]:
    """How surely totals are known, of those that are not all measured."""
    shared = [] if whole.is_measured else [SHARED]
    return [*shared, *([] if carbon_of(ledger.cells) is None else [CARBON_SHARED])]


def made(cells: pl.DataFrame) -> str:
    """How many images and clips, and how long these are played."""
    told = []
    for output, name in ((IMAGE, "image"), (CLIP, "clip")):
        part = cells.filter(cells[OUTPUT] == output)
        count, video_s = float(part["outputs"].sum()), float(part["video_s"].sum())
        if count:
            told.append(f"{count:,.0f} {name}{'' if count == 1 else 's'}")
        if output == CLIP and count:
            told[-1] += f" ({_seconds(video_s, int(part[UNTIMED].sum()))})"
    return " and ".join(told)


def _seconds(video_s: float, untimed: int) -> str:
    """How long clips are played, of so many requests of which nobody knows it."""
    if not video_s:
        return "of no known frame rate"
    more = f", and more of {_counted(untimed, 'request')} without a frame rate" if untimed else ""
    return f"{number(video_s)} s of video{more}"


def carbon_of(cells: pl.DataFrame) -> Interval | None:
    """Operational and embodied carbon of cells [g CO2e], their ends added up; None without a footprint."""
    if CARBON not in cells.columns or cells[CARBON].null_count() == cells.height:
        return None
    return Interval(*(float(cells[name].sum()) for name in ("carbon_low_g", CARBON, "carbon_high_g")))


def row_of(key: Sequence[object], of: Total, cells: pl.DataFrame, has_carbon: bool) -> list[str]:
    """A line of a table of totals."""
    told = [NOT_KNOWN if part is None else str(part) for part in key]
    told += [_kwh(of.energy_j), _ends(of), number(of.gpu_s.value / SECONDS_PER_HOUR)]
    told += [f"{of.requests:,}", made(cells)]
    return [*told, *_carbon_words(cells)] if has_carbon else told


def header_of(by: Sequence[str], has_carbon: bool) -> list[str]:
    """The header of such a table."""
    return [*by, *HEADER, *(["CO2e", "range"] if has_carbon else [])]


def numbers_of(by: Sequence[str], header: Sequence[str]) -> set[int]:
    """Its columns that are numbers: all but what is grouped by and what was made."""
    return set(range(len(by), len(header))) - {header.index("made")}


def rows_by(ledger: Ledger, by: Sequence[str]) -> list[list[str]]:
    """A line for each combination of what is grouped by."""
    parts = ledger.cells.sort(by, nulls_last=True).partition_by(list(by), as_dict=True, maintain_order=True)
    has_carbon = carbon_of(ledger.cells) is not None
    return [row_of(key, of, parts[key], has_carbon) for key, of in grouped(ledger.cells, by, ledger.law.name)]


def records_by(ledger: Ledger, by: Sequence[str]) -> list[dict[str, object]]:
    """The same in numbers, in our units, with carbon where any is known."""
    parts = ledger.cells.sort(by, nulls_last=True).partition_by(list(by), as_dict=True, maintain_order=True)
    has_carbon = carbon_of(ledger.cells) is not None
    found: list[dict[str, object]] = []
    for key, of in grouped(ledger.cells, by, ledger.law.name):
        carbon = carbon_record(parts[key]) if has_carbon else {}
        found.append({**dict(zip(by, key, strict=True)), **record(of), **carbon})
    return found


def carbon_record(cells: pl.DataFrame) -> dict[str, object]:
    """Carbon of cells in numbers [g CO2e], and of how many requests it is: None where it is not known of any,
    and its upper end also where it is not of some."""
    carbon = carbon_of(cells)
    ends = (None,) * 3 if carbon is None else (carbon.value, carbon.low, carbon.high)
    known = dict(zip(_CARBON_ENDS, ends, strict=True))
    if _lacks_carbon(cells):
        known[_CARBON_ENDS[-1]] = None
    of = 0 if carbon is None else int(cells.filter(cells[CARBON].is_not_null())[REQUESTS].sum())
    return {**known, "carbon_requests": of}


def record(of: Total) -> dict[str, object]:
    """A total in numbers: J, s."""
    return {
        "requests": of.requests,
        "outputs": of.outputs,
        "video_s": None if of.untimed else of.video_s,
        "untimed": of.untimed,
        "energy_j": of.energy_j.value,
        "energy_low_j": of.energy_j.low,
        "energy_high_j": of.energy_j.high,
        "gpu_s": of.gpu_s.value,
        "gpu_s_low": of.gpu_s.low,
        "gpu_s_high": of.gpu_s.high,
        "by_time": of.by_time,
        "by_latency": of.by_latency,
        "by_meter": of.by_meter,
    }


def drift_record(one: Drift) -> dict[str, object]:
    """A drift in numbers: J, and the ratio of measured to predicted."""
    return {
        MODEL: one.model,
        GPU: one.gpu,
        RUNTIME: one.runtime,
        "requests": one.requests,
        "measured_j": one.measured_j,
        "predicted_j": one.said_j.value,
        "predicted_low_j": one.said_j.low,
        "predicted_high_j": one.said_j.high,
        "ratio": one.ratio,
        "is_outside": one.is_outside,
    }


def _table(ledger: Ledger, by: Sequence[str]) -> list[str]:
    header = header_of(by, carbon_of(ledger.cells) is not None)
    rows = rows_by(ledger, by)
    lines = table(header, rows[:MOST_LINES], numbers_of(by, header))
    if len(rows) > MOST_LINES:
        lines.append(f"  ... and {len(rows) - MOST_LINES:,} more: see totals.csv")
    return lines


def _of_running(whole: Total) -> list[tuple[str, str]]:
    said = (
        (whole.by_meter, "with a measured energy"),
        (whole.by_time, "with the time of their execution, which corrects the predicted one"),
        (whole.by_latency, "that took less than predicted: energy is at most the power limit for that time"),
    )
    told = [f"{_counted(count, 'request')} {words}" for count, words in said if count]
    return [("Logged", "; ".join(told))] if told else []


def _drift_words(one: Drift) -> str:
    return (
        f"{one.model} on {one.gpu}, {one.runtime}: measured {one.ratio:.2f} of predicted in "
        f"{_counted(one.requests, 'request')}, outside of the range; `joulecast fit` learns from your runs"
    )


def _intensities(cells: pl.DataFrame) -> list[tuple[str, str]]:
    """Carbon of an image and of a second of video (SCI), each over what was made where carbon is known; of
    video where the seconds of all of it are."""
    if carbon_of(cells) is None:
        return []
    known = cells.filter(cells[CARBON].is_not_null())
    told = []
    for output, column, unit in ((IMAGE, "outputs", "image"), (CLIP, "video_s", "second of video")):
        part = known.filter(known[OUTPUT] == output)
        count, carbon = float(part[column].sum()), carbon_of(part) if part.height else None
        is_known = output == IMAGE or not part[UNTIMED].sum()
        if count and carbon is not None and is_known:
            each = Interval(carbon.low / count, carbon.value / count, carbon.high / count)
            told.append(f"{ranged(each, f'g CO2e per {unit}')}")
    return (
        [("SCI", "; ".join(told) + "; operational and embodied, node and facility included")] if told else []
    )


def _idle_words(ledger: Ledger) -> list[str]:
    """What each kind of GPU of the fleet did not do, and the GPUs that requests ran on beside it."""
    others = sorted(set(ledger.cells[GPU].to_list()) - {one.gpu for one in ledger.idle})
    beside = [f"requests also ran on {', '.join(others)}, of which the fleet says nothing"] if others else []
    return [*map(_idle_line, ledger.idle), *beside] if ledger.idle else []


def _idle_line(one: Idle) -> str:
    what = f"{one.count:,} x {one.gpu}"
    if one.is_overfull:
        return (
            f"{what} were there for {_hours(one.count * one.period_s)} GPU-hours, and requests took "
            f"{_hours(one.busy_s)}: the fleet, the log's times or its concurrency is not whole"
        )
    known = "" if one.is_known else ", a usual share of its power limit: nobody published it"
    return (
        f"{what} waited {_hours(one.idle_s)} of {_hours(one.count * one.period_s)} GPU-hours between the "
        f"first and the last request: {energy_wh(one.energy_j)} more, in no sum above "
        f"(at {number(one.idle_w)} W each{known})"
    )


def _without_carbon(cells: pl.DataFrame) -> list[tuple[str, str]]:
    if FAILED not in cells.columns:
        return []
    reasons: Counter[str] = Counter()
    for words, count in cells.filter(cells[FAILED] != "").select(FAILED, REQUESTS).iter_rows():
        reasons[words] += count
    if not reasons:
        return []
    ((words, most), *others) = reasons.most_common()
    often = f"most often ({most:,}): " if others else ""
    return [("Carbon", f"{_counted(reasons.total(), 'request')} without; {often}{words}")]


def _period(cells: pl.DataFrame) -> str:
    begin, end = cells[BEGIN].min(), cells[END].max()
    if not isinstance(begin, datetime) or not isinstance(end, datetime):
        return ""
    if f"{begin:%Y-%m-%d}" == f"{end:%Y-%m-%d}":
        return f"On {begin:%Y-%m-%d} (UTC), "
    return f"From {begin:%Y-%m-%d} to {end:%Y-%m-%d} (UTC), "


def _in_hours(seconds: Interval) -> Interval:
    return Interval(*(end / SECONDS_PER_HOUR for end in (seconds.low, seconds.value, seconds.high)))


def _hours(seconds: float) -> str:
    return number(seconds / SECONDS_PER_HOUR)


def _counted(count: int, noun: str) -> str:
    return counted(f"{count:,}", noun)


def _kwh(energy: Interval) -> str:
    return energy_wh(energy.value)


def _ends(of: Total) -> str:
    """The ends of a total's energy, which has none where every request was measured."""
    if of.is_measured:
        return "measured"
    energy = of.energy_j
    size, unit = energy_unit(energy.value)
    return f"{number(energy.low / size)} to {number(energy.high / size)} {unit}"


def _carbon_words(cells: pl.DataFrame) -> tuple[str, str]:
    """Carbon of cells, which is more where it is not known of some of them, and its ends; empty for none."""
    grams = carbon_of(cells)
    if grams is None:
        return NOT_KNOWN, ""
    size, unit = suited(grams.value, "g")
    value, low = f"{number(grams.value / size)} {unit}", number(grams.low / size)
    if _lacks_carbon(cells):
        return f"at least {value}", f"{low} {unit} and more"
    return value, f"{low} to {number(grams.high / size)} {unit}"


def _lacks_carbon(cells: pl.DataFrame) -> bool:
    """Whether the carbon of some cells is not known, where it is of any."""
    return CARBON in cells.columns and bool(cells[CARBON].null_count())


def facts(ledger: Ledger) -> Mapping[str, object]:
    """A ledger in numbers, for JSON."""
    whole = total(ledger.cells, ledger.law.name)
    carbon = {} if carbon_of(ledger.cells) is None else carbon_record(ledger.cells)
    return {
        "headline": headline(ledger),
        "total": {**record(whole), **carbon} if whole.requests else None,
        "rows": ledger.rows,
        "set_aside": ledger.aside,
        "no_requests": ledger.others,
        "law": ledger.law.name,
        "boundary": "gross",
        "by": records_by(ledger, ledger.by or GROUPS) if ledger.cells.height else [],
        "drift": [drift_record(one) for one in drifts(ledger.cells)],
        "idle": [
            {
                **{
                    name: getattr(one, name)
                    for name in ("gpu", "count", "period_s", "busy_s", "idle_s", "idle_w")
                },
                "idle_energy_j": one.energy_j,
            }
            for one in ledger.idle
        ],
        "notes": [{"about": label, "words": words} for label, words in notes(ledger)],
    }
