"""What was measured, and how predictions of it did, as text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from joulecast.compute.output import said_of
from joulecast.report import amounts as quantity
from joulecast.report.estimate_text import time_label
from joulecast.report.lines import aligned, table
from joulecast.units import counted

if TYPE_CHECKING:
    from joulecast.forecast.preregistered import Checked
    from joulecast.law.scores import Score
    from joulecast.measure.records import StepResult, TaskResult, TaskSpec
    from joulecast.measure.rows import StoredResult

INVENTED = "  Dry run: replayed numbers, not a measurement."
LEAST_PERCENT = 0.001  # narrower intervals are shown as within it


def measured_text(measured: StoredResult) -> str:
    """A measured task: energy and time of one image with their intervals, idle, repeats, components."""
    spec, result, environment = measured.spec, measured.result, measured.environment
    rows = _amounts(result, spec)
    lines = [
        f"{describe(spec)} on {environment.gpu}, weights: {environment.software.weights}",
        "",
        *aligned(rows, right={1, 2}),
        "",
        f"  {steadiness(result.spread, result.drift)}; {environment.reading}"
        + (f", driver {environment.driver}" if environment.driver else ""),
    ]
    if result.components:
        lines += ["", *_components(result, spec.batch_size)]
    if result.steps:
        lines += ["", *_steps(result.steps, result.steps_departure, spec.batch_size)]
    lines += [f"  Warning: {words}" for words in result.warnings]
    if not environment.is_real:
        lines += [INVENTED]
    return "\n".join(lines)


def output_of(spec: TaskSpec) -> str:
    """What a task makes."""
    from joulecast.question.models import load_profile

    return load_profile(spec.model).output


def _amounts(result: TaskResult, spec: TaskSpec) -> list[list[str]]:
    """Energy, time and power, each with what makes it sure."""
    output, batch = output_of(spec), spec.batch_size
    energy = result.energy_j / batch
    energy_interval = within(result.energy_j, result.energy_half_width_j)
    rows = [
        [
            said_of(output, "energy per image"),
            quantity.energy(energy),
            quantity.energy_wh(energy),
            energy_interval,
        ],
        [
            time_label(output, batch),
            quantity.duration(result.duration_s),
            "",
            within(result.duration_s, result.duration_half_width_s),
        ],
        ["average power", quantity.power(result.energy_j / result.duration_s), "", ""],
    ]
    if result.idle_power_w is not None:
        rows.append(["idle power", quantity.power(result.idle_power_w), "", "before and after"])
    if result.dynamic_j is not None:
        rows.append(["dynamic energy", quantity.energy(result.dynamic_j / batch), "", "gross minus idle"])
    return rows


def steadiness(spread: float | None, drift: float) -> str:
    """How the repeats spread and drift."""
    if spread is None:
        return "one repeat alone: its spread is unknown"
    return f"repeats differ by {100 * spread:.1f} % (standard deviation), drift {100 * drift:+.1f} %"


def found_text(result: TaskResult, spec: TaskSpec) -> str:
    """A result in one line: energy and time, spread, drift, idle power, and what is doubtful."""
    batch = spec.batch_size
    energy, interval = (
        quantity.energy(result.energy_j / batch),
        within(result.energy_j, result.energy_half_width_j),
    )
    idle = result.idle_power_w
    parts = [
        f"{energy} per {output_of(spec)}" + (f" ({interval})" if interval else ""),
        quantity.duration(result.duration_s) + ("" if batch == 1 else " a batch"),
        steadiness(result.spread, result.drift),
        "idle not measured" if idle is None else f"idle {quantity.power(idle)}",
        *result.warnings,
    ]
    return "; ".join(parts)


def within(value: float, half_width: float | None) -> str:
    """A 95 % interval in a few words; none where it is not known."""
    if half_width is None:
        return ""
    percent = 100 * half_width / value
    words = f"+-{percent:.2g}" if percent >= LEAST_PERCENT else f"within {LEAST_PERCENT:g}"
    return f"95 %: {words} %"


def _components(result: TaskResult, batch: int) -> list[str]:
    rows = []
    for part in result.components:
        cells = ["", "unresolved", ""]
        if part.measured is not None:
            energy = part.measured.energy_j
            share = quantity.share(energy, result.energy_j)
            cells = [quantity.duration(part.measured.duration_s), quantity.energy(energy / batch), share]
        rows.append([part.name, part.role.replace("_", " "), str(part.calls), *cells])
    return table(["measured alone", "role", "calls", "time", "energy", "of whole"], rows, right={2, 3, 4, 5})


def _steps(steps: Sequence[StepResult], departure: float | None, batch: int) -> list[str]:
    """Denoising steps that make the same calls in one row, with their mean time and energy of an image."""
    rows = []
    for calls, members in itertools.groupby(steps, key=lambda step: step.calls):
        group = list(members)
        first, last = group[0].step, group[-1].step
        times = [step.duration_s for step in group]
        longest = max(times) / (sum(times) / len(times)) - 1
        energy = group[0].energy_j  # the same for all: each kind of call is measured once
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
    if departure is None:
        return lines
    return [*lines, f"  time rises evenly over the steps to {100 * departure:.1f} %"]


def describe(spec: TaskSpec) -> str:
    """A task in a few words."""
    passes = f" x {spec.passes} passes" if spec.passes != 1 else ""
    batch = f", batch {spec.batch_size}" if spec.batch_size != 1 else ""
    negative = ", negative prompt" if spec.negative_prompt else ""
    frames = "" if spec.frames == 1 else f", {counted(spec.frames, 'frame')}"
    runtime = "" if spec.runtime == "eager" else f", {spec.runtime}"
    weights = "" if spec.weights == "random" else f", weights {spec.weights}"
    tf32 = "" if spec.tf32 == "default" else f" (tf32 {spec.tf32})"
    return (
        f"{spec.model}: {spec.width}x{spec.height}{frames}, {counted(spec.steps, 'step')}{passes}{negative}, "
        f"{spec.precision}{tf32}{batch}{runtime}{weights}"
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
        "of another runtime than was predicted, or of a TF32 setting that no law is of": found.other_runtime,
        "predicted and not measured": found.unmeasured,
        "measured and not predicted": found.unpredicted,
    }
    lines += [f"  left out: {count} {words}" for words, count in counts.items() if count]
    if any(run.is_invented for run in found.runs):
        lines += ["  Dry run: the runs are invented; nothing follows from them."]
    return "\n".join(lines)


def _errors(score: Score, bias: bool) -> list[str]:
    cells = [f"{score.median:.1f}", f"{score.p90:.1f}"]
    return [*cells, f"{score.worst:.1f}", f"{score.bias:+.1f}", f"{score.coverage:.0f}"] if bias else cells
