"""Find how the components of a pipeline are given several images, or videos, and how many a call has.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from joulecast.compute.capture import Call
from joulecast.compute.frames import A_FEW
from joulecast.compute.operators import BATCHED, ONCE, ONE_BY_ONE
from joulecast.errors import TraceError


class Fold(NamedTuple):
    """Frames given as a batch: `images` for a video of so many `frames`, `rise` more for so many `more`."""

    frames: int
    images: int
    rise: int
    more: int

    def videos(self, batch: int, frames: int) -> int:
        """The videos in a batch, where each is of so many frames."""
        each = self.images + self.rise * (frames - self.frames) // self.more
        if batch % each:
            raise TraceError(f"a batch of {batch} is no whole number of videos, each of {each} frames")
        return batch // each


class Batches:
    """How components are given several images. `run` makes a small request, and `few_frames` are those of its
    video, None of an image.

    `images` says it of each as of a `CallGroup`; those in `listed` are given them as a list, and those in
    `folded` the frames of a video as a batch of images.
    """

    def __init__(
        self, run: Callable[..., list[Call]], names: Iterable[str], few_frames: int | None, pipeline: str
    ) -> None:
        self.run, self.few_frames, self.pipeline = run, few_frames, pipeline
        self.images: dict[str, str] = {}
        self.listed: set[str] = set()
        self.folded: dict[str, Fold] = {}
        self._find_images(names)
        self._find_folded()

    def _find_images(self, names: Iterable[str]) -> None:
        """How each component is given several images: as a batch or list, one after the other, or once."""
        one, two = self.run(), self.run(batch=2)
        for name in names:
            before, after = ([c for c in calls if c.component == name] for calls in (one, two))
            self.images[name] = BATCHED
            if len(after) == 2 * len(before) and {c.shapes for c in after} == {c.shapes for c in before}:
                self.images[name] = ONE_BY_ONE
            elif [c.shapes for c in after] == [c.shapes for c in before]:
                self.images[name] = ONCE
            elif [_batch_of(c) for c in after] == [2 * _batch_of(c) for c in before]:
                continue
            elif [_listed(c) for c in after] == [2 * _listed(c) for c in before]:
                self.listed.add(name)
            else:
                raise TraceError(f"{self.pipeline} does not batch its calls of {name}")

    def _find_folded(self) -> None:
        """Which components are given the frames of a video as a batch, and how many it then has of each."""
        if self.few_frames is None:
            return
        few, (more, many) = self.run(), self._for_more_frames(self.few_frames)
        if [call.component for call in few] != [call.component for call in many]:
            raise TraceError(f"{self.pipeline} makes more calls for more frames")
        batches = [
            (call.component, self.of(call), self.of(later)) for call, later in zip(few, many, strict=True)
        ]
        self.folded = {
            name: Fold(self.few_frames, before, after - before, more)
            for name, before, after in batches
            if after != before
        }

    def _for_more_frames(self, few: int) -> tuple[int, list[Call]]:
        """How many more frames than a few are made, and the calls for them."""
        for more in (A_FEW, A_FEW // 2, A_FEW // 4):
            try:
                return more, self.run(frames=few + more)
            except TraceError as error:
                refused = error
        raise refused

    def of(self, call: Call, frames: int | None = None) -> int:
        """The images or videos a call works on, those of a second pass included; `frames` are those asked
        for, of a video that is not of a few."""
        found = _listed(call) if call.component in self.listed else _batch_of(call)
        fold = self.folded.get(call.component)
        return found if fold is None else fold.videos(found, frames or fold.frames)


def _batch_of(call: Call) -> int:
    """The batch a call works on: the first dimension of its first tensor that has two or more."""
    return next((shape[0] for shape in call.shapes if len(shape) >= 2), 0)


def _listed(call: Call) -> int:
    """Images a call is given as a list: the tensors of one shape at its start."""
    return next((n for n, shape in enumerate(call.shapes) if shape != call.shapes[0]), len(call.shapes))
