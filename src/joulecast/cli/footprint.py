"""Carbon, water and money of every row of a table; a row without one says why in `footprint_error`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from joulecast.cli.options import ASKED, FAILED_ROWS, OR_STDIN, OUTPUT, json_option, table_writer
from joulecast.cli.site_options import site_options, sites_of
from joulecast.units import counted


def add_options(command: argparse.ArgumentParser) -> None:
    """What `footprint` takes."""
    command.add_argument_group(ASKED).add_argument(
        "file",
        metavar="FILE",
        help="CSV or Parquet with energy_j and duration_s, e.g. what `joulecast predict` wrote" + OR_STDIN,
    )
    site_options(command, columns=True)
    output = command.add_argument_group(OUTPUT)
    output.add_argument(
        "--out", metavar="FILE", help="CSV or .parquet file to write; CSV to standard output without it"
    )
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Write the footprints of a file; 1 when some rows have none."""
    from joulecast.files.tables import check_source
    from joulecast.footprint.grid.kinds import MIXED, are_mixed
    from joulecast.footprint.tables.file import EXPECTED, footprint_file

    check_source(Path(options.file), EXPECTED)
    write = table_writer(options.out, options.json)
    done = footprint_file(options.file, options.out or sys.stdout, sites_of(options), write)
    doubted = f", {done.warned} with a doubt: see the column `footprint_warning`" if done.warned else ""
    print(f"footprints of {done.rows - done.failed} of {counted(done.rows, 'row')}{doubted}", file=sys.stderr)
    if are_mixed(done.boundaries):
        print(f"warning: {MIXED}; see the column `grid_boundary`", file=sys.stderr)
    if not done.failed:
        return 0
    print(
        f"{done.failed} failed (see the column `footprint_error`), first {done.first_failure}",
        file=sys.stderr,
    )
    return FAILED_ROWS
