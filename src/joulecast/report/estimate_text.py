"""Estimates, models, GPUs and profiles as plain text of at most about 100 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence

from joulecast.compute.profile import ComputeProfile
from joulecast.forecast.estimate import Estimate
from joulecast.hardware import Gpu
from joulecast.law.scores import Score, Scores
from joulecast.question.models import Model
from joulecast.question.question import Question
from joulecast.report import amounts as quantity
from joulecast.units import BYTES_PER_GIGABYTE, FLOP_PER_TERAFLOP

WIDTH = 96

_BOUNDARIES = {
    "gross": "all that the GPU board draws, idle power included",
    "dynamic": "what the GPU board draws above its idle power of {idle}",
}
# What the law knows, and what was held out to find its error.
_FAMILIARITY = {
    "same_source": ("you measured this model and GPU", "your runs held out"),
    "seen": ("this model and this GPU were each measured by others", "whole sources held out"),
    "unseen_model": ("this model was not fitted on", "models held out of sources that were not"),
    "unseen_gpu": ("this GPU was not fitted on", "chips held out"),
    "unseen_both": ("neither this model nor this GPU was fitted on", "models and chips held out"),
}


def estimate_text(estimate: Estimate) -> str:
    """An estimate: the energy first, then its parts, what it includes and where it comes from."""
    return "\n".join(
        [
            title(estimate.question),
            "",
            *_headline(estimate),
            "",
            *_components(estimate),
            "",
            *paragraph("Includes", _included(estimate)),
            *paragraph("Law", _law(estimate)),
            *(line for words in estimate.warnings for line in paragraph("Warning", words)),
            *(line for words in estimate.notes for line in paragraph("Note", words)),
        ]
    )


def models_text(models: Iterable[Model]) -> str:
    """The catalogue's models as a table."""
    rows = [
        [
            model.name,
            quantity.parameters(model.parameters),
            f"{model.default_width}x{model.default_height}",
            str(model.default_steps),
            str(model.default_passes),
            model.default_precision,
            ", ".join(_shortest(model.aliases)),
        ]
        for model in models
    ]
    header = ["model", "params", "size", "steps", "passes", "dtype", "also"]
    lines = table(header, rows, right={1, 3, 4})
    return "\n".join(
        [*lines, "", "  Size, steps, passes and dtype are defaults. Hub ids and all names: --json."]
    )


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
    return "\n".join(
        [*lines, "", "  TFLOP/s: dense, 16 bit. All figures with their sources, and all names: --json."]
    )


def profile_text(profile: ComputeProfile, pass_flop: float) -> str:
    """A profile in short; `pass_flop` is one denoiser pass for one image at the default size [FLOP]."""
    rows = [
        [part.name, _role(part.role), part.class_name, quantity.parameters(part.parameters)]
        for part in profile.components
    ]
    size = f"{profile.defaults.width}x{profile.defaults.height}"
    return "\n".join(
        [
            f"{profile.name} ({profile.pipeline}), {quantity.parameters(profile.parameters)} parameters",
            "",
            *table(["component", "role", "class", "params"], rows, right={3}),
            "",
            f"  one denoiser pass at {size}: {quantity.teraflop(pass_flop)}",
            f"  sizes: {profile.size.expected()}",
            *(line for words in profile.notes for line in paragraph("Note", words)),
        ]
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    """Aligned lines, two blanks between columns; the columns in `right` are set flush right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  " + "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    ]  # fmt: skip


def title(question: Question) -> str:
    """A workload and its GPU in one line."""
    w = question.workload
    passes = f" x {w.passes} passes" if w.passes != 1 else ""
    batch = f", batch {w.batch_size}" if w.batch_size != 1 else ""
    return (
        f"{question.profile.name} on {question.gpu.name}: {w.width}x{w.height}, "
        f"{w.steps} steps{passes}, {w.precision}{batch}"
    )


def _headline(estimate: Estimate) -> list[str]:
    batch = estimate.workload.batch_size
    rows = [
        [
            "energy per image",
            quantity.energy(estimate.energy_j),
            quantity.energy_wh(estimate.energy_j),
            _interval(quantity.energy, estimate.energy_low_j, estimate.energy_high_j),
        ],
        [
            "time per image" if batch == 1 else f"time per batch of {batch}",
            quantity.duration(estimate.duration_s),
            "",
            _interval(quantity.duration, estimate.duration_low_s, estimate.duration_high_s),
        ],
        ["average power", quantity.power(estimate.power_w), "", f"power limit {estimate.gpu.tdp_w:g} W"],
        ["compute per image", quantity.teraflop(estimate.flop), "", ""],
    ]
    return table(rows[0], rows[1:], right={1, 2})


def _interval(words: Callable[[float], str], low: float, high: float) -> str:
    return f"90 %: {words(low)} to {words(high)}"


def _components(estimate: Estimate) -> list[str]:
    rows = [
        [
            part.name,
            _role(part.role),
            str(part.calls),
            quantity.number(part.flop / FLOP_PER_TERAFLOP),
            quantity.share(part.energy_j, estimate.energy_j),
            quantity.energy(part.energy_j),
        ]
        for part in estimate.components
    ]
    return table(["component", "role", "calls", "TFLOP", "share", "energy"], rows, right={2, 3, 4, 5})


def _included(estimate: Estimate) -> str:
    words = _BOUNDARIES[estimate.boundary].format(idle=quantity.power(estimate.idle_power_w))
    return (
        f"{estimate.boundary} GPU energy of the whole pipeline call: {words}. "
        "Not the rest of the computer, and not cooling."
    )


def _law(estimate: Estimate) -> str:
    law = estimate.law.describe()
    on = law.fitted_on
    counts = " ".join(
        f"{word} {len(names)} {kind}"
        for word, names, kind in (("of", on.models, "models"), ("on", on.gpus, "GPUs"))
        if names
    )
    sources = f" ({'; '.join(on.sources)})" if on.sources else ""
    error = _error(estimate.familiarity, law.errors.get(estimate.familiarity))
    return f"{law.name}, fitted on {on.runs} runs {counts}".rstrip() + f"{sources}; {error}."


def _error(familiarity: str, errors: Scores | None) -> str:
    case, held_out = _FAMILIARITY[familiarity]
    pairs = [] if errors is None else [("energy", errors.energy), ("time", errors.duration)]
    scores = [
        f"{words} {_score(score)}"
        for words, score in pairs
        if score is not None and math.isfinite(score.median)
    ]
    if not scores:
        return f"{case}; no error on runs held out is published for this case"
    return f"{case}. Error on {held_out}: {'; '.join(scores)}"


def _score(score: Score) -> str:
    """A published error in per cent: the median, what 9 in 10 runs stay within, the worst."""
    covered = f", {score.coverage:.0f} % of them inside the interval" if math.isfinite(score.coverage) else ""
    return (
        f"median {score.median:.0f} %, 9 in 10 within {score.p90:.0f} %, worst {score.worst:.0f} % "
        f"({score.runs} runs{covered})"
    )


def paragraph(label: str, words: str) -> list[str]:
    """A labelled paragraph, wrapped and indented."""
    joined = f"{label}: {words}".replace(" %", "\N{NO-BREAK SPACE}%")  # a figure and its unit stay together
    lines = textwrap.wrap(
        joined, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _role(role: str) -> str:
    return role.replace("_", " ")


def _shortest(aliases: Sequence[str]) -> list[str]:
    """The two shortest aliases, in the order of the catalogue."""
    kept = sorted(aliases, key=len)[:2]
    return [alias for alias in aliases if alias in kept]
