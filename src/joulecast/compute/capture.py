"""Run a real diffusers pipeline with its modules on the meta device, and record each module call.

The pipeline's own code decides what its modules are given: batch, sizes, text length, the passes
of classifier-free guidance, the precision of the decoder. Only the modules are on meta: their
inputs are taken there, their operators recorded, and zeros of the right shape handed back, so
that schedulers and image processors run as they always do.

Needs the extra `trace`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from joulecast.architecture.build import (
    StandInTokenizer,
    build_pipeline,
    count_parameters,
    one_line,
    quiet,
)
from joulecast.architecture.pipeline_config import PipelineConfig
from joulecast.architecture.workload import PRECISIONS
from joulecast.compute.tracer import Operator, OperatorRecorder, check_attention_count
from joulecast.errors import TraceError

import torch  # isort: skip - after build, which says so when the extra is missing
from torch.utils import _pytree as pytree

Signature = tuple[Any, ...]
Traced = tuple[tuple[Operator, ...], Any]  # what a call ran, and its output on meta
MOST_ELEMENTS = 2**29  # of a result that is handed back to the pipeline
# How guidance is switched on, in the order in which a pipeline is asked.
GUIDANCE_PARAMETERS = ("true_cfg_scale", "guidance_scale")


@dataclass(frozen=True)
class Request:
    """What the pipeline is asked for: images, pixels, denoising steps, text knob, guidance.

    `text` sets the text length by `text_knob`: ``max_sequence_length``, the maximum a pipeline pads
    to, or ``prompt``, the prompt's own tokens. None keeps the pipeline's default.
    """

    batch: int = 1
    width: int | None = None
    height: int | None = None
    steps: int = 2
    text: int | None = None
    text_knob: str | None = None
    guided: bool = False
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


class PipelineCapture:
    """A pipeline on meta, ready to be run for any `Request`.

    Calls with inputs of equal shape and type are traced once. `repeat_blocks` replays equal blocks
    of a module list (the layers of a transformer) instead of running each: much faster, and checked
    by the profiler against a run without it. `traced` lets captures of one pipeline in several
    precisions share what they traced: a method that ran the same operators at its first call (fp16
    and bf16 mostly do) is not traced again at the same shapes.
    """

    def __init__(
        self,
        config: PipelineConfig,
        precision: str,
        repeat_blocks: bool = True,
        traced: dict[Signature, Traced] | None = None,
    ) -> None:
        check_attention_count()
        self.pipeline = build_pipeline(config, precision)
        self.precision = precision
        self.parameters = inspect.signature(type(self.pipeline).__call__).parameters
        self.modules = {
            name: part for name, part in self.pipeline.components.items() if isinstance(part, torch.nn.Module)
        }
        self.tokenizers = [
            part for part in self.pipeline.components.values() if isinstance(part, StandInTokenizer)
        ]
        self.parameter_counts = {name: count_parameters(module) for name, module in self.modules.items()}
        self._traced = {} if traced is None else traced
        self._alike: dict[tuple[str, str, str], bool] = {}
        self._half = torch.float16 if precision == "fp16" else torch.bfloat16
        self._calls: list[Call] = []
        self._remembers: dict[str, bool] = {}
        self._recorder = OperatorRecorder()
        for name, module in self.modules.items():
            for method in ("forward", "decode"):
                if hasattr(module, method):
                    setattr(module, method, self._intercept(name, module, method, getattr(module, method)))
            if repeat_blocks:
                _replay_equal_blocks(module, self._recorder)

    def run(self, request: Request) -> list[Call]:
        """Run the pipeline once; return its module calls in order.

        Raises
        ------
        TraceError
            The pipeline refuses the request, or does something that cannot be traced.
        """
        self._calls = []
        arguments = self._arguments(request)
        try:
            with torch.no_grad(), quiet():
                self.pipeline(**arguments)
        except TraceError:
            raise
        except Exception as error:
            raise TraceError(
                f"{type(self.pipeline).__name__} refuses {request.size}, {request.steps} steps: "
                f"{one_line(error)}"
            ) from error
        return self._calls

    def guidance_parameter(self) -> str | None:
        """The argument that turns a second denoiser pass on, or None when there is none."""
        return next((name for name in GUIDANCE_PARAMETERS if name in self.parameters), None)

    def _arguments(self, request: Request) -> dict[str, Any]:
        prompt = "an image of a red fox in the snow"
        arguments: dict[str, Any] = {
            "prompt": [prompt] * request.batch,
            "num_inference_steps": request.steps,
            "output_type": "pt",
            "use_resolution_binning": False,
            "height": request.height,
            "width": request.width,
        }
        guidance = self.guidance_parameter()
        if guidance:
            arguments[guidance] = 4.0 if request.guided else 1.0
            if request.guided and guidance == "true_cfg_scale":
                arguments["negative_prompt"] = [prompt] * request.batch
        if request.text_knob == "prompt" and request.text is not None:
            for tokenizer in self.tokenizers:
                tokenizer.length = request.text
        elif request.text_knob is not None:
            arguments[request.text_knob] = request.text
        arguments = {
            key: value for key, value in arguments.items() if key in self.parameters and value is not None
        }
        return arguments | dict(request.arguments)

    def _intercept(
        self, name: str, module: Any, method: str, original: Callable[..., Any]
    ) -> Callable[..., Any]:
        active = False

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal active
            if active:  # a module calling its own method, already on meta
                return original(*args, **kwargs)
            leaves, spec = pytree.tree_flatten((args, kwargs))
            full = _masks_are_full(leaves)
            shapes_and_types = tuple(_leaf_signature(x) for x in leaves)
            signature = (name, method, _precision_of(module), full, str(spec), shapes_and_types)
            traced = self._traced.get((self.precision, *signature)) or self._traced_alike(signature)
            if traced is None:
                active = True
                self._recorder.masks_are_full = full
                try:
                    args, kwargs = pytree.tree_unflatten([_to_meta(x) for x in leaves], spec)
                    traced = self._record_repeated(name, original, args, kwargs)
                finally:
                    active = False
                self._compare(signature, traced)
            self._traced[(self.precision, *signature)] = traced
            operators, out = traced
            shapes = tuple(tuple(x.shape) for x in leaves if isinstance(x, torch.Tensor))
            self._calls.append(Call(name, shapes, signature, operators))
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
        if x.numel() > MOST_ELEMENTS:
            raise TraceError(f"a component returns {x.numel():.2g} elements; no pipeline in use comes near")
        half = x.dtype in (torch.float16, torch.bfloat16)
        return torch.zeros(x.shape, dtype=self._half if half else x.dtype)

    def _record_repeated(self, name: str, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What the component runs from its second call on: some keep tables of sizes they have seen."""
        first = self._record(original, args, kwargs)
        if self._remembers.get(name) is False:
            return first
        second = self._record(original, args, kwargs)
        self._remembers.setdefault(name, first[0] != second[0])
        return second

    def _record(
        self, original: Callable[..., Any], args: Any, kwargs: Any
    ) -> tuple[tuple[Operator, ...], Any]:
        self._recorder.operators = []
        with self._recorder:
            out = original(*args, **kwargs)
        return tuple(self._recorder.operators), out


