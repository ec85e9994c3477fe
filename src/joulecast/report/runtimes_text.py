"""What is known by name of how models are executed, as text and as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from joulecast.forecast.runtimes import ErrorHeldOut, KnownPart
from joulecast.report.lines import paragraph, sentence, table
from joulecast.runtime import CACHE, ENGINE, OFFLOAD, QUANTIZATION, SPLIT
from joulecast.units import counted

_HEADINGS = {
    ENGINE: ("engine", "what runs the pipeline: --engine"),
    QUANTIZATION: ("quantization", "of the denoiser: --quantization"),
    CACHE: ("cache", "of denoising steps: --cache"),
    OFFLOAD: ("offload", "of weights to the host's memory: --offload"),
    SPLIT: ("way", "how GPUs share the work: --parallel"),
}


def runtimes_text(known: Sequence[KnownPart]) -> str:
    """A table a kind: names, titles, the runs behind each, and the error where its runtimes were held out."""
    lines: list[str] = []
    for kind, (name, told) in _HEADINGS.items():
        rows = [
            [part.name, part.title, _runs(part), _within(part.energy), _within(part.time)]
            for part in known
            if part.kind == kind
        ]
        lines += [
            *sentence(told),
            "",
            *table([name, "", "fitted on", "energy", "time"], rows, right={3, 4}),
            "",
        ]
    lines += paragraph(
        "Fitted on",
        "runs of the default law's fit, and the kinds of GPU that they are of. What was not fitted on is "
        "predicted from its parts.",
    )
    lines += paragraph(
        "Energy, time",
        "9 in 10 held-out runs were within so many per cent (of how many): of runtimes that have this "
        "part, when their runs were kept from the fit.",
    )
    return "\n".join(lines)


def runtimes_data(known: Sequence[KnownPart]) -> list[dict[str, object]]:
    """The same for JSON."""
    return [{**dataclasses.asdict(part), "is_fitted": part.is_fitted} for part in known]


def _runs(part: KnownPart) -> str:
    if not part.is_fitted:
        return "-"
    most = max(part.gpu_counts)
    kinds = "1 kind of GPU" if len(part.gpus) == 1 else f"{len(part.gpus)} kinds of GPU"
    return f"{counted(part.runs, 'run')}, {kinds}{f', up to {most} at once' if most > 1 else ''}"


def _within(error: ErrorHeldOut | None) -> str:
    return "" if error is None else f"{error.p90:.0f} % ({error.runs})"
