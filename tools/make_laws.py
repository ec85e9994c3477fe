"""Regenerate the packaged laws, their hold-out predictions and the choice of the default law.

    python tools/make_laws.py

Fits every form on the packaged runs that it is made for, holds out whole groups, calibrates the intervals and
writes ``data/laws/*.json``, ``data/held_out.csv`` and ``data/default_law.json``. Needs scipy.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from joulecast.compute.profile_file import packaged_profile
from joulecast.law.calibration import RULE, calibrated, choose_default, held_out_rows
from joulecast.law.dataset import Dataset
from joulecast.law.forms import fit_law, known_forms
from joulecast.law.hold_out import validate
from joulecast.law.law_file import write_law
from joulecast.law.own_runs import fitted_runs

WORKERS = min(os.cpu_count() or 1, 4)
DATA = Path(__file__).parents[1] / "src/joulecast/data"


def main() -> None:
    """Fit, validate, calibrate, choose and write."""
    (DATA / "laws").mkdir(exist_ok=True)
    held = validate(tuple(known_forms()), None, packaged_profile, WORKERS, print)
    for name, form in known_forms().items():
        dataset = Dataset.build(fitted_runs(form)[0], packaged_profile)
        write_law(calibrated(fit_law(name, dataset), held[name]), DATA / "laws" / f"{name}.json")
    with (DATA / "held_out.csv").open("w", newline="", encoding="utf-8") as file:
        rows = list(held_out_rows(held))
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    chosen = {"default": choose_default(held), "rule": RULE}
    (DATA / "default_law.json").write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
    print(chosen["default"])


if __name__ == "__main__":
    main()
