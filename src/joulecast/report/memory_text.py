"""Computed peaks of memory beside published ones, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from joulecast.forecast.memory_comparison import AIM, Compared
from joulecast.report.lines import table
from joulecast.units import BYTES_PER_GIBIBYTE

HEADER = ("model", "size", "batch", "runtime", "published", "computed", "off", "")


def comparison_text(rows: Sequence[Compared]) -> str:
    """A line a published peak, those beyond the aim marked; then the aim."""
    lines = table(HEADER, [_cells(one) for one in rows], right={2, 4, 5, 6})
    aim = f"aim: at most {AIM:.0%}".replace("%", " %")
    return "\n".join([*lines, "", f"  {aim} above what was published, never below (*: beyond it)"])


def _cells(one: Compared) -> list[str]:
    w, sizes = one.workload, (one.published_bytes, one.computed_bytes)
    told = [f"{size / BYTES_PER_GIBIBYTE:.2f} GiB" for size in sizes]
    size, mark = f"{w.width}x{w.height}", "" if one.is_in_aim else "*"
    return [one.model, size, str(w.batch_size), one.runtime, *told, f"{one.off:+.2%}", mark]
