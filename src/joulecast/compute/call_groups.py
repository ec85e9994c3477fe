"""Find the calls that a pipeline makes of its components, by the mode of a request.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from joulecast.compute.batches import Batches
from joulecast.compute.capture import Call
from joulecast.compute.operators import BATCHED, ONCE, CallGroup, mode_of
from joulecast.compute.profile_rules import GuidanceRule
from joulecast.errors import TraceError

TEXT = 96  # tokens of the request that is looked at


class CallGroups:
    """The calls of components. `run` makes a small request; `text_request` is what asks for a text of so many
    tokens, which the pipeline pads to a multiple of `text_multiple`.

    `by_mode` are groups of equal calls by mode (see `mode_of`) and component, and `exceptions` the calls of
    the denoiser that few steps make besides; `text_place` is the tensor and dimension of the text length.
    """

    def __init__(
        self,
        run: Callable[..., list[Call]],
        names: Iterable[str],
        denoiser: str,
        batches: Batches,
        guidance: GuidanceRule,
        text_request: Callable[[int], dict[str, Any]],
        text_multiple: int,
    ) -> None:
        self.run, self.names, self.denoiser, self.batches = run, tuple(names), denoiser, batches
        self._text_request, self._text_multiple = text_request, text_multiple
        self.text_place: dict[str, tuple[int, int]] = {}
        self.by_mode = self._by_mode(guidance)
        self.exceptions = self._exceptions()

    def _by_mode(self, guidance: GuidanceRule) -> dict[int, dict[str, tuple[CallGroup, ...]]]:
        groups = {}
        for passes in (1, 2) if guidance.parameter else (1,):
            guided = passes == 2
            plain = self._groups(guided=guided, negative=guided and guidance.needs_negative_prompt)
            with_negative = self._groups(guided=guided, negative=True)
            groups[mode_of(passes, False)] = plain
            if with_negative != plain:
                groups[mode_of(passes, True)] = with_negative
        return groups

    def _exceptions(self) -> dict[int, int]:
        exceptions = {}
        of_denoiser = self.by_mode[1][self.denoiser]
        per_step = sum(group.per_step for group in of_denoiser)
        for steps in (1, 2, 3):
            try:
                calls = self.run(steps=steps)
            except TraceError:  # some schedulers take no fewer than two
                continue
            made = sum(call.component == self.denoiser for call in calls)
            surplus = made - sum(group.fixed + group.per_step * steps for group in of_denoiser)
            if surplus:
                exceptions[steps] = surplus // per_step
        return exceptions

    def _groups(self, **request: bool) -> dict[str, tuple[CallGroup, ...]]:
        short, long = (self.run(**self._text_request(TEXT), steps=steps, **request) for steps in (5, 9))
        shifted = self.run(**self._text_request(TEXT + self._text_multiple), steps=5, **request)
        offsets = self._text_offsets(short, shifted)
        self._check_proportion(request, short, long)
        once = self._once_for_several(short, request)
        out = {}
        for name in self.names:
            few, many = (self._counted(name, calls, offsets, once) for calls in (short, long))
            out[name] = tuple(
                CallGroup(
                    fixed=few[key] - 5 * ((many[key] - few[key]) // 4),
                    per_step=(many[key] - few[key]) // 4,
                    batch_factor=key[0],
                    text_offset=key[1],
                    images=key[2],
                )
                for key in few
            )
        return out

    def _check_proportion(
        self, request: Mapping[str, bool], short: Sequence[Call], long: Sequence[Call]
    ) -> None:
        """Refuse components whose calls rise by no fixed number with each step."""
        longer = self.run(**self._text_request(TEXT), steps=17, **request)
        at_5, at_9, at_17 = (Counter(call.component for call in calls) for calls in (short, long, longer))
        for name in self.names:
            counts = at_5[name], at_9[name], at_17[name]
            if 2 * (counts[1] - counts[0]) != counts[2] - counts[1] or (counts[1] - counts[0]) % 4:
                raise TraceError(
                    f"{self.batches.pipeline} calls {name} {counts[0]}, {counts[1]} and {counts[2]} times "
                    "in 5, 9 and 17 steps: no fixed number for each step"
                )

    def _text_offsets(self, calls: Sequence[Call], shifted: Sequence[Call]) -> dict[Any, int]:
        """Each call's own text length relative to the knob, by its input shapes."""
        offsets = {}
        for call, moved in zip(calls, shifted, strict=True):
            place = self.text_place.get(call.component) or _first_difference(call.shapes, moved.shapes)
            if place is not None and call.component in self.batches.listed and place[0] > 0:
                place = place[0] - len(call.shapes), place[1]  # from the end: more images are listed before
            if place is not None:
                self.text_place[call.component] = place
                offsets[call.component, call.shapes] = call.shapes[place[0]][place[1]] - TEXT
                if moved.shapes[place[0]][place[1]] != call.shapes[place[0]][place[1]] + self._text_multiple:
                    raise TraceError(f"the text length of {call.component} does not follow the prompt's")
        return offsets

    def _once_for_several(self, calls: Sequence[Call], request: Mapping[str, bool]) -> set[tuple[str, int]]:
        """Places among its component's calls of those that are the same for two images, though others are
        not, as of a negative prompt that all share."""
        try:
            several = self.run(**self._text_request(TEXT), steps=5, batch=2, **request)
        except TraceError:
            return set()
        if [call.component for call in several] != [call.component for call in calls]:
            return set()
        found: set[tuple[str, int]] = set()
        for name in self.names:
            pairs = [(a, b) for a, b in zip(calls, several, strict=True) if a.component == name]
            same = (place for place, (a, b) in enumerate(pairs) if a.shapes == b.shapes)
            found |= {(name, place) for place in same if self.batches.images[name] == BATCHED}
        return found

    def _counted(
        self, name: str, calls: Sequence[Call], offsets: Mapping[Any, int], once: Set[tuple[str, int]]
    ) -> Counter[tuple[int, int, str]]:
        """Calls of a component by their batch, their text's offset, and what several images make of them."""
        usual = self.batches.images[name]
        made = [call for call in calls if call.component == name]
        return Counter(
            (
                self.batches.of(call),
                offsets.get((name, call.shapes), 0),
                ONCE if (name, place) in once else usual,
            )
            for place, call in enumerate(made)
        )


def _first_difference(a: Any, b: Any) -> tuple[int, int] | None:
    """(tensor, dimension) where two calls' shapes first differ."""
    for tensor, (one, other) in enumerate(zip(a, b, strict=True)):
        for dimension, (x, y) in enumerate(zip(one, other, strict=True)):
            if x != y:
                return tensor, dimension
    return None
