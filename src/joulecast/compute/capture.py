"""Run a real diffusers pipeline with its modules on the meta device, and record each module call.

The pipeline's own code decides what its modules are given: batch, sizes, text length, the passes
of classifier-free guidance, the precision of the decoder. Only the modules are on meta: their
inputs are taken there, their operators recorded, and numbers of the right shape handed back, so
that schedulers and image processors run as they always do.

Needs the extra `trace`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from joulecast.architecture.build import build_pipeline, count_parameters, quiet
from joulecast.architecture.pipeline_config import PipelineConfig
from joulecast.architecture.workload import PRECISIONS
from joulecast.compute.allocator import allocated_bytes
from joulecast.compute.arguments import PipelineArguments, Request
from joulecast.compute.block_replay import leaf_signature, replay_equal_blocks, value_bytes
from joulecast.compute.constants import constant
from joulecast.compute.joined_calls import joined
from joulecast.compute.operators import METHOD
from joulecast.compute.outside import LARGEST_ALLOCATED, PipelineMode, autocast_on_meta
from joulecast.compute.peaks import Span
from joulecast.compute.tracer import (
    Operator,
    OperatorRecorder,
    check_attention_count,
)
from joulecast.compute.values import MOST_COUNTED, UnknownValuesError, are_zeros, is_mask
from joulecast.errors import TraceError, kind_in_short
from joulecast.units import counted

import torch  # isort: skip - after build, which says so when the extra is missing
from torch.utils import _pytree as pytree

ENCODE = "encode"
METHODS = ("forward", "decode", ENCODE)
Signature = tuple[Any, ...]
# What a call ran, its output on meta, and what memory it took.
Traced = tuple[tuple[Operator, ...], Any, tuple[Span, ...]]
# How the first field of a result ends that is made for another pipeline.
NO_IMAGES = ("embeds", "embeddings")
LARGEST_TENSOR = 2**34  # elements that any component returns: logits over a vocabulary
RESULT = 2.0**-10  # stands for each number that a component returns: not zero, which some ask for


@dataclass(frozen=True)
class Call:
    """One call of one component: the shapes it was given and the operators it ran."""

    component: str
    shapes: tuple[tuple[int, ...], ...]
    signature: Signature
    operators: tuple[Operator, ...]
    output: tuple[int, ...]  # shape of its first result
    spans: tuple[Span, ...]
    weights: int  # bytes of its parameters and buffers while it runs
    switches: Mapping[str, Any]  # what it was told beside numbers, by keyword


class PipelineCapture:
    """A pipeline on meta, ready to be run for any `Request`.

    Calls with inputs of equal shape and type are traced once. `replay` says whether equal blocks of
    a module list (the layers of a transformer) are replayed instead of running each: much faster, and
    checked by the profiler against a run without it. `traced` lets captures of one pipeline in several
    precisions share what they traced: a method that ran the same operators at its first call (fp16
    and bf16 mostly do) is not traced again at the same shapes. A module that is built as an earlier one is
    its twin (`twins`, by name): its calls are recorded as the earlier one's, for they cost the same.
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
        _skip_pixels_of_videos(self.pipeline)
        self.precision, self.replay = precision, replay
        self.arguments = PipelineArguments(self.pipeline)
        self.modules = {
            name: part for name, part in self.pipeline.components.items() if isinstance(part, torch.nn.Module)
        }
        self.twins = _twins(self.modules)
        self.parameter_counts = {name: count_parameters(module) for name, module in self.modules.items()}
        self.weights = {name: weight_bytes(module) for name, module in self.modules.items()}
        self._traced = {} if traced is None else traced
        self._alike: dict[tuple[str, str, str], bool] = {}
        self._asks_values: set[tuple[str, str]] = set()
        self._half = torch.float16 if precision == "fp16" else torch.bfloat16
        self._calls: list[Call] = []
        self._remembers: dict[str, bool] = {}
        # Of components that are called in several ways for equal inputs: what their first call was told.
        self._usual: dict[str, Mapping[str, Any]] = {}
        self.in_several_calls: set[str] = set()  # components whose calls that follow each other are one
        self._recorder = OperatorRecorder()
        self._inside = False  # a module, which sees the meta device; the pipeline sees a processor
        self._outside: Any = contextlib.nullcontext()
        for name, module in self.modules.items():
            for method in METHODS:
                if hasattr(module, method):
                    original = getattr(module, method)
                    called = self.twins.get(name, name)
                    setattr(module, method, self._intercept(called, module, method, original))
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
                    self._check_makes_images(self.pipeline(**self.arguments.of(request)))
                self.arguments.has_made()
                if not self._finds_ways():
                    return joined(self._calls, self.in_several_calls)
            except Exception as error:
                if _is_about_values(error) and not isinstance(self._outside, PipelineMode):
                    self._outside = PipelineMode(lambda: self._inside)
                    continue
                if isinstance(error, TraceError):
                    raise
                if self.arguments.may_count_templates():
                    continue
                if request.batch > 1 and self.arguments.inputs and self.arguments.lists_images:
                    self.arguments.lists_images = False
                    continue
                if request.batch > 1 and self.arguments.may_make_several_of_one():
                    self.arguments.lists_prompts, self.arguments.lists_images = False, True
                    continue
                if self._calls and len(self.arguments.output_types) > 1 and _is_about_output_type(error):
                    self.arguments.output_types.pop(0)
                    continue
                asked = [counted(request.batch, self.arguments.output)] if request.batch > 1 else []
                asked += [request.size] if request.width else []
                asked += [f"{request.frames} frames"] if request.frames else []
                asked.append(f"{request.steps} steps")
                raise TraceError(
                    f"{type(self.pipeline).__name__} refuses {', '.join(asked)}: {kind_in_short(error)}"
                ) from error

    def _finds_ways(self) -> bool:
        """Whether a component is found to be called in several ways: other operators for inputs of one shape,
        as it is told. Its calls have names of their own from then on."""
        first: dict[Any, Call] = {}
        for call in self._calls:
            one = first.setdefault((call.component, call.shapes), call)
            if one.operators != call.operators and one.switches != call.switches:
                self._usual[call.component.partition(METHOD)[0]] = one.switches
                return True
        return False

    def _way_of(self, called: str, switches: Mapping[str, Any]) -> str:
        """The name of a call, with what it was told differently from the usual, if that is told apart."""
        usual = self._usual.get(called)
        other = (name for name in switches if usual is not None and switches[name] != usual.get(name))
        told = next(other, None)
        return called if told is None else f"{called}{METHOD}{told}"

    def _check_makes_images(self, result: Any) -> None:
        """Refuse a pipeline whose result is made for another pipeline."""
        fields = list(result) if isinstance(result, Mapping) else []
        if fields and fields[0].endswith(NO_IMAGES):
            raise TraceError(
                f"{type(self.pipeline).__name__} makes {fields[0]}, no image: where another pipeline makes "
                "images of that, give a folder saved from the pipeline that combines both"
            )

    def try_inputs(self, request: Request) -> list[Call]:
        """Run the pipeline with as few images as it needs, which it is given from then on.

        Raises
        ------
        TraceError
            It fails with all that it takes: what it says then.
        """
        while True:
            try:
                return self.run(request)
            except TraceError:
                left = self.arguments.further_inputs()
                if not left:
                    raise
                self.arguments.inputs += (left[0],)

    @contextlib.contextmanager
    def running_anew(self) -> Iterator[None]:
        """Within the block every block of every module really runs, once for each kind of call."""
        before = self.replay, self._traced, self._remembers
        self.replay, self._traced, self._remembers = False, {}, dict.fromkeys(self.modules, False)
        try:
            yield
        finally:
            self.replay, self._traced, self._remembers = before

    def _intercept(
        self, name: str, module: Any, method: str, original: Callable[..., Any]
    ) -> Callable[..., Any]:
        @functools.wraps(original)  # pipelines look at what a module takes
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._inside:  # a module calling its own method, or another's: on meta
                return original(*args, **kwargs)
            self._inside = True
            try:
                return recorded(args, kwargs)
            finally:
                self._inside = False

        called = f"{name}{METHOD}{method}" if method == ENCODE else name

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
                traced = self._record_repeated(called, original, leaves, spec)
                if self._recorder.values.asked and (name, method) not in self._asks_values:
                    self._asks_values.add((name, method))
                    signature += (_values_of(leaves),)
                self._compare(signature, traced)
            self._traced[(self.precision, *signature)] = traced
            operators, out, spans = traced
            shapes = tuple(tuple(x.shape) for x in leaves if isinstance(x, torch.Tensor))
            results = (tuple(x.shape) for x in pytree.tree_leaves(out) if isinstance(x, torch.Tensor))
            held, switches = weight_bytes(module), _switches(kwargs)
            way = self._way_of(called, switches)
            self._calls.append(
                Call(way, shapes, signature, operators, next(results, ()), spans, held, switches)
            )
            return pytree.tree_map(self._stand_in, out)

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

    def _stand_in(self, x: Any) -> Any:
        """Numbers in place of what a component returned on meta; zeros where they are many."""
        if not isinstance(x, torch.Tensor):
            return self._with_stand_ins(x)
        if not x.is_meta:  # whole numbers whose values are known
            return x.clone()
        if x.numel() > LARGEST_TENSOR:
            raise TraceError(f"a component returns {tuple(x.shape)}: larger than any in use")
        half = x.dtype in (torch.float16, torch.bfloat16)
        dtype = self._half if half else x.dtype
        if x.numel() > LARGEST_ALLOCATED:
            return torch.zeros((), dtype=dtype).expand(x.shape)
        is_number = dtype.is_floating_point and x.numel() <= MOST_COUNTED
        return constant(x.shape, RESULT if is_number else 0, dtype)

    def _with_stand_ins(self, x: Any) -> Any:
        """The same, but of an object that holds tensors, such as a distribution, a copy with stand-ins."""
        held = vars(x) if type(x).__module__.startswith("diffusers.") and hasattr(x, "__dict__") else {}
        if not any(isinstance(value, torch.Tensor) for value in held.values()):
            return x
        other = copy.copy(x)
        vars(other).update({k: self._stand_in(v) for k, v in held.items() if isinstance(v, torch.Tensor)})
        return other

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
        inputs = [self._to_meta(x) for x in leaves]
        args, kwargs = pytree.tree_unflatten(inputs, spec)
        recorder.lifetimes.start(inputs)
        with autocast_on_meta(), recorder:
            try:
                out = original(*args, **kwargs)
            except UnknownValuesError as error:
                raise UnknownValuesError(f"{name}: {error}") from error
        known = pytree.tree_map(lambda x: x if (real := recorder.values.of(x)) is None else real, out)
        return tuple(recorder.operators), known, recorder.lifetimes.spans()

    def _to_meta(self, x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        meta = x.to("meta")
        if not x.is_meta:
            self._recorder.values.take(meta, x)
        return meta


def _switches(given: Mapping[str, Any]) -> dict[str, Any]:
    """What keywords say beside numbers: yes or no, nothing, or something."""
    return {name: x if isinstance(x, bool) or x is None else "given" for name, x in given.items()}


def _skip_pixels_of_videos(pipeline: Any) -> None:
    """Leave frames as they are decoded: nobody looks at them, and they are hundreds of megabytes."""
    for part in vars(pipeline).values():
        if hasattr(part, "postprocess_video"):
            part.postprocess_video = lambda video, *args, **kwargs: video


def _twins(modules: Mapping[str, Any]) -> dict[str, str]:
    """Names of modules that are of the class and config of an earlier one, with its name."""
    twins: dict[str, str] = {}
    for name, module in modules.items():
        for earlier, other in modules.items():
            if earlier == name:
                break
            alike = type(module) is type(other) and getattr(module, "config", name) == other.config
            if alike and earlier not in twins:
                twins[name] = earlier
                break
    return twins


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


def weight_bytes(module: Any) -> int:
    """What torch's allocator counts for a module's parameters and buffers, in their precisions now."""
    first = next(iter(module.parameters()), None)
    known = module.__dict__.setdefault("_joulecast_weights", {})
    key = None if first is None else first.dtype
    if key not in known:
        held = {id(x): x.numel() * x.element_size() for x in (*module.parameters(), *module.buffers())}
        known[key] = allocated_bytes(held.values())
    return int(known[key])


def _values_of(leaves: list[Any]) -> int:
    """What is known of the values of the inputs, as one number."""
    inputs = [x for x in leaves if isinstance(x, torch.Tensor)]
    return hash(
        tuple(
            are_zeros(x) if x.dtype.is_floating_point and not is_mask(x) else value_bytes(x) for x in inputs
        )
    )
