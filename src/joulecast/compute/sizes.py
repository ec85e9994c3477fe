"""Find which sizes a pipeline takes, and what it makes of the others, by asking it for some.

Needs the extra `trace`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from joulecast.compute.capture import Call, PipelineCapture
from joulecast.compute.operators import TEXT_ENCODER
from joulecast.compute.probing import last_accepted, on_a_line
from joulecast.compute.profile_rules import IRREGULAR, ONLY, REFUSE, ROUND_DOWN, ROUND_UP, SizeRule
from joulecast.errors import TraceError

LARGEST_PROBE = 4096
UNITS = (8, 16, 32, 64, 128)  # steps in size [pixels] that are tried
EVENLY = (0, 1, 2, 13)  # of those, where what modules are given must lie on a line


class SizeProbe:
    """A pipeline's sizes. `run` makes a request of it, at its own size unless another is given.

    `native` is that size, width and height [pixels]; `roles` are its components' roles by name; `unit` is
    the smallest step in size [pixels] it follows evenly, `off_grid` what it does with less, as of a
    `SizeRule`; where it follows none, the profile is of its own size alone. What deserves to be known is
    added to `notes`.
    """

    def __init__(
        self,
        capture: PipelineCapture,
        run: Callable[..., list[Call]],
        native: tuple[int, int],
        roles: Mapping[str, str],
        notes: list[str],
    ) -> None:
        self.run, self.native, self.roles = run, native, roles
        self.pipeline, self.parameters = capture.config.pipeline, capture.arguments.parameters
        self.module = vars(sys.modules[type(capture.pipeline).__mro__[1].__module__])
        self.notes = notes
        self.unit, self.off_grid = self._grid()
        if self.off_grid == IRREGULAR:
            self.notes.append(
                f"{self.pipeline} follows sizes evenly in steps of {self.unit} pixels only: this profile "
                "holds for sides that are multiples of that"
            )

    def _grid(self) -> tuple[int, str]:
        """The smallest step in size that the pipeline follows evenly, and what it does with less."""
        width = self.native[0]
        reference = self._shapes(width)
        changing = []
        for unit in UNITS:
            shapes = [self._shapes(width + count * unit) for count in EVENLY]
            if shapes[1] not in (None, reference):
                changing.append(unit)
            if unit in changing and width % unit == 0 and on_a_line(EVENLY, shapes):
                return unit, self._off_grid(unit)
        if not changing or self._keeps_its_area():
            why = "makes all sizes of one area" if changing else "takes no size near its own"
            self.notes.append(f"{self.pipeline} {why}: this profile holds for {self._own_size} alone")
            return self._step_of_its_own(), ONLY
        return changing[0], self._off_grid(changing[0])

    def _keeps_its_area(self) -> bool:
        """Whether sizes of the own aspect ratio, half and twice as large, are made as the own size is."""
        width, height = self.native
        own, half, twice = (self._shapes(int(width * by), int(height * by)) for by in (1, 0.5, 2))
        return own is not None and own == half == twice

    def _step_of_its_own(self) -> int:
        """The largest step in size that both sides of the own size are whole numbers of."""
        steps = [unit for unit in UNITS if not any(side % unit for side in self.native)]
        if not steps:
            raise TraceError(f"{self.pipeline} takes {self._own_size} alone, no steps of {UNITS[0]}")
        return steps[-1]

    @property
    def _own_size(self) -> str:
        width, height = self.native
        return f"{width}x{height}"

    def _off_grid(self, unit: int) -> str:
        """What the pipeline does with a size between two multiples of the unit."""
        width = self.native[0]
        below, above = self._shapes(width), self._shapes(width + unit)
        steps = {*(step for step in UNITS if step < unit), unit - UNITS[0]} - {0}
        between = [self._shapes(width + step) for step in sorted(steps)]
        taken = [shapes for shapes in between if shapes is not None]
        if not taken:
            return REFUSE
        for way, expected in ((ROUND_DOWN, below), (ROUND_UP, above)):
            if all(shapes == expected for shapes in taken):
                return way
        return IRREGULAR

    def _shapes(self, width: int, height: int | None = None) -> list[tuple[tuple[int, ...], ...]] | None:
        """What components that know the size are given at one, of the own height unless another is given;
        None where the pipeline refuses it."""
        try:
            calls = self.run(width=width, height=height or self.native[1])
        except TraceError:
            return None
        return [call.shapes for call in calls if self.roles[call.component] != TEXT_ENCODER]

    def largest(self) -> int | None:
        """The largest side the pipeline accepts [pixels], None when it takes the largest that is tried."""
        if self.off_grid == ONLY:
            return None
        accepted, refused = min(self.native) // self.unit, LARGEST_PROBE // self.unit
        undecoded = {"output_type": "latent"}
        how = undecoded if self._accepts(16 * self.unit, undecoded) else {}
        if self._accepts(refused * self.unit, how):
            return None
        most = last_accepted(lambda middle: self._accepts(middle * self.unit, how), accepted, refused)
        return most * self.unit

    def _accepts(self, side: int, arguments: Mapping[str, Any]) -> bool:
        try:
            self.run(width=16 * self.unit, height=side, arguments=arguments)
        except TraceError:
            return False
        return True

    def bins(self) -> tuple[tuple[float, int, int], ...]:
        """The aspect-ratio table the pipeline maps every size to, as its own module holds it; the own size
        where it is the only one."""
        if self.off_grid == ONLY:
            width, height = self.native
            return ((height / width, height, width),)
        binning = self.parameters.get("use_resolution_binning")
        if binning is None or not binning.default:
            return ()
        module = self.module
        width, height = self.native
        for name, table in module.items():
            if not name.startswith("ASPECT_RATIO") or not isinstance(table, dict):
                continue
            bins = tuple((float(ratio), int(h), int(w)) for ratio, (h, w) in table.items())
            if any((h, w) == (height, width) for _, h, w in bins) and self._is_binned_by(bins):
                return bins
        self.notes.append(
            f"{self.pipeline} maps sizes to a table of its own, which was not found: "
            "this profile takes every size as it is asked for"
        )
        return ()

    def _is_binned_by(self, bins: tuple[tuple[float, int, int], ...]) -> bool:
        """Whether a wide request really is generated at the size the table gives."""
        width, height = 24 * self.unit, 10 * self.unit
        rule = SizeRule(self.unit, "refuse", bins=bins)
        (w,), (h,) = rule.rendered(np.array([width]), np.array([height]))
        binned = self.run(width=width, height=height, arguments={"use_resolution_binning": True})
        direct = self.run(width=int(w), height=int(h))
        return [call.shapes for call in binned] == [call.shapes for call in direct]
