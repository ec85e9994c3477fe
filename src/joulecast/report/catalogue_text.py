"""What there is, as plain text: models, GPUs, and a profile in short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from joulecast.compute.output import CLIP, IMAGE, TASKS
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_rules import FrameRule
from joulecast.hardware import Gpu
from joulecast.question.models import Model
from joulecast.report import amounts as quantity
from joulecast.report.estimate_text import role_words
from joulecast.report.lines import paragraph, sentence, table
from joulecast.units import BYTES_PER_GIGABYTE, FLOP_PER_TERAFLOP, counted

MOST_OF_ALIASES = 26  # characters: more would make the lines of a table wrap


def models_text(models: Iterable[Model]) -> str:
    """The catalogue's models as a table; sizes of those that make clips have their frames."""
    models = list(models)
    has_clips = any(model.task == TASKS[CLIP] for model in models)
    rows = [
        [
            model.name,
            quantity.parameters(model.parameters),
            _size_of(model),
            str(model.default_steps),
            str(model.default_passes),
            model.default_precision,
            ", ".join(_shortest(model.aliases)),
        ]
        for model in models
    ]
    header = ["model", "params", "size", "steps", "passes", "dtype", "also"]
    lines = table(header, rows, right={header.index(name) for name in ("params", "steps", "passes")})
    clips = "; of a video width x height x frames" if has_clips else ""
    told = f"Size, steps, passes and dtype are defaults{clips}."
    return "\n".join([*lines, "", *sentence(f"{told} Hub ids and all names: --json.")])


def _size_of(model: Model) -> str:
    frames = "" if model.task == TASKS[IMAGE] else f"x{model.default_frames}"
    return f"{model.default_width}x{model.default_height}{frames}"


def gpus_text(gpus: Iterable[Gpu]) -> str:
    """The catalogue's GPUs as a table; figures in W, TFLOP/s (dense, 16 bit), GB and GB/s."""
    rows = [
        [
            gpu.name,
            f"{gpu.tdp_w:g}",
            "" if gpu.idle_power_w is None else f"{gpu.idle_power_w:g}",
            f"{gpu.peak_flop_per_s(gpu.precisions[0]) / FLOP_PER_TERAFLOP:g}",
            f"{gpu.memory_bytes / BYTES_PER_GIGABYTE:g}",
            f"{gpu.bandwidth_byte_per_s / BYTES_PER_GIGABYTE:g}",
            str(gpu.year or ""),
            ", ".join(_shortest([alias for alias in gpu.aliases if not alias.startswith("NVIDIA")])),
        ]
        for gpu in gpus
    ]
    header = ["GPU", "TDP W", "idle W", "TFLOP/s", "GB", "GB/s", "year", "also"]
    lines = table(header, rows, right={1, 2, 3, 4, 5, 6})
    told = "TFLOP/s: dense, 16 bit. All figures with their sources, and all names: --json."
    return "\n".join([*lines, "", *sentence(told)])


def profile_text(profile: ComputeProfile, pass_flop: float) -> str:
    """A profile in short; `pass_flop` is one denoiser pass for one output at the default size [FLOP]."""
    rows = [
        [part.name, role_words(part.role), part.class_name, quantity.parameters(part.parameters)]
        for part in profile.components
    ]
    frames = "" if profile.frames is None else f" and {counted(profile.defaults.frames, 'frame')}"
    size = f"{profile.defaults.width}x{profile.defaults.height}{frames}"
    return "\n".join(
        [
            f"{profile.name} ({profile.pipeline}), {quantity.parameters(profile.parameters)} parameters",
            "",
            *table(["component", "role", "class", "params"], rows, right={3}),
            "",
            f"  one denoiser pass at {size}: {quantity.teraflop(pass_flop)}",
            f"  sizes: {profile.size.expected()}",
            *([] if profile.frames is None else [f"  frames: {profile.frames.expected()}"]),
            *([] if profile.revision is None else [f"  configs: {profile.hub_id} at {profile.revision}"]),
            *(line for words in profile.notes for line in paragraph("Note", words)),
        ]
    )


def profile_data(profile: ComputeProfile, pass_flop: float) -> dict[str, object]:
    """The same as one JSON object."""
    parts = ("name", "role", "class_name", "parameters")
    return {
        "name": profile.name,
        "pipeline": profile.pipeline,
        **({} if profile.revision is None else {"hub_id": profile.hub_id, "revision": profile.revision}),
        "parameters": profile.parameters,
        "components": [{name: getattr(part, name) for name in parts} for part in profile.components],
        "denoiser_pass_flop": pass_flop,
        "default_width": profile.defaults.width,
        "default_height": profile.defaults.height,
        "sizes": profile.size.expected(),
        **({} if profile.frames is None else _frames_data(profile, profile.frames)),
        "notes": list(profile.notes),
    }


def _frames_data(profile: ComputeProfile, rule: FrameRule) -> dict[str, object]:
    own = profile.defaults
    return {
        "default_frames": own.frames,
        "default_frame_rate": own.frame_rate,
        "frames": rule.expected(),
    }


def _shortest(aliases: Sequence[str]) -> list[str]:
    """The two shortest aliases, one where both would be long, none where one is, in the catalogue's order."""
    kept = sorted(aliases, key=len)[:2]
    while len(", ".join(kept)) > MOST_OF_ALIASES:
        kept.pop()
    return [alias for alias in aliases if alias in kept]
