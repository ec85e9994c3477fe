"""Find the rules of a pipeline by running it: roles, size grid, text length, guidance, calls.

Needs the extra `trace`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from joulecast.architecture.stand_ins import PROMPT
from joulecast.compute.arguments import GUIDANCE, STEPS, STRENGTH, Request
from joulecast.compute.batches import Batches
from joulecast.compute.call_groups import CallGroups
from joulecast.compute.capture import Call, PipelineCapture
from joulecast.compute.frames import FrameProbe, a_few
from joulecast.compute.joined_calls import in_several_calls
from joulecast.compute.loops import EVERY_LENGTH, Lengths
from joulecast.compute.operator_runs import with_runs
from joulecast.compute.operators import (
    DECODER,
    DENOISER,
    IMAGE_ENCODER,
    TEXT_ENCODER,
)
from joulecast.compute.output import IMAGE_DIMENSIONS, VIDEO_DIMENSIONS, said_of
from joulecast.compute.profile_rules import (
    ONLY,
    STRENGTHS,
    TRUE_CFG,
    Defaults,
    FrameRule,
    GuidanceRule,
    ImageRule,
    SizeRule,
    TextRule,
)
from joulecast.compute.sizes import SizeProbe
from joulecast.compute.texts import TextProbe
from joulecast.errors import TraceError

DEFAULT_PROMPT_TOKENS = 64
SMALL = 512  # pixels
TINY = 4  # size units, where only the frames matter
FRAME_RATES = ("frame_rate", "fps")


class PipelineRules:
    """What a pipeline does with a request, found out by making requests.

    `native` is the width and height [pixels] it makes when asked for none; `stages` the components
    that follow each step argument, and `denoiser` the first that follows the main one; `roles` its
    components in the order of their first calls; `unit` the smallest step in size [pixels] it follows.
    """

    def __init__(self, capture: PipelineCapture, facts: Mapping[str, Any]) -> None:
        self.capture, self.facts = capture, facts
        self.pipeline, self.parameters = capture.config.pipeline, capture.arguments.parameters
        self.notes: list[str] = []
        self.capture.arguments.inputs = tuple(facts.get("input_images", ()))
        stated = self._stated_frames()
        width, height = facts.get("default_width"), facts.get("default_height")
        few = None if stated is None else a_few(stated)
        self.capture.try_inputs(Request(width=width, height=height, frames=few))
        self.native_frames = self._native_frames()
        self.few_frames = None if self.native_frames is None else a_few(self.native_frames)
        self.native = self._native_size()
        if capture.arguments.inputs:
            self.capture.arguments.image_side = self._own_image_side()
            self.notes.append(self._note_of_inputs())
        self.stages = self._stages()
        self.denoiser = self.stages[STEPS][0]
        self.roles = self._roles()
        self._note_twins()
        sizes = SizeProbe(capture, self._run, self.native, self.roles, self.notes)
        self.unit, self.takes_one_size = sizes.unit, sizes.off_grid == ONLY
        self.with_runs = with_runs(*map(self._of_side, (self._small_side, self._small_side + self.unit)))
        capture.in_several_calls = in_several_calls(self._small, self.few_frames)
        self.capture.arguments.unguided_scale = self._unguided_scale()
        self.texts = TextProbe(capture, self._small, self.denoiser, self.notes)
        self.batches = Batches(self._small, self.roles, self.few_frames, self.pipeline)
        self._note_further_stages()
        self.guidance = self._guidance()
        self.calls = CallGroups(
            self._small,
            self.roles,
            self.denoiser,
            self.batches,
            self.guidance,
            self.texts.request,
            self.texts.multiple,
        )
        self.guided_apart = self._runs_apart_when_guided()
        self.size = SizeRule(
            self.unit, sizes.off_grid, sizes.largest(), sizes.bins(), _native_range(self.facts)
        )
        self.text = self._text_rule()
        self.frames, self.lengths = self._finds_frames()
        self.images_rule = ImageRule(capture.arguments.inputs, self._strength(), capture.arguments.image_side)
        self.defaults = self._defaults()

    def _note_of_inputs(self) -> str:
        words = [name.replace("_", " ") for name in self.capture.arguments.inputs]
        images = " and ".join(f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in words)
        verb = "is given" if self.facts.get("input_images") else "needs"
        each = " each" if len(words) > 1 else ""
        given = f"{self.pipeline} {verb} {images} besides a prompt"
        if self.capture.arguments.image_side is not None:
            return f"{given}: counted as a square one{each}, which it scales to a size of its own"
        return f"{given}: counted as one{each}, of the size of what is made"

    def _own_image_side(self) -> int | None:
        """The side of square images to give [pixels], where the pipeline scales all of one shape to one area;
        None where they have the size of what is made."""
        try:
            of_the_size, small, large = (
                [c.shapes for c in self._run(width=2 * SMALL, height=SMALL, image_size=size)]
                for size in (None, (SMALL, SMALL), (2 * SMALL, 2 * SMALL))
            )
        except TraceError:
            return None
        return 2 * SMALL if small == large != of_the_size else None

    def _native_size(self) -> tuple[int, int]:
        """Width and height [pixels] of an image when no size is asked for."""
        default = self.facts.get("default_width"), self.facts.get("default_height")
        if all(default):
            return default  # type: ignore[return-value]
        image = _made(self.capture.run(Request(frames=self.few_frames)))
        if len(image) < IMAGE_DIMENSIONS:
            made = said_of(self.capture.arguments.output, "an image")
            raise TraceError(f"{self.pipeline} ends without {made}: its last result is {image}")
        return image[-1], image[-2]

    def _native_frames(self) -> int | None:
        """Frames of a video when none are asked for; None of an image."""
        stated = self._stated_frames()
        if stated is not None or self.capture.arguments.frames_argument is None:
            return stated
        video = _made(self.capture.run(Request()))
        if len(video) == VIDEO_DIMENSIONS - 1 and video[0] > 1:  # frames as a batch of images
            return video[0]
        if len(video) != VIDEO_DIMENSIONS:
            raise TraceError(f"{self.pipeline} does not say how many frames it makes when none are asked for")
        return video[2]

    def _stated_frames(self) -> int | None:
        """Those that the facts or the pipeline's arguments state."""
        argument = self.capture.arguments.frames_argument
        if argument is None:
            return None
        stated = self.facts.get("default_frames") or self.parameters[argument].default
        return stated if isinstance(stated, int) else None

    def _run(self, **request: Any) -> list[Call]:
        width, height = self.native
        usual = {"width": width, "height": height, "frames": self.few_frames}
        return self.capture.run(Request(**(usual | request)))

    def _small(self, **request: Any) -> list[Call]:
        """A run at a small size: as telling about calls as a large one, and cheaper."""
        return self._of_side(self._small_side, **request)

    def _of_side(self, side: int, **request: Any) -> list[Call]:
        """A run of a square, or of the own size where there is no other."""
        return self._run(**(({} if self.takes_one_size else {"width": side, "height": side}) | request))

    @property
    def _small_side(self) -> int:
        return self.unit * max(4, min(16, SMALL // self.unit))

    def _tiny(self, **request: Any) -> list[Call]:
        """A run at the smallest size, where calls do not matter but what they run."""
        return self._of_side(self.unit * TINY, **request)

    def _stages(self) -> dict[str, tuple[str, ...]]:
        """For each step argument, the components that are called once more for each further step.

        The main one comes first, then those that other components follow.
        """
        others = self.capture.arguments.further_steps
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
            encoder = IMAGE_ENCODER if self._takes_pixels(name) else TEXT_ENCODER
            role = DENOISER if name in denoisers else encoder if index < first else DECODER
            roles.setdefault(name, role)
        return roles

    def _takes_pixels(self, name: str) -> bool:
        """Whether a component that is called before the denoiser works on an image."""
        module = self.capture.modules.get(name)
        return module is None or getattr(module, "main_input_name", None) == "pixel_values"

    def _note_twins(self) -> None:
        for name, other in self.capture.twins.items():
            if other in self.roles:
                self.notes.append(
                    f"{name} is built as {other} is and takes over from it: its calls, which cost the same, "
                    f"are counted as those of {other}, and its weights as its own"
                )

    def _note_further_stages(self) -> None:
        """Say what of a further stage is fixed: its steps, and its passes in each."""
        for parameter, names in self.stages.items():
            steps = self.parameters[parameter].default
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
                images.append(sum(self.batches.of(call) for call in calls if call.component == name))
            passes.append((images[1] - images[0]) // 4 if len(images) == 2 else None)
        return passes

    def _unguided_scale(self) -> float:
        """The guidance scale up to which there is no second pass: 1 nearly everywhere, 0 in a few."""
        parameter = self.capture.arguments.guidance_parameter()
        if parameter is None:
            return 1.0
        at_one, at_zero = (
            [call.shapes for call in self._small(negative=True, arguments={parameter: scale})]
            for scale in (1.0, 0.0)
        )
        guided = [call.shapes for call in self._small(negative=True, guided=True)]
        return 0.0 if at_one == guided != at_zero else 1.0

    def _guidance(self) -> GuidanceRule:
        parameter = self.capture.arguments.guidance_parameter()
        single, guided, with_negative = (
            self._denoiser_batch(self._small(**request))
            for request in ({}, {"guided": True}, {"guided": True, "negative": True})
        )
        if parameter is None or with_negative == single:
            return GuidanceRule(None)
        return GuidanceRule(parameter, guided == single, self.capture.arguments.unguided_scale)

    def _denoiser_batch(self, calls: Sequence[Call]) -> int:
        return sum(self.batches.of(call) for call in calls if call.component in self.stages[STEPS])

    def _runs_apart_when_guided(self) -> bool:
        """Whether the denoiser runs other operators for a video with guidance than for two without.

        Images are traced without it, as few differ, and in little.
        """
        if self.few_frames is None or self.guidance.parameter is None:
            return False
        ran = [
            next((call.shapes, call.operators) for call in calls if call.component == self.denoiser)
            for calls in (self._small(batch=2), self._small(guided=True, negative=True))
        ]
        return ran[0][0] == ran[1][0] and ran[0][1] != ran[1][1]

    def _strength(self) -> str:
        """How a strength below 1 takes steps away, if at all."""
        if STRENGTH not in self.parameters:
            return ""
        asked = [(5, 0.5), (9, 0.3), (8, 0.45)]
        made = [self._steps_made(steps, strength) for steps, strength in asked]
        if made == [self._steps_made(steps, 1.0) for steps, _ in asked]:
            return ""
        for way in STRENGTHS[1:]:
            expected = [ImageRule((), way).steps_made(np.array([n]), s).item() for n, s in asked]
            if made == [self._steps_made(n, 1.0) for n in expected]:
                return way
        raise TraceError(f"{self.pipeline} makes of a strength no number of steps that is known: {made}")

    def _steps_made(self, steps: int, strength: float) -> int:
        calls = self._small(steps=steps, strength=strength)
        return sum(call.component == self.denoiser for call in calls)

    def _finds_frames(self) -> tuple[FrameRule | None, Mapping[str, Sequence[Lengths]]]:
        """Which numbers of frames are made, and how components work on them."""
        if self.few_frames is None:
            return None, dict.fromkeys(self.roles, EVERY_LENGTH)
        probe = FrameProbe(
            lambda frames: self._tiny(frames=frames),
            self.few_frames,
            self.roles,
            self.pipeline,
            self.with_runs,
        )
        lengths = probe.lengths()
        self.with_runs |= probe.in_pieces
        return probe.rule, lengths

    def _denoiser_offset(self) -> int:
        known = self.denoiser in self.calls.text_place
        return self.calls.by_mode[1][self.denoiser][0].text_offset if known else 0

    def _text_rule(self) -> TextRule:
        denoiser_offset = self._denoiser_offset()
        if self.texts.knob is None:
            encoder = next((c for c in self._small() if self.roles[c.component] == TEXT_ENCODER), None)
            return TextRule(default=encoder.shapes[0][-1] if encoder else 1, adjustable=False)
        padded = self.texts.knob == "max_sequence_length"
        of_images = self._image_tokens()
        default = (
            self.parameters[self.texts.knob].default + denoiser_offset
            if padded
            else DEFAULT_PROMPT_TOKENS + of_images
        )
        if of_images:
            self.notes.append(f"the {of_images} tokens that the encoder makes of the image count as text")
        return TextRule(
            default=self.facts.get("default_text_tokens") or default,
            adjustable=True,
            denoiser_offset=denoiser_offset,
            largest=self.texts.largest(),
            padded=padded,
            multiple=self.texts.multiple,
        )

    def _image_tokens(self) -> int:
        """How many tokens an encoder of text has beside the text's own, of the image."""
        if self.capture.arguments.image_side is None:
            return 0
        groups = self.calls.by_mode[1]
        encoders = [name for name, role in self.roles.items() if role == TEXT_ENCODER]
        return max((group.text_offset for name in encoders for group in groups[name]), default=0)

    def _defaults(self) -> Defaults:
        parameters, facts, parameter = self.parameters, self.facts, self.guidance.parameter
        return Defaults(
            width=self.native[0],
            height=self.native[1],
            steps=facts.get("default_steps") or parameters[STEPS].default,
            guidance=self._own_scale(GUIDANCE if parameter in (None, TRUE_CFG) else parameter),
            true_cfg_scale=self._own_scale(TRUE_CFG),
            negative_prompt=bool(facts.get("default_negative_prompt")),
            precision=facts.get("default_precision") or "fp16",
            frames=self.native_frames or 1,
            frame_rate=self._frame_rate(),
        )

    def _frame_rate(self) -> float | None:
        """Frames a second of a video, as its authors recommend or the pipeline has it, if at all."""
        if self.native_frames is None:
            return None
        stated = [self.parameters[name].default for name in FRAME_RATES if name in self.parameters]
        rate = self.facts.get("default_frame_rate", next(iter(stated), None))
        return rate if isinstance(rate, (int, float)) else None

    def _own_scale(self, name: str) -> float | None:
        """A scale when none is given: as the authors recommend, else as the pipeline has it, if at all."""
        stated = self.parameters[name].default if name in self.parameters else None
        if name == GUIDANCE and stated is None:
            stated = self.capture.arguments.own_scale
        scale = self.facts.get(f"default_{name}", stated)
        return scale if isinstance(scale, (int, float)) else None


def _made(calls: Sequence[Call]) -> tuple[int, ...]:
    """The shape of what a run makes: what comes last, or the clip where sound is made after it."""
    last = calls[-1].output
    clips = [call.output for call in calls if len(call.output) == VIDEO_DIMENSIONS]
    return clips[-1] if clips and len(last) < IMAGE_DIMENSIONS else last


def _native_range(facts: Mapping[str, Any]) -> tuple[int, int] | None:
    low, high = facts.get("min_size"), facts.get("max_size")
    return None if low is None or high is None else (int(low), int(high))
