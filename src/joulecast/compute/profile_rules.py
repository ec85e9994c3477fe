"""A pipeline's own rules for sizes, frames, text and guidance, as a profile keeps them."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from joulecast.compute.operators import Array, Integers
from joulecast.records import Record
from joulecast.units import counted

# What a pipeline does with a size off its grid.
REFUSE, ROUND_DOWN, ROUND_UP, IRREGULAR = "refuse", "round_down", "round_up", "irregular"
OFF_GRID = (REFUSE, ROUND_DOWN, ROUND_UP, IRREGULAR)
ONLY = "only"  # of sizes: the profile holds for one alone
# Which number is rounded down at a strength: of the steps that are made, or of those that are not.
MADE_DOWN, LEFT_DOWN = "made_down", "left_down"
STRENGTHS = ("", MADE_DOWN, LEFT_DOWN)
WHOLE_STEPS = "whole_steps"  # of frames: the steps in the number asked for, and the first


class SizeRule(Record):
    """Which sizes the pipeline accepts, and what it makes of the others.

    Attributes
    ----------
    unit : pixels in one step of the symbols ``height`` and ``width``.
    off_grid : what the pipeline does with a size that is no multiple of `unit`: ``refuse``,
        ``round_down``, ``round_up``, or ``irregular``, another size for which no rule is known: the
        profile does not hold for it; or ``only``: the profile holds for the one size in `bins`.
    largest : largest side the pipeline accepts [pixels], None when it sets no limit.
    bins : (aspect ratio, height, width) the pipeline maps every request to; empty when it does not.
    native : smallest and largest side the model's authors name [pixels], None when unknown.
    """

    unit: int
    off_grid: str
    largest: int | None = None
    bins: tuple[tuple[float, int, int], ...] = ()
    native: tuple[int, int] | None = None

    def rendered(self, width: Integers, height: Integers) -> tuple[Integers, Integers]:
        """The size at which the pipeline really generates, each of shape (workloads,) [pixels]."""
        if self.bins:
            ratios, heights, widths = self._bins
            nearest = np.abs(ratios - (height / width)[:, None]).argmin(axis=1)
            return widths[nearest], heights[nearest]
        if self.takes_only_its_grid:
            return width, height
        further = self.unit - 1 if self.off_grid == ROUND_UP else 0
        return (width + further) // self.unit * self.unit, (height + further) // self.unit * self.unit

    @cached_property
    def _bins(self) -> tuple[Array, Integers, Integers]:
        ratios, heights, widths = np.array(self.bins).T
        return ratios, heights.astype(np.int64), widths.astype(np.int64)

    def refused(
        self, width: Integers, height: Integers, rendered: tuple[Integers, Integers] | None = None
    ) -> NDArray[np.bool_]:
        """Whether the pipeline refuses the size, shape (workloads,); with bins it takes any.

        `rendered` is what `rendered` gives, for those who know it.
        """
        wide, high = rendered or self.rendered(width, height)
        if self.off_grid == ONLY:
            return np.asarray((wide != width) | (high != height))
        if self.bins:
            return np.zeros(len(width), dtype=bool)
        bad: NDArray[np.bool_] = np.minimum(wide, high) < self.unit
        if self.takes_only_its_grid:
            bad |= (width % self.unit + height % self.unit).astype(bool)
        if self.largest is not None:
            bad |= np.maximum(np.maximum(width, height), np.maximum(wide, high)) > self.largest
        return bad

    @property
    def _the_only(self) -> str:
        _, height, width = self.bins[0]
        return f"{width}x{height}"

    @property
    def takes_only_its_grid(self) -> bool:
        """Whether sizes that are taken are generated as they are."""
        return not self.bins and self.off_grid in (REFUSE, IRREGULAR)

    def expected(self) -> str:
        """What sizes would be accepted, in words."""
        if self.off_grid == ONLY:
            return f"{self._the_only} alone"
        limit = f" up to {self.largest}" if self.largest is not None else ""
        return f"sides that are multiples of {self.unit} pixels{limit}"

    def nearest(self, width: int, height: int) -> str:
        """The next smaller and larger sizes that would be accepted, in words."""
        if self.off_grid == ONLY:
            return self._the_only
        found = []
        for further in (0, self.unit - 1):
            sides = [(side + further) // self.unit * self.unit for side in (width, height)]
            most = self.largest // self.unit * self.unit if self.largest is not None else None
            sides = [max(side if most is None else min(side, most), self.unit) for side in sides]
            found.append("x".join(map(str, sides)))
        return " or ".join(dict.fromkeys(found))


class FrameRule(Record):
    """Which numbers of frames a video pipeline makes, and what it does with the others.

    It makes `first` and every `step` more. `off_grid` and `largest` are as of `SizeRule`; ``whole_steps``
    makes of 12 frames, where the step is 4 and the first 1, not 9 but 13. Polynomials count frames in steps,
    the first of which is 1.
    """

    step: int
    first: int
    off_grid: str
    largest: int | None = None

    def rendered(self, frames: Integers) -> Integers:
        """The frames that are really made, shape (workloads,)."""
        if self.takes_only_its_grid:
            return frames
        further = {ROUND_UP: self.step - 1 - self.first, WHOLE_STEPS: self.first // self.step * -self.step}
        steps = (frames + further.get(self.off_grid, -self.first)) // self.step
        return np.maximum(steps, 0) * self.step + self.first

    def steps(self, rendered: Integers) -> Integers:
        """Frames as the polynomials count them, shape (workloads,)."""
        return (rendered - self.first) // self.step + 1

    def of_steps(self, steps: int) -> int:
        """The frames of so many steps, as the polynomials count them."""
        return self.first + (steps - 1) * self.step

    def refused(self, frames: Integers) -> NDArray[np.bool_]:
        """Whether the pipeline refuses so many frames, shape (workloads,)."""
        bad = np.zeros(len(frames), dtype=bool)
        if self.takes_only_its_grid:
            bad |= (frames < self.first) | ((frames - self.first) % self.step != 0)
        if self.largest is not None:
            bad |= frames > self.largest
        return bad

    @property
    def takes_only_its_grid(self) -> bool:
        """Whether numbers of frames that are taken are made as they are."""
        return self.off_grid in (REFUSE, IRREGULAR)

    @property
    def way(self) -> str:
        """Which way other numbers are rounded, in words."""
        return {ROUND_UP: "up", ROUND_DOWN: "down"}.get(self.off_grid, "up or down")

    def nearest_made(self, frames: float) -> int:
        """The number of frames that is made and nearest to so many, the larger of two as near.

        Where more are wanted than the pipeline accepts, the number that it refuses.
        """
        steps = max(math.floor((frames - self.first) / self.step + 0.5), 0)
        nearest = self.of_steps(steps + 1)
        if self.largest is None or nearest <= self.largest:
            return nearest
        return nearest - self.step if frames <= self.largest else math.ceil(frames)

    def expected(self) -> str:
        """What numbers of frames would be accepted, in words."""
        limit = f" up to {self.largest}" if self.largest is not None else ""
        if self.step == 1:
            return f"{self.first} or more frames{limit}"
        return f"{counted(self.first, 'frame')} and every {self.step} more{limit}"

    def nearest(self, frames: int) -> str:
        """The next smaller and larger numbers that would be accepted, in words."""
        below = max((frames - self.first) // self.step, 0)
        most = None if self.largest is None else (self.largest - self.first) // self.step
        near = [k if most is None else min(k, most) for k in (below, below + 1)]
        return " or ".join(dict.fromkeys(str(self.first + k * self.step) for k in near))


class ImageRule(Record):
    """Which images a pipeline is given besides a prompt, and what it makes of a strength.

    Attributes
    ----------
    arguments : of the pipeline that take an image; each is counted as one, of the size of what is made.
    strength : how a strength below 1 takes steps away, one of `STRENGTHS`; empty where there is none.
    side : of the square image that is counted instead, where the pipeline scales all of one shape to one area
        [pixels]; else None.
    """

    arguments: tuple[str, ...] = ()
    strength: str = ""
    side: int | None = None

    def steps_made(self, steps: Integers, strength: Array | float) -> Integers:
        """Of so many steps those that are made at strengths above 0 up to 1, shape (workloads,)."""
        kept = np.minimum(steps * np.asarray(strength, dtype=np.float64), steps)
        if self.strength == LEFT_DOWN:
            return np.asarray(steps - (steps - kept).astype(np.int64))
        return kept.astype(np.int64)


class TextRule(Record):
    """How long the text is: tokens the denoiser attends to.

    `adjustable` pipelines take the prompt's length or a maximum; the others always pad to `default`.
    The pipeline's own text length is ``text_tokens - denoiser_offset``, at most `largest`, and padded
    to a multiple of `multiple`.
    """

    default: int
    adjustable: bool
    denoiser_offset: int = 0
    largest: int | None = None
    padded: bool = True
    multiple: int = 1

    def padded_to_multiple(self, own: Integers) -> Integers:
        """The pipeline's own text length as it really encodes it."""
        return own if self.multiple == 1 else -(-own // self.multiple) * self.multiple


TRUE_CFG = "true_cfg_scale"  # classifier-free guidance beside a ``guidance_scale`` that is an input


class GuidanceRule(Record):
    """When the pipeline makes a second denoiser pass (classifier-free guidance).

    `parameter` is its argument (``guidance_scale`` or `TRUE_CFG`), None when it never does;
    the second pass runs above a scale of `threshold` and, if `needs_negative_prompt`, only with a
    negative prompt.
    """

    parameter: str | None
    needs_negative_prompt: bool = False
    threshold: float = 1.0

    def passes(self, guidance: float | None, negative_prompt: bool) -> int:
        """Denoiser passes in a step for a guidance scale."""
        if self.parameter is None or guidance is None or not guidance > self.threshold:
            return 1
        return 2 if negative_prompt or not self.needs_negative_prompt else 1


class Defaults(Record):
    """What the model's authors recommend, or their pipeline takes: `guidance` as ``guidance_scale``, of
    which a distilled model makes no second pass, ``true_cfg_scale`` where the pipeline has one, and
    whether its authors give a negative prompt. `frames` are 1 of an image, and `frame_rate` is in frames a
    second, None of an image and where nobody states one."""

    width: int
    height: int
    steps: int
    guidance: float | None
    precision: str
    true_cfg_scale: float | None = None
    negative_prompt: bool = False
    frames: int = 1
    frame_rate: float | None = None
