"""What a pipeline is called with, so that it makes what a `Request` asks for.

Needs the extra `trace`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from joulecast.architecture.stand_ins import PROMPT, StandInTokenizer
from joulecast.compute.output import CLIP, IMAGE
from joulecast.compute.profile_rules import TRUE_CFG
from joulecast.errors import TraceError

# How guidance is switched on, in the order in which a pipeline is asked.
GUIDANCE = "guidance_scale"
GUIDANCE_PARAMETERS = (TRUE_CFG, GUIDANCE)
GUIDER = "guider"  # the component that holds the scale of guidance, where a pipeline's call takes none
GUIDED, UNGUIDED = 4.0, 1.0  # scales above and at most pipelines' threshold
# The first that a pipeline takes: others convert the image on the processor, which costs time here.
OUTPUT_TYPES = ("pt", "np", "pil")
IMAGE_ARGUMENTS = ("image", "mask_image", "control_image", "last_image", "input_image")
DENOISERS = ("unet", "transformer")  # the components whose config tells a pipeline's own size
NO_SIDE = 512  # pixels
LONG_TEMPLATE = 100  # tokens, about: longer than the shortest texts that are asked for
RGBA = 4  # channels of an image with transparency
MASK_ARGUMENTS = ("mask_image",)
MOST_AREA = "max_area"  # to which a pipeline scales all sizes [pixels]
STRENGTH = "strength"  # of the noise that an image is given: the share of the steps that is made
# What is not part of the generation of one image from its own prompt, switched off where there is a switch.
SWITCHED_OFF = {
    "use_resolution_binning": False,
    "enable_prompt_rewrite": False,  # a language model writes a longer prompt
    "use_pe": False,  # prompt enhancement: the same
    "_auto_resize": False,  # of an input image to a million pixels
    "intermediate_timesteps": None,  # holds for two steps only
}
OF_ONE_PROMPT = "num_images_per_prompt"
FRAME_ARGUMENTS = ("num_frames", "frames", "video_length")
STEPS = "num_inference_steps"  # of the main stage; those of another end in it: prior_num_inference_steps


@dataclass(frozen=True)
class Request:
    """What the pipeline is asked for: images, pixels, frames, denoising steps, text knob, guidance.

    `text` sets the text length by `text_knob`: ``max_sequence_length``, the maximum a pipeline pads
    to, or ``prompt``, the prompt's own tokens. None keeps the pipeline's default. `guided` sets a scale
    of guidance far above any threshold, `negative` gives a negative prompt. Images that a pipeline needs
    are blank, and of the size asked for unless `image_size` [pixels] names another.
    """

    batch: int = 1
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    steps: int = 2
    text: int | None = None
    text_knob: str | None = None
    guided: bool = False
    negative: bool = False
    strength: float = 1.0
    image_size: tuple[int, int] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> str:
        """The size in words."""
        return f"{self.width}x{self.height}" if self.width and self.height else "its own size"


class PipelineArguments:
    """The arguments of a pipeline.

    Attributes
    ----------
    parameters : of its call, by name.
    frames_argument : the one that takes frames, None of a pipeline that makes images.
    further_steps : those that take steps of another stage.
    unguided_scale : the scale of guidance of a request that is not guided.
    inputs : those that an image is given for.
    image_side : of the images given, which are squares then; else of the size asked for [pixels].
    lists_images : whether several images are given where several are made; until a pipeline refuses a list.
    lists_prompts : whether several images have a prompt each; until a pipeline refuses several prompts.
    output_types : those that it may be asked for, in order; until it refuses one.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.parameters = inspect.signature(type(pipeline).__call__).parameters
        self.frames_argument = next((name for name in FRAME_ARGUMENTS if name in self.parameters), None)
        self.further_steps = [name for name in self.parameters if name.endswith(f"_{STEPS}")]
        self.unguided_scale = UNGUIDED
        self.inputs: tuple[str, ...] = ()
        self.image_side: int | None = None
        self.lists_images = self.lists_prompts = True
        self.output_types = list(OUTPUT_TYPES)
        self.templates_help = False  # as texts are too short without the tokens of a template
        self._tokenizers = [
            part for part in pipeline.components.values() if isinstance(part, StandInTokenizer)
        ]
        self._lengths = [one.length for one in self._tokenizers]

    @property
    def output(self) -> str:
        """What the pipeline makes, one of `IMAGE` and `CLIP`."""
        return IMAGE if self.frames_argument is None else CLIP

    def further_inputs(self) -> list[str]:
        """Arguments that an image could be given for and is not."""
        return [name for name in IMAGE_ARGUMENTS if name in self.parameters and name not in self.inputs]

    def may_count_templates(self) -> bool:
        """Whether texts of a template's length could be too short, and now have as many tokens more; they
        are as they were where that did not help, and stay so where it did."""
        if self.templates_help:
            return False
        met = any(one.longest_template >= LONG_TEMPLATE for one in self._tokenizers)
        counts = met and not any(one.counts_templates for one in self._tokenizers)
        for one in self._tokenizers:
            one.counts_templates = counts
        return counts

    def forget_text(self) -> None:
        """Texts are as they were before any was asked for by its length."""
        for one, length in zip(self._tokenizers, self._lengths, strict=True):
            one.length, one.fills = length, None

    def has_made(self) -> None:
        """The pipeline took what it was last called with."""
        self.templates_help = any(one.counts_templates for one in self._tokenizers)

    def may_make_several_of_one(self) -> bool:
        """Whether several images could be asked for of one prompt, and are not."""
        return self.lists_prompts and OF_ONE_PROMPT in self.parameters

    def guidance_parameter(self) -> str | None:
        """The argument that turns a second denoiser pass on in the main stage, or None when there is none."""
        usual = next((name for name in GUIDANCE_PARAMETERS if name in self.parameters), None)
        if usual is None and self._has_guider:
            return GUIDANCE
        if usual:
            return usual
        # Of the main stage, where it has a name of its own, or the largest scale of a range is the last.
        of_others = {name.removesuffix(STEPS) + GUIDANCE for name in self.further_steps}
        named = [name for name in self.parameters if name.endswith(GUIDANCE) and name not in of_others]
        return named[-1] if named else None

    @cached_property
    def _scales_as_guidance(self) -> list[str]:
        """Further scales, as of sound, which are that of guidance where they are left out."""
        parts = {name: self.parameters[name] for name in self.parameters if name.endswith(f"_{GUIDANCE}")}
        return [
            name
            for name, parameter in parts.items()
            if isinstance(parameter.default, float) and "None" in str(parameter.annotation)
        ]

    @property
    def _has_guider(self) -> bool:
        """Whether the scale of guidance is set on a component and not given to the call."""
        return GUIDANCE not in self.parameters and hasattr(getattr(self.pipeline, GUIDER, None), GUIDANCE)

    @property
    def own_scale(self) -> float | None:
        """The scale of guidance that a pipeline's guider holds as it is built."""
        return self.pipeline.guider.config.get(GUIDANCE) if self._has_guider else None

    def of(self, request: Request) -> dict[str, Any]:
        """What the pipeline is called with for a request, its guider set.

        Raises TraceError where it must be given more than a prompt and images.
        """
        arguments: dict[str, Any] = {
            "prompt": self._prompts(request),
            STEPS: request.steps,
            "output_type": self.output_types[0],
            "height": request.height,
            "width": request.width,
        }
        guidance = self.guidance_parameter()
        if guidance:
            scale = GUIDED if request.guided else self.unguided_scale
            arguments |= dict.fromkeys([guidance, *self._scales_as_guidance], scale)
        if self._has_guider:
            held = request.arguments.get(GUIDANCE, arguments.pop(GUIDANCE))
            setattr(self.pipeline.guider, GUIDANCE, held)
        if self.frames_argument:
            arguments[self.frames_argument] = request.frames
        arguments |= {name: self._image(name, request) for name in self.inputs}
        if MOST_AREA in self.parameters and request.width and request.height:
            arguments[MOST_AREA] = request.width * request.height
        if STRENGTH in self.parameters:
            arguments[STRENGTH] = request.strength
        if request.negative:
            arguments["negative_prompt"] = self._prompts(request)
        if not self.lists_prompts:
            arguments[OF_ONE_PROMPT] = request.batch
        if request.text_knob == "prompt" and request.text is not None:
            for tokenizer in self._tokenizers:
                tokenizer.length = tokenizer.fills = request.text
        elif request.text_knob is not None:
            for tokenizer in self._tokenizers:
                tokenizer.fills = None  # whatever an earlier request had
            arguments[request.text_knob] = request.text
        arguments = {
            key: value for key, value in arguments.items() if key in self.parameters and value is not None
        }
        self._check_needs(arguments.keys() | request.arguments.keys())
        off = {key: value for key, value in SWITCHED_OFF.items() if key in self.parameters}
        given = {key: value for key, value in request.arguments.items() if not self._sets(key)}
        return arguments | off | given

    def _sets(self, argument: str) -> bool:
        """Whether an argument of a request is none of the call's, but the guider's."""
        return argument == GUIDANCE and self._has_guider

    def _prompts(self, request: Request) -> list[str]:
        return [PROMPT] * (request.batch if self.lists_prompts else 1)

    def _image(self, argument: str, request: Request) -> Any:
        """A blank image of the size asked for, one for each that is made where the pipeline takes several."""
        from PIL import Image

        asked = (request.width or self._own_side, request.height or self._own_side)
        square = None if self.image_side is None else (self.image_side, self.image_side)
        size = request.image_size or square or asked
        blank = Image.new("L" if argument in MASK_ARGUMENTS else self._mode, size)
        return [blank] * request.batch if len(self._prompts(request)) > 1 and self.lists_images else blank

    @cached_property
    def _own_side(self) -> int:
        """The side of an image [pixels] where none is asked for and the pipeline takes that of its input."""
        latent = getattr(self.pipeline, "default_sample_size", None)
        for name in DENOISERS:
            config = getattr(self.pipeline.components.get(name), "config", None)
            latent = latent or getattr(config, "sample_size", None)
        factor = getattr(self.pipeline, "vae_scale_factor", 8)
        return latent * factor if isinstance(latent, int) and isinstance(factor, int) else NO_SIDE

    @cached_property
    def _mode(self) -> str:
        """Of the colours of an image: with transparency where the autoencoder takes that."""
        config = getattr(self.pipeline.components.get("vae"), "config", {})
        keys = ("in_channels", "input_channels")
        return "RGBA" if RGBA in [config.get(key) for key in keys] else "RGB"

    def _check_needs(self, given: Set[str]) -> None:
        """Refuse a pipeline that must be given more than a prompt."""
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        needed = [
            name
            for name, parameter in list(self.parameters.items())[1:]  # after self
            if parameter.default is inspect.Parameter.empty and parameter.kind in plain and name not in given
        ]
        if needed:
            raise TraceError(
                f"{type(self.pipeline).__name__} needs {', '.join(needed)} besides a prompt; "
                "where another pipeline makes that, give a folder saved from the pipeline that combines both"
            )
