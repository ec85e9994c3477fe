"""Measure what a user's own pipeline does inside a block of code, phase by phase.

A phase lasts from a component's first call until another component is called: the denoiser's
holds the scheduler's work between steps. The GPU is synchronised only where the component
changes, a few times an image, so the tracked code runs as fast as it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from joulecast.compute.output import VIDEO_DIMENSIONS
from joulecast.errors import MeasureError
from joulecast.measure.meter import Meter
from joulecast.measure.telemetry import TelemetryRecorder, summary

RESOLVED_S: Final = 1.0  # shortest phase, on average, whose energy the sensor resolves
OUTSIDE: Final = "outside"  # before the first component is called


@dataclass
class Phase:
    """All phases of one component: how often it was entered, its calls, energy [J] and time [s].

    `is_resolved` tells whether they lasted long enough for the sensor; where not, `energy_j` is a
    reading of a counter that moves every tenth of a second, and may be nothing.
    """

    name: str
    entered: int = 0
    calls: int = 0
    energy_j: float = 0.0
    duration_s: float = 0.0

    @property
    def is_resolved(self) -> bool:
        """Whether the energy can be trusted."""
        return self.entered > 0 and self.duration_s / self.entered >= RESOLVED_S


@dataclass
class Observed:
    """What the pipeline was seen to do: enough to predict the same.

    Attributes
    ----------
    images, runs : images or clips that were decoded, and in how many calls.
    sizes : their widths and heights [pixels].
    frames : of clips, how many each has.
    given : by component, the images it was given in all its calls, those of a second pass included.
    """

    images: int = 0
    runs: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)
    frames: set[int] = field(default_factory=set)
    given: dict[str, int] = field(default_factory=dict)


@dataclass
class Tracked:
    """What a tracked block drew. Complete once the block has ended.

    Attributes
    ----------
    energy_j : gross energy of the GPU over the block [J].
    duration_s : its time [s].
    phases : by component, in the order of their first call.
    observed : images, sizes and calls.
    telemetry : summary of power, temperature and clocks.
    warnings : where the numbers deserve doubt.
    """

    gpu: str = ""
    energy_j: float = 0.0
    duration_s: float = 0.0
    phases: list[Phase] = field(default_factory=list)
    observed: Observed = field(default_factory=Observed)
    telemetry: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def power_w(self) -> float:
        """Average power of the block [W]."""
        return self.energy_j / self.duration_s


@contextmanager
def track_phases(
    pipeline: Any, meter: Meter, synchronize: Callable[[], None] = lambda: None
) -> Iterator[Tracked]:
    """Measure a block in which `pipeline` is called; see `Tracked`.

    Raises MeasureError at the end of a block in which the meter showed no energy.
    """
    tracked = Tracked(gpu=meter.device.gpu)
    watch = _Watch(tracked, meter, synchronize)
    synchronize()
    start, before = meter.clock.now(), meter.energy_j()
    with TelemetryRecorder(meter) as recorder, watch.hooked(pipeline):
        watch.enter(OUTSIDE)
        yield tracked
        watch.enter(OUTSIDE)
    synchronize()
    end = meter.clock.now()
    tracked.energy_j, tracked.duration_s = meter.energy_j() - before, end - start
    tracked.telemetry = summary(recorder.between(start, end))
    if tracked.energy_j <= 0:
        raise MeasureError(
            f"the meter shows {tracked.energy_j:g} J for a block of {tracked.duration_s:.3g} s: too "
            "short to be measured; generate more images inside it"
        )
    tracked.phases = [phase for phase in watch.phases.values() if phase.calls]
    tracked.warnings = _doubts(tracked)


class _Watch:
    """Notes when the component that is called changes."""

    def __init__(self, tracked: Tracked, meter: Meter, synchronize: Callable[[], None]) -> None:
        self.tracked, self.meter, self.synchronize = tracked, meter, synchronize
        self.phases: dict[str, Phase] = {}
        self._current: Phase | None = None
        self._since = (0.0, 0.0)
        self._depth = 0
        self._frames: int | None = None  # of the clips whose latents were given last; None of images
        self._decoded_frames = 0  # that were decoded as images

    def enter(self, name: str) -> None:
        """A component is called: close the phase of another."""
        if self._current is not None and self._current.name == name:
            return
        self.synchronize()
        now = self.meter.clock.now(), self.meter.energy_j()
        if self._current is not None:
            self._current.duration_s += now[0] - self._since[0]
            self._current.energy_j += now[1] - self._since[1]
        self._current = self.phases.setdefault(name, Phase(name))
        self._current.entered += 1
        self._since = now

    @contextmanager
    def hooked(self, pipeline: Any) -> Iterator[None]:
        """Within the block, calls of the pipeline's components are noticed."""
        wrapped: list[tuple[Any, str, Any]] = []
        for name, part in pipeline.components.items():
            for method in ("forward", "decode"):
                if hasattr(part, "parameters") and callable(getattr(part, method, None)):
                    wrapped.append((part, method, vars(part).get(method)))
                    setattr(part, method, self._noticing(name, part, method))
        try:
            yield
        finally:
            for part, method, own in reversed(wrapped):
                if own is None:
                    delattr(part, method)
                else:  # of a hook that others installed, e.g. offloading
                    setattr(part, method, own)

    def _noticing(self, name: str, part: Any, method: str) -> Callable[..., Any]:
        original: Callable[..., Any] = getattr(part, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._depth:  # a component calling itself
                return original(*args, **kwargs)
            self.enter(name)
            self.phases[name].calls += 1
            self._depth += 1
            try:
                out = original(*args, **kwargs)
            finally:
                self._depth -= 1
            if method == "forward":
                self._observe_given(name, part, args, kwargs)
            else:
                self._observe_decoded(name, out)
            return out

        return call

    def _observe_given(self, name: str, part: Any, args: Any, kwargs: Any) -> None:
        latents = args[0] if args else kwargs.get("hidden_states", kwargs.get("sample", kwargs.get("x")))
        given = self.tracked.observed.given
        given[name] = given.get(name, 0) + _batch_of(latents)
        if _batch_of(latents):
            self._frames = _frames_of(part, latents)

    def _observe_decoded(self, name: str, out: Any) -> None:
        image: Any = getattr(out, "sample", out[0] if isinstance(out, tuple) else out)
        shape: Any = getattr(image, "shape", None)
        if not shape or len(shape) < 4:  # no image that is known of: nothing was observed
            return
        observed = self.tracked.observed
        observed.sizes.add((int(shape[-1]), int(shape[-2])))
        if len(shape) == VIDEO_DIMENSIONS:
            observed.frames.add(int(shape[-3]))
        elif self._frames is not None:
            self._observe_frames(name, int(shape[0]), self._frames)
            return
        observed.images += int(shape[0])
        observed.runs += 1

    def _observe_frames(self, name: str, decoded: int, of_clip: int) -> None:
        """Frames of clips are decoded as a batch of images, all at once or some at a time."""
        observed = self.tracked.observed
        observed.frames.add(of_clip)
        self._decoded_frames += decoded
        observed.images = self._decoded_frames // of_clip
        observed.runs = self.phases[name].entered


def _batch_of(latents: Any) -> int:
    """Images in what a component is given: a tensor, or a list of one for each."""
    if isinstance(latents, (list, tuple)):
        return len(latents)
    shape = getattr(latents, "shape", ())
    return int(shape[0]) if shape else 0


def _frames_of(part: Any, latents: Any) -> int | None:
    """Frames of the clips whose latents a component is given, before or after channels; None of images."""
    shape: Any = getattr(latents, "shape", ())
    if len(shape) != VIDEO_DIMENSIONS:
        return None
    channels = getattr(getattr(part, "config", None), "in_channels", None)
    return int(shape[1] if shape[2] == channels else shape[2])


def _doubts(tracked: Tracked) -> list[str]:
    found = []
    if tracked.duration_s < RESOLVED_S:
        found.append(f"the block took {tracked.duration_s:.2f} s, too short for the sensor to resolve well")
    unresolved = [phase.name for phase in tracked.phases if not phase.is_resolved]
    if unresolved:
        found.append(f"too short to resolve: {', '.join(unresolved)}")
    others = tracked.telemetry.get("other_processes", 0)
    if others:
        found.append(f"{others:g} other processes computed on the card: their energy is counted in")
    return found
