"""Campaigns: measure the tasks of a store one after the other, within a budget of time.

What runs a task is a `Subject`: real pipelines (`joulecast.measure.pipelines`), or, for a dry run,
a virtual one that only lets time pass.
"""

from __future__ import annotations

import dataclasses
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import JoulecastError
from joulecast.measure import plan as plans
from joulecast.measure.meter import Meter
from joulecast.measure.protocol import Measurement, Repeat, Settings, measure
from joulecast.measure.replay import VirtualClock
from joulecast.measure.store import Claim, Heartbeat, LostError, Store

WHOLE: Final = "pipeline"  # the part that is the whole pipeline call
COMPONENT_REPEATS: Final = 3
FEWEST_TO_SCALE: Final = 3  # finished tasks from which the expected times are corrected
SCALES: Final = (0.1, 10.0)


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
        return self.name if self.kind == 0 else f"{self.name}#{self.kind + 1}"


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

    def components(self) -> Sequence[ComponentWork]:
        """Every kind of component call of the loaded task."""
        ...

    def facts(self) -> dict[str, Any]:
        """The software and settings that a result depends on."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where a campaign stands after a task. `left_s` [s] is what the rest may take, roughly."""

    done: int
    total: int
    left_s: float
    spec: Mapping[str, Any]
    outcome: str
    energy_j: float | None = None
    half_width_j: float | None = None
    duration_s: float | None = None
    warnings: tuple[str, ...] = ()


