"""Estimates as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from joulecast.compute.output import CLIP, said_of
from joulecast.files.streams import as_given
from joulecast.forecast.caveats import FROM_PARTS, says_wider, way_of
from joulecast.forecast.estimate import Estimate
from joulecast.forecast.memory import NO, bound_words, fitting_words
from joulecast.law.fitted import OF_NO_VIDEO
from joulecast.law.law import UNSEEN_RUNTIME
from joulecast.law.scores import Score
from joulecast.question.question import Question
from joulecast.report import amounts as quantity
from joulecast.report.lines import aligned, heading, paragraph, table, warned
from joulecast.runtime import DIFFUSERS, ENGINE, Runtime, parts
from joulecast.uncertainty import Interval
from joulecast.units import FLOP_PER_TERAFLOP, counted, gigabytes

MORE = "; more: --sources"
_BOUNDARIES = {
    "gross": "all that the GPU {board} draw{s}, idle power included (gross); not the rest of the computer, "
    "nor cooling.",
    "dynamic": "what the GPU {board} draw{s} above {its} idle power of {idle} (dynamic); not the rest of the "
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
    "unseen_runtime": (
        f"no run of this runtime was fitted on, and {FROM_PARTS}",
        "runtimes that it had not seen",
    ),
}
# A range that is, in logarithms, as many times wider than the published error is not explained by it.
_MUCH_WIDER = 1.5
_WIDER_THAN_MOST = 1.01  # times the usual factor from a range's middle to its end, which is rounded
_LOPSIDED = 50.0  # [%]: larger errors lie more to one side than a range shows


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
            *paragraph("Counts", counts_words(estimate)),
            *paragraph("Runtime", f"{runtime_words(estimate.runtime)}."),
            *(paragraph("Memory", _bound(estimate)) if estimate.memory.is_upper_bound else []),
            *(paragraph("Video", _video(estimate)) if estimate.output == CLIP else []),
            *([] if sources else paragraph("Error", f"{error_words(estimate, MORE)}.")),
            *(line for words in estimate.notes for line in paragraph("Note", words)),
            *(_sources(estimate) if sources else []),
        ]
    )


def counts_words(estimate: Estimate) -> str:
    """What the energy is of."""
    gpus = estimate.runtime.gpus
    board, s, its = ("board", "s", "its") if gpus == 1 else (f"boards, {gpus} of them,", "", "their")
    idle = quantity.power(estimate.idle_power_w)
    return _BOUNDARIES[estimate.boundary].format(board=board, s=s, its=its, idle=idle)


def _bound(estimate: Estimate) -> str:
    """What the memory of each board is an upper bound for."""
    return f"of each board, {bound_words(estimate.runtime)}."


def runtime_words(runtime: Runtime) -> str:
    """How the model is executed: ``SGLang diffusion (sglang), fp8, 2 GPUs (ulysses=2)``."""
    if runtime.engine == DIFFUSERS:
        engine = f"{DIFFUSERS} ({'compiled' if runtime.compile else 'eager'})"
        return ", ".join([engine, *runtime.changes])
    known = parts(ENGINE).get(runtime.engine)
    engine = f"{known.title} ({runtime.engine})" if known else runtime.engine
    return ", ".join([engine, *(["compiled"] if runtime.compile else []), *runtime.changes])


def boards(question: Question) -> str:
    """The GPU, how many there are, and the runtime where it is not the one people get without asking."""
    runtime = question.runtime
    count = f"{runtime.gpus} x " if runtime.gpus > 1 else ""
    return ", ".join([f"{count}{question.gpu.name}", *runtime.headings])


def title(question: Question) -> str:
    """A workload and its GPU in one line."""
    return f"{question.profile.name} on {boards(question)}: {workload_words(question)}"


def workload_words(question: Question) -> str:
    """A workload in one line; of a clip the frames that are made."""
    w = question.workload
    passes = f" x {w.passes} passes" if w.passes != 1 else ""
    batch = f", batch {w.batch_size}" if w.batch_size != 1 else ""
    made = f", {counted(question.work.frames_made, 'frame')}" if question.profile.output == CLIP else ""
    return f"{w.width}x{w.height}{made}, {counted(w.steps, 'step')}{passes}, {w.precision}{batch}"


def time_label(output: str, batch: int) -> str:
    """What a time is of: one image or clip, or a batch of them."""
    return said_of(output, "time per image") if batch == 1 else f"time per batch of {batch}"


def _energy_row(label: str, energy: Interval) -> list[str]:
    ends = f"90 %: {quantity.energy(energy.low)} to {quantity.energy(energy.high)}"
    return [label, quantity.energy(energy.value), quantity.energy_wh(energy.value), ends]


def _headline(estimate: Estimate) -> list[str]:
    per_s = estimate.energy_per_second_of_video
    label, size, fitting = memory_row(estimate)
    rows = [
        _energy_row(said_of(estimate.output, "energy per image"), estimate.energy),
        *([] if per_s is None else [_energy_row("per second of video", per_s)]),
        [
            time_label(estimate.output, estimate.workload.batch_size),
            quantity.duration(estimate.duration_s),
            "",
            "90 %: "
            + quantity.duration_range(estimate.duration_low_s, estimate.duration_s, estimate.duration_high_s),
        ],
        ["average power", quantity.power(estimate.power_w), "", limit_words(estimate)],
        [said_of(estimate.output, "compute per image"), quantity.teraflop(estimate.flop), "", ""],
        [label, size, "", fitting],
    ]
    return aligned(rows, right={1, 2})


def limit_words(estimate: Estimate) -> str:
    """What the boards may draw: ``power limit 2 x 450 W``."""
    gpus = estimate.runtime.gpus
    return f"power limit {f'{gpus} x ' if gpus > 1 else ''}{estimate.limit_of_boards_w / gpus:g} W"


def memory_row(estimate: Estimate) -> tuple[str, str, str]:
    """A label, the memory that a batch takes at its peak, or the weights; what the GPU has, and what fits."""
    memory, there = estimate.memory, f"of {gigabytes(estimate.gpu.memory_bytes)}"
    bound = " (an upper bound)" if memory.is_upper_bound else ""
    if memory.peak_bytes is None:
        fits = "does not fit" if memory.fits == NO else "not known whether it fits"
        return "memory of weights", gigabytes(memory.weights_bytes), f"{there}; {fits}{bound}"
    fitting = fitting_words(memory.largest_batch or 0, memory.largest_batch_perhaps, estimate.output)
    return "memory at its peak", gigabytes(memory.peak_bytes), f"{there}; {fitting}{bound}"


def _video(estimate: Estimate) -> str:
    """How long a clip is, and who says so."""
    work = estimate.question.work
    told = counted(estimate.rendered_frames, "frame")
    if estimate.clip_s is None:
        return f"{told}; no frame rate is known: give fps for the energy of a second."
    rate, source = f"{work.frame_rate:g} frames a second", work.rate_source
    return f"{told} at {rate} ({source}), {quantity.number(estimate.clip_s)} s to watch."


def _components(estimate: Estimate) -> list[str]:
    rows = [
        [
            part.name,
            role_words(part.role),
            str(part.calls),
            quantity.number(part.flop / FLOP_PER_TERAFLOP),
            quantity.share(part.energy_j, estimate.energy_j),
            quantity.energy(part.energy_j),
            "" if part.peak_memory_bytes is None else gigabytes(part.peak_memory_bytes),
        ]
        for part in estimate.components
    ]
    header = ["component", "role", "calls", "TFLOP", "share", "energy"]
    if all(part.peak_memory_bytes is not None for part in estimate.components):
        header.append("memory")
    return table(header, [row[: len(header)] for row in rows], right=set(range(2, len(header))))


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
    sources = f" ({'; '.join(law.fitted_on.sources)})" if law.fitted_on.sources else ""
    return f"{law.name}, fitted on {_fitted_on(estimate)}{sources}; {_error(estimate)}."


def _fitted_on(estimate: Estimate) -> str:
    """The runs of the law's fit, their models and GPUs."""
    on = estimate.law.describe().fitted_on
    timed = len(set(on.timed_gpus) - set(on.gpus))
    counts = " ".join(
        f"{word} {counted(len(names), kind)}"
        for word, names, kind in (("of", on.models, "model"), ("on", on.gpus, "GPU"))
        if names
    ) + (f", and times on {timed} more" if timed else "")
    return f"{counted(on.runs, 'run')} {counts}".rstrip()


