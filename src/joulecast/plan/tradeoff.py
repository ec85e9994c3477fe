"""Trade-offs: what one change does to an image, and the settings of which none is better in everything.

A setting is what `joulecast.estimate` takes (model, gpu, size, steps, precision, batch_size, ...) and what
`joulecast.footprint.account.site` takes (region, intensity, pue, price_per_kwh, ...), in one mapping.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joulecast.errors import UnknownNameError
from joulecast.footprint.account import Footprint, footprint_of, site
from joulecast.forecast.estimate import estimate

MEASURES = ("energy_j", "seconds", "latency_s", "carbon_g", "cost")
_WORDS = {
    "energy_j": ("GPU energy", "J"),
    "seconds": ("GPU time", "s"),
    "latency_s": ("time of a batch", "s"),
    "carbon_g": ("carbon", "g CO2e"),
    "cost": ("cost", ""),
}
_ESTIMATE = tuple(name for name in inspect.signature(estimate).parameters)
_SITE = tuple(name for name in inspect.signature(site).parameters)


@dataclass(frozen=True)
class Outcome:
    """What an image costs under a setting, by measure; carbon and cost only where the setting has a place."""

    setting: Mapping[str, Any]
    measures: Mapping[str, float]


def outcome(setting: Mapping[str, Any]) -> Outcome:
    """GPU energy [J], GPU time [s], carbon [g] and cost of an image, and time of a batch [s].

    Raises UnknownNameError for a key that is no setting, and what `estimate` and `site` raise.
    """
    unknown = [key for key in setting if key not in (*_ESTIMATE, *_SITE)]
    if unknown:
        raise UnknownNameError("setting", unknown[0], (*_ESTIMATE, *_SITE))
    guess = estimate(**{key: value for key, value in setting.items() if key in _ESTIMATE})
    batch = int(guess.workload["batch_size"])
    measures = {
        "energy_j": guess.energy_j,
        "seconds": guess.duration_s / batch,
        "latency_s": guess.duration_s,
    }
    if "region" in setting or "intensity" in setting:
        at = site(**{key: value for key, value in setting.items() if key in _SITE})
        found: Footprint = footprint_of(guess, at)
        measures["carbon_g"] = found.carbon.amount.value
        if found.money is not None:
            measures["cost"] = found.money.amount.value
    return Outcome(dict(setting), measures)


def what_if(setting: Mapping[str, Any], change: Mapping[str, Any]) -> str:
    """One change in words: from what to what each measure goes, and by how much."""
    before, after = outcome(setting), outcome({**setting, **change})
    changed = ", ".join(
        f"{key} {setting.get(key, 'as the model has it')} to {value}" for key, value in change.items()
    )
    told = []
    for name in MEASURES:
        old, new = before.measures.get(name), after.measures.get(name)
        if old is None or new is None or name == "seconds":
            continue
        words, unit = _WORDS[name]
        told.append(f"{words} {_change(old, new)} ({old:.3g} to {new:.3g} {unit}".rstrip() + ")")
    return f"{changed}: {'; '.join(told)}."


def front(
    settings: Sequence[Mapping[str, Any]], by: Sequence[str] = ("energy_j", "latency_s")
) -> tuple[Outcome, ...]:
    """The outcomes of which no other is as good in every measure of `by` and better in one, best first."""
    for name in by:
        if name not in MEASURES:
            raise UnknownNameError("measure", name, MEASURES, f"known: {', '.join(MEASURES)}")
    outcomes = [outcome(setting) for setting in settings]
    for name in by:
        if any(name not in found.measures for found in outcomes):
            raise UnknownNameError(
                "measure of these settings", name, (), "carbon needs a region, cost a price"
            )
    points = [tuple(found.measures[name] for name in by) for found in outcomes]
    kept = [
        found
        for i, found in enumerate(outcomes)
        if not any(_is_better(other, points[i]) for other in points) and points[i] not in points[:i]
    ]
    return tuple(sorted(kept, key=lambda found: tuple(found.measures[name] for name in by)))


def table_text(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as a table: the settings that differ, then the measures."""
    keys = [key for key in dict.fromkeys(k for o in outcomes for k in o.setting)
            if len({str(o.setting.get(key)) for o in outcomes}) > 1]  # fmt: skip
    names = [name for name in MEASURES if any(name in o.measures for o in outcomes)]
    rows = [[*keys, *names]]
    for found in outcomes:
        cells = [str(found.setting.get(key, "")) for key in keys]
        rows.append([*cells, *(f"{found.measures[n]:.3g}" if n in found.measures else "" for n in names)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def _is_better(other: tuple[float, ...], point: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(other, point, strict=True)) and other != point


def _change(old: float, new: float) -> str:
    if new >= 2 * old:
        return f"{new / old:.1f} times as much"
    share = 100 * (new - old) / old
    return "stays" if abs(share) < 0.5 else f"{'falls' if share < 0 else 'rises'} by {abs(share):.0f} %"
