"""Estimates, models, GPUs and profiles as plain text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from joulecast.compute.profile import ComputeProfile
from joulecast.files.streams import as_given
from joulecast.forecast.estimate import Estimate
from joulecast.hardware import Gpu
from joulecast.law.scores import Score
from joulecast.question.models import Model
from joulecast.question.question import Question
from joulecast.report import amounts as quantity
from joulecast.report.lines import aligned, heading, paragraph, sentence, table, warned
from joulecast.units import BYTES_PER_GIGABYTE, FLOP_PER_TERAFLOP, counted

MOST_OF_ALIASES = 32  # characters: more would make the lines of a table wrap
_BOUNDARIES = {
    "gross": "all that the GPU board draws, idle power included (gross); not the rest of the computer, "
    "nor cooling.",
    "dynamic": "what the GPU board draws above its idle power of {idle} (dynamic); not the rest of the "
    "computer, nor cooling.",
}
# What the law has seen, and on what it was tested to find its error: what was held out of its fit.
_FAMILIARITY = {
    "same_source": ("you measured this model and GPU", "runs of yours that it had not seen"),
    "seen": ("this model and this GPU were each measured by others", "sources that it had not seen"),
    "unseen_model": (
        "the law has seen no run of this model",
        "models that it had not seen, of known sources",
    ),
    "unseen_gpu": ("the law has seen no run on this GPU", "chips that it had not seen"),
    "unseen_both": (
        "the law has seen no run of this model, nor on this GPU",
        "models and chips that it had not seen",
    ),
}
# A range that is, in logarithms, as many times wider than the published error is not explained by it.
_MUCH_WIDER = 1.5
_LOPSIDED = 50.0  # [%]: larger errors lie more to one side than a range shows
_SAYS_WIDER = re.compile("the range is wider|hence the wide range")  # of a warning


def estimate_text(estimate: Estimate, sources: bool = False) -> str:
    """An estimate: what it is of, what to doubt, how much, where it goes; its `sources` where asked for."""
    return "\n".join(
        [
            *heading(title(estimate.question)),
            "",
            *warned(estimate.warnings),
            *_headline(estimate),
            "",
            *_components(estimate),
            "",
            *paragraph(
                "Counts", _BOUNDARIES[estimate.boundary].format(idle=quantity.power(estimate.idle_power_w))
            ),
            *([] if sources else paragraph("Error", f"{_short_error(estimate)}.")),
            *(line for words in estimate.notes for line in paragraph("Note", words)),
            *(_sources(estimate) if sources else []),
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
    told = "Size, steps, passes and dtype are defaults. Hub ids and all names: --json."
    return "\n".join([*lines, "", *sentence(told)])


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


def profile_data(profile: ComputeProfile, pass_flop: float) -> dict[str, object]:
    """The same as one JSON object."""
    parts = ("name", "role", "class_name", "parameters")
    return {
        "name": profile.name,
        "pipeline": profile.pipeline,
        "parameters": profile.parameters,
        "components": [{name: getattr(part, name) for name in parts} for part in profile.components],
        "denoiser_pass_flop": pass_flop,
        "default_width": profile.defaults.width,
        "default_height": profile.defaults.height,
        "sizes": profile.size.expected(),
        "notes": list(profile.notes),
    }


def title(question: Question) -> str:
    """A workload and its GPU in one line."""
    w = question.workload
    passes = f" x {w.passes} passes" if w.passes != 1 else ""
    batch = f", batch {w.batch_size}" if w.batch_size != 1 else ""
    return (
        f"{question.profile.name} on {question.gpu.name}: {w.width}x{w.height}, "
        f"{counted(w.steps, 'step')}{passes}, {w.precision}{batch}"
    )


def _headline(estimate: Estimate) -> list[str]:
    batch = estimate.workload.batch_size
    rows = [
        [
            "energy per image",
            quantity.energy(estimate.energy_j),
            quantity.energy_wh(estimate.energy_j),
            f"90 %: {quantity.energy(estimate.energy_low_j)} to {quantity.energy(estimate.energy_high_j)}",
        ],
        [
            "time per image" if batch == 1 else f"time per batch of {batch}",
            quantity.duration(estimate.duration_s),
            "",
            "90 %: "
            + quantity.duration_range(estimate.duration_low_s, estimate.duration_s, estimate.duration_high_s),
        ],
        ["average power", quantity.power(estimate.power_w), "", f"power limit {estimate.gpu.tdp_w:g} W"],
        ["compute per image", quantity.teraflop(estimate.flop), "", ""],
    ]
    return aligned(rows, right={1, 2})


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


def _sources(estimate: Estimate) -> list[str]:
    """Where an estimate comes from: the law's runs and errors, the GPU's figures, the model."""
    profile, gpu = estimate.question.profile, estimate.gpu
    figures: dict[str, list[str]] = {}
    for name in ("tdp", "idle_power", estimate.workload.precision, "memory", "bandwidth"):
        if name in gpu.sources:
            figures.setdefault(gpu.sources[name], []).append(name.replace("_", " "))
    told = "; ".join(f"{', '.join(names)}: {source}" for source, names in figures.items())
    return [
        *paragraph("Law", _law(estimate)),
        *(paragraph("GPU", f"{told}.") if told else []),
        *paragraph("Model", f"{profile.pipeline}, traced from {profile.hub_id or as_given(profile.origin)}."),
    ]


def _law(estimate: Estimate) -> str:
    law = estimate.law.describe()
    on = law.fitted_on
    timed = len(set(on.timed_gpus) - set(on.gpus))
    counts = " ".join(
        f"{word} {len(names)} {kind}"
        for word, names, kind in (("of", on.models, "models"), ("on", on.gpus, "GPUs"))
        if names
    ) + (f", and times on {timed} more" if timed else "")
    sources = f" ({'; '.join(on.sources)})" if on.sources else ""
    return f"{law.name}, fitted on {on.runs} runs {counts}".rstrip() + f"{sources}; {_error(estimate)}."


def _short_error(estimate: Estimate) -> str:
    """What the law knows of the model and the GPU, and how far it was off on runs held out alike."""
    case, scores = _case(estimate), _scores(estimate)
    if not scores:
        return f"{case}; no error on runs held out is published for this case"
    where = {tested_on for _, tested_on, _ in scores}
    if len(where) == 1:
        told = " and ".join(f"{score.p90:.0f} % ({what})" for what, _, score in scores)
        told = f"the law was tested on {where.pop()}: 9 in 10 runs were within {told}"
    else:
        listed = " and ".join(f"{score.p90:.0f} % ({what}, on {on})" for what, on, score in scores)
        told = f"the law was tested: 9 in 10 runs were within {listed}"
    return f"{case}; {told}{_why_wider(estimate, scores)}; more: --sources"


def _why_wider(estimate: Estimate, scores: Sequence[tuple[str, str, Score]]) -> str:
    """Words where a range printed above is much wider than the published error beside it."""
    ranges = {"energy": estimate.energy, "time": estimate.duration}
    wide = [
        what
        for what, _, score in scores
        if score.p90 < _LOPSIDED
        and math.log(ranges[what].high / ranges[what].value) > -_MUCH_WIDER * math.log1p(-score.p90 / 100)
    ]
    if not wide:
        return ""
    whose = f"the range of the {wide[0]} is" if len(wide) == 1 else "the ranges here are"
    is_said = any(_SAYS_WIDER.search(words) for words in estimate.warnings)
    why = ": see the warnings" if is_said else ", as this workload is less sure than most"
    return f"; {whose} wider{why}"


def _error(estimate: Estimate) -> str:
    """What the law knows, and its published errors for that, of energies and of times."""
    case, scores = _case(estimate), _scores(estimate)
    if not scores:
        return f"{case}; no error on runs held out is published for this case"
    if len({held_out for _, held_out, _ in scores}) == 1:
        told = "; ".join(f"{what} {_score(score)}" for what, _, score in scores)
        return f"{case}. Error on {scores[0][1]}: {told}"
    told = "; ".join(f"{what}, on {tested_on}, {_score(score)}" for what, tested_on, score in scores)
    return f"{case}. Error: {told}"


def _case(estimate: Estimate) -> str:
    """What the law knows of the model and the GPU, in words."""
    energy, time = (_FAMILIARITY[one][0] for one in (estimate.familiarity, estimate.timed_familiarity))
    return energy if energy == time else f"of energies, {energy}; of times, {time}"


def _scores(estimate: Estimate) -> list[tuple[str, str, Score]]:
    """What a published error is of, what the law was tested on to find it, and the error."""
    known = {"energy": estimate.familiarity, "time": estimate.timed_familiarity}
    errors = estimate.law.describe().error(estimate.familiarity, estimate.timed_familiarity)
    published = {"energy": errors.energy, "time": errors.duration}
    return [
        (what, _FAMILIARITY[known[what]][1], score)
        for what, score in published.items()
        if score is not None and math.isfinite(score.median)
    ]


def _score(score: Score) -> str:
    """A published error in per cent: the median, what 9 in 10 runs stay within, the worst."""
    covered = f", {score.coverage:.0f} % of them inside the interval" if math.isfinite(score.coverage) else ""
    return (
        f"median {score.median:.0f} %, 9 in 10 within {score.p90:.0f} %, worst {score.worst:.0f} % "
        f"({score.runs} runs{covered})"
    )


def _role(role: str) -> str:
    return role.replace("_", " ")


def _shortest(aliases: Sequence[str]) -> list[str]:
    """The two shortest aliases, or the one where both would be long, in the order of the catalogue."""
    kept = sorted(aliases, key=len)[:2]
    if sum(map(len, kept)) > MOST_OF_ALIASES:
        kept = kept[:1]
    return [alias for alias in aliases if alias in kept]
