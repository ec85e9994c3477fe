"""Energy of every row of a file; a row that cannot be predicted says why in its column `error`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from joulecast.cli.options import ASKED, FAILED_ROWS, LAW_HELP, OR_STDIN, OUTPUT, json_option, table_writer
from joulecast.units import counted


def add_options(command: argparse.ArgumentParser) -> None:
    """What `predict` takes."""
    asked = command.add_argument_group(ASKED)
    asked.add_argument(
        "file",
        metavar="FILE",
        help="CSV or Parquet with the columns model, gpu, width, height, steps" + OR_STDIN,
    )
    asked.add_argument("--law", help=LAW_HELP)
    output = command.add_argument_group(OUTPUT)
    output.add_argument(
        "--out", metavar="FILE", help="CSV or .parquet file to write; CSV to standard output without it"
    )
    json_option(output)


def run(options: argparse.Namespace) -> int:
    """Predict a file; 1 when some rows could not be."""
    from joulecast.files.tables import check_source
    from joulecast.forecast.estimate import resolve_law
    from joulecast.forecast.predict import EXPECTED, predict_file

    check_source(Path(options.file), EXPECTED)
    write = table_writer(options.out, options.json)
    summary = predict_file(options.file, options.out, resolve_law(options.law), write)
    doubted = f", {summary.warned} with a doubt: see the column `warning`" if summary.warned else ""
    print(
        f"predicted {summary.rows - summary.failed} of {counted(summary.rows, 'row')}{doubted}",
        file=sys.stderr,
    )
    if not summary.failed:
        return 0
    print(f"{summary.failed} failed (see the column `error`), first {summary.first_failure}", file=sys.stderr)
    return FAILED_ROWS
