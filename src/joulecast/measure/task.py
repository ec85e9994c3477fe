"""One task of a campaign: the whole pipeline measured, then each component alone.

What runs it is a `Subject`: real pipelines (`joulecast.measure.pipelines`), or, for a dry run, a
virtual one (`joulecast.measure.virtual`). Where its repeats go is a `Recorder`: the store itself,
or a list that travels back from another machine.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, Protocol

from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import JoulecastError
from joulecast.measure.meter import Meter
from joulecast.measure.protocol import Measurement, Repeat, Settings, is_resolved, measure
from joulecast.measure.store import LostError

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


def part_name(component: str, kind: int) -> str:
    """A kind of call of a component, the first without a number."""
    return component if kind == 0 else f"{component}#{kind + 1}"


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

    def load(self, spec: Mapping[str, Any]) -> None:
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

    def facts(self) -> dict[str, Any]:
        """The software and settings that a result depends on."""
        ...


class Recorder(Protocol):
    """Where a task's environment and its repeats go as soon as they are known."""

    def environment(self, facts: Mapping[str, Any]) -> None:
        """The environment of all repeats that follow."""
        ...

    def repeat(self, part: str, number: int, content: Mapping[str, Any]) -> None:
        """One repeat of a part. Raises LostError when another worker took the task over."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes
    ----------
    state : ``"done"``, ``"failed"`` or ``"too_large"``.
    message : why it is not done; empty when it is.
    content : its result as it is stored; None when there is none.
    took_s : by the meter's clock [s].
    """

    state: str
    message: str
    content: dict[str, Any] | None
    took_s: float


def attempt(
    spec: Mapping[str, Any], subject: Subject, meter: Meter, settings: Settings, recorder: Recorder
) -> Outcome:
    """Measure a task; whatever goes wrong with it is told in the outcome.

    Raises LostError when another worker took the task over.
    """
    start = meter.clock.now()
    state, message, content = "done", "", None
    try:
        content = _measured(spec, subject, meter, settings, recorder)
    except LostError:
        raise
    except TooLargeError as error:
        state, message = "too_large", str(error)
    except Exception as error:
        state, message = "failed", f"failed: {type(error).__name__}: {error}"
    return Outcome(state, message, content, meter.clock.now() - start)


def _measured(
    spec: Mapping[str, Any], subject: Subject, meter: Meter, settings: Settings, recorder: Recorder
) -> dict[str, Any]:
    """A task's result as it is stored."""
    subject.load(spec)
    recorder.environment(environment_of(subject, meter, settings))
    whole = _part(WHOLE, subject.call, subject, meter, settings, recorder, idle=True)
    found = whole.to_dict()
    del found["repeats"]  # each is recorded already
    if spec["components"]:
        dissected = subject.dissect()
        found["components"] = [
            _component(spec, part, subject, meter, settings, recorder, whole) for part in dissected.components
        ]
        found["steps"] = list(steps_of(dissected.steps, found["components"]))
        found["steps_departure"] = departure([step.duration_s for step in dissected.steps])
        found["warnings"] = [*found["warnings"], *_doubtful_steps(found["steps_departure"])]
    state = getattr(subject, "output", None)
    if state is not None:
        found["output"] = state()
        if found["output"].get("is_finite") is False:
            found["warnings"] = [*found["warnings"], "the images hold numbers that are not finite"]
    return found


def _component(
    spec: Mapping[str, Any],
    part: ComponentWork,
    subject: Subject,
    meter: Meter,
    settings: Settings,
    recorder: Recorder,
    whole: Measurement,
) -> dict[str, Any]:
    """One component alone, in long windows; idle power is that of the whole."""
    quick = dataclasses.replace(settings, repeats=COMPONENT_REPEATS, most_repeats=COMPONENT_REPEATS)
    known: dict[str, Any] = {
        "name": part.name,
        "role": role_of(spec["model"], part.name),
        "kind": part.kind,
        "calls": part.calls,
        "shapes": part.shapes,
    }
    try:
        one = _part(part.part, part.work, subject, meter, quick, recorder, idle=False)
    except LostError:
        raise
    except Exception as error:
        return {**known, "is_resolved": False, "problem": f"{type(error).__name__}: {error}"}
    idle = whole.idle_power_w
    shortest = min(repeat.duration_s for repeat in one.repeats)
    if not is_resolved(meter, shortest):
        problem = f"windows of {shortest:.3g} s are too short for the sensor"
        return {**known, "is_resolved": False, "problem": problem}
    return {
        **known,
        "is_resolved": True,
        "energy_per_call_j": one.energy_j,
        "energy_half_width_j": one.energy_half_width_j,
        "duration_per_call_s": one.duration_s,
        "energy_j": one.energy_j * part.calls,
        "dynamic_j": None if idle is None else (one.energy_j - idle * one.duration_s) * part.calls,
        "duration_s": one.duration_s * part.calls,
        "warnings": list(one.warnings),
    }


def _part(
    part: str,
    work: Callable[[], object],
    subject: Subject,
    meter: Meter,
    settings: Settings,
    recorder: Recorder,
    idle: bool,
) -> Measurement:
    number = 0

    def record(repeat: Repeat) -> None:
        nonlocal number
        recorder.repeat(part, number, dataclasses.asdict(repeat))
        number += 1

    return measure(work, meter, settings, synchronize=subject.synchronize, on_repeat=record, idle=idle)


def steps_of(
    steps: Sequence[DenoisingStep], components: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Each denoising step's time, and its energy [J] for one batch: that of its denoiser calls, each
    kind as measured alone in long windows; unresolved, never zero, where a kind could not be."""
    energy = {part_name(c["name"], c["kind"]): c.get("energy_per_call_j") for c in components}
    for number, step in enumerate(steps, 1):
        drawn = [energy.get(call) for call in step.calls]
        known = [value for value in drawn if value is not None]
        resolved = bool(known) and len(known) == len(drawn)
        yield {
            "step": number,
            "calls": list(step.calls),
            "duration_s": step.duration_s,
            "denoiser_s": step.denoiser_s,
            "energy_j": sum(known) if resolved else None,
            "is_resolved": resolved,
        }


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


def environment_of(subject: Subject, meter: Meter, settings: Settings) -> dict[str, Any]:
    """Everything besides its specification that a result depends on."""
    device, state = meter.device, meter.sample()
    return {
        "gpu": device.gpu,
        "gpu_uuid": device.uuid,
        "driver": device.driver,
        "meter": meter.name,
        "is_real": meter.is_real,
        "reading": device.reading,
        "power_limit_w": state.power_limit_w,
        "memory_clock_mhz": state.memory_clock_mhz if meter.is_real else None,
        "joulecast": own_version(),
        "python": platform.python_version(),
        "platform": platform.system(),
        "protocol": dataclasses.asdict(settings) | {"most_s": None},
        **subject.facts(),
    }


def own_version() -> str:
    """joulecast's version; it need not be installed to measure."""
    try:
        return metadata.version("joulecast")
    except metadata.PackageNotFoundError:
        return "not installed"