def _precision_of(module: Any) -> int:
    """Which parameters are in half precision and which not; fp16 and bf16 count as the same."""
    first = next(iter(module.parameters()), None)
    known = module.__dict__.setdefault("_joulecast_precisions", {})
    key = None if first is None else first.dtype
    if key not in known:
        known[key] = hash(tuple(parameter.element_size() for parameter in module.parameters()))
    return int(known[key])


def _masks_are_full(leaves: list[Any]) -> bool:
    """Whether no token is padding: no integer or boolean input holds a zero."""
    return all(
        bool((x != 0).all())
        for x in leaves
        if isinstance(x, torch.Tensor) and not x.is_meta and x.dim() >= 2 and not x.dtype.is_floating_point
    )


def _leaf_signature(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return tuple(x.shape), x.stride(), x.dtype.itemsize, x.dtype.is_floating_point
    return repr(x) if isinstance(x, (int, float, str, bool, type(None), torch.dtype)) else type(x).__name__


def _to_meta(x: Any) -> Any:
    return x.to("meta") if isinstance(x, torch.Tensor) else x


def _replay_equal_blocks(module: Any, recorder: OperatorRecorder) -> None:
    """Let the members of every module list share what one of them recorded for equal inputs."""
    records: dict[Any, tuple[list[Operator], Any]] = {}
    for part in module.modules():
        if isinstance(part, torch.nn.ModuleList):
            for block in part:
                if any(True for _ in block.children()):
                    _share_records(block, records, recorder)


def _share_records(
    block: Any, records: dict[Any, tuple[list[Operator], Any]], recorder: OperatorRecorder
) -> None:
    original = block.forward
    identity = _fingerprint(block)

    def forward(*args: Any, **kwargs: Any) -> Any:
        leaves, spec = pytree.tree_flatten((args, kwargs))
        key = (identity, str(spec), tuple(_leaf_signature(x) for x in leaves))
        if key not in records:
            start = len(recorder.operators)
            out = original(*args, **kwargs)
            records[key] = recorder.operators[start:], out
            return out
        operators, out = records[key]
        recorder.operators.extend(operators)
        recorder.paused = True
        try:
            return pytree.tree_map(lambda x: x.detach() if isinstance(x, torch.Tensor) else x, out)
        finally:
            recorder.paused = False

    block.forward = forward


def _fingerprint(block: Any) -> tuple[Any, ...]:
    """Everything about a block that could change what it runs, except which layer it is."""
    simple = (int, float, str, bool, type(None))
    parts = []
    for name, part in block.named_modules():
        attributes = {**part.__dict__, **_processor_attributes(part)}
        values = tuple(
            (key, value)
            for key, value in sorted(attributes.items())
            if isinstance(value, simple) and key != "layer_idx"
        )
        shapes = tuple((k, tuple(p.shape), p.dtype) for k, p in part._parameters.items() if p is not None)
        parts.append((name, type(part).__qualname__, values, shapes))
    return tuple(parts)


def _processor_attributes(part: Any) -> dict[str, Any]:
    processor = getattr(part, "processor", None)
    if processor is None or isinstance(processor, torch.nn.Module):
        return {}
    return {"processor": type(processor).__qualname__}
