"""Find the rules of a pipeline by running it: roles, size grid, text length, guidance, calls.

Needs the extra `trace`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from joulecast.architecture.build import PROMPT
from joulecast.compute.capture import GUIDANCE, STEPS, Call, PipelineCapture, Request
from joulecast.compute.operators import (
    BATCHED,
    DECODER,
    DENOISER,
    ONCE,
    ONE_BY_ONE,
    TEXT_ENCODER,
    CallGroup,
    mode_of,
)
from joulecast.compute.profile import (
    IRREGULAR,
    REFUSE,
    ROUND_DOWN,
    ROUND_UP,
    TRUE_CFG,
    Defaults,
    GuidanceRule,
    SizeRule,
    TextRule,
)
from joulecast.errors import TraceError

DEFAULT_PROMPT_TOKENS = 64
LARGEST_PROBE = 4096
# Of tokens, to which pipelines pad a text.
MULTIPLES = (1, 2, 4, 8, 16, 32)
SMALL = 512  # pixels
UNITS = (8, 16, 32, 64, 128)  # steps in size [pixels] that are tried
EVENLY = (0, 1, 2, 13)  # of those, where what modules are given must lie on a line


class PipelineRules:
    """What a pipeline does with a request, found out by making requests.

    `native` is the width and height [pixels] it makes when asked for none; `stages` the components
    that follow each step argument, and `denoiser` the first that follows the main one; `roles` its
    components in the order of their first calls; `unit` the smallest step in size [pixels] it follows.
    """

    def __init__(self, capture: PipelineCapture, facts: Mapping[str, Any]) -> None:
        self.capture, self.facts = capture, facts
        self.pipeline = capture.config.pipeline
        self.notes: list[str] = []
        self.text_place: dict[str, tuple[int, int]] = {}  # tensor and dimension that hold the text length
        self.images: dict[str, str] = {}  # how each component is given several images, see `CallGroup`
        self.listed: set[str] = set()  # components that are given images as a list
        self.native = self._native_size()
        self.stages = self._stages()
        self.denoiser = self.stages[STEPS][0]
        self.roles = self._roles()
        self.unit, self.off_grid = self._size_unit()
        if self.off_grid == IRREGULAR:
            self.notes.append(
                f"{self.pipeline} follows sizes evenly in steps of {self.unit} pixels only: this profile "
                "holds for sides that are multiples of that"
            )
        self.capture.unguided_scale = self._unguided_scale()
        self.text_knob, self.text_multiple = self._finds_text()
        self._finds_batches()
        self._note_further_stages()
        if "num_frames" in capture.parameters:
            self.notes.append(f"{self.pipeline} makes videos: this profile is of one frame, an image")
        self.guidance = self._guidance()
        self.calls, self.call_exceptions = self._call_groups()
        self.size = SizeRule(self.unit, self.off_grid, self._largest(), self._bins(), self._native_range())
        self.text = self._text_rule()
        self.defaults = self._defaults()

    def _native_size(self) -> tuple[int, int]:
        """Width and height [pixels] of an image when no size is asked for."""
        default = self.facts.get("default_width"), self.facts.get("default_height")
        if all(default):
            return default  # type: ignore[return-value]
        image = self.capture.run(Request())[-1].output
        if len(image) < 4:
            raise TraceError(f"{self.pipeline} ends without an image: its last result is {image}")
        return image[-1], image[-2]

    def _run(self, **request: Any) -> list[Call]:
        width, height = self.native
        return self.capture.run(Request(**({"width": width, "height": height} | request)))

    def _small(self, **request: Any) -> list[Call]:
        """A run at a small size: as telling about calls as a large one, and cheaper."""
        side = self.unit * max(4, min(16, SMALL // self.unit))
        return self._run(**({"width": side, "height": side} | request))

    def _stages(self) -> dict[str, tuple[str, ...]]:
        """For each step argument, the components that are called once more for each further step.

        The main one comes first, then those that other components follow.
        """
        others = self.capture.further_steps
        few = self._steps_run(dict.fromkeys((STEPS, *others), 2))
        stages = {}
        for parameter in (STEPS, *others):
            many = self._steps_run({name: 6 if name == parameter else 2 for name in (STEPS, *others)})
            before, after = (Counter(call.component for call in calls) for calls in (few, many))
            stages[parameter] = tuple(name for name in before if after[name] > before[name])
        if not stages[STEPS]:
            raise TraceError(f"{self.pipeline} calls no component once for each step: no denoiser found")
        return {parameter: names for parameter, names in stages.items() if names}

    def _steps_run(self, steps: Mapping[str, int]) -> list[Call]:
        """A run with so many steps of each stage."""
        further = {name: count for name, count in steps.items() if name != STEPS}
        return self._run(steps=steps[STEPS], arguments=further)

    def _roles(self) -> dict[str, str]:
        """Components by role: what is called for each step of a stage denoises; what else comes before
        the main stage encodes, and what comes after it decodes."""
        denoisers = {name for names in self.stages.values() for name in names}
        order = [call.component for call in self._run()]
        first = order.index(self.denoiser)
        roles: dict[str, str] = {}
        for index, name in enumerate(order):
            role = DENOISER if name in denoisers else TEXT_ENCODER if index < first else DECODER
            roles.setdefault(name, role)
        return roles

    def _note_further_stages(self) -> None:
        """Say what of a further stage is fixed: its steps, and its passes in each."""
        for parameter, names in self.stages.items():
            steps = self.capture.parameters[parameter].default
            for name in names if parameter != STEPS else ():
                passes, with_negative = self._stage_passes(parameter, name)
                more = with_negative not in (passes, None)
                self.notes.append(
                    f"{name} is a stage of its own: it is counted with {steps} steps ({parameter}, the "
                    f"default of {self.pipeline}) of {passes} {'pass' if passes == 1 else 'passes'} each, "
                    "whatever steps and guidance are asked for"
                    + (f"; a negative prompt would make them {with_negative}" if more else "")
                )

    def _stage_passes(self, parameter: str, name: str) -> list[int | None]:
        """Passes in a step of a further stage's component: as it is, and with a negative prompt."""
        passes: list[int | None] = []
        for arguments in ({}, {"negative_prompt": [PROMPT]}):
            images = []
            for steps in (2, 6):
                try:
                    calls = self._small(arguments={parameter: steps, **arguments})
                except TraceError:  # there is no such argument
                    break
                images.append(sum(self.batch(call) for call in calls if call.component == name))
            passes.append((images[1] - images[0]) // 4 if len(images) == 2 else None)
        return passes

    def _size_unit(self) -> tuple[int, str]:
        """The smallest step in size that the pipeline follows evenly, and what it does with less."""
        width = self.native[0]
        reference = self._shapes(width)
        changing = []
        for unit in UNITS:
            shapes = [self._shapes(width + count * unit) for count in EVENLY]
            if shapes[1] not in (None, reference):
                changing.append(unit)
            if unit in changing and width % unit == 0 and _on_a_line(EVENLY, shapes):
                return unit, self._off_grid(unit)
        if not changing:
            raise TraceError(
                f"{self.pipeline} makes images of one size only, or refuses sizes near {self.native}"
            )
        return changing[0], self._off_grid(changing[0])

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

    def _shapes(self, width: int) -> list[tuple[tuple[int, ...], ...]] | None:
        """What components that know the size are given at a width; None where the pipeline refuses it."""
        try:
            calls = self._run(width=width)
        except TraceError:
            return None
        return [call.shapes for call in calls if self.roles[call.component] != TEXT_ENCODER]

    def _unguided_scale(self) -> float:
        """The guidance scale up to which there is no second pass: 1 nearly everywhere, 0 in a few."""
        parameter = self.capture.guidance_parameter()
        if parameter is None:
            return 1.0
        at_one, at_zero = (
            [call.shapes for call in self._small(negative=True, arguments={parameter: scale})]
            for scale in (1.0, 0.0)
        )
        guided = [call.shapes for call in self._small(negative=True, guided=True)]
        return 0.0 if at_one == guided != at_zero else 1.0

    def _finds_text(self) -> tuple[str | None, int]:
        """Which knob changes the text length (the prompt's own tokens, the pipeline's maximum, or none),
        and to a multiple of how many tokens the pipeline pads it."""
        for knob in ("prompt", "max_sequence_length"):
            if knob == "max_sequence_length" and knob not in self.capture.parameters:
                continue
            base = 2 * MULTIPLES[-1] + 1
            shapes = self._text_shapes(knob, base)
            if shapes is None or self._text_shapes(knob, base + MULTIPLES[-1]) in (shapes, None):
                continue
            return knob, next(m for m in MULTIPLES if self._text_shapes(knob, base + m) != shapes)
        return None, 1

    def _text_shapes(self, knob: str, tokens: int) -> Any:
        try:
            return [call.shapes for call in self._small(**_text_request(knob, tokens))]
        except TraceError:
            return None

    def _guidance(self) -> GuidanceRule:
        parameter = self.capture.guidance_parameter()
        single, guided, with_negative = (
            self._denoiser_batch(self._small(**request))
            for request in ({}, {"guided": True}, {"guided": True, "negative": True})
        )
        if parameter is None or with_negative == single:
            return GuidanceRule(None)
        return GuidanceRule(parameter, guided == single, self.capture.unguided_scale)

    def _denoiser_batch(self, calls: Sequence[Call]) -> int:
        return sum(self.batch(call) for call in calls if call.component in self.stages[STEPS])

    def _call_groups(
        self,
    ) -> tuple[dict[int, dict[str, tuple[CallGroup, ...]]], dict[int, int]]:
        """Call groups by mode (see `mode_of`) and component, and exceptions for few steps."""
        groups = {}
        for passes in (1, 2) if self.guidance.parameter else (1,):
            guided = passes == 2
            plain = self._groups(guided=guided, negative=guided and self.guidance.needs_negative_prompt)
            with_negative = self._groups(guided=guided, negative=True)
            groups[mode_of(passes, False)] = plain
            if with_negative != plain:
                groups[mode_of(passes, True)] = with_negative
        exceptions = {}
        per_step = sum(g.per_step for g in groups[1][self.denoiser])
        for steps in (1, 2, 3):
            try:
                calls = self._small(steps=steps)
            except TraceError:  # some schedulers take no fewer than two
                continue
            made = sum(call.component == self.denoiser for call in calls)
            surplus = made - sum(g.fixed + g.per_step * steps for g in groups[1][self.denoiser])
            if surplus:
                exceptions[steps] = surplus // per_step
        return groups, exceptions

    def _groups(self, **request: bool) -> dict[str, tuple[CallGroup, ...]]:
        text = 96
        short, long = (self._small(**self.text_request(text), steps=steps, **request) for steps in (5, 9))
        shifted = self._small(**self.text_request(text + self.text_multiple), steps=5, **request)
        offsets = self._text_offsets(short, shifted, text)
        out = {}
        for name in self.roles:
            few = Counter(self._group_key(call, offsets) for call in short if call.component == name)
            many = Counter(self._group_key(call, offsets) for call in long if call.component == name)
            out[name] = tuple(
                CallGroup(
                    fixed=few[key] - 5 * ((many[key] - few[key]) // 4),
                    per_step=(many[key] - few[key]) // 4,
                    batch_factor=key[0],
                    text_offset=key[1],
                    images=self.images[name],
                )
                for key in few
            )
        return out

    def _finds_batches(self) -> None:
        """How each component is given several images: as a batch or list, one after the other, or once."""
        one, two = self._small(), self._small(batch=2)
        for name in self.roles:
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

    def batch(self, call: Call) -> int:
        """The images a call works on, those of a second pass included."""
        return _listed(call) if call.component in self.listed else _batch_of(call)

    def _text_offsets(self, calls: Sequence[Call], shifted: Sequence[Call], text: int) -> dict[Any, int]:
        """Each call's own text length relative to the knob, by its input shapes."""
        offsets = {}
        for call, moved in zip(calls, shifted, strict=True):
            place = self.text_place.get(call.component) or _first_difference(call.shapes, moved.shapes)
            if place is not None and call.component in self.listed and place[0] > 0:
                place = place[0] - len(call.shapes), place[1]  # from the end: more images are listed before
            if place is not None:
                self.text_place[call.component] = place
                offsets[call.component, call.shapes] = call.shapes[place[0]][place[1]] - text
                if moved.shapes[place[0]][place[1]] != call.shapes[place[0]][place[1]] + self.text_multiple:
                    raise TraceError(f"the text length of {call.component} does not follow the prompt's")
        return offsets

    def _group_key(self, call: Call, offsets: Mapping[Any, int]) -> tuple[int, int]:
        return self.batch(call), offsets.get((call.component, call.shapes), 0)

    def _denoiser_offset(self) -> int:
        return self.calls[1][self.denoiser][0].text_offset if self.denoiser in self.text_place else 0

    def text_request(self, tokens: int) -> dict[str, Any]:
        """What asks the pipeline for a text of so many tokens."""
        return _text_request(self.text_knob, tokens)

    def _text_rule(self) -> TextRule:
        denoiser_offset = self._denoiser_offset()
        if self.text_knob is None:
            encoder = next((c for c in self._small() if self.roles[c.component] == TEXT_ENCODER), None)
            return TextRule(default=encoder.shapes[0][-1] if encoder else 1, adjustable=False)
        padded = self.text_knob == "max_sequence_length"
        default = (
            self.capture.parameters[self.text_knob].default + denoiser_offset
            if padded
            else DEFAULT_PROMPT_TOKENS
        )
        return TextRule(
            default=self.facts.get("default_text_tokens") or default,
            adjustable=True,
            denoiser_offset=denoiser_offset,
            largest=self._longest_text(),
            padded=padded,
            multiple=self.text_multiple,
        )

    def _longest_text(self) -> int | None:
        """The largest text length the pipeline takes, among those in use."""
        accepted = None
        for tokens in (128, 256, 300, 512, 1024, 4096):
            try:
                self._small(**self.text_request(tokens))
            except TraceError:
                return accepted
            accepted = tokens
        return None

    def _largest(self) -> int | None:
        """The largest side the pipeline accepts [pixels], None when it takes the largest that is tried."""
        accepted, refused = min(self.native) // self.unit, LARGEST_PROBE // self.unit
        undecoded = {"output_type": "latent"}
        how = undecoded if self._accepts(16 * self.unit, undecoded) else {}
        if self._accepts(refused * self.unit, how):
            return None
        while refused - accepted > 1:
            middle = (accepted + refused) // 2
            if self._accepts(middle * self.unit, how):
                accepted = middle
            else:
                refused = middle
        return accepted * self.unit

    def _accepts(self, side: int, arguments: Mapping[str, Any]) -> bool:
        try:
            self._run(width=16 * self.unit, height=side, arguments=arguments)
        except TraceError:
            return False
        return True

    def _bins(self) -> tuple[tuple[float, int, int], ...]:
        """The aspect-ratio table the pipeline maps every size to, as its own module holds it."""
        binning = self.capture.parameters.get("use_resolution_binning")
        if binning is None or not binning.default:
            return ()
        module = vars(sys.modules[type(self.capture.pipeline).__mro__[1].__module__])
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
        binned = self._run(width=width, height=height, arguments={"use_resolution_binning": True})
        direct = self._run(width=int(w), height=int(h))
        return [call.shapes for call in binned] == [call.shapes for call in direct]

    def _native_range(self) -> tuple[int, int] | None:
        low, high = self.facts.get("min_size"), self.facts.get("max_size")
        return None if low is None or high is None else (int(low), int(high))

    def _defaults(self) -> Defaults:
        parameters, facts, parameter = self.capture.parameters, self.facts, self.guidance.parameter
        return Defaults(
            width=self.native[0],
            height=self.native[1],
            steps=facts.get("default_steps") or parameters[STEPS].default,
            guidance=self._own_scale(GUIDANCE if parameter in (None, TRUE_CFG) else parameter),
            true_cfg_scale=self._own_scale(TRUE_CFG),
            negative_prompt=bool(facts.get("default_negative_prompt")),
            precision=facts.get("default_precision") or "fp16",
        )

    def _own_scale(self, name: str) -> float | None:
        """A scale when none is given: as the authors recommend, else as the pipeline has it, if at all."""
        stated = self.capture.parameters[name].default if name in self.capture.parameters else None
        scale = self.facts.get(f"default_{name}", stated)
        return scale if isinstance(scale, (int, float)) else None


def _batch_of(call: Call) -> int:
    """The batch a call works on: the first dimension of its first tensor that has two or more."""
    return next((shape[0] for shape in call.shapes if len(shape) >= 2), 0)


def _listed(call: Call) -> int:
    """Images a call is given as a list: the tensors of one shape at its start."""
    return next((n for n, shape in enumerate(call.shapes) if shape != call.shapes[0]), len(call.shapes))


def _on_a_line(places: Sequence[int], found: Sequence[Any]) -> bool:
    """Whether all dimensions of the shapes of calls rise in a line with the places."""
    if any(shapes is None for shapes in found):
        return False
    if len({_outline(shapes) for shapes in found}) > 1:
        return False
    sides = np.array([[side for call in shapes for tensor in call for side in tensor] for shapes in found])
    rise = (sides[1] - sides[0]) // (places[1] - places[0])
    return all((sides[i] == sides[0] + rise * (place - places[0])).all() for i, place in enumerate(places))


def _outline(shapes: Any) -> Any:
    """How many calls, tensors and dimensions there are."""
    return tuple(tuple(len(tensor) for tensor in call) for call in shapes)


def _first_difference(a: Any, b: Any) -> tuple[int, int] | None:
    """(tensor, dimension) where two calls' shapes first differ."""
    for tensor, (one, other) in enumerate(zip(a, b, strict=True)):
        for dimension, (x, y) in enumerate(zip(one, other, strict=True)):
            if x != y:
                return tensor, dimension
    return None


def _text_request(knob: str | None, tokens: int) -> dict[str, Any]:
    return {} if knob is None else {"text": tokens, "text_knob": knob}
