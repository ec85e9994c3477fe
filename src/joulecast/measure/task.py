"""One task of a campaign: the whole pipeline measured, then each component alone.

What runs it is a `Subject`: real pipelines (`joulecast.measure.pipelines`), or, for a dry run, a
virtual one (`joulecast.measure.virtual`). Where its repeats go is a `Recorder`: the store itself,
or a list that travels back from another machine.
"""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from joulecast.boundary import measured_dynamic_j
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import JoulecastError
from joulecast.extras import own_version
from joulecast.files.plain import finite
from joulecast.measure.database import StoreError
from joulecast.measure.meter import Meter
from joulecast.measure.protocol import Measurement, Repeat, Settings, is_resolved, measure
from joulecast.measure.records import (
    ComponentEnergy,
    ComponentResult,
    Environment,
    Output,
    Software,
    StepResult,
    TaskResult,
    TaskSpec,
    part_name,
)

WHOLE: Final = "pipeline"  # the part that is the whole pipeline call
COMPONENT_REPEATS: Final = 3
UNEVEN: Final = 0.02  # of the time of all steps, above which they are not alike


class TooLargeError(JoulecastError):
    """The work does not fit the GPU's memory."""


@dataclass(frozen=True)
class ComponentWork:
    """One kind of call of a component, with the inputs the pipeline really gave it.

    `calls` are how often the pipeline makes it for one batch; `work` makes it once.
    """

    name: str
    kind: int
    calls: int
    shapes: str
    work: Callable[[], object]

    @property
    def part(self) -> str:
        """The name under which its repeats are recorded."""
        return part_name(self.name, self.kind)


@dataclass(frozen=True)
class DenoisingStep:
    """One denoising step of a run with the GPU synchronised around every component call.

    Attributes
    ----------
    calls : its denoiser calls in order, by the part under which each kind is measured alone.
    duration_s : from the end of the step before it (for the first, its first call) to the end of
        the scheduler's work [s].
    denoiser_s : of its calls alone [s].
    """

    calls: tuple[str, ...]
    duration_s: float
    denoiser_s: float


@dataclass(frozen=True)
class Dissection:
    """A pipeline's run taken apart: every kind of component call, and the denoising steps."""

    components: tuple[ComponentWork, ...]
    steps: tuple[DenoisingStep, ...] = ()


class Subject(Protocol):
    """What can run tasks."""

    def load(self, spec: TaskSpec) -> None:
        """Make ready to run a task. Raises TooLargeError when it does not fit."""
        ...

    def call(self) -> None:
        """Generate one batch."""
        ...

    def synchronize(self) -> None:
        """Wait until the GPU has done all it was given."""
        ...

    def dissect(self) -> Dissection:
        """Run the loaded task once, taken apart."""
        ...

    def facts(self) -> Software:
        """The software and settings that a result depends on."""
        ...

    def output(self) -> Output | None:
        """What the runs so far made; None where nothing is made."""
        ...


class Recorder(Protocol):
    """Where a task's environment and its repeats go as soon as they are known."""

    def environment(self, environment: Environment) -> None:
        """The environment of all repeats that follow."""
        ...

    def repeat(self, part: str, number: int, repeat: Repeat) -> None:
        """One repeat of a part. Raises LostError when another worker took the task over."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes
    ----------
    state : ``"done"``, ``"failed"`` or ``"too_large"``.
    message : why it is not done; empty when it is.
    result : what was found; None when there is nothing.
    took_s : by the meter's clock [s].
    """

    state: str
    message: str
    result: TaskResult | None
    took_s: float


def attempt(
    spec: TaskSpec, subject: Subject, meter: Meter, settings: Settings, recorder: Recorder
) -> Outcome:
    """Measure a task; whatever goes wrong with it is told in the outcome.

    Raises StoreError when nothing can be recorded, LostError when another worker took the task over.
    """
    start = meter.clock.now()
    state, message, result = "done", "", None
    try:
        result = _Measuring(spec, subject, meter, settings, recorder).result()
    except StoreError:
        raise
    except TooLargeError as error:
        state, message = "too_large", str(error)
    except Exception as error:
        state, message = "failed", f"failed: {type(error).__name__}: {error}"
    return Outcome(state, message, result, meter.clock.now() - start)


