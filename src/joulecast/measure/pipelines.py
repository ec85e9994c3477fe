"""Real diffusers pipelines as the subject of a campaign, on a GPU or, for tests, on the CPU.

Without weights at hand a pipeline is built from the catalogue with random ones, made directly on
the device in the right number format: the same kernels run on the same shapes. Energy depends a
little on the numbers themselves (random bits toggle more wires than trained weights do), so every
run says which weights it had. Needs the extra `trace`.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from joulecast.architecture.build import TORCH_DTYPES, quiet
from joulecast.architecture.build_random import random_pipeline
from joulecast.architecture.catalogue import model_entry
from joulecast.architecture.pipeline_config import PipelineConfig, pipeline_config_from_catalogue
from joulecast.architecture.stand_ins import StandInTokenizer
from joulecast.compute.arguments import FRAME_ARGUMENTS, MASK_ARGUMENTS, MOST_AREA, STRENGTH
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError, MeasureError, in_short, kind_in_short, shown
from joulecast.extras import own_version
from joulecast.measure.dissect import denoising_steps, distinct, recorded_calls
from joulecast.measure.nvml import NvmlMeter
from joulecast.measure.records import RANDOM, TRAINED, Output, Software, TaskSpec, TorchState
from joulecast.measure.task import ComponentWork, Dissection, TooLargeError
from joulecast.question.inputs import ALL_STEPS

import torch  # isort: skip - after build, which says so when the extra is missing

PROMPT: Final = "an image of a red fox in the snow, early in the morning"
NEGATIVE: Final = "blurry, dark"
GUIDED: Final = 4.0
COMPILE: Final[Mapping[str, str | bool]] = {"backend": "inductor", "dynamic": False}  # kernels for each size
AS_COUNTED: Final[Mapping[str, object]] = {"_auto_resize": False}  # of images: they are of the size already
ROOM: Final = 1.25  # memory of a pipeline over its weights, when deciding what else may stay loaded
WORK_BYTES: Final = 8e9  # and what it works in

_Key: TypeAlias = tuple[str, ...]  # what tells a loaded pipeline from others


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
        self._loaded: dict[_Key, Any] = {}
        self._pipeline: Any = None
        self._arguments: dict[str, object] = {}
        self._is_finite: bool | None = None
        self._runtime = "eager"
        self._weights = RANDOM
        self._denoisers: frozenset[str] = frozenset()

    def load(self, spec: TaskSpec) -> None:
        """Build or fetch the pipeline of a task, set its options, and run it once.

        Raises
        ------
        TooLargeError
            It does not fit the GPU's memory.
        InputError
            The pipeline cannot do what the task asks.
        """
        set_tf32(spec.tf32)
        self._runtime, self._weights = spec.runtime, spec.weights
        self._denoisers = frozenset(self._profile_of(spec.model).denoising_modules)
        key = (spec.model, spec.precision, spec.runtime, spec.weights)
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
                raise TooLargeError(f"out of memory: {in_short(error)}") from error

    def call(self) -> None:
        """Generate one batch of images."""
        with torch.no_grad(), quiet():
            try:
                self._pipeline(**self._arguments)
            except torch.OutOfMemoryError as error:
                raise TooLargeError(f"out of memory: {in_short(error)}") from error

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

    def facts(self) -> Software:
        """Weights, attention, libraries, and the GPU as torch sees it."""
        state = TorchState(
            device=str(self.device.type),
            compiled=dict(COMPILE) if self._runtime == "compiled" else None,
            tf32_products=bool(torch.backends.cuda.matmul.allow_tf32),
            tf32_convolutions=bool(torch.backends.cudnn.allow_tf32),
        )
        return Software(self._weights, attention_of(self._pipeline), versions(), state)

    def output(self) -> Output:
        """Whether the images or frames were finite numbers, and the most memory that was used."""
        if self.device.type != "cuda":
            return Output(self._is_finite)
        return Output(self._is_finite, int(torch.cuda.max_memory_allocated(self.device)))

    def close(self) -> None:
        """Free what is loaded."""
        self._keep_only(None)

    def _ready(self, key: _Key, spec: TaskSpec) -> None:
        profile = self._profile_of(spec.model)
        if key not in self._loaded:
            self._make_room(profile, spec.precision)
            self._loaded[key] = self._made(spec)
        self._pipeline = self._loaded[key]
        self._arguments = arguments_for(self._pipeline, spec, profile)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        made = self._first(profile)
        pixels = made.images if profile.frames is None else made.frames
        self._is_finite = bool(torch.isfinite(pixels).all())

    def _first(self, profile: ComputeProfile) -> Any:
        """What the pipeline makes, of one image for all where it takes no list of them."""
        with torch.no_grad(), quiet():
            try:
                return self._pipeline(**self._arguments)
            except torch.OutOfMemoryError:
                raise
            except (TypeError, ValueError, RuntimeError):
                lists = {
                    n: a for n in profile.images.arguments if isinstance(a := self._arguments.get(n), list)
                }
                if not lists:
                    raise
            self._arguments |= {name: images[0] for name, images in lists.items()}
            return self._pipeline(**self._arguments)

    def _made(self, spec: TaskSpec) -> Any:
        config = self._config_of(spec.model)
        if spec.weights == RANDOM:
            pipeline = random_pipeline(config, spec.precision, self.device)
        else:
            weights = model_entry(spec.model)["hub_id"] if spec.weights == TRAINED else spec.weights
            pipeline = loaded_pipeline(config, weights, spec.precision, self.device)
        if spec.runtime == "compiled":
            for name in self._denoisers:
                getattr(pipeline, name).compile(**COMPILE)
        return pipeline

    def _make_room(self, profile: ComputeProfile, precision: str) -> None:
        """Drop what is loaded where the new pipeline would not fit beside it."""
        if self.device.type != "cuda" or not self._loaded:
            return
        needed = ROOM * profile.weight_bytes(precision) + WORK_BYTES
        if torch.cuda.mem_get_info(self.device)[0] < needed:
            self._keep_only(None)

    def _keep_only(self, key: _Key | None) -> None:
        self._pipeline = None
        self._loaded = {known: pipeline for known, pipeline in self._loaded.items() if known == key}
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


# --- loading --------------------------------------------------------------------------------------


def loaded_pipeline(config: PipelineConfig, weights: str, precision: str, device: torch.device) -> Any:
    """A pipeline with the weights of a folder or of the hub.

    Raises InputError when they cannot be loaded or belong to another pipeline.
    """
    import diffusers

    try:
        with quiet():
            pipeline = diffusers.DiffusionPipeline.from_pretrained(
                weights,
                torch_dtype=TORCH_DTYPES[precision],
                local_files_only=Path(weights).exists(),
                safety_checker=None,
            )
    except Exception as error:
        raise InputError(f"weights {shown(weights)} cannot be loaded: {kind_in_short(error)}") from error
    if type(pipeline).__name__ != config.pipeline:
        raise InputError(
            f"weights {shown(weights)} are of a {type(pipeline).__name__}; "
            f"{config.name} is a {config.pipeline}"
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def set_tf32(choice: str) -> None:
    """Whether fp32 matrix products and convolutions may round their inputs to TF32: ``on``, ``off``,
    or torch's ``default``, convolutions alone."""
    torch.backends.cuda.matmul.allow_tf32 = choice == "on"
    torch.backends.cudnn.allow_tf32 = choice != "off"