def run_campaign(
    store: Store,
    subject: Subject,
    meter: Meter,
    settings: Settings,
    *,
    gpu: str | None = None,
    budget_s: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> int:
    """Measure tasks until none is left that fits the budget; returns how many were finished.

    `gpu` is the catalogue's name of this GPU: tasks that ask for another are left alone.
    `budget_s` [s] counts by the meter's clock: a task is begun only if it should end within it.
    """
    clock = meter.clock
    start, finished = clock.now(), 0
    while True:
        left = None if budget_s is None else budget_s - (clock.now() - start)
        if left is not None and left <= 0:
            return finished
        claim = store.claim(gpu=gpu, most_s=None if left is None else left / time_scale(store))
        if claim is None:
            return finished
        progress = _attempt(store, claim, subject, meter, settings, left)
        finished += progress.outcome == "done"
        on_progress(progress)


def time_scale(store: Store) -> float:
    """How much longer tasks take than expected: the median of those finished; 1 for too few."""
    ratios = [
        task["took_s"] / task["cost_s"]
        for task in store.tasks()
        if task["state"] == "done" and task["took_s"] and task["cost_s"] > 0
    ]
    if len(ratios) < FEWEST_TO_SCALE:
        return 1.0
    return float(min(max(statistics.median(ratios), SCALES[0]), SCALES[1]))


def time_left_s(store: Store) -> float:
    """Roughly, seconds until all tasks are done, by one worker."""
    waiting = [task["cost_s"] for task in store.tasks() if task["state"] in ("pending", "running")]
    return time_scale(store) * float(sum(waiting))


def _attempt(
    store: Store, claim: Claim, subject: Subject, meter: Meter, settings: Settings, left_s: float | None
) -> Progress:
    """One task from claim to result; what goes wrong with it is recorded and the campaign goes on."""
    start = meter.clock.now()

    def took() -> float:
        return meter.clock.now() - start

    found: dict[str, Any] | None = None
    try:
        with Heartbeat(store, claim):
            found, environment = _measure_task(store, claim, subject, meter, _within(settings, left_s))
            store.finish(claim, found, environment, took())
        outcome = "done"
    except LostError as error:
        outcome = str(error)
    except (KeyboardInterrupt, SystemExit):
        store.release(claim)
        raise
    except TooLargeError as error:
        outcome = f"too large: {error}"
        store.fail(claim, str(error), state="too_large", took_s=took())
    except Exception as error:
        outcome = f"failed: {type(error).__name__}: {error}"
        store.fail(claim, outcome, took_s=took())
    counts = store.counts()
    total = sum(counts.values())
    progress = Progress(
        total - counts["pending"] - counts["running"], total, time_left_s(store), claim.spec, outcome
    )
    if found is None or outcome != "done":
        return progress
    return dataclasses.replace(
        progress,
        energy_j=found["energy_j"],
        half_width_j=found["energy_half_width_j"],
        duration_s=found["duration_s"],
        warnings=tuple(found["warnings"]),
    )


def _within(settings: Settings, left_s: float | None) -> Settings:
    """Settings that begin no more repeats than the time that is left allows, if three are there."""
    if left_s is None:
        return settings
    most = max(0.8 * left_s, 1.0)
    return dataclasses.replace(
        settings, most_s=most if settings.most_s is None else min(settings.most_s, most)
    )


def _measure_task(
    store: Store, claim: Claim, subject: Subject, meter: Meter, settings: Settings
) -> tuple[dict[str, Any], str]:
    """A task's result as it is stored, and the environment's id."""
    subject.load(claim.spec)
    environment = store.environment(environment_of(subject, meter, settings))
    whole = _measure_part(store, claim, environment, WHOLE, subject.call, subject, meter, settings, True)
    found = whole.to_dict()
    del found["repeats"]  # each is recorded already
    if claim.spec["components"]:
        found["components"] = [
            _component(store, claim, environment, part, subject, meter, settings, whole)
            for part in subject.components()
        ]
    state = getattr(subject, "output", None)
    if state is not None:
        found["output"] = state()
        if found["output"].get("is_finite") is False:
            found["warnings"] = [*found["warnings"], "the images hold numbers that are not finite"]
    return found, environment


def _component(
    store: Store,
    claim: Claim,
    environment: str,
    part: ComponentWork,
    subject: Subject,
    meter: Meter,
    settings: Settings,
    whole: Measurement,
) -> dict[str, Any]:
    """One component alone, in long windows; idle power is that of the whole."""
    quick = dataclasses.replace(settings, repeats=COMPONENT_REPEATS, most_repeats=COMPONENT_REPEATS)
    known: dict[str, Any] = {
        "name": part.name,
        "role": role_of(claim.spec["model"], part.name),
        "kind": part.kind,
        "calls": part.calls,
        "shapes": part.shapes,
    }
    try:
        one = _measure_part(store, claim, environment, part.part, part.work, subject, meter, quick, False)
    except LostError:
        raise
    except Exception as error:
        return {**known, "is_resolved": False, "problem": f"{type(error).__name__}: {error}"}
    idle = whole.idle_power_w
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


def _measure_part(
    store: Store,
    claim: Claim,
    environment: str,
    part: str,
    work: Callable[[], object],
    subject: Subject,
    meter: Meter,
    settings: Settings,
    idle: bool,
) -> Measurement:
    number = 0

    def record(repeat: Repeat) -> None:
        nonlocal number
        store.record(claim, part, number, dataclasses.asdict(repeat), environment)
        number += 1

    return measure(work, meter, settings, synchronize=subject.synchronize, on_repeat=record, idle=idle)


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
        "python": platform.python_version(),
        "platform": platform.system(),
        "protocol": dataclasses.asdict(settings) | {"most_s": None},
        **subject.facts(),
    }


class VirtualSubject:
    """Lets a virtual clock run for about as long as the work might take: dry runs."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._spec: Mapping[str, Any] = {}

    def load(self, spec: Mapping[str, Any]) -> None:
        """Building a pipeline takes a while, the GPU idle."""
        self._spec = spec
        self._call_s = plans.call_s(spec)
        self._clock.sleep(2.0)

    def call(self) -> None:
        """One batch."""
        self._clock.work(self._call_s)

    def synchronize(self) -> None:
        """Nothing runs behind a virtual clock."""

    def components(self) -> Sequence[ComponentWork]:
        """The calls of the model's profile."""
        return [
            ComponentWork(name, 0, calls, "", lambda seconds=seconds / calls: self._clock.work(seconds))  # type: ignore[misc]
            for name, (calls, seconds) in plans.component_s(self._spec).items()
            if calls
        ]

    def facts(self) -> dict[str, Any]:
        """That it is a dry run."""
        return {"weights": f"{self._spec['weights']} (dry run: none)", "attention": None, "libraries": {}}
