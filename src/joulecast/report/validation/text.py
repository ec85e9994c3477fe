"""The validation of laws as data and as plain text: held-out errors, reproduction, a user's own runs.

Scores are those of `joulecast.law.hold_out.Score`: `median`, `p90`, `worst`, `bias` and `coverage`
in per cent, `width` the factor between an interval's end and its middle, `r2` of the logarithm.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from joulecast.law.fitted import FittedLaw
from joulecast.law.hold_out import (
    RULE,
    HeldOut,
    Load,
    breakdowns,
    choose_default,
    plain,
    score,
    within_groups,
)
from joulecast.law.law import FAMILIARITY
from joulecast.law.reproduction import Row
from joulecast.law.score_runs import OnRuns
from joulecast.report.estimate_text import table
from joulecast.runs import RunTable

WIDTH = 110
QUANTITIES = {"energy": "energy_j", "duration": "duration_s"}
_TITLES = {"energy": "Energy of one image", "duration": "Time of one batch"}
HOLDOUTS = {
    "same_source": "a fifth of the runs",
    "seen": "a source of runs",
    "unseen_model": "a model",
    "unseen_gpu": "a chip",
    "unseen_both": "a model and a chip",
}
# What the default law's errors are shown by, and the hold-out in which that says most.
_SHOWN = (
    ("model", "unseen_model"),
    ("batch_size", "unseen_model"),
    ("source", "unseen_model"),
    ("chip", "unseen_gpu"),
    ("gpu", "unseen_gpu"),
)
_DIMENSIONS = {
    "model": "model",
    "batch_size": "batch",
    "source": "source",
    "chip": "chip",
    "gpu": "GPU",
    "familiarity": "known",
}
Scores = Mapping[str, Any]


def held_out_report(
    held: Mapping[str, Mapping[str, HeldOut]],
    left_out: Mapping[str, int],
    law: FittedLaw,
    load: Load,
    reproduced: Sequence[Row],
) -> dict[str, Any]:
    """Everything a validation found, as JSON has it.

    Parameters
    ----------
    held : by law and hold-out.
    left_out : runs that were not used, by reason.
    law : the default law, fitted on all runs; its errors are broken down if `held` has its form.
    load : finds the profile of a model.
    reproduced : rows of the reproduction table.
    """
    runs = next(iter(next(iter(held.values())).values())).runs
    return {
        "runs": used(runs, left_out),
        "default_law": {"name": law.name, "form": law.form, "rule": RULE, "best_here": choose_default(held)},
        "laws": {
            form: {holdout: _scores(one) for holdout, one in by_holdout.items()}
            for form, by_holdout in held.items()
        },
        "breakdowns": list(_breakdowns(held[law.form])) if law.form in held else [],
        "within_groups_r2": within_groups(law, runs, load),
        "reproduction": [dataclasses.asdict(row) for row in reproduced],
    }


def own_runs_report(results: Sequence[OnRuns], left_out: Mapping[str, int]) -> dict[str, Any]:
    """How laws as they are do on a user's runs, as JSON has it."""
    return {
        "runs": used(results[0].runs, left_out),
        "laws": {result.law: list(_own_scores(result)) for result in results},
        "predictions": {result.law: list(predictions(result)) for result in results},
    }


def used(runs: RunTable, left_out: Mapping[str, int]) -> dict[str, Any]:
    """Which runs were used, and how many were left out and why."""
    return {
        "used": len(runs),
        "energies": sum(run.energy_j is not None for run in runs),
        "times": sum(run.duration_s is not None for run in runs),
        "models": sorted({run.model for run in runs}),
        "gpus": sorted({run.gpu for run in runs}),
        "sources": dict(Counter(run.source or "unknown" for run in runs)),
        "left_out": [{"runs": count, "why": why} for why, count in left_out.items()],
    }


def predictions(result: OnRuns) -> Iterator[dict[str, Any]]:
    """A row a run: what was measured and predicted, and whether the interval holds it."""
    for place, run in enumerate(result.runs):
        row: dict[str, Any] = {"run_id": run.run_id, "model": run.model, "gpu": run.gpu}
        for label, quantity in QUANTITIES.items():
            covered = result.covered(quantity)[place]
            row[f"measured_{quantity}"] = getattr(run, quantity)
            row[f"predicted_{quantity}"] = float(getattr(result, quantity)[place])
            row[f"{label}_covered"] = None if np.isnan(covered) else bool(covered)
        yield row


def held_out_text(report: Mapping[str, Any]) -> str:
    """A validation as plain text."""
    lines = list(_used_lines(report["runs"]))
    for label in QUANTITIES:
        lines += ["", f"{_TITLES[label]}: errors on what was held out of the fit, in %", ""]
        lines += _law_table(report["laws"], label)
    default = report["default_law"]
    lines += ["", *_wrapped(f"Default law: {default['name']}. Rule: {default['rule']}. Best here: "
                            f"{default['best_here']}.")]  # fmt: skip
    for dimension, holdout in _SHOWN:
        rows = [b for b in report["breakdowns"] if (b["dimension"], b["holdout"]) == (dimension, holdout)]
        if rows:
            title = f"{default['name']} by {_DIMENSIONS[dimension]}, {HOLDOUTS[holdout]} held out, in %"
            lines += ["", title, "", *_breakdown_table(dimension, rows)]
    if report["within_groups_r2"]:
        lines += ["", *_within_lines(report["within_groups_r2"])]
    if report["reproduction"]:
        lines += ["", "The paper's fits (arXiv 2511.17031, quoted second-hand) and ours", ""]
        lines += reproduction_table([row for row in report["reproduction"] if _is_telling(row)])
        lines += ["", "  Every coefficient of every fit: --json, or reproduction.csv of --report."]
    return "\n".join(lines)