def _is_unseen_video(estimate: Estimate) -> bool:
    """Whether it is of a video and the law was fitted on images alone: its published errors are of those."""
    return any(words.endswith(OF_NO_VIDEO) for words in estimate.warnings)


def error_words(estimate: Estimate, more: str = "") -> str:
    """What the law knows of the model and the GPU, and how far it was off on runs held out alike.

    `more` says where there is more of it.
    """
    case, scores = _case(estimate), _scores(estimate)
    if _is_unseen_video(estimate):
        return (
            f"not known for videos: the law was fitted on {_fitted_on(estimate)}, none of them of a video; "
            f"how much wider the range is for that is an assumption{more}"
        )
    if not scores:
        return f"{case}; no error on runs held out is published for this case"
    where = {tested_on for _, tested_on, _ in scores}
    if len(where) == 1:
        told = " and ".join(f"{score.p90:.0f} % ({what})" for what, _, score in scores)
        told = f"the law was tested on {where.pop()}: 9 in 10 runs were within {told}"
    else:
        listed = " and ".join(f"{score.p90:.0f} % ({what}, on {on})" for what, on, score in scores)
        told = f"the law was tested: 9 in 10 runs were within {listed}"
    return f"{case}; {told}{_why_wider(estimate, scores)}{more}"


