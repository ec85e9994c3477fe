"""Records as notebooks show them: an estimate as a small table, everything else as its text."""

from __future__ import annotations

from joulecast.compute.output import said_of
from joulecast.forecast.estimate import Estimate
from joulecast.report import amounts
from joulecast.report.estimate_text import limit_words, memory_row, runtime_words, time_label, title
from joulecast.report.page import paragraph, preformatted, table


def html_of(record: object) -> str:
    """A record as a piece of HTML."""
    return _estimate(record) if isinstance(record, Estimate) else preformatted(str(record))


def _estimate(guess: Estimate) -> str:
    rows = [
        [
            said_of(guess.output, "energy per image"),
            amounts.energy(guess.energy_j),
            f"{amounts.energy(guess.energy_low_j)} to {amounts.energy(guess.energy_high_j)}",
        ],
        [
            time_label(guess.output, guess.workload.batch_size),
            amounts.duration(guess.duration_s),
            amounts.duration_range(guess.duration_low_s, guess.duration_s, guess.duration_high_s),
        ],
        ["average power", amounts.power(guess.power_w), limit_words(guess)],
        [*memory_row(guess)],
        ["runtime", runtime_words(guess.runtime), ""],
    ]
    head = [title(guess.question), f"{guess.boundary} GPU energy", "90 %"]
    told = "".join(paragraph(f"Warning: {words}") for words in guess.warnings)
    return told + table(head, rows, {1}, "estimate")
