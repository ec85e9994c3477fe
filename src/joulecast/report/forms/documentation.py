"""What the EU's Model Documentation Form asks of inference (Code of Practice for general-purpose AI).

The form (Code of Practice, transparency chapter, 10 July 2025) asks for the computation that inference takes,
in floating point operations to at least two significant figures, "e.g. 5.1×10^17", and for how that was
found: a task and the hardware. It has no entry for energy, which the text may name.
"""

from __future__ import annotations

from collections.abc import Iterator

from joulecast.errors import InputError
from joulecast.files.columns import is_missing
from joulecast.files.numbers import positive
from joulecast.footprint.site import Site
from joulecast.question.question import work_of
from joulecast.question.setting import Setting
from joulecast.report.forms.impact import SCI_BOUNDARY, impact_of
from joulecast.report.forms.subject import Subject
from joulecast.report.markdown import escaped, table_row

NOUN = "a Model Documentation Form"
TITLE = "Model Documentation Form: energy consumption during inference"
COMPUTATION = "Benchmarked amount of computation used for inference"
METHOD = "Measurement methodology"
MOST_FLOP = 1e30
# What computation depends on, of the columns of a row; those of NEEDED are the task's own.
NEEDED = ("width", "height", "steps", "passes")
WORK = ("model", *NEEDED, "precision", "batch_size", "frames", "fps", "strength", "text_tokens")


def documentation_form(subject: Subject, at: Site | None, tool: tuple[str, str]) -> str:
    """The form's entries as Markdown; parameters and errors as of `cyclonedx_bom`.

    InputError also where the row of a measurement does not say what was computed.
    """
    cells = [("item", "entry"), ("---", "---")]
    cells += [(COMPUTATION, f"{as_power(flop_of(subject))} floating point operations")]
    cells += [(METHOD, escaped(". ".join(_method(subject, at, " ".join(tool))) + "."))]
    return "\n".join([f"## {TITLE}", "", *map(table_row, cells)])


def flop_of(subject: Subject) -> float:
    """Computation of one output [FLOP]: that of a prediction, or counted from the settings of a run."""
    row = subject.row
    if subject.origin.is_predicted and not is_missing(row.get("flop")):
        return positive(row["flop"], "flop", MOST_FLOP)
    given = {name: row[name] for name in WORK if not is_missing(row.get(name))}
    missing = [name for name in NEEDED if name not in given]
    if missing:
        raise InputError(f"the form states the FLOP of a task: the row has no {missing[0]}")
    work = work_of(Setting.of(given))
    total = work.profile.total_flop(work.workload.columns(), work.workload.precision)
    return float(total[0]) / work.workload.batch_size


def as_power(value: float, digits: int = 3) -> str:
    """A number as the form writes it, to some significant figures: ``5.10×10^17``."""
    figures, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{figures}×10^{int(exponent)}"


def _method(subject: Subject, at: Site | None, made_by: str) -> Iterator[str]:
    impact = impact_of(subject, at)
    yield f"Task: {subject.task()}"
    yield f"Hardware: {subject.hardware()}; the count of operations does not depend on it"
    yield (
        "Method: counted by tracing every operator of the whole pipeline (text encoders, denoiser, decoder) "
        f"from its published configuration, a multiply-accumulate as two operations, by {made_by}; counted, "
        "not measured by counters of the hardware"
    )
    yield f"Energy of the same task, which the form has no entry for: {impact.energy_told()}"
    yield f"How that was obtained: {subject.obtained(made_by)}"
    yield f"It counts {impact.counts}"
    yield from impact.sci_told()
    if impact.footprint is not None:
        yield f"SCI counts {SCI_BOUNDARY}"
    for warning in (*subject.warnings, *(impact.footprint.warnings if impact.footprint else ())):
        yield f"Beware: {warning}"
