"""Real diffusers pipelines as the subject of a campaign, on a GPU or, for tests, on the CPU.

Without weights at hand a pipeline is built from the catalogue with random ones, made directly on
the device in the right number format: the same kernels run on the same shapes. Energy depends a
little on the numbers themselves (random bits toggle more wires than trained weights do), so every
run says which weights it had. Needs the extra `trace`.
"""

from __future__ import annotations

import functools
import gc
import inspect
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from joulecast.architecture import build
from joulecast.architecture.build import StandInTokenizer, quiet
from joulecast.architecture.catalogue import model_entry
from joulecast.architecture.pipeline_config import (
    ComponentConfig,
    PipelineConfig,
    pipeline_config_from_catalogue,
)
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError, MeasureError, shown
from joulecast.measure.campaign_plan import RANDOM, TRAINED
from joulecast.measure.nvml import NvmlMeter
from joulecast.measure.task import (
    ComponentWork,
    DenoisingStep,
    Dissection,
    TooLargeError,
    own_version,
    part_name,
)

import torch  # isort: skip - after build, which says so when the extra is missing
from torch.utils import _pytree as pytree

PROMPT: Final = "an image of a red fox in the snow, early in the morning"
NEGATIVE: Final = "blurry, dark"
GUIDED: Final = 4.0
SEED: Final = 20251117
COMPILE: Final[Mapping[str, Any]] = {"backend": "inductor", "dynamic": False}  # kernels for each size
ROOM: Final = 1.25  # memory of a pipeline over its weights, when deciding what else may stay loaded


class PipelineSubject:
    """Runs tasks of a campaign with real pipelines; keeps those that fit beside each other.

    Parameters
    ----------
    device : where to run, ``"cuda"`` or ``"cpu"``.
    config_of : the pipeline of a model by name; the catalogue's by default.
    profile_of : the rules of a model by name; the catalogue's by default.
    """

    def __init__(
        self,
        device: str = "cuda",
        config_of: Callable[[str], PipelineConfig] | None = None,
        profile_of: Callable[[str], ComputeProfile] = packaged_profile,
    ) -> None:
        self.device = torch.device(device)
        self._config_of = config_of or (lambda name: pipeline_config_from_catalogue(model_entry(name)))
        self._profile_of = profile_of
        self._loaded: dict[tuple[Any, ...], Any] = {}
        self._pipeline: Any = None
        self._arguments: dict[str, Any] = {}
        self._is_finite: bool | None = None
        self._runtime = "eager"
        self._weights = RANDOM
        self._denoisers: frozenset[str] = frozenset()

    def load(self, spec: Mapping[str, Any]) -> None:
        """Build or fetch the pipeline of a task, set its options, and run it once.

        Raises
        ------
        TooLargeError
            It does not fit the GPU's memory.
        InputError
            The pipeline cannot do what the task asks.
        """
        set_tf32(spec["tf32"])
        self._runtime, self._weights = spec["runtime"], spec["weights"]
        self._denoisers = frozenset(part.name for part in self._profile_of(spec["model"]).denoisers)
        key = tuple(spec[name] for name in ("model", "precision", "runtime", "weights"))
        if self._runtime == "compiled":
            torch.compiler.reset()  # or the second size would get kernels for any size
        try:
            self._ready(key, spec)
        except torch.OutOfMemoryError:
            self._keep_only(key)
            try:
                self._ready(key, spec)
            except torch.OutOfMemoryError as error:
                self._keep_only(None)
                raise TooLargeError(f"out of memory: {_first_line(error)}") from error

    def call(self) -> None:
        """Generate one batch of images."""
        with torch.no_grad(), quiet():
            try:
                self._pipeline(**self._arguments)
            except torch.OutOfMemoryError as error:
                raise TooLargeError(f"out of memory: {_first_line(error)}") from error

    def synchronize(self) -> None:
        """Wait for the GPU; nothing to wait for on the CPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def dissect(self) -> Dissection:
        """Every kind of component call with the inputs of a real run, and that run's steps."""
        with recorded_calls(self._pipeline, self.synchronize) as record:
            self.call()
        kinds = distinct(record.calls)
        steps = denoising_steps(record, self._denoisers)
        return Dissection(
            tuple(ComponentWork(c.name, c.kind, c.count, c.shapes, c.again) for c in kinds), steps
        )

    def facts(self) -> dict[str, Any]:
        """Weights, attention, libraries, and the GPU as torch sees it."""
        return {
            "weights": self._weights,
            "attention": attention_of(self._pipeline),
            "libraries": versions(),
            "compiled": dict(COMPILE) if self._runtime == "compiled" else None,
            "tf32_products": bool(torch.backends.cuda.matmul.allow_tf32),
            "tf32_convolutions": bool(torch.backends.cudnn.allow_tf32),
            "device": str(self.device.type),
        }

    def output(self) -> dict[str, Any]:
        """Whether the images were finite numbers, and the most memory that was used [byte]."""
        found: dict[str, Any] = {"is_finite": self._is_finite}
        if self.device.type == "cuda":
            found["memory_bytes"] = int(torch.cuda.max_memory_allocated(self.device))
        return found

    def close(self) -> None:
        """Free what is loaded."""
        self._keep_only(None)

    def _ready(self, key: tuple[Any, ...], spec: Mapping[str, Any]) -> None:
        profile = self._profile_of(spec["model"])
        if key not in self._loaded:
            self._make_room(profile, spec["precision"])
            self._loaded[key] = self._made(spec)
        self._pipeline = self._loaded[key]
        self._arguments = arguments_for(self._pipeline, spec, profile)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        with torch.no_grad(), quiet():
            images = self._pipeline(**self._arguments).images
        self._is_finite = bool(torch.isfinite(images).all())

    def _made(self, spec: Mapping[str, Any]) -> Any:
        config = self._config_of(spec["model"])
        if spec["weights"] == RANDOM:
            pipeline = random_pipeline(config, spec["precision"], self.device)
        else:
            weights = model_entry(spec["model"])["hub_id"] if spec["weights"] == TRAINED else spec["weights"]
            pipeline = loaded_pipeline(config, weights, spec["precision"], self.device)
        if spec["runtime"] == "compiled":
            for name in self._denoisers:
                getattr(pipeline, name).compile(**COMPILE)
        return pipeline

    def _make_room(self, profile: ComputeProfile, precision: str) -> None:
        """Drop what is loaded where the new pipeline would not fit beside it."""
        if self.device.type != "cuda" or not self._loaded:
            return
        needed = ROOM * profile.weight_bytes(precision) + 8e9
        if torch.cuda.mem_get_info(self.device)[0] < needed:
            self._keep_only(None)

    def _keep_only(self, key: tuple[Any, ...] | None) -> None:
        self._pipeline = None
        self._loaded = {known: pipeline for known, pipeline in self._loaded.items() if known == key}
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


