"""A plan as files: the whole as JSON, and two tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from joulecast.data import shown_path
from joulecast.errors import InputError
from joulecast.plan.solve import Plan


def write_plan(plan: Plan, folder: Path) -> None:
    """Write plan.json, assignments.csv and hours.csv. Raises InputError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(plan.to_dict(), indent=2, allow_nan=False)
        (folder / "plan.json").write_text(text + "\n", encoding="utf-8")
        names = ("service", "configuration", "batch_size", "gpu", "region", "latency_s")
        with (folder / "assignments.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow((*names, "images", "energy_j"))
            for a in plan.assignments:
                writer.writerow((*(getattr(a, n) for n in names), float(a.images.sum()), a.energy_j.value))
        with (folder / "hours.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("hour", "service", "configuration", "gpu", "region", "images"))
            for a in plan.assignments:
                for hour, images in enumerate(a.images):
                    if images > 0:
                        writer.writerow((hour, a.service, a.configuration, a.gpu, a.region, float(images)))
    except OSError as error:
        raise InputError(f"the report {shown_path(folder)} cannot be written: {error.strerror}") from None
