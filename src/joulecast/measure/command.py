"""Any command measured: what the GPUs that it may use draw from its start to its end, idle before and after.

The figures are gross. A command shorter than the energy readings resolve has none, and says why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

from joulecast.boundary import BOUNDARIES, measured_dynamic_j
from joulecast.errors import MeasureError
from joulecast.measure.blocks import FOLDER, Block, read_blocks
from joulecast.measure.doubts import doubts_of_conditions
from joulecast.measure.meter import Device, Meter
from joulecast.measure.process import run_process
from joulecast.measure.protocol import (
    RESOLVED_TICKS,
    Idle,
    Repeat,
    Settings,
    is_resolved,
    measure_idles,
    positive_j,
)
from joulecast.measure.telemetry import TelemetryRecorder, summary
from joulecast.presented import Presented

COMMAND_SAMPLE_S: Final = 0.5  # between telemetry samples: a command may take hours
Runner = Callable[[Sequence[str], Mapping[str, str]], int]


@dataclass(frozen=True)
class GpuEnergy:
    """What one GPU drew while a command ran.

    Attributes
    ----------
    device : which GPU, and how its energy is read.
    energy_j : gross [J]; None where `problem` says why it is not known.
    energy_error_j : at most what the steps of the reading hide, more or less [J].
    idle_before, idle_after : None where idle power was not measured.
    telemetry : summary of power, temperature and clocks.
    warnings : where the figures deserve doubt.
    """

    device: Device
    energy_j: float | None
    energy_error_j: float | None
    idle_before: Idle | None
    idle_after: Idle | None
    telemetry: dict[str, float]
    warnings: tuple[str, ...]
    problem: str = ""

    @property
    def idle_power_w(self) -> float | None:
        """Mean of the idle power before and after [W]; None where neither was measured."""
        return fmean(idle.power_w for idle in self.idles) if self.idles else None

    @property
    def idle_error_w(self) -> float | None:
        """At most how far idle power was off that, by its change and the steps of the readings [W]."""
        mean_w = self.idle_power_w
        if mean_w is None:
            return None
        return max(
            abs(idle.power_w - mean_w) + idle.power_w * self.device.tick_s / idle.duration_s
            for idle in self.idles
        )

    @property
    def idles(self) -> tuple[Idle, ...]:
        """The measurements of idle power that there are."""
        return tuple(idle for idle in (self.idle_before, self.idle_after) if idle is not None)


@dataclass(frozen=True, repr=False)
class CommandRun(Presented):
    """A command that was run, and what its GPUs drew meanwhile.

    Attributes
    ----------
    command : the command and its arguments.
    status : its exit status as a shell tells it: 128 and more after a signal.
    duration_s : from its start to its end [s].
    gpus : every GPU that it may have used.
    blocks : what was tracked inside it.
    warnings : what else to beware of.
    """

    text_by = "command_text:command_text"

    command: tuple[str, ...]
    status: int
    duration_s: float
    gpus: tuple[GpuEnergy, ...]
    blocks: tuple[Block, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def boundary(self) -> str:
        """What `energy_j` includes."""
        return BOUNDARIES[0]

    @property
    def energy_j(self) -> float | None:
        """Gross energy of all GPUs [J]; None where one's is not known."""
        return _sum(gpu.energy_j for gpu in self.gpus)

    @property
    def energy_error_j(self) -> float | None:
        """At most what the steps of the readings hide [J]."""
        return _sum(gpu.energy_error_j for gpu in self.gpus)

    @property
    def power_w(self) -> float | None:
        """Mean power of all GPUs [W]."""
        return None if self.energy_j is None else self.energy_j / self.duration_s

    @property
    def idle_power_w(self) -> float | None:
        """Idle power of all GPUs [W]; None where one's was not measured."""
        return _sum(gpu.idle_power_w for gpu in self.gpus)

    @property
    def idle_share(self) -> float | None:
        """Share of the energy that the GPUs would have drawn in that time without the command."""
        if self.power_w is None or self.idle_power_w is None:
            return None
        return self.idle_power_w / self.power_w

    @property
    def dynamic_j(self) -> float | None:
        """Gross minus idle power times time, of all GPUs [J]; None without idle, or when not above 0."""
        if self.energy_j is None or self.idle_power_w is None:
            return None
        above_j = float(measured_dynamic_j(self.energy_j, self.idle_power_w * self.duration_s))
        return None if math.isnan(above_j) else above_j

    @property
    def dynamic_error_j(self) -> float | None:
        """At most what the readings of the energy and of the idle power hide of `dynamic_j` [J]."""
        idle_w = _sum(gpu.idle_error_w for gpu in self.gpus)
        if self.dynamic_j is None or self.energy_error_j is None or idle_w is None:
            return None
        return self.energy_error_j + idle_w * self.duration_s

    def with_warnings(self, *words: str) -> CommandRun:
        """The same, in more doubt."""
        return dataclasses.replace(self, warnings=(*self.warnings, *words))

    def to_dict(self) -> dict[str, object]:
        """As one JSON object; units are in the names of the keys."""
        names = (
            "command", "status", "boundary", "duration_s", "energy_j", "energy_error_j", "power_w",
            "idle_power_w", "idle_share", "dynamic_j", "dynamic_error_j",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in names},
            "gpus": [_gpu_record(gpu) for gpu in self.gpus],
            "tracked": [dataclasses.asdict(block) for block in self.blocks],
            "warnings": self.warnings,
        }


