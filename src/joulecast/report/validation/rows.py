"""What the pictures of laws show, as rows: one a held-out run, and their summaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import numpy as np

from joulecast.law.dataset import Dataset, Load
from joulecast.law.fitted import FittedLaw
from joulecast.law.groups import chip, runtime_group
from joulecast.runs import RunTable
from joulecast.runtime import REFERENCE_STRATUM

MEASURED = {"energy": "energy_j", "duration": "duration_s"}
HOLDOUT_TITLES = {
    "same_source": "a fifth of the runs",
    "seen": "each source in turn",
    "unseen_model": "each model in turn",
    "unseen_gpu": "each chip in turn",
    "unseen_both": "model and chip together",
    "unseen_runtime": "each runtime in turn",
}
CHIP_TITLES = {
    "Ampere GA100": "A100",
    "Hopper GH100": "H100",
    "Ampere GA102": "RTX 3090",
    "Turing TU104": "T4",
    "Volta GV100": "V100",
    "Blackwell GB100": "B200",
    "Ada AD102": "L40S",
    "Ada AD103": "RTX 4080",
    "Ada AD104": "L4",
    "Ampere GA104": "RTX A4000",
    "Ampere GA106": "RTX 3060",
    "Ampere GA10B": "Jetson AGX Orin",
}


class Regime(TypedDict):
    """How far a run's time follows the host's, 0 to 1, and its FLOP per image."""

    launch_bound: float
    flop: float


class HeldOutPoint(Regime):
    """A held-out prediction of a measured energy [J] or time [s]; `error` in per cent."""

    law: str
    holdout: str
    quantity: str
    run: str
    model: str
    chip: str
    source: str
    batch_size: int
    runtime: str
    stratum: str
    task: str
    measured: float
    predicted: float
    error: float
    covered: bool | None


class Coverage(TypedDict):
    """Share of the runs that the 90 % interval held [%]."""

    law: str
    holdout: str
    quantity: str
    runs: int
    coverage: float


class LawError(TypedDict):
    """Median and 90th percentile of the absolute error [%]."""

    law: str
    holdout: str
    quantity: str
    runs: int
    median: float
    p90: float


def held_out_points(
    rows: Iterable[Mapping[str, object]], runs: RunTable, law: FittedLaw, load: Load
) -> list[HeldOutPoint]:
    """A row for each held-out prediction of a measured energy or time.

    `rows` are those of ``data/held_out.csv`` (`joulecast.law.calibration.held_out_rows`); `law` is asked
    how far each run's time follows the host's.
    """
    by_id = {run.run_id: run for run in runs}
    regime = regimes(runs, law, load)
    points: list[HeldOutPoint] = []
    for row in rows:
        run = by_id[str(row["run_id"])]
        for label, column in MEASURED.items():
            measured, predicted = getattr(run, column), str(row[column])
            if measured is None or not predicted:
                continue
            points.append(
                {
                    "law": str(row["law"]),
                    "holdout": HOLDOUT_TITLES[str(row["holdout"])],
                    "quantity": label,
                    "run": run.run_id,
                    "model": run.model,
                    "chip": CHIP_TITLES.get(chip(run), chip(run)),
                    "source": run.source or "unknown",
                    "batch_size": run.batch_size,
                    "runtime": runtime_group(run),
                    "stratum": run.runtime.stratum,
                    "task": "video" if run.frames > 1 else "image",
                    "measured": measured,
                    "predicted": float(predicted),
                    "error": 100 * (float(predicted) / measured - 1),
                    "covered": _is_one(row[f"{label}_covered"]),
                    **regime[run.run_id],
                }
            )
    return points


def regimes(runs: RunTable, law: FittedLaw, load: Load) -> dict[str, Regime]:
    """The regime of each run, as `law` has it."""
    dataset = Dataset.build(runs, load)
    host, flop = np.zeros(len(runs)), np.zeros(len(runs))
    for group in dataset.groups:
        total = group.profile.total_flop(group.workloads, group.precision)
        flop[group.rows] = total / group.workloads.batch_size
        host[group.rows] = law.launch_bound(group.asked)
    return {
        run.run_id: {"launch_bound": float(h), "flop": float(f)}
        for run, h, f in zip(runs, host, flop, strict=True)
    }


def coverage(points: Sequence[HeldOutPoint]) -> list[Coverage]:
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


def law_errors(points: Sequence[HeldOutPoint]) -> list[LawError]:
    """Median and 90th percentile of the absolute error [%], by law, hold-out and quantity, of what all laws
    know: images by the reference runtime."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for point in points:
        if (point["stratum"], point["task"]) != (REFERENCE_STRATUM, "image"):
            continue
        groups.setdefault((point["law"], point["holdout"], point["quantity"]), []).append(abs(point["error"]))
    return [
        {"law": law, "holdout": holdout, "quantity": quantity, "runs": len(errors),
         "median": float(np.median(errors)), "p90": float(np.quantile(errors, 0.9))}
        for (law, holdout, quantity), errors in groups.items()
    ]  # fmt: skip


def _is_one(cell: object) -> bool | None:
    text = str(cell)
    return None if text in ("", "nan") else float(text) == 1
