"""The validation of laws as plain text: held-out errors, reproduction, a user's own runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from joulecast.law.reproduction import Row
from joulecast.law.scores import Score, Scores
from joulecast.report.lines import heading, table
from joulecast.report.validation.findings import GroupScores, HeldOutReport, LeftOut, OwnRunsReport, RunsUsed
from joulecast.units import counted

QUANTITIES = {"energy": "energy_j", "duration": "duration_s"}
_TITLES = {"energy": "Energy of one image or clip", "duration": "Time of one batch"}
MOST_ALIKE = 4  # reasons to leave runs out that are told one by one
OF_REFERENCE = "eager diffusers on one GPU"
HOLDOUTS = {
    "same_source": "a fifth of the runs",
    "seen": "a source of runs",
    "unseen_model": "a model",
    "unseen_gpu": "a chip",
    "unseen_both": "a model and a chip",
    "unseen_runtime": "a runtime",
}
# What the default law's errors are shown by, and the hold-out in which that says most.
_SHOWN = (
    ("model", "unseen_model"),
    ("batch_size", "unseen_model"),
    ("source", "unseen_model"),
    ("chip", "unseen_gpu"),
    ("gpu", "unseen_gpu"),
    ("runtime", "unseen_runtime"),
    ("stratum", "same_source"),
    ("stratum", "seen"),
    ("stratum", "unseen_model"),
    ("stratum", "unseen_gpu"),
    ("stratum", "unseen_both"),
)
_DIMENSIONS = {
    "model": "model",
    "batch_size": "batch",
    "source": "source",
    "chip": "chip",
    "gpu": "GPU",
    "runtime": "runtime",
    "stratum": "kind of run",
    "familiarity": "known",
}


def held_out_text(report: HeldOutReport) -> str:
    """A validation as plain text."""
    lines = list(_used_lines(report.runs))
    for label in QUANTITIES:
        lines += ["", f"{_TITLES[label]} by {OF_REFERENCE}: errors on what was held out, in %", ""]
        lines += _law_table(report.laws, label)
    default = report.default_law
    told = f"Default law: {default.name}. Rule: {default.rule}. Best here: {default.best_here}."
    lines += ["", *heading(told)]
    for dimension, holdout in _SHOWN:
        rows = [b for b in report.breakdowns if (b.dimension, b.holdout) == (dimension, holdout)]
        if rows:
            title = f"{default.name} by {_DIMENSIONS[dimension]}, {HOLDOUTS[holdout]} held out, in %"
            lines += ["", title, "", *_breakdown_table(dimension, rows)]
    if report.within_groups_r2:
        lines += ["", *_within_lines(report.within_groups_r2)]
    if report.reproduction:
        lines += ["", "The paper's fits (arXiv 2511.17031, quoted second-hand) and ours", ""]
        lines += reproduction_table([row for row in report.reproduction if _is_telling(row)])
        lines += ["", "  Every coefficient of every fit: --json, or reproduction.csv of --report."]
    return "\n".join(lines)


def own_runs_text(report: OwnRunsReport) -> str:
    """How laws do on a user's runs, as plain text."""
    lines = list(_used_lines(report.runs))
    for name, entries in report.laws.items():
        lines += ["", f"{name}, as it is, in %", "", *_breakdown_table("familiarity", entries)]
    return "\n".join(lines)


def reproduction_table(rows: Sequence[Row]) -> list[str]:
    """The reproduction as lines of text."""
    header = ["fit", "FLOP", "quantity", "published", "ours", "+-", "runs", "", "why"]
    cells = [
        [
            row.fit, row.count, row.quantity, _published(row), _cell(row.ours),
            _cell(row.standard_error), str(row.runs), row.verdict, row.why,
        ]
        for row in rows
    ]  # fmt: skip
    return table(header, cells, right={3, 4, 5, 6})