def own_runs_text(report: Mapping[str, Any]) -> str:
    """How laws do on a user's runs, as plain text."""
    lines = list(_used_lines(report["runs"]))
    for name, entries in report["laws"].items():
        lines += ["", f"{name}, as it is, in %", "", *_breakdown_table("familiarity", entries)]
    return "\n".join(lines)


def reproduction_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The reproduction as lines of text."""
    header = ["fit", "FLOP", "quantity", "published", "ours", "+-", "runs", "", "why"]
    cells = [
        [
            row["fit"], row["count"], row["quantity"], _published(row), _cell(row["ours"]),
            _cell(row["standard_error"]), str(row["runs"]), row["verdict"], row["why"],
        ]
        for row in rows
    ]  # fmt: skip
    return table(header, cells, right={3, 4, 5, 6})


def _scores(held: HeldOut) -> dict[str, Scores]:
    return {label: plain(score(held, quantity)) for label, quantity in QUANTITIES.items()}


def _breakdowns(held: Mapping[str, HeldOut]) -> Iterator[dict[str, Any]]:
    for holdout, one in held.items():
        for dimension, value, rows in breakdowns(one.runs):
            scores = {label: plain(score(one, quantity, rows)) for label, quantity in QUANTITIES.items()}
            yield {"holdout": holdout, "dimension": dimension, "value": value, **scores}


def _own_scores(result: OnRuns) -> Iterator[dict[str, Any]]:
    """Scores of all runs, of what the law knew (of energies), and by model, GPU, batch size and source."""
    everything = np.ones(len(result.runs), dtype=bool)
    groups = [("familiarity", "all", everything)]
    for known in FAMILIARITY:
        groups.append(("familiarity", known, np.array([k == known for k in result.familiarity])))
    for dimension, value, rows in [*groups, *breakdowns(result.runs)]:
        if rows.any():
            scores = {label: plain(result.score(quantity, rows)) for label, quantity in QUANTITIES.items()}
            yield {"dimension": dimension, "value": value, **scores}


def _used_lines(runs: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{runs['used']} runs: {runs['energies']} energies and {runs['times']} times of "
        f"{_count(runs['models'], 'model')} on {_count(runs['gpus'], 'GPU')}"
    )
    for source, count in runs["sources"].items():
        yield f"  {count:4d}  {source}"
    for entry in runs["left_out"]:
        yield f"  {entry['runs']:4d}  left out: {entry['why']}"


def _law_table(laws: Mapping[str, Mapping[str, Scores]], label: str) -> list[str]:
    header = [
        "law", "held out", "runs", "R2 of log", "median", "9 in 10", "worst", "bias", "Spearman", "Kendall",
        "covered", "interval",
    ]  # fmt: skip
    rows = [
        [form, HOLDOUTS[holdout], *_score_cells(scores[label], with_order=True)]
        for form, by_holdout in laws.items()
        for holdout, scores in by_holdout.items()
    ]
    return table(header, rows, right=set(range(2, len(header))))


def _breakdown_table(dimension: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = ["runs", "R2 of log", "median", "9 in 10", "worst", "bias", "covered", "interval"]
    header = [_DIMENSIONS[dimension], *(f"{column}" for column in columns), *columns]
    header[1], header[1 + len(columns)] = "energies", "times"
    cells = [
        [
            _shortened(row["value"]),
            *_score_cells(row["energy"], with_order=False),
            *_score_cells(row["duration"], with_order=False),
        ]
        for row in rows
        if row["dimension"] == dimension
    ]
    return table(header, cells, right=set(range(1, len(header))))


def _score_cells(scores: Scores, with_order: bool) -> list[str]:
    if not scores["runs"]:
        return ["", *[""] * (9 if with_order else 7)]
    order = [f"{_cell(scores[name])}" for name in ("spearman", "kendall")] if with_order else []
    width = scores["width"]
    return [
        str(scores["runs"]),
        "-" if scores["r2"] is None else f"{scores['r2']:.3f}",
        *(f"{scores[name]:.1f}" for name in ("median", "p90", "worst", "bias")),
        *order,
        "-" if scores["coverage"] is None else f"{scores['coverage']:.0f}",
        "-" if width is None else f"x {width:.2f}",
    ]


def _within_lines(groups: Mapping[str, float]) -> Iterator[str]:
    yield (
        "R2 of log E within one model, chip, precision and boundary, after a fit of its level "
        "(in sample; at least 4 settings)"
    )
    yield ""
    rows = [[name, f"{value:.4f}"] for name, value in sorted(groups.items(), key=lambda item: item[1])]
    yield from table(["group", "R2"], rows, right={1})


def _is_telling(row: Mapping[str, Any]) -> bool:
    """Whether the paper has a value for it, or it says what the paper's figures do not show."""
    return row["published"] is not None or row["quantity"] in ("beta_gpu", "level")


def _published(row: Mapping[str, Any]) -> str:
    if row["published"] is None:
        return "-"
    return f"{'> ' if row['relation'] == '>' else ''}{row['published']:.3f}"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _count(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def _shortened(text: str, most: int = 36) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
