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
from joulecast.compute.tracer import Operator, OperatorRecorder, check_attention_count
from joulecast.errors import TraceError

import torch  # isort: skip - after build, which says so when the extra is missing
from torch.utils import _pytree as pytree

Signature = tuple[Any, ...]
# How guidance is switched on, in the order in which a pipeline is asked.
GUIDANCE_PARAMETERS = ("true_cfg_scale", "guidance_scale")


@dataclass(frozen=True)
class Request:
    """What the pipeline is asked for: images, pixels, denoising steps, text knob, guidance.

    `text` is ``max_sequence_length`` where the pipeline pads to it, else the prompt's own tokens;
    None keeps the pipeline's default.
    """

    batch: int = 1
    width: int | None = None
    height: int | None = None
    steps: int = 2
    text: int | None = None
    guided: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


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
    by the profiler against a run without it.
    """

    def __init__(self, config: PipelineConfig, precision: str, repeat_blocks: bool = True) -> None:
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
        self._traced: dict[Signature, tuple[tuple[Operator, ...], Any]] = {}
        self._calls: list[Call] = []
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
                f"{type(self.pipeline).__name__} refuses {request.width}x{request.height}, "
                f"{request.steps} steps: {one_line(error)}"
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
        if request.text is not None:
            arguments["max_sequence_length"] = request.text
            for tokenizer in self.tokenizers:
                tokenizer.length = request.text
        arguments = {
            key: value for key, value in arguments.items() if key in self.parameters and value is not None
        }
        return arguments | dict(request.arguments)

    def _intercept(self, name: str, module: Any, method: str, original: Callable[..., Any]) -> Callable[..., Any]:
        active = False

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal active
            if active:  # a module calling its own method, already on meta
                return original(*args, **kwargs)
            leaves, spec = pytree.tree_flatten((args, kwargs))
            signature = (name, method, _precision_of(module), str(spec), tuple(_leaf_signature(x) for x in leaves))
            if signature not in self._traced:
                active = True
                try:
                    args, kwargs = pytree.tree_unflatten([_to_meta(x) for x in leaves], spec)
                    self._traced[signature] = self._record(original, args, kwargs)
                finally:
                    active = False
            operators, out = self._traced[signature]
            shapes = tuple(tuple(x.shape) for x in leaves if isinstance(x, torch.Tensor))
            self._calls.append(Call(name, shapes, signature, operators))
            return pytree.tree_map(_to_zeros, out)

        return call

    def _record(self, original: Callable[..., Any], args: Any, kwargs: Any) -> tuple[tuple[Operator, ...], Any]:
        self._recorder.operators = []
        with self._recorder, torch.device("meta"):
            out = original(*args, **kwargs)
        return tuple(self._recorder.operators), out


def _precision_of(module: Any) -> int:
    """Which parameters are in half precision and which not; fp16 and bf16 count as the same."""
    return hash(tuple(parameter.element_size() for parameter in module.parameters()))


def _leaf_signature(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return tuple(x.shape), x.stride(), x.dtype.itemsize, x.dtype.is_floating_point
    return repr(x) if isinstance(x, (int, float, str, bool, type(None), torch.dtype)) else type(x).__name__


def _to_meta(x: Any) -> Any:
    return x.to("meta") if isinstance(x, torch.Tensor) else x


def _to_zeros(x: Any) -> Any:
    return torch.zeros(x.shape, dtype=x.dtype) if isinstance(x, torch.Tensor) else x


def _replay_equal_blocks(module: Any, recorder: OperatorRecorder) -> None:
    """Let the members of every module list share what one of them recorded for equal inputs."""
    records: dict[Any, tuple[list[Operator], Any]] = {}
    for part in module.modules():
        if isinstance(part, torch.nn.ModuleList):
            for block in part:
                if any(True for _ in block.children()):
                    _share_records(block, records, recorder)


def _share_records(block: Any, records: dict[Any, tuple[list[Operator], Any]], recorder: OperatorRecorder) -> None:
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
        shapes = tuple((key, tuple(p.shape), p.dtype) for key, p in part.named_parameters(recurse=False))
        parts.append((name, type(part).__qualname__, values, shapes))
    return tuple(parts)


def _processor_attributes(part: Any) -> dict[str, Any]:
    processor = getattr(part, "processor", None)
    if processor is None or isinstance(processor, torch.nn.Module):
        return {}
    return {"processor": type(processor).__qualname__}
