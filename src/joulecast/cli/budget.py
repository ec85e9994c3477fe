"""Hold workloads against a budget for an image or clip; exit status 1 when one is over it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from joulecast.cli.options import ASKED, LAW_HELP, OR_STDIN, OUTPUT, json_option, print_json
from joulecast.cli.site_options import asks_for_a_site, site_options, sites_of
from joulecast.errors import InputError, JoulecastError
from joulecast.units import joules_to_watt_hours

if TYPE_CHECKING:
    from joulecast.footprint.grid.yearly import GridIntensity
    from joulecast.footprint.tables.columns import Sites
    from joulecast.footprint.tables.row import Row
    from joulecast.report.budget_text import Budget, Held

OVER_BUDGET = 1


def add_options(command: argparse.ArgumentParser) -> None:
    """What `budget` takes."""
    add = command.add_argument_group(ASKED).add_argument
    add(
        "action",
        choices=["check"],
        metavar="check",
        help="the one thing to do: hold a file against its budget",
    )
    add(
        "file",
        metavar="FILE",
        help="CSV of workloads, as for `joulecast predict`, or of predictions or runs" + OR_STDIN,
    )
    add("--max-g-per-image", metavar="GRAMS", help="most carbon of an image or clip, hardware included")
    add("--max-wh-per-image", metavar="WH", help="most GPU energy of an image or clip")
    add(
        "--bound",
        metavar="{value,high}",
        help="what must be within the budget: value (default), or high: the range's end",
    )
    add("--law", help=LAW_HELP)
    site_options(command, columns=True)
    output = command.add_argument_group(OUTPUT)
    json_option(output)
    output.add_argument(
        "--markdown", action="store_true", help="print Markdown instead, for a job's summary or a comment"
    )


def run(options: argparse.Namespace) -> int:
    """Print how the workloads do; 1 when one is over the budget."""
    from joulecast.report.budget_text import budget_data, budget_markdown, budget_text
    from joulecast.report.origin import row_warnings

    if options.json and options.markdown:
        raise InputError("give --json or --markdown, not both")
    budget = _budget(options)
    if budget.grams is None and (asks_for_a_site(options) or options.region_column):
        raise InputError(
            "a region and the factors of a footprint are for --max-g-per-image; the Wh are the GPU's"
        )
    sites = None if budget.grams is None else sites_of(options)
    rows = _predicted(options.file, options.law, sites)
    held = list(_held_rows(rows, budget, sites))
    warnings = [*row_warnings(rows), *_warnings([row.grid for row in held if row.grid is not None])]
    if options.json:
        print_json(budget_data(held, budget, warnings))
    else:
        print((budget_markdown if options.markdown else budget_text)(held, budget, warnings))
    return 0 if all(row.is_within for row in held) else OVER_BUDGET


def _budget(options: argparse.Namespace) -> Budget:
    from joulecast.files.numbers import positive
    from joulecast.report.budget_text import ENDS, Budget

    asked = {"--max-g-per-image": options.max_g_per_image, "--max-wh-per-image": options.max_wh_per_image}
    if not any(text is not None for text in asked.values()):
        raise InputError(f"give a budget: {' or '.join(asked)}")
    grams, watt_hours = (None if text is None else positive(text, name) for name, text in asked.items())
    bound = "value" if options.bound is None else options.bound
    if bound not in ENDS:
        raise InputError(f"--bound is {' or '.join(ENDS)}, not {bound!r}")
    return Budget(grams, watt_hours, bound)


def _predicted(file: str, law: str | None, sites: Sites | None) -> list[Row]:
    """Rows with energies: the file's own, or predicted from its workloads."""
    from joulecast.footprint.tables.file import read_rows

    rows = read_rows(file, () if sites is None else tuple(sites.columns.values()))
    if not rows:
        raise InputError(f"{file!r} has no rows to hold against a budget")
    if "energy_j" in rows[0]:
        return rows
    from joulecast.forecast.predict import predict
    from joulecast.forecast.predictor import NUMBERS

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    answers = predict(columns, law=law)
    names = (*NUMBERS, "law", "warning", "error")
    return [{**row, **{name: answers[name][i] for name in names}} for i, row in enumerate(rows)]


def _held_rows(rows: Sequence[Row], budget: Budget, sites: Sites | None) -> Iterator[Held]:
    for number, row in enumerate(rows, 1):
        try:
            yield _held(row, budget, sites)
        except JoulecastError as error:
            raise InputError(f"data row {number} cannot be held against a budget: {error}") from error


def _held(row: Row, budget: Budget, sites: Sites | None) -> Held:
    """A row held against a budget. Raises InputError where it has no energy or no site."""
    from joulecast.footprint.tables.row import output_of, row_footprint
    from joulecast.report.budget_text import Held
    from joulecast.report.card import grams_per_image
    from joulecast.report.origin import runtime_of_row

    if row.get("error"):
        raise InputError(row["error"])
    watt_hours = None if budget.watt_hours is None else _watt_hours(row, budget.bound)
    grams, grid = None, None
    if sites is not None:
        site = sites.of_row(row)
        grams, grid = grams_per_image(row_footprint(row, site, 1), budget.bound), site.grid
    model, gpu = (str(row.get(name) or "") for name in ("model", "gpu"))
    is_within = budget.holds(grams, watt_hours)
    return Held(model, gpu, grams, watt_hours, is_within, grid, output_of(row), runtime_of_row(row))


def _watt_hours(row: Row, bound: str) -> float:
    """GPU energy of an image [Wh], or the high end of its range."""
    from joulecast.footprint.account import check_gross
    from joulecast.footprint.tables.row import check_whole, positive, words

    check_gross(words(row, "boundary") or "gross")
    check_whole(row)
    energy_j = positive(row, "energy_j")
    return joules_to_watt_hours(positive(row, "energy_high_j", energy_j) if bound == "high" else energy_j)


def _warnings(grids: Sequence[GridIntensity]) -> list[str]:
    from joulecast.footprint.grid.kinds import MIXED, are_mixed

    found = [warning for grid in grids for warning in grid.warnings]
    mixed = are_mixed(grid.boundary for grid in grids)
    return list(dict.fromkeys([*found, *([MIXED] if mixed else [])]))