def _used_lines(runs: Mapping[str, RunsUsed]) -> Iterator[str]:
    """What was used; for each law, where that differs between them."""
    told: list[RunsUsed] = []
    for used in runs.values():
        if used not in told:
            told.append(used)
    for place, used in enumerate(told):
        laws = ", ".join(law for law, its in runs.items() if its == used)
        whose = f"{laws}: " if len(told) > 1 else ""
        yield from [""] if place else []
        yield (
            f"{whose}{counted(used.used, 'run')}: {used.energies} energies and "
            f"{used.times} times of {counted(len(used.models), 'model')} on {counted(len(used.gpus), 'GPU')}"
        )
        for source, count in used.sources.items():
            yield f"  {count:4d}  {source}"
        yield from _left_out_lines(used.left_out)


def _left_out_lines(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """A line a reason; one for many that end alike, of runtimes say."""
    alike: dict[str, list[LeftOut]] = {}
    for entry in left_out:
        alike.setdefault(entry.why.rpartition(": ")[2], []).append(entry)
    for end, entries in alike.items():
        if len(entries) > MOST_ALIKE:
            what, runs = entries[0].why.rpartition(": ")[0], sum(entry.runs for entry in entries)
            yield f"  {runs:4d}  left out: {what} and {len(entries) - 1} other kinds: {end} (each: --json)"
        else:
            yield from (f"  {entry.runs:4d}  left out: {entry.why}" for entry in entries)


def _law_table(laws: Mapping[str, Mapping[str, Scores]], label: str) -> list[str]:
    header = [
        "law", "held out", "runs", "R2 of log", "median", "9 in 10", "worst", "bias", "Spearman", "Kendall",
        "covered", "interval",
    ]  # fmt: skip
    rows = [
        [form, HOLDOUTS[holdout], *_score_cells(_of(scores, label), with_order=True)]
        for form, by_holdout in laws.items()
        for holdout, scores in by_holdout.items()
        if holdout != "unseen_runtime"  # the reference is never held out
    ]
    return table(header, rows, right=set(range(2, len(header))))


def _breakdown_table(dimension: str, rows: Sequence[GroupScores]) -> list[str]:
    columns = ["runs", "R2 of log", "median", "9 in 10", "worst", "bias", "covered", "interval"]
    header = [_DIMENSIONS[dimension], *(f"{column}" for column in columns), *columns]
    header[1], header[1 + len(columns)] = "energies", "times"
    cells = [
        [
            _shortened(row.value),
            *_score_cells(row.scores.energy, with_order=False),
            *_score_cells(row.scores.duration, with_order=False),
        ]
        for row in rows
        if row.dimension == dimension
    ]
    return table(header, cells, right=set(range(1, len(header))))


def _of(scores: Scores, label: str) -> Score | None:
    return scores.energy if label == "energy" else scores.duration


def _score_cells(score: Score | None, with_order: bool) -> list[str]:
    if score is None or not score.runs:
        return ["", *[""] * (9 if with_order else 7)]
    order = [_cell(score.spearman), _cell(score.kendall)] if with_order else []
    return [
        str(score.runs),
        _cell(score.r2),
        *(f"{value:.1f}" for value in (score.median, score.p90, score.worst, score.bias)),
        *order,
        _cell(score.coverage, digits=0),
        f"x {score.width:.2f}" if math.isfinite(score.width) else "-",
    ]


def _within_lines(groups: Mapping[str, float]) -> Iterator[str]:
    yield (
        "R2 of log E within one model, chip, precision, boundary and runtime, after a fit of its level "
        "(in sample; at least 4 settings)"
    )
    yield ""
    rows = [[name, f"{value:.4f}"] for name, value in sorted(groups.items(), key=lambda item: item[1])]
    yield from table(["group", "R2"], rows, right={1})


def _is_telling(row: Row) -> bool:
    """Whether the paper has a value for it, or it says what the paper's figures do not show."""
    return row.published is not None or row.quantity in ("beta_gpu", "level")


def _published(row: Row) -> str:
    return f"{'> ' if row.relation == '>' and row.published is not None else ''}{_cell(row.published)}"


def _cell(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _shortened(text: str, most: int = 36) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
