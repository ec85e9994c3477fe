"""What to publish beside a model or service: energy, carbon with --region, and how they were had."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from joulecast.cli.options import ASKED, OR_STDIN, OUTPUT, write_text
from joulecast.cli.site_options import asks_for_a_site, site_of, site_options
from joulecast.errors import InputError, shown
from joulecast.units import counted

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
        metavar="{markdown,json,huggingface,eu-form,spdx,cyclonedx,boamps}",
        help="markdown by default; the last four are forms of one row each",
    )
    output(
        "--out",
        metavar="FILE",
        help="file to write; of a form also a folder, to which one of each row is written",
    )


def run(options: argparse.Namespace) -> int:
    """Print or write what to publish."""
    from joulecast import __version__
    from joulecast.footprint.tables.file import SETTINGS, read_rows
    from joulecast.report.card import card, with_energy
    from joulecast.report.forms.filling import BOAMPS, FORMS

    at = site_of(options) if asks_for_a_site(options) else None
    rows = _chosen(read_rows(options.file, ("energy_j",), SETTINGS), options.row)
    left_out = len(rows) - len(with_energy(rows))
    if 0 < left_out < len(rows):
        print(f"{left_out} of {len(rows)} rows have no energy and are left out", file=sys.stderr)
    if options.infrastructure is not None and options.format != BOAMPS:
        raise InputError("--infrastructure is for --format boamps")
    if options.format in FORMS:
        return _forms(with_energy(rows), at, options)
    write_text(card(rows, options.format, at, f"joulecast {__version__}"), options.out)
    return 0


def _forms(rows: Sequence[Row], at: Site | None, options: argparse.Namespace) -> int:
    """A form is of one task: one row is printed or written, several go to a folder."""
    from joulecast import __version__
    from joulecast.report.forms.filling import FORMS, Around

    form = FORMS[options.format]
    if not rows:
        raise InputError("no row has an energy_j: there is nothing to report")
    folder = None if options.out is None else Path(options.out)
    is_file = options.out is None or _is_file_name(options.out)
    if len(rows) > 1 and is_file:
        told = "" if options.out is None else f"; {shown(options.out)} is the name of a file"
        raise InputError(
            f"{form.noun} is of one task and the table has {len(rows)} rows: give --row NUMBER, or --out "
            f"and a folder{told}"
        )
    around = Around(at, ("joulecast", __version__), options.infrastructure)
    texts = [form.fill(row, around) for row in rows]
    if folder is None or is_file:
        write_text(texts[0], options.out)
        return 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {shown(options.out)}: {error.strerror or error}") from error
    for number, text in enumerate(texts, 1):
        write_text(text, folder / f"{options.format}-{number}{form.ending}")
    print(f"{counted(len(texts), form.noun.split()[-1])} in {options.out}", file=sys.stderr)
    return 0


def _is_file_name(out: str) -> bool:
    """Whether a path is a file's, or would be by its ending: that of ``v1.2`` is none, nor of ``a.txt/``."""
    path = Path(out)
    ends_as_one = path.suffix[1:2].isalpha() and not out.endswith(("/", os.sep))
    return not path.is_dir() and (path.exists() or ends_as_one)


def _chosen(rows: list[Row], number: str | None) -> list[Row]:
    from joulecast.files.numbers import whole

    if number is None:
        return rows
    place = whole(number, "--row")
    if place > len(rows):
        raise InputError(f"--row {place}: the table has {counted(len(rows), 'row')}")
    return rows[place - 1 : place]
