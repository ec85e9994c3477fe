"""What was measured, and how predictions of it did, as text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from joulecast.report import amounts as quantity
from joulecast.report.estimate_text import table

if TYPE_CHECKING:
    from joulecast.forecast.preregistered import Checked
    from joulecast.law.hold_out import Score

INVENTED = "  Dry run: replayed numbers, not a measurement."
LEAST_PERCENT = 0.001  # narrower intervals are shown as within it
DRY_RUN = "dry run"  # how the source of runs on a replayed trace begins


def measured_text(result: Mapping[str, Any]) -> str:
    """A measured task: energy and time of one image with their intervals, idle, repeats, components."""
    spec, found, environment = result["spec"], result["content"], result["environment"]
    batch = spec["batch_size"]
    energy = found["energy_j"] / batch
    rows = [
        ["energy per image", quantity.energy(energy), quantity.energy_wh(energy), within(found, "energy")],
        [
            "time per image" if batch == 1 else f"time per batch of {batch}",
            quantity.duration(found["duration_s"]),
            "",
            within(found, "duration"),
        ],
        ["average power", quantity.power(found["energy_j"] / found["duration_s"]), "", ""],
    ]
    if found["idle_power_w"] is not None:
        rows.append(["idle power", quantity.power(found["idle_power_w"]), "", "before and after"])
    if found["dynamic_j"] is not None:
        rows.append(["dynamic energy", quantity.energy(found["dynamic_j"] / batch), "", "gross minus idle"])
    lines = [
        f"{describe(spec)} on {environment['gpu']}, weights: {environment['weights']}",
        "",
        *table(rows[0], rows[1:], right={1, 2}),
        "",
        f"  {steadiness(found)}; {environment['reading']}"
        + (f", driver {environment['driver']}" if environment["driver"] else ""),
    ]
    if found.get("components"):
        lines += ["", *_components(found, batch)]
    if found.get("steps"):
        lines += ["", *_steps(found, batch)]
    lines += [f"  Warning: {words}" for words in found["warnings"]]
    if not environment["is_real"]:
        lines += [INVENTED]
    return "\n".join(lines)


def steadiness(found: Mapping[str, Any]) -> str:
    """How the repeats spread and drift."""
    spread = found["spread"]
    if spread is None or not math.isfinite(spread):
        return "one repeat alone: its spread is unknown"
    return f"repeats differ by {100 * spread:.1f} % (standard deviation), drift {100 * found['drift']:+.1f} %"


def found_text(found: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """A result in one line: energy and time, spread, drift, idle power, and what is doubtful."""
    energy = quantity.energy(found["energy_j"] / spec["batch_size"])
    idle = found["idle_power_w"]
    parts = [
        " ".join(filter(None, [energy, "per image", within(found, "energy")])),
        quantity.duration(found["duration_s"]) + ("" if spec["batch_size"] == 1 else " a batch"),
        steadiness(found),
        "idle not measured" if idle is None else f"idle {quantity.power(idle)}",
        *found["warnings"],
    ]
    return "; ".join(parts)


def within(found: Mapping[str, Any], name: str) -> str:
    """The 95 % interval of ``energy`` or ``duration`` in a few words."""
    unit = "j" if name == "energy" else "s"
    width = found[f"{name}_half_width_{unit}"]
    if width is None or not math.isfinite(width):
        return ""
    percent = 100 * width / found[f"{name}_{unit}"]
    words = f"+-{percent:.2g}" if percent >= LEAST_PERCENT else f"within {LEAST_PERCENT:g}"
    return f"95 %: {words} %"


def _components(found: Mapping[str, Any], batch: int) -> list[str]:
    rows = [
        [
            part["name"],
            part["role"].replace("_", " "),
            str(part["calls"]),
            quantity.duration(part["duration_s"]) if part["is_resolved"] else "",
            quantity.energy(part["energy_j"] / batch) if part["is_resolved"] else "unresolved",
            quantity.share(part["energy_j"], found["energy_j"]) if part["is_resolved"] else "",
        ]
        for part in found["components"]
    ]
    return table(["measured alone", "role", "calls", "time", "energy", "of whole"], rows, right={2, 3, 4, 5})


def _steps(found: Mapping[str, Any], batch: int) -> list[str]:
    """Denoising steps that make the same calls in one row, with their mean time and energy of an image."""
    rows = []
    for calls, members in itertools.groupby(found["steps"], key=lambda step: step["calls"]):
        group = list(members)
        first, last = group[0]["step"], group[-1]["step"]
        times = [step["duration_s"] for step in group]
        longest = max(times) / (sum(times) / len(times)) - 1
        energy = group[0]["energy_j"]  # the same for all: each kind of call is measured once
        rows.append(
            [
                f"{first}" if first == last else f"{first} to {last}",
                " ".join(calls),
                quantity.duration(sum(times) / len(times)),
                f"+{100 * longest:.1f} %",
                "unresolved" if energy is None else quantity.energy(energy / batch),
            ]
        )
    lines = table(["denoising step", "calls", "time each", "longest", "energy each"], rows, right={2, 3, 4})
    return [*lines, f"  time rises evenly over the steps to {100 * found['steps_departure']:.1f} %"]


def describe(spec: Mapping[str, Any]) -> str:
    """A task in a few words."""
    passes = f" x {spec['passes']} passes" if spec["passes"] != 1 else ""
    batch = f", batch {spec['batch_size']}" if spec["batch_size"] != 1 else ""
    runtime = "" if spec["runtime"] == "eager" else f", {spec['runtime']}"
    weights = "" if spec.get("weights", "random") == "random" else f", weights {spec['weights']}"
    tf32 = "" if spec["tf32"] == "default" else f" (tf32 {spec['tf32']})"
    return (
        f"{spec['model']}: {spec['width']}x{spec['height']}, {spec['steps']} steps{passes}, "
        f"{spec['precision']}{tf32}{batch}{runtime}{weights}"
    )


def checked_text(found: Checked) -> str:
    """How predictions did, as a table: all runs together, then by model and precision."""
    header = ["in %", "runs", "energy median", "9 in 10", "worst", "bias", "held", "time median", "9 in 10"]
    rows = [
        [name, str(energy.runs), *_errors(energy, bias=True), *_errors(time, bias=False)]
        for name, energy, time in found.groups()
    ]
    lines = table(header, rows, right=set(range(1, 9)))
    lines += ["", f"  held: runs within the predicted 90 % interval; R2 of log E {found.energy.r2:.3f}, "
              f"Spearman {found.energy.spearman:.3f}"]  # fmt: skip
    counts = {
        "of another runtime than eager, which the law is not of": found.other_runtime,
        "predicted and not measured": found.unmeasured,
        "measured and not predicted": found.unpredicted,
    }
    lines += [f"  left out: {count} {words}" for words, count in counts.items() if count]
    if any(str(run.source).startswith(DRY_RUN) for run in found.runs):
        lines += ["  Dry run: the runs are invented; nothing follows from them."]
    return "\n".join(lines)


def _errors(score: Score, bias: bool) -> list[str]:
    cells = [f"{score.median:.1f}", f"{score.p90:.1f}"]
    return [*cells, f"{score.worst:.1f}", f"{score.bias:+.1f}", f"{score.coverage:.0f}"] if bias else cells
