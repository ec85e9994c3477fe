"""Joules so far and left while a diffusers pipeline denoises."""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joulecast.boundary import BOUNDARIES
from joulecast.compute.operators import DENOISER, IMAGE_ENCODER, TEXT_ENCODER
from joulecast.errors import InputError, MeasureError, MissingExtraError
from joulecast.forecast.estimate import Estimate
from joulecast.forecast.live import synchronize_of
from joulecast.measure.meter import Meter, SystemClock
from joulecast.measure.protocol import is_resolved
from joulecast.presented import Presented

SHOWN_S: Final = 1.0  # between two times that progress is told
BEFORE: Final = (TEXT_ENCODER, IMAGE_ENCODER)  # roles of components that run before the steps


@dataclass(frozen=True, repr=False)
class StepProgress(Presented):
    """Where a call is after a denoising step. Energies are gross, of the whole batch [J].

    Attributes
    ----------
    step, steps : steps that are done, and all.
    measured_j : drawn since the callback was made; None where it is not measured, or too soon to be.
    done_j : predicted for what is done.
    left_j : for what is left: steps at the rate that was measured where there is one, else as predicted.
    is_rate_measured : which of both it is.
    predicted_j : for the whole call.
    problem : why nothing is measured; empty where it is.
    """

    text_by = "steps_text:steps_text"

    step: int
    steps: int
    measured_j: float | None
    done_j: float
    left_j: float
    is_rate_measured: bool
    predicted_j: float
    problem: str = ""


@dataclass(frozen=True)
class _Reading:
    """The meter after a step: time [s] and energy [J]."""

    step: int
    at_s: float
    energy_j: float


class StepJoules:
    """A diffusers ``callback_on_step_end`` that tells the joules of a call so far, and those that are left.

    >>> expected = joulecast.predict_call(pipe, "a red fox")  # doctest: +SKIP
    >>> pipe("a red fox", callback_on_step_end=joulecast.StepJoules(expected))  # doctest: +SKIP

    Make one in each call: it counts what the GPU draws from when it is made. Where no GPU can be measured,
    what was predicted is told in its place, and named so.

    Parameters
    ----------
    expected : the estimate of the call, gross.
    meter : what measures; torch's GPU by default.
    tell : is given a `StepProgress` every second and after the last step; by default it is printed on
        standard error.

    Attributes
    ----------
    progress : what was told last; None before.

    Raises InputError for an estimate of dynamic energy.
    """

    def __init__(
        self,
        expected: Estimate,
        *,
        meter: Meter | None = None,
        tell: Callable[[StepProgress], object] | None = None,
    ) -> None:
        if expected.boundary != BOUNDARIES[0]:
            raise InputError("a meter shows gross energy: give an estimate of it, not of dynamic energy")
        self.expected = expected
        self.progress: StepProgress | None = None
        self._tell = tell or (lambda progress: print(progress, file=sys.stderr, flush=True))
        self._problem = ""
        own = None if meter else self._opened()
        self._release = (
            None if own is None else weakref.finalize(self, own.close)
        )  # also of a call broken off
        self._meter = meter or own
        self._clock = self._meter.clock if self._meter else SystemClock()
        self._told_s = self._clock.now()
        self._start = self._read(0)
        self._first: _Reading | None = None

    def __call__(
        self, pipeline: Any, step: int, timestep: Any, callback_kwargs: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """After a step, from 0: as diffusers calls it."""
        steps = int(getattr(pipeline, "num_timesteps", None) or self.expected.workload.steps)
        is_last = step + 1 >= steps
        if is_last or self._clock.now() - self._told_s >= SHOWN_S:
            synchronize_of(pipeline)()
            self.progress = self._after(step + 1, max(steps, step + 1))
            self._tell(self.progress)
            self._told_s = self._clock.now()
        if is_last:
            self.close()
        return callback_kwargs

    def close(self) -> None:
        """Release the meter where it is the callback's own."""
        if self._release is not None:
            self._release()
        if self._meter is not None:
            self._problem = "the call that it was made in has ended: make one in each call"
        self._meter = None

    def _after(self, step: int, steps: int) -> StepProgress:
        now = self._read(step)
        rate_j = self._rate_j(now)
        predicted = self._predicted_j
        of_steps = math.fsum(one.energy_j for one in self.expected.components if one.role == DENOISER)
        before = math.fsum(one.energy_j for one in self.expected.components if one.role in BEFORE)
        batch, left = self.expected.workload.batch_size, steps - step
        done = batch * (before + of_steps * step / steps)
        of_left = batch * of_steps * left / steps if rate_j is None else rate_j * left
        after = predicted - batch * (before + of_steps)  # of decoding
        return StepProgress(
            step=step,
            steps=steps,
            measured_j=self._since(self._start, now),
            done_j=done,
            left_j=of_left + after,
            is_rate_measured=rate_j is not None,
            predicted_j=predicted,
            problem=self._problem,
        )

    @property
    def _predicted_j(self) -> float:
        return self.expected.energy_j * self.expected.workload.batch_size

    def _rate_j(self, now: _Reading | None) -> float | None:
        """Energy of a step [J], as measured between steps; None as long as that is not resolved."""
        first, self._first = self._first, self._first or now
        drawn = self._since(first, now)
        return None if drawn is None or first is None or now is None else drawn / (now.step - first.step)

    def _since(self, start: _Reading | None, now: _Reading | None) -> float | None:
        """Energy between two readings [J]; None where the meter resolves none."""
        if start is None or now is None or self._meter is None:
            return None
        drawn = now.energy_j - start.energy_j
        return drawn if drawn > 0 and is_resolved(self._meter, now.at_s - start.at_s) else None

    def _read(self, step: int) -> _Reading | None:
        """The meter now; a meter that fails is no reason to end a call."""
        if self._meter is None:
            return None
        try:
            return _Reading(step, self._clock.now(), self._meter.energy_j())
        except MeasureError as error:
            self._problem = str(error)
            return None

    def _opened(self) -> Meter | None:
        try:
            from joulecast.measure.pipelines import gpu_meter

            return gpu_meter()
        except (MeasureError, MissingExtraError) as error:
            self._problem = str(error)
            return None
