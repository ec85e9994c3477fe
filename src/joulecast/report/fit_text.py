"""What a fit on a user's runs did: errors before and after, what moved, and the intervals that result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

from joulecast.law.adapt import FEWEST_FOR_INTERVAL, Adaptation
from joulecast.law.law import FAMILIARITY
from joulecast.report.amounts import number
from joulecast.report.lines import table
from joulecast.report.validation.text import QUANTITIES
from joulecast.units import counted

_WORDS = {"energy": "energy of one image or clip", "duration": "time of one batch"}
_KNOWN = {
    "same_source": "model and GPU you measured",
    "seen": "model and GPU that were each measured",
    "unseen_model": "another model",
    "unseen_gpu": "another GPU",
    "unseen_both": "another model and GPU",
    "unseen_runtime": "another runtime",
}


def adaptation_report(done: Adaptation) -> dict[str, object]:
    """The fit as JSON has it: scores in per cent as in `joulecast.law.scores.Score`."""
    law = done.law
    return {
        "law": {"name": law.name, "form": law.form, "fitted_on": dataclasses.asdict(law.fitted_on)},
        "left_out": [{"runs": count, "why": why} for why, count in done.left_out.items()],
        "errors_on_your_runs": {
            label: {
                "packaged_law": done.before.score(quantity).to_dict(),
                "this_law": done.after.score(quantity).to_dict(),
                "held_out": done.held_out.score(quantity).to_dict(),
            }
            for label, quantity in QUANTITIES.items()
        },
        "moved": {name: {"packaged": a, "fitted": b} for name, (a, b) in done.moved.items()},
        "half_widths": _finite(law.half_widths),
        "duration_half_widths": _finite(law.duration_half_widths),
    }


def adaptation_text(done: Adaptation) -> str:
    """The fit as plain text."""
    fitted = done.law.fitted_on
    runs = len(done.after.runs)
    what = f"{done.law.name}, a law of the form {done.before.law}"
    lines = [f"{what}: fitted on {counted(fitted.runs, 'run')}, {runs} of them yours"]
    lines += [f"  left out: {count} of yours, {why}" for why, count in done.left_out.items()]
    lines += ["", "Errors on your runs, in %", "", *_errors(done)]
    if done.moved:
        lines += ["", "What moved", "", *_moved(done)]
    return "\n".join([*lines, "", "90 % intervals: the factor to either side", "", *_intervals(done)])


def _errors(done: Adaptation) -> list[str]:
    rows = []
    for label, quantity in QUANTITIES.items():
        scores = (
            ("packaged law", done.before.score(quantity)),
            ("this law, which has seen them", done.after.score(quantity)),
            ("held out, a fifth at a time", done.held_out.score(quantity)),
        )
        for name, one in scores:
            if one.runs:
                figures = [f"{value:.1f}" for value in (one.median, one.p90, one.worst, one.bias)]
                rows.append([_WORDS[label], name, str(one.runs), *figures])
    header = ["", "", "runs", "median", "9 in 10", "worst", "bias"]
    return table(header, rows, right={2, 3, 4, 5, 6})


def _moved(done: Adaptation) -> list[str]:
    rows = [[name, _number(a), _number(b)] for name, (a, b) in done.moved.items()]
    return table(["parameter", "packaged", "fitted"], rows, right={1, 2})


def _intervals(done: Adaptation) -> list[str]:
    law, old = done.law, done.before
    rows = [
        [_KNOWN[known], *(_factor(w[known]) for w in (law.half_widths, law.duration_half_widths))]
        for known in FAMILIARITY
    ]
    lines = table(["", "energy", "time"], rows, right={1, 2})
    return [*lines, *_too_few(done, len(old.runs))]


def _too_few(done: Adaptation, runs: int) -> Iterator[str]:
    if runs < FEWEST_FOR_INTERVAL:
        yield ""
        few = counted(runs, "run")
        yield f"  {few} cannot calibrate an interval ({FEWEST_FOR_INTERVAL} can): the packaged law's"
        yield "  widths apply, and on a GPU that it had not seen, those of unseen GPUs."


def _factor(half_width: float) -> str:
    return f"x {math.exp(half_width):.2f}" if half_width < math.inf else "unknown"


def _number(value: float | None) -> str:
    return "-" if value is None else number(value, 4)


def _finite(widths: Mapping[str, float]) -> dict[str, float | None]:
    return {known: (width if width < math.inf else None) for known, width in widths.items()}
