"""Where the joules of an image go, stacked: as rows, and as a picture (see `joulecast.report.charts`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from joulecast.compute.output import IMAGE
from joulecast.law.law import Breakdown
from joulecast.report.charts import BLACK, GREY, PART_PALETTE, WIDTH, altair, chart, finished

if TYPE_CHECKING:
    import altair as alt

PART_COLOURS = {
    **dict(
        zip(
            ("arithmetic", "attention scores", "memory traffic", "static power", "moving weights"),
            PART_PALETTE,
            strict=False,
        )
    ),
    **dict(zip(("denoising", "text encoding", "decoding"), PART_PALETTE, strict=False)),
    "all smaller parts": GREY,
    "total": BLACK,
}
PART_TITLES = {
    "arithmetic": "arithmetic",
    "attention_scores": "attention scores",
    "memory_traffic": "memory traffic",
    "static_power": "static power",
}
SMALL = 0.01  # parts below this share of the total are shown as one


class Step(TypedDict):
    """A bar of a waterfall from `start` to `end` [J], with its words."""

    place: int
    label: str
    kind: str
    start: float
    end: float
    energy: float
    words: str


def waterfall_steps(whole: Breakdown) -> list[Step]:
    """The parts of the energy of one image, stacked: where each starts and ends [J], largest first.

    Parts below a hundredth of the total come together at the end, then the total. `whole` is of one workload.
    """
    parts = [
        (f"{component}: {part_title(part)}", part_title(part), float(energy[0]))
        for component, by_part in whole.items()
        for part, energy in by_part.items()
    ]
    total = sum(energy for *_, energy in parts)
    large = [part for part in parts if part[2] >= SMALL * total]
    rest = total - sum(energy for *_, energy in large)
    large = [*sorted(large, key=lambda part: -part[2]), ("all smaller parts", "all smaller parts", rest)]
    steps, start = [], 0.0
    for place, (label, kind, energy) in enumerate(large):
        steps.append(step(place, label, kind, start, start + energy, total))
        start += energy
    return [*steps, step(len(large), "total", "total", 0.0, total, total)]


def part_title(part: str) -> str:
    """What pictures call a part of the energy."""
    return PART_TITLES.get(part, part.replace("_", " "))


def step(place: int, label: str, kind: str, start: float, end: float, total: float) -> Step:
    """A bar of a waterfall from `start` to `end` [J], with its words."""
    energy = end - start
    words = f"{energy:,.3g} J" if energy < 1000 else f"{energy:,.0f} J"
    if kind != "total":
        words += f" ({100 * energy / total:.1f} %)"
    return {
        "place": place, "label": label, "kind": kind, "start": start, "end": end, "energy": energy,
        "words": words,
    }  # fmt: skip


def waterfall(
    steps: Sequence[Step], title: str, boundary: str = "gross", output: str = IMAGE
) -> alt.TopLevelMixin:
    """Where the joules of an image or clip go; rows of `waterfall_steps`."""
    alt = altair()
    order = [step["label"] for step in steps]
    total = steps[-1]["end"]
    colours = _part_colours(steps)
    base = chart(alt, steps)
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelLimit=300))
    bars = base.mark_bar(height={"band": 0.75}).encode(
        x=alt.X(
            "start:Q",
            title=f"{boundary} GPU energy of one {output} [J]",
            scale=alt.Scale(domain=[0, total * 1.3], nice=False),
            axis=alt.Axis(labelOverlap=True, labelSeparation=8),
        ),
        x2="end:Q",
        y=y,
        color=alt.Color(
            "kind:N", title=None, scale=alt.Scale(domain=list(colours), range=list(colours.values()))
        ),
    )
    words = base.mark_text(align="left", dx=5).encode(x="end:Q", y=y, text="words:N")
    return finished((bars + words).properties(width=560, height=26 * len(steps)), title, WIDTH + 80)


def _part_colours(steps: Sequence[Step]) -> dict[str, str]:
    """Colours by kind in the order of the legend; kinds of a law of one's own take what is free."""
    kinds = {step["kind"] for step in steps}
    known = {kind: colour for kind, colour in PART_COLOURS.items() if kind in kinds}
    free = [colour for colour in PART_PALETTE if colour not in known.values()]
    own = sorted(kinds - set(known))
    last = {kind: known.pop(kind) for kind in ("all smaller parts", "total") if kind in known}
    return known | dict(zip(own, [*free, *[GREY] * len(own)], strict=False)) | last
