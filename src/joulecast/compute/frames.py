"""Find which numbers of frames a pipeline makes, by asking it for some, and how components loop over them.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from joulecast.compute.capture import Call
from joulecast.compute.loops import EVERY_LENGTH, LONGEST_PERIOD, SCANNED, Lengths, lengths_of
from joulecast.compute.operator_runs import merged
from joulecast.compute.operators import TEXT_ENCODER
from joulecast.compute.output import VIDEO_DIMENSIONS
from joulecast.compute.pieces import pieces_of
from joulecast.compute.probing import last_accepted, on_a_line
from joulecast.compute.profile_rules import (
    IRREGULAR,
    REFUSE,
    ROUND_DOWN,
    ROUND_UP,
    WHOLE_STEPS,
    FrameRule,
)
from joulecast.compute.tracer import Operator
from joulecast.errors import TraceError

STEPS_TRIED = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24)
EVENLY = (0, 1, 2, 5)  # of those, where what modules are given must lie on a line
MOST_FRAMES = 1025  # that are tried: a minute at 16 a second
A_FEW = 24  # frames: a multiple of steps in use, so that what it leaves of a default is on the grid
FEWEST_FRAMES = 5


def a_few(default: int) -> int:
    """A small number of frames that stands on the same grid as the default."""
    rest = default % A_FEW
    return rest if rest >= FEWEST_FRAMES or default < A_FEW else rest + A_FEW


def _frames_of(shapes: Any) -> int | None:
    """The frames of the clip that a request makes, by what its modules return."""
    made = [call[-1] for call in shapes or () if len(call[-1]) == VIDEO_DIMENSIONS]
    return made[-1][2] if made else None


class FrameProbe:
    """A pipeline's frames. `run` makes a small request of so many; `some` is a number it makes."""

    def __init__(
        self,
        run: Callable[[int], list[Call]],
        some: int,
        roles: Mapping[str, str],
        pipeline: str,
        with_runs: Container[str] = (),
    ) -> None:
        self.run, self.some, self.roles, self.pipeline = run, some, roles, pipeline
        self.with_runs = with_runs  # components of which runs of one operator count as one
        self.in_pieces: set[str] = set()  # those of which they must, besides
        self._known: dict[int, Any] = {}
        step = self._step()
        first = self._first(step)
        self.rule = FrameRule(step, first, self._off_grid(step, first), self._largest(step))

    def _shapes(self, frames: int) -> Any:
        """What components that know the frames are given and return; None where that is refused."""
        if frames not in self._known:
            try:
                calls = self.run(frames)
            except TraceError:
                self._known[frames] = None
            else:
                known = [call for call in calls if self.roles[call.component] != TEXT_ENCODER]
                self._known[frames] = [(*call.shapes, call.output) for call in known]
        return self._known[frames]

    def _step(self) -> int:
        reference = self._shapes(self.some)
        for step in STEPS_TRIED:
            if self._shapes(self.some + step) not in (None, reference) and self._is_even(self.some, step):
                return step
        raise TraceError(f"{self.pipeline} follows no number of frames evenly near {self.some}")

    def _is_even(self, start: int, step: int) -> bool:
        """Whether what modules are given rises in a line from a number of frames on, or in rounds of some
        steps each of whose places does, as where sound is rounded to whole pieces beside the frames."""
        shapes = (self._shapes(start + count * step) for count in range(EVENLY[-1] + 1))
        made = [frames for some in shapes if (frames := _frames_of(some)) is not None]
        if len(made) == EVENLY[-1] + 1 and len(set(made)) == 1:  # what changes is no part of the picture
            return False
        if self._rises(start, step, 0, 1):
            return True
        if len(made) <= EVENLY[-1] or any(b - a != step for a, b in pairwise(made)):
            return False
        periods = range(2, LONGEST_PERIOD + 1)
        return any(all(self._rises(start, step, n, p) for n in range(p)) for p in periods)

    def _rises(self, start: int, step: int, place: int, period: int) -> bool:
        """Whether what modules are given rises in a line at one place of every round."""
        frames = (start + (place + count * period) * step for count in EVENLY)
        return on_a_line(EVENLY, [self._shapes(some) for some in frames])

    def _first(self, step: int) -> int:
        """The fewest frames on the grid from which on the pipeline is even."""
        first = self.some
        while first - step >= 1 and self._is_even(first - step, step):
            first -= step
        return first

    def _off_grid(self, step: int, first: int) -> str:
        """What the pipeline does with a number between two of its grid."""
        asked = [self.some + rest for rest in range(1, step)]
        taken = [frames for frames in asked if self._accepts(frames)]
        if not taken:
            return REFUSE
        for way in (ROUND_DOWN, ROUND_UP, WHOLE_STEPS):
            made = FrameRule(step, first, way).rendered(np.array(taken)).tolist()
            if all(self._shapes(a) == self._shapes(b) for a, b in zip(taken, made, strict=True)):
                return way
        return IRREGULAR

    def _largest(self, step: int) -> int | None:
        """The most frames the pipeline accepts, None when it takes the largest number that is tried."""
        refused = (MOST_FRAMES - self.some) // step
        if self._accepts(self.some + refused * step):
            return None
        return self.some + step * last_accepted(
            lambda middle: self._accepts(self.some + middle * step), 0, refused
        )

    def _accepts(self, frames: int) -> bool:
        return self._shapes(frames) is not None

    def lengths(self) -> dict[str, Sequence[Lengths]]:
        """For each component, at which numbers of frames it runs alike.

        Raises
        ------
        TraceError
            No loop explains what a component runs.
        """
        found: dict[str, dict[int, list[Operator]]] = defaultdict(dict)
        for steps in SCANNED:
            for call in self.run(self.rule.of_steps(steps)):
                operators = merged(call.operators) if call.component in self.with_runs else call.operators
                found[call.component].setdefault(steps, []).extend(operators)
        lengths: dict[str, Sequence[Lengths]] = {}
        for name, by_steps in found.items():
            explained = EVERY_LENGTH if self.roles[name] == TEXT_ENCODER else lengths_of(by_steps)
            explained = explained or pieces_of(by_steps)
            if explained is None and (explained := pieces_of(_merged(by_steps))) is not None:
                self.in_pieces.add(name)
            if explained is None:
                raise TraceError(f"{name} runs other operators for more frames, in no loop that was found")
            lengths[name] = explained
        return lengths


def _merged(by_steps: Mapping[int, Sequence[Operator]]) -> dict[int, tuple[Operator, ...]]:
    return {steps: merged(operators) for steps, operators in by_steps.items()}