# --- calling --------------------------------------------------------------------------------------


def arguments_for(pipeline: Any, spec: TaskSpec, profile: ComputeProfile) -> dict[str, object]:
    """What the pipeline is called with, so that it makes the passes and sees the tokens asked for.

    Raises InputError when it cannot make two passes.
    """
    batch, parameters = spec.batch_size, inspect.signature(type(pipeline).__call__).parameters
    arguments: dict[str, object] = {
        "prompt": [PROMPT] * batch,
        "num_inference_steps": spec.steps_asked or spec.steps,
        "width": spec.width,
        "height": spec.height,
        "output_type": "pt",
        **(dict.fromkeys(FRAME_ARGUMENTS, spec.frames) if profile.frames is not None else {}),
        **(_images(spec, profile) if profile.images.arguments else {}),
    }
    rule = profile.guidance
    if spec.passes == 2 and rule.parameter is None:
        raise InputError(f"{spec.model} never makes a second denoiser pass")
    if rule.parameter is not None:
        arguments[rule.parameter] = GUIDED if spec.passes == 2 else rule.threshold
    if spec.negative_prompt or (spec.passes == 2 and rule.needs_negative_prompt):
        arguments["negative_prompt"] = [NEGATIVE] * batch
    tokens = profile.text.default if spec.text_tokens is None else spec.text_tokens
    own = tokens - profile.text.denoiser_offset
    if profile.text.adjustable and profile.text.padded and "max_sequence_length" in parameters:
        arguments["max_sequence_length"] = own
    elif profile.text.adjustable:
        for part in pipeline.components.values():
            if isinstance(part, StandInTokenizer):
                part.length, part.prompts = own, (PROMPT, NEGATIVE)
    return {name: value for name, value in arguments.items() if name in parameters}


def _images(spec: TaskSpec, profile: ComputeProfile) -> dict[str, object]:
    """The images that a pipeline is given, of the size that its profile counts; masks cover all of one."""
    from PIL import Image

    side = profile.images.side
    size = (spec.width, spec.height) if side is None else (side, side)
    picture, mask = Image.linear_gradient("L").resize(size).convert("RGB"), Image.new("L", size, 255)
    given = {name: mask if name in MASK_ARGUMENTS else picture for name in profile.images.arguments}
    several = {name: [one] * spec.batch_size for name, one in given.items()}
    return {
        **(several if spec.batch_size > 1 else given),
        STRENGTH: ALL_STEPS if spec.strength is None else spec.strength,
        MOST_AREA: spec.width * spec.height,
        **AS_COUNTED,
    }


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
        raise MeasureError("torch finds no GPU: this needs an NVIDIA GPU and a CUDA build of torch")
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
