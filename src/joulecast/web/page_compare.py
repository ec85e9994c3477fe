"""Two settings side by side for the page: how sure their difference is, in words."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.compute.output import said_of
from joulecast.footprint.site import CURRENCY
from joulecast.plan.case import Case
from joulecast.plan.measures import MEASURES, OF_VIDEO
from joulecast.plan.whatif import Delta, what_if
from joulecast.report.decisions.what_if_text import (
    SHARED,
    delta_words,
    described,
    notes,
    what_if_sentence,
)

_MEASURES = {**MEASURES, **OF_VIDEO}


def compared(given: Mapping[str, object], change: Mapping[str, object]) -> dict[str, object]:
    """What a change of a setting does: each measure before and after, and the change with its range.

    Raises what `joulecast.plan.whatif.what_if` raises.
    """
    case = Case.of(given)
    found = what_if(case, change)
    currency = case.place.currency or CURRENCY
    return {
        "output": found.output,
        "described": described(found),
        "sentence": what_if_sentence(found),
        "measures": [_measure(delta, currency, found.output) for delta in found.deltas],
        "notes": [*notes(found), SHARED],
        "warnings": list(found.warnings),
    }


def _measure(delta: Delta, currency: str, output: str) -> dict[str, object]:
    measure, (told, within) = _MEASURES[delta.measure], delta_words(delta)
    return {
        "key": delta.measure,
        "label": said_of(output, measure.label),
        "unit": measure.unit_in(currency),
        "before": delta.before.ends(),
        "after": delta.after.ends(),
        "ratio": delta.ratio.ends(),
        "difference": delta.difference.ends(),
        "words": told,
        "within": within,
    }
