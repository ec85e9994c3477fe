"""What to publish beside a model or service: energy, carbon with --region, and how they were had."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.cli.options import ASKED, OR_STDIN, OUTPUT, write_text
from joulecast.cli.site_options import asks_for_a_site, site_of, site_options
from joulecast.errors import InputError

if TYPE_CHECKING:
    from joulecast.footprint.site import Site
    from joulecast.footprint.tables.row import Row


def add_options(command: argparse.ArgumentParser) -> None:
    """What `card` takes."""
    asked = command.add_argument_group(ASKED).add_argument
    asked(
        "file",
        metavar="FILE",
        help="CSV or Parquet of measured runs or predictions, with energy_j" + OR_STDIN,
    )
    asked("--row", metavar="NUMBER", help="the one row to take, counted from 1; all without it")
    asked(
        "--infrastructure",
        metavar="{publicCloud,privateCloud,onPremise,other}",
        help="where it runs, which boamps requires",
    )
    site_options(command)
    output = command.add_argument_group(OUTPUT).add_argument
    output(
        "--format",
        default="markdown",
        metavar="{markdown,json,huggingface,boamps}",
        help="markdown by default",
    )
    output("--out", metavar="FILE", help="file to write; for boamps a folder, a report for each row")


def run(options: argparse.Namespace) -> int:
    """Print or write what to publish."""
    from joulecast import __version__
    from joulecast.footprint.tables.file import SETTINGS, read_rows
    from joulecast.report.card import BOAMPS, card, with_energy

    at = site_of(options) if asks_for_a_site(options) else None
    rows = _chosen(read_rows(options.file, ("energy_j",), SETTINGS), options.row)
    left_out = len(rows) - len(with_energy(rows))
    if 0 < left_out < len(rows):
        print(f"{left_out} of {len(rows)} rows have no energy and are left out", file=sys.stderr)
    if options.format == BOAMPS:
        return _boamps(with_energy(rows), at, options)
    if options.infrastructure is not None:
        raise InputError("--infrastructure is for --format boamps")
    write_text(card(rows, options.format, at, f"joulecast {__version__}"), options.out)
    return 0


def _boamps(rows: Sequence[Row], at: Site | None, options: argparse.Namespace) -> int:
    """A BoAmps report is of one task: one row is printed or written, several go to a folder."""
    from joulecast.report.boamps import boamps_report

    if not rows:
        raise InputError("no row has an energy_j: there is nothing to report")
    folder = None if options.out is None else Path(options.out)
    if len(rows) > 1 and (folder is None or _is_file_name(folder)):
        raise InputError(
            f"a BoAmps report is of one task and the table has {len(rows)} rows: give --row NUMBER, or --out "
            "and a folder"
        )
    made = [boamps_report(row, options.infrastructure, at) for row in rows]
    texts = [json.dumps(report, indent=2, allow_nan=False) for report in made]
    if folder is None or (len(texts) == 1 and not folder.is_dir()):
        write_text(texts[0], options.out)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts, 1):
        write_text(text, folder / f"boamps-{number}.json")
    print(f"{len(texts)} reports in {options.out}", file=sys.stderr)
    return 0


def _is_file_name(path: Path) -> bool:
    """Whether a path is a file's, or would be by its ending."""
    return not path.is_dir() and (path.exists() or path.suffix.casefold() == ".json")


def _chosen(rows: list[Row], number: str | None) -> list[Row]:
    from joulecast.files.numbers import whole

    if number is None:
        return rows
    place = whole(number, "--row")
    if place > len(rows):
        raise InputError(f"--row {place}: the table has {len(rows)} rows")
    return rows[place - 1 : place]