def measure_command(
    command: Sequence[str],
    meters: Sequence[Meter],
    settings: Settings | None = None,
    *,
    run: Runner = run_process,
) -> CommandRun:
    """Run a command and measure what GPUs draw meanwhile.

    Parameters
    ----------
    command : the program and its arguments.
    meters : of the GPUs that it may use, one at least.
    settings : how long idle power is measured (`idle_s`, `settle_s`).
    run : runs the command with more in its environment, and returns its exit status.

    Raises
    ------
    MeasureError
        The idle GPU shows no energy; the command was not started.
    OSError
        The command cannot be started.
    """
    chosen, clock = settings or Settings(), meters[0].clock
    before = measure_idles(meters, chosen)
    with tempfile.TemporaryDirectory(prefix="joulecast-") as folder, contextlib.ExitStack() as stack:
        recorders = [stack.enter_context(TelemetryRecorder(meter, COMMAND_SAMPLE_S)) for meter in meters]
        begun_j = [meter.energy_j() for meter in meters]
        start = clock.now()
        status = run(command, {FOLDER: folder})
        end = clock.now()
        drawn = [_drawn(*pair, end - start) for pair in zip(meters, begun_j, strict=True)]
        told = [summary(recorder.between(start, end)) for recorder in recorders]
        blocks, problems = read_blocks(Path(folder))
    after, words = _idle_after(meters, chosen)
    each = zip(meters, drawn, told, before, after, strict=True)
    gpus = tuple(_gpu(*one, end - start) for one in each)
    return CommandRun(tuple(command), status, end - start, gpus, tuple(blocks), (*problems, *words))


def _drawn(meter: Meter, begun_j: float, duration_s: float) -> float | str:
    """Energy since a reading [J], or why it is not known: the command has run, whatever the meter shows."""
    if not is_resolved(meter, duration_s):
        least_s = RESOLVED_TICKS * meter.device.tick_s
        return (
            f"the command took {duration_s:.2g} s, too short to measure: the energy reading moves every "
            f"{meter.device.tick_s:g} s, so {least_s:g} s at least are needed; let it make more in one go"
        )
    try:
        return positive_j(meter.energy_j() - begun_j, "the command", duration_s)
    except MeasureError as error:
        return str(error)


def _idle_after(meters: Sequence[Meter], settings: Settings) -> tuple[list[Idle | None], list[str]]:
    """Idle powers after the command, and why there are none: its exit status is to be told even so."""
    try:
        return measure_idles(meters, settings), []
    except KeyboardInterrupt:
        return [None] * len(meters), ["idle power after the command was not measured: interrupted"]
    except MeasureError as error:
        return [None] * len(meters), [f"idle power after the command was not measured: {error}"]


def _gpu(
    meter: Meter,
    drawn: float | str,
    telemetry: dict[str, float],
    before: Idle | None,
    after: Idle | None,
    duration_s: float,
) -> GpuEnergy:
    found = GpuEnergy(meter.device, None, None, before, after, telemetry, ())
    if isinstance(drawn, str):
        return dataclasses.replace(found, problem=drawn)
    window = Repeat(1, drawn, duration_s, 0.0, telemetry)
    idle_w = found.idle_power_w
    dynamic = None if idle_w is None else float(measured_dynamic_j(drawn, idle_w * duration_s))
    idles = [idle.power_w for idle in found.idles]
    return dataclasses.replace(
        found,
        energy_j=drawn,
        energy_error_j=_hidden_j(meter, window),
        warnings=tuple(doubts_of_conditions([window], idles, dynamic)),
    )


def _hidden_j(meter: Meter, window: Repeat) -> float:
    """What the reading may lag behind at either end: a step of it, at the most power that was seen [J]."""
    mean_w = window.energy_j / window.duration_s
    return meter.device.tick_s * max(mean_w, window.telemetry.get("power_max_w", 0.0))


def _gpu_record(gpu: GpuEnergy) -> dict[str, object]:
    values = dataclasses.asdict(gpu)
    return {**values.pop("device"), **values, "idle_power_w": gpu.idle_power_w}


def _sum(values: Iterable[float | None]) -> float | None:
    """A sum; None where a part of it is not known."""
    parts = list(values)
    known = [part for part in parts if part is not None]
    return math.fsum(known) if len(known) == len(parts) else None
