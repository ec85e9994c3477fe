"""What the pictures of laws show, as rows: one a held-out run, one a part of a model's energy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from joulecast.architecture.workload import Workload
from joulecast.compute.profile import ComputeProfile
from joulecast.hardware import Gpu
from joulecast.law.breakdown import breakdown
from joulecast.law.dataset import Dataset
from joulecast.law.fitted import FittedLaw
from joulecast.law.hold_out import Load, chip
from joulecast.law.law import GpuColumns
from joulecast.law.roofline import RooflineLaw
from joulecast.runs import RunTable

Rows = list[dict[str, Any]]
MEASURED = {"energy": "energy_j", "duration": "duration_s"}
HOLDOUT_TITLES = {
    "same_source": "a fifth of the runs",
    "seen": "each source in turn",
    "unseen_model": "each model in turn",
    "unseen_gpu": "each chip in turn",
    "unseen_both": "model and chip together",
}
CHIP_TITLES = {
    "Ampere GA100": "A100",
    "Hopper GH100": "H100",
    "Ampere GA102": "RTX 3090",
    "Turing TU104": "T4",
    "Volta GV100": "V100",
}
PART_TITLES = {
    "arithmetic": "arithmetic",
    "attention_scores": "attention scores",
    "memory_traffic": "memory traffic",
    "static_power": "static power",
}
SMALL = 0.01  # parts below this share of the total are shown as one


def held_out_points(rows: Iterable[Mapping[str, Any]], runs: RunTable, law: FittedLaw, load: Load) -> Rows:
    """A row for each held-out prediction of a measured energy or time.

    `rows` are those of ``data/held_out.csv`` (`joulecast.law.hold_out.held_out_rows`); `law` is asked
    how far each run's time follows the host's.
    """
    by_id = {run.run_id: run for run in runs}
    regime = regimes(runs, law, load)
    points = []
    for row in rows:
        run = by_id[str(row["run_id"])]
        for label, column in MEASURED.items():
            measured, predicted = getattr(run, column), str(row[column])
            if measured is None or not predicted:
                continue
            points.append(
                {
                    "law": row["law"],
                    "holdout": HOLDOUT_TITLES[str(row["holdout"])],
                    "quantity": label,
                    "run": run.run_id,
                    "model": run.model,
                    "chip": CHIP_TITLES.get(chip(run), chip(run)),
                    "source": run.source or "unknown",
                    "batch_size": run.batch_size,
                    "measured": measured,
                    "predicted": float(predicted),
                    "error": 100 * (float(predicted) / measured - 1),
                    "covered": _is_one(row[f"{label}_covered"]),
                    **regime[run.run_id],
                }
            )
    return points


def regimes(runs: RunTable, law: FittedLaw, load: Load) -> dict[str, dict[str, float]]:
    """Of each run: ``launch_bound``, how far its time follows the host's (0 to 1), and ``flop`` per image."""
    dataset = Dataset.build(runs, load)
    host, flop = np.zeros(len(runs)), np.zeros(len(runs))
    for group in dataset.groups:
        total = group.profile.total_flop(group.workloads, group.precision)
        flop[group.rows] = total / group.workloads.batch_size
        if isinstance(law, RooflineLaw):
            answer = law.gross(group.profile, group.workloads, group.precision, group.gpus)
            host[group.rows] = answer.duration_spread / law.parameters["host_spread"]
    return {
        run.run_id: {"launch_bound": float(h), "flop": float(f)}
        for run, h, f in zip(runs, host, flop, strict=True)
    }


def coverage(points: Rows) -> Rows:
    """Share of the runs that the 90 % interval held, by law, hold-out and quantity [%]."""
    groups: dict[tuple[str, str, str], list[bool]] = {}
    for point in points:
        if point["covered"] is not None:
            groups.setdefault((point["law"], point["holdout"], point["quantity"]), []).append(
                point["covered"]
            )
    return [
        {"law": law, "holdout": holdout, "quantity": quantity, "runs": len(held),
         "coverage": 100 * float(np.mean(held))}
        for (law, holdout, quantity), held in groups.items()
    ]  # fmt: skip


def law_errors(points: Rows) -> Rows:
    """Median and 90th percentile of the absolute error [%], by law, hold-out and quantity."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for point in points:
        groups.setdefault((point["law"], point["holdout"], point["quantity"]), []).append(abs(point["error"]))
    return [
        {"law": law, "holdout": holdout, "quantity": quantity, "runs": len(errors),
         "median": float(np.median(errors)), "p90": float(np.quantile(errors, 0.9))}
        for (law, holdout, quantity), errors in groups.items()
    ]  # fmt: skip


def waterfall_steps(law: FittedLaw, profile: ComputeProfile, workload: Workload, gpu: Gpu) -> Rows:
    """The parts of the energy of one image, stacked: where each starts and ends [J], largest first.

    Parts below a hundredth of the total come together at the end, then the total.
    """
    whole = breakdown(law, profile, workload.columns(), workload.precision, GpuColumns.of(gpu, 1))
    parts = [
        (f"{component}: {PART_TITLES[part]}", PART_TITLES[part], float(energy[0]))
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


def step(place: int, label: str, kind: str, start: float, end: float, total: float) -> dict[str, Any]:
    """A bar of a waterfall from `start` to `end` [J], with its words."""
    energy = end - start
    words = f"{energy:,.3g} J" if energy < 1000 else f"{energy:,.0f} J"
    if kind != "total":
        words += f" ({100 * energy / total:.1f} %)"
    return {
        "place": place, "label": label, "kind": kind, "start": start, "end": end, "energy": energy,
        "words": words,
    }  # fmt: skip


def _is_one(cell: object) -> bool | None:
    text = str(cell)
    return None if text in ("", "nan") else float(text) == 1
