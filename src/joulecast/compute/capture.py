"""Run a real diffusers pipeline with its modules on the meta device, and record each module call.

The pipeline's own code decides what its modules are given: batch, sizes, text length, the passes
of classifier-free guidance, the precision of the decoder. Only the modules are on meta: their
inputs are taken there, their operators recorded, and zeros of the right shape handed back, so
that schedulers and image processors run as they always do.

Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from joulecast.architecture.build import PROMPT, StandInTokenizer, build_pipeline, count_parameters, quiet
from joulecast.architecture.pipeline_config import PipelineConfig
from joulecast.architecture.workload import PRECISIONS
from joulecast.compute.block_replay import leaf_signature, replay_equal_blocks, value_bytes
from joulecast.compute.outside import LARGEST_ALLOCATED, PipelineMode, autocast_on_meta
from joulecast.compute.profile import TRUE_CFG
from joulecast.compute.tracer import (
    Operator,
    OperatorRecorder,
    check_attention_count,
)
from joulecast.compute.values import UnknownValuesError
from joulecast.errors import TraceError, kind_in_short

import torch  # isort: skip - after build, which says so when the extra is missing
from torch.utils import _pytree as pytree

Signature = tuple[Any, ...]
Traced = tuple[tuple[Operator, ...], Any]  # what a call ran, and its output on meta
# How guidance is switched on, in the order in which a pipeline is asked.
GUIDANCE = "guidance_scale"
GUIDANCE_PARAMETERS = (TRUE_CFG, GUIDANCE)
# The first that a pipeline takes: others convert the image on the processor, which costs time here.
OUTPUT_TYPES = ("pt", "np", "pil")
# How the first field of a result ends that is made for another pipeline.
NO_IMAGES = ("embeds", "embeddings")
IMAGE_ARGUMENTS = ("image", "mask_image", "control_image")
# What is not part of the generation of one image from its own prompt, switched off where there is a switch.
SWITCHED_OFF = {
    "use_resolution_binning": False,
    "enable_prompt_rewrite": False,  # a language model writes a longer prompt
    "use_pe": False,  # prompt enhancement: the same
    "intermediate_timesteps": None,  # holds for two steps only
    "num_frames": 1,
}
STEPS = "num_inference_steps"  # of the main stage; those of another end in it: prior_num_inference_steps
LARGEST_TENSOR = 2**34  # elements that any component returns: logits over a vocabulary


@dataclass(frozen=True)
class Request:
    """What the pipeline is asked for: images, pixels, denoising steps, text knob, guidance.

    `text` sets the text length by `text_knob`: ``max_sequence_length``, the maximum a pipeline pads
    to, or ``prompt``, the prompt's own tokens. None keeps the pipeline's default. `guided` sets a scale
    of guidance far above any threshold, `negative` gives a negative prompt.
    """

    batch: int = 1
    width: int | None = None
    height: int | None = None
    steps: int = 2
    text: int | None = None
    text_knob: str | None = None
    guided: bool = False
    negative: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> str:
        """The size in words."""
        return f"{self.width}x{self.height}" if self.width and self.height else "its own size"


@dataclass(frozen=True)
class Call:
    """One call of one component: the shapes it was given and the operators it ran."""

    component: str
    shapes: tuple[tuple[int, ...], ...]
    signature: Signature
    operators: tuple[Operator, ...]
    output: tuple[int, ...]  # shape of its first result


class PipelineCapture:
    """A pipeline on meta, ready to be run for any `Request`.

    Calls with inputs of equal shape and type are traced once. `replay` says whether equal blocks of
    a module list (the layers of a transformer) are replayed instead of running each: much faster, and
    checked by the profiler against a run without it. `traced` lets captures of one pipeline in several
    precisions share what they traced: a method that ran the same operators at its first call (fp16
    and bf16 mostly do) is not traced again at the same shapes.
    """

    def __init__(
        self,
        config: PipelineConfig,
        precision: str,
        replay: bool = True,
        traced: dict[Signature, Traced] | None = None,
    ) -> None:
        check_attention_count()
        self.config = config
        self.pipeline = build_pipeline(config, precision)
        self.precision, self.replay = precision, replay
        self.unguided_scale = 1.0  # of a request that is not guided
        self.parameters = inspect.signature(type(self.pipeline).__call__).parameters
        self.further_steps = [name for name in self.parameters if name.endswith(f"_{STEPS}")]
        self.modules = {
            name: part for name, part in self.pipeline.components.items() if isinstance(part, torch.nn.Module)
        }
        self.tokenizers = [
            part for part in self.pipeline.components.values() if isinstance(part, StandInTokenizer)
        ]
        self.parameter_counts = {name: count_parameters(module) for name, module in self.modules.items()}
        self._traced = {} if traced is None else traced
        self._alike: dict[tuple[str, str, str], bool] = {}
        self._asks_values: set[tuple[str, str]] = set()
        self._half = torch.float16 if precision == "fp16" else torch.bfloat16
        self._calls: list[Call] = []
        self._remembers: dict[str, bool] = {}
        self._recorder = OperatorRecorder()
        self._inside = False  # a module, which sees the meta device; the pipeline sees a processor
        self._outside: Any = contextlib.nullcontext()
        self._output_types = list(OUTPUT_TYPES)
        for name, module in self.modules.items():
            for method in ("forward", "decode"):
                if hasattr(module, method):
                    setattr(module, method, self._intercept(name, module, method, getattr(module, method)))
            replay_equal_blocks(module, self._recorder, lambda: self.replay)

    def run(self, request: Request) -> list[Call]:
        """Run the pipeline once; return its module calls in order.

        Raises
        ------
        TraceError
            The pipeline refuses the request, or does something that cannot be traced.
        """
        while True:
            self._calls = []
            try:
                with torch.no_grad(), quiet(), self._outside:
                    self._check_makes_images(self.pipeline(**self._arguments(request)))
                return self._calls
            except Exception as error:
                if _is_about_values(error) and not isinstance(self._outside, PipelineMode):
                    self._outside = PipelineMode(lambda: self._inside)
                    continue
                if isinstance(error, TraceError):
                    raise
                if self._calls and len(self._output_types) > 1 and _is_about_output_type(error):
                    self._output_types.pop(0)
                    continue
                self._refuse_image_pipelines(error)
                asked = [f"{request.batch} images"] if request.batch > 1 else []
                asked += [request.size] if request.width else []
                asked.append(f"{request.steps} steps")
                raise TraceError(
                    f"{type(self.pipeline).__name__} refuses {', '.join(asked)}: {kind_in_short(error)}"
                ) from error

    def guidance_parameter(self) -> str | None:
        """The argument that turns a second denoiser pass on in the main stage, or None when there is none."""
        usual = next((name for name in GUIDANCE_PARAMETERS if name in self.parameters), None)
        if usual or not self.further_steps:
            return usual
        ending = GUIDANCE  # of the main stage, where it has a name of its own: decoder_guidance_scale
        of_others = {name.removesuffix(STEPS) + ending for name in self.further_steps}
        named = (name for name in self.parameters if name.endswith(ending) and name not in of_others)
        return next(named, None)

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "prompt": [PROMPT] * request.batch,
            STEPS: request.steps,
            "output_type": self._output_types[0],
            "height": request.height,
            "width": request.width,
        }
        guidance = self.guidance_parameter()
        if guidance:
            arguments[guidance] = 4.0 if request.guided else self.unguided_scale
        if request.negative:
            arguments["negative_prompt"] = [PROMPT] * request.batch
        if request.text_knob == "prompt" and request.text is not None:
            for tokenizer in self.tokenizers:
                tokenizer.length = tokenizer.fills = request.text
        elif request.text_knob is not None:
            arguments[request.text_knob] = request.text
        arguments = {
            key: value for key, value in arguments.items() if key in self.parameters and value is not None
        }
        self._check_needs(arguments.keys() | request.arguments.keys())
        off = {key: value for key, value in SWITCHED_OFF.items() if key in self.parameters}
        return arguments | off | dict(request.arguments)

    def _check_makes_images(self, result: Any) -> None:
        """Refuse a pipeline whose result is made for another pipeline."""
        fields = list(result) if isinstance(result, Mapping) else []
        if fields and fields[0].endswith(NO_IMAGES):
            raise TraceError(
                f"{type(self.pipeline).__name__} makes {fields[0]}, no image: where another pipeline makes "
                "images of that, give a folder saved from the pipeline that combines both"
            )

    def _refuse_image_pipelines(self, error: Exception) -> None:
        """Say so where a pipeline failed for want of an image, which a prompt alone does not give it."""
        taken = [name for name in IMAGE_ARGUMENTS if name in self.parameters]
        if taken and "image" in str(error).casefold():
            raise TraceError(
                f"{type(self.pipeline).__name__} takes an image ({', '.join(taken)}) besides a prompt; "
                "text-to-image alone is predicted"
            ) from error

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

    def _intercept(
        self, name: str, module: Any, method: str, original: Callable[..., Any]
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._inside:  # a module calling its own method, or another's: on meta
                return original(*args, **kwargs)
            self._inside = True
            try:
                return recorded(args, kwargs)
            finally:
                self._inside = False

        def recorded(args: Any, kwargs: Any) -> Any:
            leaves, spec = pytree.tree_flatten((args, kwargs))
            shapes_and_types = tuple(leaf_signature(x) for x in leaves)
            signature: Signature = (
                name,
                method,
                self.replay,
                _precision_of(module),
                str(spec),
                shapes_and_types,
            )
            if (name, method) in self._asks_values:
                signature += (_values_of(leaves),)
            traced = self._traced.get((self.precision, *signature)) or self._traced_alike(signature)
            if traced is None:
                traced = self._record_repeated(name, original, leaves, spec)
                if self._recorder.values.asked and (name, method) not in self._asks_values:
                    self._asks_values.add((name, method))
                    signature += (_values_of(leaves),)
                self._compare(signature, traced)
            self._traced[(self.precision, *signature)] = traced
            operators, out = traced
            shapes = tuple(tuple(x.shape) for x in leaves if isinstance(x, torch.Tensor))
            results = (tuple(x.shape) for x in pytree.tree_leaves(out) if isinstance(x, torch.Tensor))
            self._calls.append(Call(name, shapes, signature, operators, next(results, ())))
            return pytree.tree_map(self._to_zeros, out)

        return call

    def _traced_alike(self, signature: Signature) -> Traced | None:
        """The same call in another precision, if this method runs the same operators there."""
        for precision in PRECISIONS:
            if self._alike.get((precision, *signature[:2])):
                known = self._traced.get((precision, *signature))
                if known is not None:
                    return known
        return None

    def _compare(self, signature: Signature, traced: Traced) -> None:
        """Learn from a method's first call whether it runs the same operators in another precision."""
        for precision in PRECISIONS:
            known = self._traced.get((precision, *signature))
            if known is not None:
                self._alike.setdefault((precision, *signature[:2]), known[0] == traced[0])

    def _to_zeros(self, x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        if not x.is_meta:  # whole numbers whose values are known
            return x.clone()
        if x.numel() > LARGEST_TENSOR:
            raise TraceError(f"a component returns {tuple(x.shape)}: larger than any image in use")
        half = x.dtype in (torch.float16, torch.bfloat16)
        dtype = self._half if half else x.dtype
        allocated = x.numel() <= LARGEST_ALLOCATED
        return (
            torch.zeros(x.shape, dtype=dtype) if allocated else torch.zeros((), dtype=dtype).expand(x.shape)
        )

    def _record_repeated(
        self, name: str, original: Callable[..., Any], leaves: list[Any], spec: Any
    ) -> Traced:
        """What the component runs from its second call on: some keep tables of sizes they have seen."""
        first = self._record(name, original, leaves, spec)
        if self._remembers.get(name) is False:
            return first
        second = self._record(name, original, leaves, spec)
        self._remembers.setdefault(name, first[0] != second[0])
        return second

    def _record(self, name: str, original: Callable[..., Any], leaves: list[Any], spec: Any) -> Traced:
        recorder = self._recorder
        recorder.operators, recorder.values.asked = [], False
        args, kwargs = pytree.tree_unflatten([self._to_meta(x) for x in leaves], spec)
        with autocast_on_meta(), recorder:
            try:
                out = original(*args, **kwargs)
            except UnknownValuesError as error:
                raise UnknownValuesError(f"{name}: {error}") from error
        known = pytree.tree_map(lambda x: x if (real := recorder.values.of(x)) is None else real, out)
        return tuple(recorder.operators), known

    def _to_meta(self, x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        meta = x.to("meta")
        if not x.is_meta and not x.dtype.is_floating_point:
            self._recorder.values.remember(meta, x.clone())
        return meta


def _is_about_values(error: Exception) -> bool:
    """Whether the pipeline, or a module, met a meta tensor where it needed one with values."""
    return isinstance(error, UnknownValuesError) or "meta" in str(error)


def _is_about_output_type(error: Exception) -> bool:
    text = str(error).lower()
    return "pt" in text and ("output" in text or "type" in text or "format" in text)


def _precision_of(module: Any) -> int:
    """Which parameters are in half precision and which not; fp16 and bf16 count as the same."""
    first = next(iter(module.parameters()), None)
    known = module.__dict__.setdefault("_joulecast_precisions", {})
    key = None if first is None else first.dtype
    if key not in known:
        known[key] = hash(tuple(parameter.element_size() for parameter in module.parameters()))
    return int(known[key])


def _values_of(leaves: list[Any]) -> int:
    """The values of the whole-number and boolean inputs, as one number."""
    return hash(
        tuple(value_bytes(x) for x in leaves if isinstance(x, torch.Tensor) and not x.dtype.is_floating_point)
    )
