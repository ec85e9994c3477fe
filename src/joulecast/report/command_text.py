"""What a command drew, as text and as a table."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from joulecast.errors import as_name, visible
from joulecast.files.columns import Columns
from joulecast.measure.protocol import RESOLVED_TICKS
from joulecast.report import amounts as quantity
from joulecast.report.lines import aligned, paragraph
from joulecast.units import counted

if TYPE_CHECKING:
    from joulecast.measure.blocks import Block
    from joulecast.measure.command import CommandRun
    from joulecast.measure.meter import Device
    from joulecast.measure.protocol import Settings

MOST_SHOWN = 60  # characters of a command in a heading
COUNTS = (
    "all that the GPU board draws while the command runs, idle power included (gross); not the rest of the "
    "computer, nor cooling."
)


def command_text(run: CommandRun) -> str:
    """A command's energy, time, power and idle share; what was tracked in it, and what deserves doubt."""
    lines = [f"{_short(run.command)} on {_counted(_devices(run))}: exit status {run.status}", ""]
    lines += aligned(_amounts(run), right={1})
    if len(run.gpus) > 1:
        lines += ["", *_each_gpu(run)]
    if run.energy_j is not None:
        lines += ["", *paragraph("Counts", COUNTS)]
    for words in _tracked(run):
        lines += paragraph("Tracked", words)
    for words in dict.fromkeys(gpu.problem for gpu in run.gpus if gpu.problem):
        lines += paragraph("No energy", words)
    for words in warnings_of(run):
        lines += paragraph("Warning", words)
    return "\n".join(lines)


def planned_text(
    command: Sequence[str],
    devices: Sequence[Device],
    settings: Settings,
    out: str | None,
    doubts: Sequence[str] = (),
) -> str:
    """What measuring a command would do: which GPUs it reads and how, idle power, and what it writes."""
    lines = [f"{_short(command)} would be measured on {_counted(devices)}; nothing was started", ""]
    lines += aligned(
        [
            [name, f"{device.reading}, which moves every {device.tick_s:g} s"]
            for name, device in zip(_names(devices), devices, strict=True)
        ],
        right=set(),
    )
    lines += ["", *paragraph("Idle", _planned_idle(settings)), *paragraph("Counts", COUNTS)]
    least_s = RESOLVED_TICKS * max(device.tick_s for device in devices)
    lines += paragraph("Too short", f"a command that ends within {least_s:g} s has no energy")
    lines += paragraph("Writes", _planned_out(out))
    for words in doubts:
        lines += paragraph("Warning", words)
    return "\n".join(lines)


def _planned_idle(settings: Settings) -> str:
    if settings.idle_s <= 0:
        return "not measured, so there is no idle share and no dynamic energy"
    return (
        f"power is measured for {settings.idle_s:g} s before the command and {settings.idle_s:g} s after it, "
        f"each after a pause of {settings.settle_s:g} s"
    )


def _planned_out(out: str | None) -> str:
    told = "what was measured is told on standard error"
    if out is None:
        return f"no file; {told}"
    return f"{as_name(out)}{', in place of the file that is there' if Path(out).exists() else ''}; {told}"


def warnings_of(run: CommandRun) -> tuple[str, ...]:
    """What deserves doubt, of each GPU by its name where there are several."""
    several = len(run.gpus) > 1
    of_gpus = (
        f"{name}: {words}" if several else words
        for name, gpu in zip(_names(_devices(run)), run.gpus, strict=True)
        for words in gpu.warnings
    )
    return (*of_gpus, *run.warnings)


