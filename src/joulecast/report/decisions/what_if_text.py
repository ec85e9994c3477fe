"""What changes do to an image: as a table, as one sentence, and as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from joulecast.compute.output import said_of
from joulecast.plan.measures import MEASURES, OF_VIDEO
from joulecast.plan.ratio import RatioError
from joulecast.plan.whatif import Delta, WhatIf
from joulecast.report.amounts import number, spread
from joulecast.report.lines import heading, paragraph, table, warned
from joulecast.uncertainty import Ends, Interval

_MEASURES = {**MEASURES, **OF_VIDEO}
STAYS = 0.005  # of a measure: less is no change
NARROWER = 0.99  # of a factor: less is a range that something else sets
SHARED = (
    "what is the same before and after is wrong by the same amount in both, and cancels in the change. So "
    "the range of a change cannot be worked out from the ranges of before and after."
)
SAME_WORKLOAD = "the same workload on the same GPU: its energy and time are one number each"
ADDED = "one is the other and the moving of weights, whose range alone is that of the change"
TAKEN_AS_INDEPENDENT = (
    "too few pairs of runs that the law had not seen tell its error on such a change; the errors before and "
    "after were taken as independent, so the range is wider than it need be"
)


class DeltaData(TypedDict):
    """One measure: before, after, the one over the other, the one less the other."""

    before: Ends
    after: Ends
    ratio: Ends
    difference: Ends


class WhatIfData(TypedDict):
    """A change as JSON has it."""

    change: dict[str, object]
    described: str
    output: str
    measures: dict[str, DeltaData]
    notes: list[str]
    warnings: list[str]


def what_if_text(found: Sequence[WhatIf], head: str, currency: str = "") -> str:
    """Changes, each with its measures before and after, their ranges, and where the change's comes from."""
    lines = [*heading(head), "", *warned(warning for one in found for warning in one.warnings)]
    for one in found:
        rows = [_row(delta, currency, one.output) for delta in one.deltas]
        header = ["", "before", "range", "after", "range", "change", "range"]
        lines += [*paragraph("Change", described(one)), "", *table(header, rows, right={1, 3}), ""]
        lines += [*(line for note in notes(one) for line in paragraph("Range", note)), ""]
    return "\n".join([*lines, *paragraph("All ranges", SHARED)])


def what_if_sentence(found: WhatIf) -> str:
    """A change as one sentence: ``steps 50 to 28: GPU energy falls by 42 % (27 to 55 % less), ...``."""
    told = []
    for delta in found.deltas:
        measure, (words, within) = _MEASURES[delta.measure], delta_words(delta)
        ends = f"{number(delta.before.value)} to {number(delta.after.value)} {measure.unit}".rstrip()
        told.append(f"{measure.of_the_image} {words}{f' ({within})' if within else ''}, {ends}")
    return f"{described(found)}: {'; '.join(told)}."


def what_if_data(found: WhatIf) -> WhatIfData:
    """A change as one JSON object."""
    return {
        "change": dict(found.change),
        "described": described(found),
        "output": found.output,
        "measures": {
            delta.measure: {
                "before": delta.before.ends(),
                "after": delta.after.ends(),
                "ratio": delta.ratio.ends(),
                "difference": delta.difference.ends(),
            }
            for delta in found.deltas
        },
        "notes": list(notes(found)),
        "warnings": list(found.warnings),
    }


def described(found: WhatIf) -> str:
    """What changes, from what to what: ``steps 50 to 28, region PL to FR``."""
    return ", ".join(
        f"{_key_words(one.key)} {_shown(one.before)} to {_shown(one.after)}" for one in found.keys
    )


def notes(found: WhatIf) -> tuple[str, ...]:
    """Where the ranges of a change come from."""
    basis = found.basis
    if basis.is_added:
        told = [ADDED]
    elif basis.kinds == ():
        told = [SAME_WORKLOAD]
    else:
        errors = {"energy": ("energy_j", basis.energy), "time": ("latency_s", basis.duration)}
        told = [
            f"{word}: {_counted(error, basis.kinds or ())}{_narrower(found, measure, error)}"
            for word, (measure, error) in errors.items()
        ]
    if basis.intensities is not None:
        told.append(
            f"the two grid intensities count different things ({' and '.join(basis.intensities)}): their "
            "difference is not the grids' alone"
        )
    return tuple(told)


def delta_words(delta: Delta) -> tuple[str, str]:
    """A measure's change in words and its range, empty where it has none."""
    told = ratio_words(delta.ratio.value)
    if delta.ratio.is_exact:
        return told, ""
    return ("is about the same" if told == "stays" else told), _ratio_range(delta.ratio)


def ratio_words(ratio: float) -> str:
    """A ratio in words: ``falls by 44 %``, ``stays``, ``2.3 times as much``."""
    if ratio >= 2:
        return f"{ratio:.1f} times as much"
    if abs(ratio - 1) < STAYS:
        return "stays"
    return f"{'falls' if ratio < 1 else 'rises'} by {_per_cent(100 * abs(ratio - 1))} %"


def _ratio_range(ratio: Interval) -> str:
    """A ratio's range in words: per cent of a change, or times."""
    low, high = ratio.low, ratio.high
    if not math.isfinite(high):
        return "not known"
    if ratio.value >= 2:
        return f"{low:.1f} to {high:.1f} times"
    fall = [100 * (1 - x) for x in (high, low)]
    if fall[0] >= 0:
        return f"{_per_cent(fall[0])} to {_per_cent(fall[1])} % less"
    if fall[1] <= 0:
        return f"{-fall[1]:,.0f} to {-fall[0]:,.0f} % more"
    return f"{_per_cent(fall[1])} % less to {-fall[0]:,.0f} % more"


def _per_cent(share: float) -> str:
    """A share [%] in whole numbers; what does not fall to nothing is never said to fall by 100 %."""
    return f"{math.floor(10 * share) / 10:.1f}" if 99.5 <= share < 100 else f"{share:.0f}"


def _counted(error: RatioError | None, kinds: Sequence[str]) -> str:
    """How the law's error on a ratio is known."""
    if error is None:
        return TAKEN_AS_INDEPENDENT
    what = " and ".join(map(_key_words, kinds))
    others = "one more setting" if error.more == 1 else f"{error.more} more settings"
    more = f" and in at most {others}" if error.more else ""
    return (
        f"nine in ten changes between two runs that the law had not seen were within a factor of "
        f"{error.factor:.2f} of what it predicts ({error.pairs} pairs of runs of {error.models} models, "
        f"which differ in {what}{more})"
    )


def _narrower(found: WhatIf, measure: str, error: RatioError | None) -> str:
    """Words where a measure's range is narrower than that factor, two predictions being surer."""
    for delta in found.deltas:
        factor = math.sqrt(delta.ratio.high / delta.ratio.low) if delta.ratio.low else math.inf
        if delta.measure == measure and error is not None and factor < NARROWER * error.factor:
            return "; the range shown is narrower: no change is less sure than two separate predictions"
    return ""


def _row(delta: Delta, currency: str, output: str) -> list[str]:
    measure = _MEASURES[delta.measure]
    unit = measure.unit_in(currency)
    return [
        said_of(output, measure.label),
        f"{number(delta.before.value)} {unit}",
        spread(delta.before),
        f"{number(delta.after.value)} {unit}",
        spread(delta.after),
        *delta_words(delta),
    ]


def _key_words(key: str) -> str:
    """A key in words: ``GPUs``, ``power limit``."""
    return key.removesuffix("_w").replace("gpu", "GPU").replace("_", " ")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