@dataclass(frozen=True)
class _Measuring:
    """A task, and what it is measured with."""

    spec: TaskSpec
    subject: Subject
    meter: Meter
    settings: Settings
    recorder: Recorder

    def result(self) -> TaskResult:
        """The whole pipeline, then, where asked for, each component."""
        self.subject.load(self.spec)
        self.recorder.environment(environment_of(self.subject, self.meter, self.settings))
        whole = self._part(WHOLE, self.subject.call, self.settings, idle=True)
        found = result_of(whole)
        if self.spec.components:
            found = self._taken_apart(found)
        output = self.subject.output()
        found = dataclasses.replace(found, output=output)
        if output is not None and output.is_finite is False:
            return found.with_warnings("the images hold numbers that are not finite")
        return found

    def _taken_apart(self, whole: TaskResult) -> TaskResult:
        dissected = self.subject.dissect()
        components = tuple(self._component(part, whole.idle_power_w) for part in dissected.components)
        found = departure([step.duration_s for step in dissected.steps])
        return dataclasses.replace(
            whole,
            components=components,
            steps=tuple(steps_of(dissected.steps, components)),
            steps_departure=found,
        ).with_warnings(*_doubtful_steps(found))

    def _component(self, part: ComponentWork, idle_power_w: float | None) -> ComponentResult:
        """One component alone, in long windows; idle power is that of the whole."""
        quick = dataclasses.replace(self.settings, repeats=COMPONENT_REPEATS, most_repeats=COMPONENT_REPEATS)
        role = role_of(self.spec.model, part.name)
        found = ComponentResult(part.name, role, part.kind, part.calls, part.shapes)
        try:
            alone = self._part(part.part, part.work, quick, idle=False)
        except StoreError:
            raise
        except Exception as error:
            return dataclasses.replace(found, problem=f"{type(error).__name__}: {error}")
        shortest = min(repeat.duration_s for repeat in alone.repeats)
        if not is_resolved(self.meter, shortest):
            problem = f"windows of {shortest:.3g} s are too short for the sensor"
            return dataclasses.replace(found, problem=problem)
        return dataclasses.replace(found, measured=energy_of(alone, part.calls, idle_power_w))

    def _part(self, part: str, work: Callable[[], object], settings: Settings, idle: bool) -> Measurement:
        number = 0

        def record(repeat: Repeat) -> None:
            nonlocal number
            self.recorder.repeat(part, number, repeat)
            number += 1

        synchronize = self.subject.synchronize
        return measure(work, self.meter, settings, synchronize=synchronize, on_repeat=record, idle=idle)


def result_of(whole: Measurement) -> TaskResult:
    """A task's result from the measurement of the whole pipeline; its repeats are recorded already."""
    return TaskResult(
        energy_j=whole.energy_j,
        energy_half_width_j=finite(whole.energy_half_width_j),
        duration_s=whole.duration_s,
        duration_half_width_s=finite(whole.duration_half_width_s),
        dynamic_j=whole.dynamic_j,
        idle_power_w=whole.idle_power_w,
        idle_before=whole.idle_before,
        idle_after=whole.idle_after,
        spread=finite(whole.spread),
        drift=whole.drift,
        warnings=whole.warnings,
    )


def energy_of(alone: Measurement, calls: int, idle_power_w: float | None) -> ComponentEnergy:
    """A component's energy and time, of one call and of its `calls` for one batch."""
    above = math.nan
    if idle_power_w is not None:
        above = float(measured_dynamic_j(alone.energy_j, idle_power_w * alone.duration_s))
    return ComponentEnergy(
        energy_per_call_j=alone.energy_j,
        energy_half_width_j=finite(alone.energy_half_width_j),
        duration_per_call_s=alone.duration_s,
        energy_j=alone.energy_j * calls,
        dynamic_j=None if math.isnan(above) else above * calls,
        duration_s=alone.duration_s * calls,
        warnings=alone.warnings,
    )


def steps_of(steps: Sequence[DenoisingStep], components: Sequence[ComponentResult]) -> Iterator[StepResult]:
    """Each denoising step's time, and its energy [J] for one batch: that of its denoiser calls, each
    kind as measured alone in long windows; unresolved, never zero, where a kind could not be."""
    energy = {part.part: part.measured.energy_per_call_j for part in components if part.measured}
    for number, step in enumerate(steps, 1):
        drawn = [energy[call] for call in step.calls if call in energy]
        resolved = bool(drawn) and len(drawn) == len(step.calls)
        yield StepResult(
            number, step.calls, step.duration_s, step.denoiser_s, sum(drawn) if resolved else None
        )


def departure(durations_s: Sequence[float]) -> float | None:
    """How far time is from rising evenly from step to step: the greatest distance of the time
    passed, as a share of the whole, from the share of steps done. None for no steps."""
    if not durations_s:
        return None
    whole, passed, found = sum(durations_s), 0.0, 0.0
    for number, duration in enumerate(durations_s, 1):
        passed += duration
        found = max(found, abs(passed / whole - number / len(durations_s)))
    return found


def _doubtful_steps(found: float | None) -> Iterator[str]:
    if found is not None and found > UNEVEN:
        yield f"the denoising steps are not alike: time departs by {100 * found:.1f} % from an even rise"


def role_of(model: str, component: str) -> str:
    """A component's role by the model's profile: text_encoder, denoiser or decoder."""
    return next((c.role for c in packaged_profile(model).components if c.name == component), "unknown")


def environment_of(subject: Subject, meter: Meter, settings: Settings) -> Environment:
    """Everything besides its specification that a result depends on."""
    device, state = meter.device, meter.sample()
    return Environment(
        gpu=device.gpu,
        gpu_uuid=device.uuid,
        driver=device.driver,
        meter=meter.name,
        is_real=meter.is_real,
        reading=device.reading,
        power_limit_w=state.power_limit_w,
        memory_clock_mhz=state.memory_clock_mhz if meter.is_real else None,
        joulecast=own_version(),
        python=platform.python_version(),
        platform=platform.system(),
        protocol=dataclasses.replace(settings, most_s=None),
        software=subject.facts(),
    )
