"""Commands from joules to decisions: footprint, budget, card, and estimate's footprint options.

`register` adds them to the commands of `joulecast.cli`; exit statuses are those of that module, and
1 from `budget check` when something is over its budget.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joulecast.cli.site_options import (
    asks_for_a_site,
    grid_options,
    limit,
    row_options,
    site_of,
    sites_of,
    whole,
)
from joulecast.errors import InputError, JoulecastError
from joulecast.units import joules_to_watt_hours

if TYPE_CHECKING:
    from joulecast.footprint.grid.yearly import GridIntensity
    from joulecast.footprint.site import Site
    from joulecast.footprint.tables.columns import Sites
    from joulecast.footprint.tables.row import Row

Run = Callable[[argparse.Namespace], int]
Options = Callable[[argparse.ArgumentParser], None]

OVER_BUDGET = FAILED_ROWS = 1


def register(commands: dict[str, tuple[Run, Options]]) -> None:
    """Add this module's commands; `estimate` gains options for a footprint."""
    run, options = commands["estimate"]
    commands["estimate"] = _estimate_with_footprint(run), _with_site_options(options)
    commands["footprint"] = _footprint, _footprint_options
    commands["budget"] = _budget, _budget_options
    commands["card"] = _card, _card_options


# --- estimate --region ---------------------------------------------------------------------------


def _with_site_options(options: Options) -> Options:
    def both(command: argparse.ArgumentParser) -> None:
        options(command)
        command.add_argument("--images", default=None, help="footprint of that many images; 1 by default")
        command.add_argument("--explain", action="store_true", help="print the footprint's whole sum")
        grid_options(command)

    return both


def _estimate_with_footprint(run: Run) -> Run:
    def estimate_and_footprint(options: argparse.Namespace) -> int:
        if not asks_for_a_site(options):
            return run(options)
        from joulecast.footprint.account import footprint_of
        from joulecast.forecast.estimate import estimate

        names = (
            "size",
            "steps",
            "precision",
            "guidance",
            "negative_prompt",
            "passes",
            "text_tokens",
            "boundary",
            "law",
        )
        guess = estimate(
            options.model,
            options.gpu,
            batch_size=options.batch,
            **{name: getattr(options, name) for name in names},
        )
        answer = footprint_of(guess, site_of(options), whole(options.images))
        if options.json:
            sum_of = {"explanation": answer.explain().splitlines()} if options.explain else {}
            return _print_json({**guess.to_dict(), "footprint": {**answer.to_dict(), **sum_of}})
        from joulecast.report.estimate_text import estimate_text
        from joulecast.report.footprint_text import footprint_text

        print(estimate_text(guess))
        print("\n" + footprint_text(answer))
        if options.explain:
            print("\n" + answer.explain())
        return 0

    estimate_and_footprint.__doc__ = run.__doc__
    return estimate_and_footprint


# --- footprint -----------------------------------------------------------------------------------


def _footprint_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "file",
        metavar="FILE",
        help="CSV or Parquet with energy_j and duration_s, e.g. what `joulecast predict` wrote",
    )
    row_options(command)
    add("--out", metavar="FILE", help="CSV or .parquet file to write; CSV to standard output without it")
    grid_options(command)


def _footprint(options: argparse.Namespace) -> int:
    """Carbon, water and money of every row of a table; a row without says why in `footprint_error`."""
    from joulecast.footprint.grid.yearly import MIXED, are_mixed
    from joulecast.footprint.tables.file import footprint_file

    done = footprint_file(options.file, options.out or sys.stdout, sites_of(options))
    print(f"footprints of {done.rows - done.failed} of {done.rows} rows", file=sys.stderr)
    if are_mixed(done.boundaries):
        print(f"warning: {MIXED}; see the column `grid_boundary`", file=sys.stderr)
    if not done.failed:
        return 0
    print(
        f"{done.failed} failed (see the column `footprint_error`), first {done.first_failure}",
        file=sys.stderr,
    )
    return FAILED_ROWS


# --- budget check --------------------------------------------------------------------------------


def _budget_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "action",
        choices=["check"],
        metavar="check",
        help="the one thing to do: hold a file against its budget",
    )
    add(
        "file", metavar="FILE", help="CSV of workloads, as for `joulecast predict`, or of predictions or runs"
    )
    add("--max-g-per-image", metavar="GRAMS", help="most carbon of an image, hardware included")
    add("--max-wh-per-image", metavar="WH", help="most GPU energy of an image")
    add(
        "--bound",
        default="value",
        help="what must be within the budget: value (default), or high: the range's end",
    )
    row_options(command)
    add("--law", help="a packaged law or a law file; by default the package's own")
    grid_options(command)


def _budget(options: argparse.Namespace) -> int:
    """Hold workloads against a budget for an image; exit status 1 when one is over it, for CI."""
    from joulecast.report.budget_text import budget_text

    grams = limit(options.max_g_per_image, "--max-g-per-image")
    watt_hours = limit(options.max_wh_per_image, "--max-wh-per-image")
    if grams is None and watt_hours is None:
        raise InputError("give a budget: --max-g-per-image or --max-wh-per-image")
    if options.bound not in ("value", "high"):
        raise InputError(f"--bound is value or high, not {options.bound!r}")
    if grams is None and (asks_for_a_site(options) or options.region_column):
        raise InputError(
            "a region and the factors of a footprint are for --max-g-per-image; the Wh are the GPU's"
        )
    sites = None if grams is None else sites_of(options)
    rows, over = _predicted(options.file, options.law, sites), 0
    lines, grids = [], []
    for number, row in enumerate(rows, 1):
        try:
            cells, within, grid = _held(row, watt_hours, grams, sites, options.bound)
        except JoulecastError as error:
            raise InputError(f"data row {number} cannot be held against a budget: {error}") from error
        over += not within
        lines.append([str(number), *cells, "ok" if within else "OVER"])
        grids += [grid] if grid else []
    print(budget_text(lines, over, grams, watt_hours, options.bound, _warnings_of(grids)))
    return OVER_BUDGET if over else 0


