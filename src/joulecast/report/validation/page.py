"""A validation as a folder: ``index.html`` with its pictures inside, and the data beside it.

- ``index.html``: the text and the pictures; it needs no other file and no network.
- ``validation.json``: everything in the text, as data.
- ``held_out.csv``: every held-out prediction; ``reproduction.csv``: the paper's fits and ours.
- ``*.svg``: the pictures.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile
from joulecast.law.calibration import held_out_rows
from joulecast.law.fitted import FittedLaw
from joulecast.law.hold_out import HeldOut
from joulecast.law.law import GpuColumns, LawInput
from joulecast.question.gpus import gpu
from joulecast.report import page
from joulecast.report.page import Picture
from joulecast.report.validation.findings import HeldOutReport, every_run
from joulecast.report.validation.pictures import (
    errors_by_law,
    interval_coverage,
    predicted_against_measured,
    residuals_by_regime,
)
from joulecast.report.validation.rows import (
    HeldOutPoint,
    coverage,
    held_out_points,
    law_errors,
)
from joulecast.report.validation.text import held_out_text
from joulecast.report.waterfall import waterfall, waterfall_steps
from joulecast.runs import RunTable

# Whose joules the waterfalls show: model, GPU, workload.
EXAMPLES: Sequence[tuple[str, str, Workload]] = (
    ("flux.1-dev", "H100-SXM5-80GB", Workload(1024, 1024, 50, precision="bf16")),
    ("sdxl", "A100-SXM4-40GB", Workload(1024, 1024, 25, passes=2)),
    ("sd1.5", "A100-SXM4-40GB", Workload(512, 512, 25, passes=2)),
)


def write_folder(
    folder: Path,
    report: HeldOutReport,
    held: Mapping[str, Mapping[str, HeldOut]],
    law: FittedLaw,
) -> list[Path]:
    """Write the report of a validation; the files that were written.

    Raises
    ------
    InputError
        The folder cannot be made or written to.
    MissingExtraError
        The extra `plot` is not installed.
    """
    runs = every_run(held)
    rows = list(held_out_rows(held))
    drawn = [(picture, picture.svg()) for picture in pictures(rows, runs, law, set(held))]
    files = {
        page.INDEX: _page(held_out_text(report), drawn),
        "validation.json": json.dumps(report.to_dict(), indent=1) + "\n",
        "held_out.csv": page.csv_text(rows),
        "reproduction.csv": page.csv_text([dataclasses.asdict(row) for row in report.reproduction]),
        **{f"{picture.name}.svg": svg for picture, svg in drawn},
    }
    return page.write_files(folder, files)


def pictures(
    rows: Iterable[Mapping[str, object]], runs: RunTable, law: FittedLaw, forms: set[str]
) -> list[Picture]:
    """The pictures of a validation: `rows` as of `held_out_rows`, of the laws in `forms`."""
    points = held_out_points(rows, runs, law, packaged_profile)
    shown = law.form if law.form in forms else next(iter(sorted(forms)))
    found = _of_law(points, shown)
    if len(forms) > 1:
        caption = "Every law on whole groups held out of its fit; the scale is logarithmic."
        found.append(Picture("laws", caption, errors_by_law(law_errors(points))))
    return found + waterfalls(law)


def _of_law(points: Sequence[HeldOutPoint], law: str) -> list[Picture]:
    return [
        Picture(
            "predicted-energy",
            "Each dot is a run that the law had not seen; on the line, predicted equals measured.",
            predicted_against_measured(points, law),
        ),
        Picture(
            "predicted-time",
            "The same for the time of a batch, with the GPUs that have times alone.",
            predicted_against_measured(points, law, "duration"),
        ),
        Picture(
            "residuals",
            "Where the errors are: 100 % on the left axis means that the host's kernel launches alone set "
            "the time.",
            residuals_by_regime(points, law),
        ),
        Picture(
            "coverage",
            "How often the 90 % interval held, each group covered by a width from the other groups.",
            interval_coverage(coverage(points), law),
        ),
    ]


def waterfalls(law: FittedLaw) -> list[Picture]:
    """Where the joules of a few typical images go; none of a law that does not say."""
    found: list[Picture] = []
    for model, device, workload in EXAMPLES:
        title = (
            f"Where the joules of a {model} image go on {device} "
            f"({workload.width}x{workload.height}, {workload.steps} steps)"
        )
        on = GpuColumns.of(gpu(device), 1)
        parts = law.breakdown(LawInput(packaged_profile(model), workload.columns(), workload.precision, on))
        if parts is None:
            return []
        caption = "Parts of the predicted energy; they add up to the whole."
        found.append(Picture(f"joules-{model}", caption, waterfall(waterfall_steps(parts), title)))
    return found


def _page(text: str, drawn: Sequence[tuple[Picture, str]]) -> str:
    return page.page(
        "Validation of laws",
        [
            page.paragraph("Errors are on runs that were held out of the fit."),
            *(page.figure(svg, picture.caption) for picture, svg in drawn),
            page.heading("Tables"),
            page.preformatted(text),
        ],
    )