# --- building -------------------------------------------------------------------------------------


def random_pipeline(config: PipelineConfig, precision: str, device: torch.device) -> Any:
    """A pipeline with random weights, made on the device in the right number format.

    Parameters and the buffers that checkpoints hold are in `precision`, as loading would have
    them; tables that modules compute for themselves stay as computed.
    """
    torch.manual_seed(SEED)
    with quiet():
        pipeline_class = build._class("diffusers", config.pipeline)
        parts = {
            name: _random_part(name, part, precision, device) for name, part in config.components.items()
        }
        accepted = build._constructor_parameters(pipeline_class)
        missing = [name for name in accepted if name not in parts and name not in config.settings]
        optional = dict.fromkeys(set(missing) & set(build._nullable(pipeline_class)))
        settings = {name: value for name, value in config.settings.items() if name in accepted}
        pipeline = pipeline_class(**parts, **optional, **settings)
        pipeline.set_progress_bar_config(disable=True)
    return pipeline


def loaded_pipeline(config: PipelineConfig, weights: str, precision: str, device: torch.device) -> Any:
    """A pipeline with the weights of a folder or of the hub.

    Raises InputError when they cannot be loaded or belong to another pipeline.
    """
    import diffusers

    try:
        with quiet():
            pipeline = diffusers.DiffusionPipeline.from_pretrained(
                weights,
                torch_dtype=build.TORCH_DTYPES[precision],
                local_files_only=Path(weights).exists(),
                safety_checker=None,
            )
    except Exception as error:
        raise InputError(f"weights {shown(weights)} cannot be loaded: {build.one_line(error)}") from error
    if type(pipeline).__name__ != config.pipeline:
        raise InputError(
            f"weights {shown(weights)} are of a {type(pipeline).__name__}; "
            f"{config.name} is a {config.pipeline}"
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def _random_part(name: str, part: ComponentConfig, precision: str, device: torch.device) -> Any:
    is_module = not (
        name.startswith(("tokenizer", "scheduler"))
        or "Tokenizer" in part.class_name
        or "Processor" in part.class_name
    )
    if not is_module:
        return build._build_component(name, part, precision)
    found = build._class(part.package, part.class_name)
    config = {key: value for key, value in part.config.items() if not key.startswith("_")}
    dtype = build.TORCH_DTYPES[precision]
    with _default_dtype(dtype), torch.device(device):
        module = (
            found.from_config(config) if part.package == "diffusers" else found(found.config_class(**config))
        )
    module.eval().requires_grad_(False)
    kept = _kept_in_fp32(module, dtype)
    for path, child in module.named_modules():
        wanted = torch.float32 if any(piece in kept for piece in path.split(".")) else dtype
        for table in (child._parameters, child._buffers):
            for key, tensor in table.items():
                if tensor is None or not tensor.is_floating_point() or tensor.dtype == wanted:
                    continue
                if table is child._parameters or key not in child._non_persistent_buffers_set:
                    tensor.data = tensor.data.to(wanted)
    return module


def _kept_in_fp32(module: Any, dtype: torch.dtype) -> list[str]:
    """Names of parts that loading leaves in fp32."""
    kept = getattr(module, "_keep_in_fp32_modules", None) or [] if dtype == torch.float16 else []
    return list(kept) + list(getattr(module, "_keep_in_fp32_modules_strict", None) or [])


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def set_tf32(choice: str) -> None:
    """Whether fp32 matrix products and convolutions may round their inputs to TF32: ``on``, ``off``,
    or torch's ``default``, convolutions alone."""
    torch.backends.cuda.matmul.allow_tf32 = choice == "on"
    torch.backends.cudnn.allow_tf32 = choice != "off"


# --- calling --------------------------------------------------------------------------------------


def arguments_for(pipeline: Any, spec: Mapping[str, Any], profile: ComputeProfile) -> dict[str, Any]:
    """What the pipeline is called with, so that it makes the passes and sees the tokens asked for.

    Raises InputError when it cannot make two passes.
    """
    batch, parameters = spec["batch_size"], inspect.signature(type(pipeline).__call__).parameters
    arguments: dict[str, Any] = {
        "prompt": [PROMPT] * batch,
        "num_inference_steps": spec["steps"],
        "width": spec["width"],
        "height": spec["height"],
        "output_type": "pt",
    }
    rule = profile.guidance
    if spec["passes"] == 2 and rule.parameter is None:
        raise InputError(f"{spec['model']} never makes a second denoiser pass")
    if rule.parameter is not None:
        arguments[rule.parameter] = GUIDED if spec["passes"] == 2 else rule.threshold
        if spec["passes"] == 2 and rule.needs_negative_prompt:
            arguments["negative_prompt"] = [NEGATIVE] * batch
    tokens = profile.text.default if spec["text_tokens"] is None else spec["text_tokens"]
    own = tokens - profile.text.denoiser_offset
    if profile.text.adjustable and profile.text.padded and "max_sequence_length" in parameters:
        arguments["max_sequence_length"] = own
    elif profile.text.adjustable:
        for part in pipeline.components.values():
            if isinstance(part, StandInTokenizer):
                part.length, part.prompts = own, (PROMPT, NEGATIVE)
    return {name: value for name, value in arguments.items() if name in parameters}


# --- components -----------------------------------------------------------------------------------


@dataclass
class RecordedCall:
    """One call of a component in a pipeline's run: what it was given, and how to make it again."""

    name: str
    shapes: str
    method: Callable[..., Any] = field(repr=False)
    args: tuple[Any, ...] = field(repr=False)
    kwargs: dict[str, Any] = field(repr=False)
    start_s: float = 0.0
    end_s: float = 0.0
    count: int = 1
    kind: int = 0

    def again(self) -> None:
        """Make the call once more, with the same inputs."""
        with torch.no_grad():
            self.method(*self.args, **self.kwargs)


@dataclass
class Record:
    """A pipeline's run: its component calls in order, and when each of the scheduler's steps ended [s]."""

    calls: list[RecordedCall] = field(default_factory=list)
    step_ends_s: list[float] = field(default_factory=list)


class _Recording:
    """Wraps methods of a pipeline's parts, and unwraps them again."""

    def __init__(self, synchronize: Callable[[], None]) -> None:
        self.record = Record()
        self._synchronize = synchronize
        self._before: list[tuple[Any, str, Any]] = []
        self._depth = 0

    def wrap_component(self, name: str, module: Any, method: str) -> None:
        """Note every outermost call."""
        original = getattr(module, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return original(*args, **kwargs)
            noted = RecordedCall(name, _shapes((args, kwargs)), original, args, dict(kwargs))
            self.record.calls.append(noted)
            noted.start_s = self._now()
            self._depth += 1
            try:
                return original(*args, **kwargs)
            finally:
                self._depth -= 1
                noted.end_s = self._now()

        self._put(module, method, call)

    def wrap_scheduler(self, scheduler: Any) -> None:
        """Note when each step ends."""
        original = scheduler.step

        def step(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)
            self.record.step_ends_s.append(self._now())
            return found

        functools.update_wrapper(step, original)  # pipelines look at its parameters
        self._put(scheduler, "step", step)

    def undo(self) -> None:
        """Leave everything as it was."""
        for owner, method, before in reversed(self._before):
            if before is None:
                delattr(owner, method)
            else:
                owner.__dict__[method] = before

    def _put(self, owner: Any, method: str, call: Callable[..., Any]) -> None:
        self._before.append((owner, method, vars(owner).get(method)))
        owner.__dict__[method] = call

    def _now(self) -> float:
        self._synchronize()
        return time.perf_counter()


@contextmanager
def recorded_calls(pipeline: Any, synchronize: Callable[[], None] = lambda: None) -> Iterator[Record]:
    """Within the block, every outermost call of a component is noted with its inputs and times, and
    every step of the scheduler; a compiled module is called as the pipeline calls it."""
    recording = _Recording(synchronize)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            is_compiled = getattr(part, "_compiled_call_impl", None) is not None
            for method in ("_compiled_call_impl" if is_compiled else "forward", "decode"):
                if hasattr(part, method):
                    recording.wrap_component(name, part, method)
    if hasattr(getattr(pipeline, "scheduler", None), "step"):
        recording.wrap_scheduler(pipeline.scheduler)
    try:
        yield recording.record
    finally:
        recording.undo()


def denoising_steps(record: Record, denoisers: Collection[str]) -> tuple[DenoisingStep, ...]:
    """The denoiser calls between one end of a scheduler's step and the next. `distinct` comes first."""
    calls = [call for call in record.calls if call.name in denoisers]
    steps, before = [], calls[0].start_s if calls else 0.0
    for end in record.step_ends_s:
        of_step = [call for call in calls if before <= call.start_s < end]
        if of_step:
            names = tuple(part_name(call.name, call.kind) for call in of_step)
            alone = sum(call.end_s - call.start_s for call in of_step)
            steps.append(DenoisingStep(names, end - before, alone))
        before = end
    return tuple(steps)


def distinct(calls: Sequence[RecordedCall]) -> list[RecordedCall]:
    """Calls of one component with inputs of equal shape as one, counted; the last inputs are kept.

    Every call is told its kind."""
    found: dict[tuple[str, str], RecordedCall] = {}
    kinds: dict[str, int] = {}
    for call in calls:
        key = call.name, call.shapes
        if key in found:
            found[key].count += 1
            found[key].args, found[key].kwargs = call.args, call.kwargs
            call.kind = found[key].kind
        else:
            call.kind = kinds.get(call.name, 0)
            kinds[call.name] = call.kind + 1
            found[key] = call
    return list(found.values())


def _shapes(inputs: Any) -> str:
    leaves = pytree.tree_leaves(inputs)
    return " ".join(
        "x".join(map(str, x.shape)) for x in leaves if isinstance(x, torch.Tensor) and x.dim() > 1
    )


# --- facts ----------------------------------------------------------------------------------------


def attention_of(pipeline: Any) -> str:
    """The attention backend of diffusers' models: its own choice is torch's sdpa."""
    try:
        from diffusers.models.attention_dispatch import get_active_backend

        name = str(getattr(get_active_backend()[0], "value", get_active_backend()[0]))
    except (ImportError, AttributeError, TypeError, IndexError):
        return "sdpa"
    return "sdpa" if name in ("native", "sdpa") else name


def versions() -> dict[str, str]:
    """Versions of the libraries that run the pipeline."""
    import diffusers
    import transformers

    found = {
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "transformers": str(transformers.__version__),
        "joulecast": own_version(),
    }
    if torch.version.cuda:
        found["cuda"] = str(torch.version.cuda)
        found["cudnn"] = str(torch.backends.cudnn.version())
    return found


def cuda_uuid() -> str | None:
    """The UUID of torch's current GPU as NVML writes it; None where torch does not tell.

    Raises MeasureError when torch has no GPU.
    """
    if not torch.cuda.is_available():
        raise MeasureError(
            "torch finds no GPU: this needs an NVIDIA GPU and a CUDA build of torch; or try --dry-run"
        )
    uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)
    return None if uuid is None else "GPU-" + str(uuid).removeprefix("GPU-")


def gpu_meter() -> NvmlMeter:
    """The meter of the GPU that torch uses, opened before torch: who is on the card already is seen.

    Raises MeasureError when there is no GPU, MissingExtraError without nvidia-ml-py.
    """
    meter = NvmlMeter()
    try:
        uuid = cuda_uuid()
    except MeasureError:
        meter.close()
        raise
    if uuid is None or uuid == meter.device.uuid:
        return meter
    meter.close()
    return NvmlMeter(uuid=uuid)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
