"""What the EU's Model Documentation Form asks of inference (Code of Practice for general-purpose AI).

The form (Code of Practice, transparency chapter, 10 July 2025) asks for the computation that inference takes,
in floating point operations to at least two significant figures, "e.g. 5.1×10^17", and for how that was
found: a task and the hardware. It has no entry for energy, which the text may name.
"""

from __future__ import annotations

from collections.abc import Iterator

from joulecast.errors import InputError
from joulecast.files.columns import is_missing, text_of
from joulecast.files.numbers import positive
from joulecast.footprint.site import Site
from joulecast.question.headers import keys_of, said_by
from joulecast.question.question import work_of
from joulecast.question.setting import WORK_KEYS, Setting
from joulecast.report.forms.impact import impact_of
from joulecast.report.forms.subject import Subject
from joulecast.report.markdown import escaped, table_row

NOUN = "a Model Documentation Form"
TITLE = "Model Documentation Form: energy consumption during inference"
COMPUTATION = "Benchmarked amount of computation used for inference"
METHOD = "Measurement methodology"
MOST_FLOP = 1e30
NEEDED = ("width", "height", "steps", "passes")  # the task's own, of what computation depends on


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
    asked = {key: text_of(row[name]) for key, name in keys_of(list(row)).items() if key in WORK_KEYS}
    given = {key: cell for key, cell in asked.items() if not is_missing(cell)}
    missing = [name for name in NEEDED if name not in said_by(given)]
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
    yield f"Task: {subject.task()}"
    yield f"Hardware: {subject.hardware()}; the count of operations does not depend on it"
    yield (
        "Method: counted by tracing every operator of the whole pipeline (text encoders, denoiser, decoder) "
        f"from its published configuration, a multiply-accumulate as two operations, by {made_by}; counted, "
        "not measured by counters of the hardware"
    )
    energy_of = "Energy of the same task, which the form has no entry for"
    yield from impact_of(subject, at).sentences(energy_of, made_by)