def columns_of(run: CommandRun) -> Columns:
    """A row for each GPU; numbers that are not known are nan, which is an empty cell."""
    gpus = run.gpus

    def words(values: list[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
        return np.array([visible(value) for value in values], dtype=object)

    def numbers(values: list[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([math.nan if value is None else value for value in values])

    power = [None if gpu.energy_j is None else gpu.energy_j / run.duration_s for gpu in gpus]
    return {
        "command": words([shlex.join(run.command)] * len(gpus)),
        "status": np.full(len(gpus), run.status),
        "gpu": words([gpu.device.gpu for gpu in gpus]),
        "gpu_uuid": words([gpu.device.uuid for gpu in gpus]),
        "boundary": words([run.boundary] * len(gpus)),
        "duration_s": numbers([run.duration_s] * len(gpus)),
        "energy_j": numbers([gpu.energy_j for gpu in gpus]),
        "energy_error_j": numbers([gpu.energy_error_j for gpu in gpus]),
        "power_w": numbers(power),
        "idle_power_w": numbers([gpu.idle_power_w for gpu in gpus]),
        "problem": words([gpu.problem for gpu in gpus]),
        "warning": words(["; ".join((*gpu.warnings, *run.warnings)) for gpu in gpus]),
    }


def _short(command: Sequence[str]) -> str:
    text = " ".join(shlex.join(command).split())
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def _counted(devices: Sequence[Device]) -> str:
    return devices[0].gpu if len(devices) == 1 else counted(len(devices), "GPU")


def _names(devices: Sequence[Device]) -> list[str]:
    """GPUs told apart: by their places where there are several."""
    return [f"GPU {place} ({device.gpu})" for place, device in enumerate(devices)]


def _devices(run: CommandRun) -> list[Device]:
    return [gpu.device for gpu in run.gpus]


def _each_gpu(run: CommandRun) -> list[str]:
    """A line for each GPU: its energy, and its idle power where that was measured."""
    rows = [
        [
            name,
            "not known" if gpu.energy_j is None else quantity.energy(gpu.energy_j),
            "" if gpu.idle_power_w is None else f"idle {quantity.power(gpu.idle_power_w)}",
        ]
        for name, gpu in zip(_names(_devices(run)), run.gpus, strict=True)
    ]
    return aligned(rows, right={1, 2})


def _amounts(run: CommandRun) -> list[list[str]]:
    """Energy, time and power, each with what it is; without those that are not known."""
    rows = [["time", quantity.duration(run.duration_s), "from start to end"]]
    if run.energy_j is not None and run.power_w is not None:
        steps = f"+-{quantity.energy(run.energy_error_j or 0.0)} by the steps of the reading"
        told = f"{quantity.energy_wh(run.energy_j)}, {steps}"
        rows.insert(0, ["energy", quantity.energy(run.energy_j), told])
        rows.append(["average power", quantity.power(run.power_w), ""])
    if run.idle_power_w is not None:
        rows.append(["idle power", quantity.power(run.idle_power_w), _when_idle(run)])
    if run.idle_share is not None:
        rows.append(
            ["idle share", quantity.share(run.idle_share, 1.0), "drawn in that time without the command"]
        )
    if run.dynamic_j is not None:
        steps = f"+-{quantity.energy(run.dynamic_error_j or 0.0)} by both readings"
        rows.append(["dynamic energy", quantity.energy(run.dynamic_j), f"gross minus idle, {steps}"])
    return rows


def _when_idle(run: CommandRun) -> str:
    return "before and after" if all(len(gpu.idles) == 2 for gpu in run.gpus) else "before alone"


def _tracked(run: CommandRun) -> Iterator[str]:
    """What blocks tracked in the command drew, and what was predicted for them."""
    blocks = run.blocks
    if not blocks:
        return
    energy = math.fsum(block.energy_j for block in blocks)
    images = sum(block.images for block in blocks)
    of_all = "" if run.energy_j is None else f", {quantity.share(energy, run.energy_j)} of the command's"
    yield f"{counted(len(blocks), 'block')}, {images} made: {quantity.energy(energy)} measured{of_all}"
    if run.energy_j is not None and energy > run.energy_j + (1 + len(blocks)) * (run.energy_error_j or 0.0):
        yield "that is more than the command drew: blocks beside each other on a GPU each count all of it"
    predicted = [block for block in blocks if block.predicted_j is not None]
    if predicted:
        yield _compared(predicted, len(blocks))
    yield from dict.fromkeys(f"not predicted: {block.problem}" for block in blocks if block.problem)


def _compared(blocks: Sequence[Block], of: int) -> str:
    """Measured and predicted energy of blocks that have both. Ends of intervals add up, as if all were off
    alike."""
    measured = math.fsum(block.energy_j for block in blocks)
    low, value, high = (
        math.fsum(getattr(block, name) or 0.0 for block in blocks)
        for name in ("predicted_low_j", "predicted_j", "predicted_high_j")
    )
    off, some = measured / value - 1, "" if len(blocks) == of else f" for {len(blocks)} of them"
    interval = f"90 %: {quantity.number(low)} to {quantity.energy(high)}"
    told = f"measured is {100 * abs(off):.1f} % {'above' if off > 0 else 'below'} it"
    return f"{quantity.energy(value)} predicted{some} ({interval}); {told}"