def _why_wider(estimate: Estimate, scores: Sequence[tuple[str, str, Score]]) -> str:
    """Words where a range printed above is much wider than the published error beside it."""
    ranges = {"energy": estimate.energy, "time": estimate.duration}
    factors = {what: one.high / one.value for what, one in ranges.items()}
    wide = {
        what: score
        for what, _, score in scores
        if score.p90 < _LOPSIDED and math.log(factors[what]) > -_MUCH_WIDER * math.log1p(-score.p90 / 100)
    }
    if not wide:
        return ""
    whose = f"the range of the {next(iter(wide))} is" if len(wide) == 1 else "the ranges here are"
    if any(map(says_wider, estimate.warnings)):
        why = ": see the warnings"
    elif any(factors[what] > _WIDER_THAN_MOST * score.width for what, score in wide.items()):
        why = ", as this workload is less sure than most"
    else:
        why = ", as this law's are in such cases: few runs told how wide they must be"
    return f"; {whose} wider{why}"


def _error(estimate: Estimate) -> str:
    """What the law knows, and its published errors for that, of energies and of times."""
    case, scores = _case(estimate), _scores(estimate)
    if not scores:
        return f"{case}; no error on runs held out is published for this case"
    of = "Error of videos is not known; of images" if _is_unseen_video(estimate) else "Error"
    if len({held_out for _, held_out, _ in scores}) == 1:
        told = "; ".join(f"{what} {_score(score)}" for what, _, score in scores)
        return f"{case}. {of} on {scores[0][1]}: {told}"
    told = "; ".join(f"{what}, on {tested_on}, {_score(score)}" for what, tested_on, score in scores)
    return f"{case}. {of}: {told}"


def _case(estimate: Estimate) -> str:
    """What the law knows of the model and the GPU, in words."""
    energy, time = (_FAMILIARITY[one][0] for one in (estimate.familiarity, estimate.timed_familiarity))
    way = way_of(estimate.workload.precision, estimate.runtime)
    of = f" ({way})" if way and estimate.familiarity != UNSEEN_RUNTIME else ""
    return energy + of if energy == time else f"of energies, {energy}; of times, {time}{of}"


def _scores(estimate: Estimate) -> list[tuple[str, str, Score]]:
    """What a published error is of, what the law was tested on to find it, and the error."""
    known = {"energy": estimate.familiarity, "time": estimate.timed_familiarity}
    facts, known_of = estimate.law.describe(), (estimate.familiarity, estimate.timed_familiarity)
    errors = facts.error(*known_of, estimate.runtime)
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
        f"({counted(score.runs, 'run')}{covered})"
    )


def role_words(role: str) -> str:
    """What a component does: ``text encoder``."""
    return role.replace("_", " ")
