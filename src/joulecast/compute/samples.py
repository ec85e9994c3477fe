"""Trace a pipeline at the sample points, and at its own size: what profiles are solved from.

Needs the extra `trace`.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from joulecast.compute.arguments import Request
from joulecast.compute.capture import PipelineCapture
from joulecast.compute.loops import Trace, by_lengths
from joulecast.compute.operator_runs import merged
from joulecast.compute.operators import DECODER, DENOISER, TEXT_ENCODER
from joulecast.compute.peak_tracing import PeakTraces
from joulecast.compute.points import (
    ALL,
    COARSE,
    ROUNDS_OF_IMAGES,
    SEVERAL,
    SHORTEST_TEXT,
    SINGLE,
    SMALL,
    Point,
    Sample,
    on_grid,
    with_frames,
)
from joulecast.compute.rules import PipelineRules
from joulecast.compute.solving import BATCHES, depends_on_batch, has_rounds_of_images, sequences
from joulecast.errors import TraceError


class Samples:
    """Traces of a pipeline whose `rules` are known, by a `capture` in some precision.

    `grid` is on which points are taken: as they are, COARSE or SMALL; `parted` are components that work on
    much at once in parts, and `parted_alone` those of them that do so for one video of the model's own size;
    `one_at_once` tells whether the pipeline takes one video alone of that size.
    """

    def __init__(self, capture: PipelineCapture, rules: PipelineRules, peaks: PeakTraces) -> None:
        self.capture, self.rules, self.peaks = capture, rules, peaks
        self.grid = ""
        self.parted: set[str] = set()
        self.parted_alone: set[str] = set()
        self.one_at_once = False

    def native_units(self) -> tuple[int, int]:
        """Height and width of the model's own size, in size units."""
        width, height = self.rules.native
        return height // self.rules.unit, width // self.rules.unit

    def native_steps(self) -> int | None:
        """The model's own number of frames as polynomials count them, where it is on the grid."""
        rule, own = self.rules.frames, self.rules.native_frames
        if rule is None or own is None or (own - rule.first) % rule.step:
            return None
        return int(rule.steps(np.array(own)))

    def at(
        self, points: Sequence[Point], grid: str | None = None, *, unseen: bool = False
    ) -> dict[str, list[Trace]]:
        """Traces of each component at points, of videos with frames that are solved from, or `unseen`."""
        return self._sample(with_frames(points, self.rules.lengths.values(), unseen), grid)

    def by_component(self, samples: Sequence[Point]) -> dict[str, list[Trace]]:
        """Traces at the sample points, and at the model's own size where modules take a shorter way there.

        Components whose operators depend on the number of images are traced for each of `BATCHES`.
        """
        height, width = self.native_units()
        native = [(batch, height, width, text) for batch, _, _, text in (*SINGLE[:4], *SEVERAL[:6])]
        traces = self.at(samples)
        grid = "" if self.grid == SMALL else self.grid  # the model's own size is what it is
        own = self._own([native[0], native[-1]], grid)
        if self.rules.frames is not None:
            self.parted |= {name for name in traces if self._parts_large_batches(traces[name], own[name])}
            self.parted_alone |= {name for name in traces if self._parts_one(name, traces[name], own[name])}
        self._leave_out_parts(own)
        if any(not sequences(own[name]) <= sequences(traces[name]) for name in self.rules.roles):
            own = self._own(native, grid)
            self._leave_out_parts(own)
        for name, found in self._own_frames(native).items():
            if self.rules.roles[name] == DENOISER and not sequences(found) <= sequences(traces[name]):
                own[name] += found
        traces = {name: [*found, *(t for t in own[name] if t not in found)] for name, found in traces.items()}
        dependent = self._without_rounds(traces)
        if dependent:
            points = [(batch, h, w, text) for batch in BATCHES for _, h, w, text in ALL[:10]]
            more = self.at(points)
            traces |= {name: more[name] for name in dependent}
        return traces

    def _leave_out_parts(self, own: dict[str, list[Trace]]) -> None:
        """Leave out traces of work in parts that nothing is solved from: of several videos, and of a whole
        clip, whose parts change with its frames."""
        for name in self.parted:
            own[name] = _of_one_image(own[name])
        for name in self.parted_alone:
            if any(some.pieces for some in self.rules.lengths[name]):
                own[name] = []

    def _without_rounds(self, traces: dict[str, list[Trace]]) -> list[str]:
        """Components whose operators depend on the number of images, in no rounds of one.

        Those of videos are traced at numbers that tell rounds.
        """
        dependent = [name for name in traces if any(map(depends_on_batch, self._by_lengths(name, traces)))]
        if not dependent or self.rules.frames is None:
            return dependent
        numbers = sorted({some.samples[0] for name in dependent for some in self.rules.lengths[name]})
        more = self._sample([(*point, frames) for frames in numbers for point in ROUNDS_OF_IMAGES])
        for name in dependent:
            traces[name] += [t for t in more[name] if t not in traces[name]]
        return [n for n in dependent if not all(map(has_rounds_of_images, self._by_lengths(n, traces)))]

    def _by_lengths(self, name: str, traces: Mapping[str, list[Trace]]) -> list[list[Trace]]:
        return [part for _, part in by_lengths(traces[name], self.rules.lengths[name])]

    def _own(self, native: Sequence[Point], grid: str) -> dict[str, list[Trace]]:
        """Traces at the model's own size, of one video where the pipeline takes no several of it at once."""
        if not self.one_at_once:
            try:
                return self.at(native, grid)
            except TraceError:
                if self.rules.frames is None:
                    raise
                self.one_at_once = True
        return self.at([point for point in native if point[0] == 1], grid)

    def _own_frames(self, native: Sequence[Point]) -> dict[str, list[Trace]]:
        """Traces at the model's own size and number of frames, for which denoisers may hold tables."""
        steps = self.native_steps()
        if steps is None:
            return {}
        return self._sample([(*p, steps) for p in native if p[0] == 1 or not self.one_at_once], grid="")

    def _parts_large_batches(self, traces: Sequence[Trace], own: Sequence[Trace]) -> bool:
        """Whether a component runs other operators at the model's own size for several videos alone."""
        known = sequences(traces)
        return sequences(_of_one_image(own)) <= known and not sequences(own) <= known

    def _parts_one(self, name: str, traces: Sequence[Trace], own: Sequence[Trace]) -> bool:
        """Whether a decoder, which is convolutions, runs other operators for one video of the own size."""
        decodes = self.rules.roles[name] == DECODER
        return decodes and not sequences(_of_one_image(own)) <= sequences(traces)

    def _sample(self, samples: Sequence[Sample], grid: str | None = None) -> dict[str, list[Trace]]:
        """For each component, its local symbols and operators at each sample point, without repeats."""
        rules, grid = self.rules, self.grid if grid is None else grid
        traces: dict[str, dict[tuple[int, ...], Trace]] = defaultdict(dict)
        own = self.native_units() if rules.takes_one_size else None
        for batch, height, width, text, frames in (on_grid(sample, grid, own) for sample in samples):
            request = Request(
                batch=batch,
                height=height * rules.unit,
                width=width * rules.unit,
                frames=None if rules.frames is None else rules.frames.of_steps(frames),
                **rules.texts.request(text + (0 if grid == COARSE else SHORTEST_TEXT)),
            )
            if rules.guided_apart and batch > 1:
                request = dataclasses.replace(request, batch=-(-batch // 2), guided=True, negative=True)
            for call in self.capture.run(request):
                place = rules.calls.text_place.get(call.component)
                encodes = rules.roles[call.component] == TEXT_ENCODER
                symbols = {
                    "batch": rules.batches.of(call, request.frames),
                    "frames": 0 if encodes else frames,
                    "height": 0 if encodes else height,
                    "width": 0 if encodes else width,
                    "text": call.shapes[place[0]][place[1]] if place else 0,
                }
                with_runs = call.component in rules.with_runs
                operators = merged(call.operators) if with_runs else call.operators
                traces[call.component].setdefault(tuple(symbols.values()), (symbols, operators))
                self.peaks.add(call, symbols, with_runs)
        return {name: list(points.values()) for name, points in traces.items()}


def _of_one_image(traces: Sequence[Trace]) -> list[Trace]:
    return [trace for trace in traces if trace[0]["batch"] == 1]