def _predicted(file: str, law: str | None, sites: Sites | None) -> list[Row]:
    """Rows with energies: the file's own, or predicted from its workloads."""
    from joulecast.footprint.tables.file import read_rows

    rows = read_rows(file, () if sites is None else tuple(sites.columns.values()))
    if not rows:
        raise InputError(f"{file!r} has no rows to hold against a budget")
    if "energy_j" in rows[0]:
        return rows
    from joulecast.forecast.predict import NUMBERS, predict

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    answers = predict(columns, law=law)
    names = (*NUMBERS, "law", "error")
    return [{**row, **{name: answers[name][i] for name in names}} for i, row in enumerate(rows)]


def _held(
    row: Mapping[str, Any], watt_hours: float | None, grams: float | None, sites: Sites | None, bound: str
) -> tuple[list[str], bool, GridIntensity | None]:
    """A row's cells, whether it is within the budgets, and its grid. Raises InputError where it has none."""
    from joulecast.footprint.account import check_gross
    from joulecast.footprint.tables.row import check_whole, positive, row_footprint, words
    from joulecast.report import amounts as quantity
    from joulecast.report.card import grams_per_image

    if row.get("error"):
        raise InputError(row["error"])
    cells, within, grid = [str(row.get(name) or "") for name in ("model", "gpu")], True, None
    if watt_hours is not None:
        check_gross(words(row, "boundary") or "gross")
        check_whole(row)
        energy = positive(row, "energy_j")
        if bound == "high":
            energy = positive(row, "energy_high_j", energy)
        found = joules_to_watt_hours(energy)
        cells.append(f"{quantity.number(found)} Wh")
        within &= found <= watt_hours
    if sites is not None and grams is not None:
        site = sites.of_row(row)
        found, grid = grams_per_image(row_footprint(row, site, 1), bound), site.grid
        cells.append(f"{quantity.number(found)} g CO2e")
        within &= found <= grams
    return cells, within, grid


def _warnings_of(grids: Sequence[GridIntensity]) -> list[str]:
    from joulecast.footprint.grid.yearly import MIXED, are_mixed

    found = [warning for grid in grids for warning in grid.warnings]
    mixed = are_mixed(grid.boundary for grid in grids)
    return list(dict.fromkeys([*found, *([MIXED] if mixed else [])]))


# --- card ----------------------------------------------------------------------------------------


def _card_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("file", metavar="FILE", help="CSV or Parquet of measured runs or predictions, with energy_j")
    add("--format", default="markdown", help="markdown (default), json, huggingface or boamps")
    add("--out", metavar="FILE", help="file to write; for boamps a folder, a report for each row")
    add("--row", metavar="NUMBER", help="the one row to take, counted from 1; all without it")
    add(
        "--infrastructure",
        metavar="TYPE",
        help="where it runs, which boamps requires: publicCloud, privateCloud, onPremise or other",
    )
    grid_options(command)


def _card(options: argparse.Namespace) -> int:
    """What to publish beside a model or service: energy, carbon with --region, and how they were had."""
    from joulecast import __version__
    from joulecast.footprint.tables.file import read_rows
    from joulecast.report.card import BOAMPS, card, with_energy

    at = site_of(options) if asks_for_a_site(options) else None
    rows = _chosen(read_rows(options.file, ("energy_j",)), options.row)
    left_out = len(rows) - len(with_energy(rows))
    if 0 < left_out < len(rows):
        print(f"{left_out} of {len(rows)} rows have no energy and are left out", file=sys.stderr)
    if options.format == BOAMPS:
        return _boamps(with_energy(rows), at, options)
    if options.infrastructure is not None:
        raise InputError("--infrastructure is for --format boamps")
    _write_text(card(rows, options.format, at, f"joulecast {__version__}"), options.out)
    return 0


def _boamps(rows: Sequence[Row], at: Site | None, options: argparse.Namespace) -> int:
    """A BoAmps report is of one task: one row is printed or written, several go to a folder."""
    from joulecast.report.boamps import boamps_report

    if not rows:
        raise InputError("no row has an energy_j: there is nothing to report")
    folder = None if options.out is None else Path(options.out)
    if len(rows) > 1 and (folder is None or not folder.is_dir()):
        raise InputError(
            f"a BoAmps report is of one task and the table has {len(rows)} rows: give --row NUMBER, or --out "
            "and a folder that is there"
        )
    made = [boamps_report(row, options.infrastructure, at) for row in rows]
    texts = [json.dumps(report, indent=2, allow_nan=False) for report in made]
    if folder is None or not folder.is_dir():
        _write_text(texts[0], options.out)
        return 0
    for number, text in enumerate(texts, 1):
        _write_text(text, folder / f"boamps-{number}.json")
    print(f"{len(texts)} reports in {options.out}", file=sys.stderr)
    return 0


def _chosen(rows: list[Row], number: str | None) -> list[Row]:
    if number is None:
        return rows
    at = whole(number, "--row")
    if at > len(rows):
        raise InputError(f"--row {at}: the table has {len(rows)} rows")
    return rows[at - 1 : at]


def _write_text(text: str, target: str | Path | None) -> None:
    from joulecast.files.paths import replacing

    if target is None:
        print(text)
        return
    with replacing(Path(target)) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2, allow_nan=False, default=sorted))
    return 0
