"""Footprints of a table in a file: each row with energies, as `joulecast predict` writes it.

The columns read are those of `row`, and those of regions and times; `columns` has those added.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from joulecast.errors import InputError, fold, near_matches, shown
from joulecast.files.columns import Columns, text_of
from joulecast.files.paths import guarding_inputs
from joulecast.files.tables import blocks_of, values_of, write_blocks
from joulecast.footprint.tables.columns import OUTPUTS, READ, Sites, footprint_columns
from joulecast.footprint.tables.row import GPU_COUNT, Row
from joulecast.question.neighbours import neighbour
from joulecast.question.setting import key_of, read_size
from joulecast.question.vocabulary import RUN, meant
from joulecast.units import JOULES_IN

EXPECTED = "runs or predictions"
UNITS = {"energy_j": "J of one image or clip (1 kWh is 3,600,000 J)", "duration_s": "s of one batch"}
REQUIRED = tuple(UNITS)
# joules in the unit at the end of a column's name
_JOULES_BY_ENDING = {"joules": 1.0, **{unit.casefold(): JOULES_IN[unit] for unit in ("Wh", "kWh", "kJ")}}
EXECUTION = ("engine", "compile", "quantization", "cache", "offload", "power_limit_w")
SETTINGS = (
    "model",
    "size",
    "width",
    "height",
    "steps",
    "passes",
    "precision",
    "frames",
    "fps",
    *EXECUTION,  # but the number of GPUs, which is reckoned with
)  # told of a row, not reckoned with


@dataclass
class Summary:
    """What became of a table: rows, rows without a footprint, the first one's reason, boundaries met.

    `warned` counts the rows with a footprint that deserves doubt.
    """

    rows: int = 0
    failed: int = 0
    warned: int = 0
    first_failure: str = ""
    boundaries: set[str] = field(default_factory=set)

    def add(self, answers: Columns) -> None:
        """Count one block's output columns."""
        error = answers["footprint_error"]
        bad = np.flatnonzero(error != "")
        if len(bad) and not self.failed:
            self.first_failure = f"data row {self.rows + int(bad[0]) + 1}: {error[bad[0]]}"
        self.rows += len(error)
        self.failed += len(bad)
        self.warned += int(np.count_nonzero((answers["footprint_warning"] != "") & (error == "")))
        self.boundaries |= set(answers["grid_boundary"].tolist()) - {""}


def footprint_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | IO[str] | None,
    sites: Sites,
    write: Callable[[Iterator[Columns], Any], None] = write_blocks,
) -> Summary:
    """Write a table, CSV or Parquet, with its footprints; None writes CSV to standard output.

    Raises InputError where a column is missing or an output's name is taken, or the target cannot be
    written; FileFormatError where the file is not what its name says.
    """
    place = Path(target) if isinstance(target, str | os.PathLike) else None
    summary = Summary()

    def answered() -> Iterator[Columns]:
        for block in blocks_of(
            Path(source), lambda names, where: check_columns(names, where, sites), EXPECTED
        ):
            answers = footprint_columns(named(block, sites), sites)
            summary.add(answers)
            yield {**block, **answers}

    with guarding_inputs():
        write(answered(), place or target)
    return summary


def read_rows(
    source: str | os.PathLike[str], required: Sequence[str] = REQUIRED, stated: Sequence[str] = ()
) -> list[Row]:
    """The rows of a CSV or Parquet file, cells by column; those of `stated` by our names, sides too.

    Raises InputError or FileFormatError.
    """
    called: dict[str, str] = {}  # by its name in the file

    def check(names: list[str], where: str) -> None:
        _require(names, where, required)
        read = columns_read(names, (*READ, *stated))
        called.update({name: ours for ours, name in read.items() if name not in required})

    def rows_of(block: Columns) -> Iterator[Row]:
        block = {called.get(name, name): column for name, column in block.items()}
        columns = [map(text_of, values_of(column)) for column in block.values()]
        rows = (dict(zip(block, cells, strict=True)) for cells in zip(*columns, strict=True))
        return map(with_sides, rows) if stated else rows

    return list(chain.from_iterable(map(rows_of, blocks_of(Path(source), check, EXPECTED))))


def with_sides(row: dict[str, object]) -> dict[str, object]:
    """A row whose ``size``, where it is one, is its width and height [pixels] too."""
    size = row.get("size")
    if isinstance(size, str) and not {"width", "height"} & row.keys():
        with suppress(InputError):  # a size that is none is the user's own
            row["width"], row["height"] = read_size(size)
    return row


def named(block: Columns, sites: Sites) -> Columns:
    """The columns that a footprint reads, by the names of `row`, and those that the sites name."""
    kept = {name: block[name] for name in sites.columns.values()}
    return {ours: block[name] for ours, name in columns_read(block).items()} | kept


def columns_read(names: Collection[str], wanted: Collection[str] = READ) -> dict[str, str]:
    """The column that is read as each of `wanted`, whatever its case and punctuation, or others' name for it.

    A column of the very name goes before others.
    """
    found = {name: name for name in names if name in (*wanted, "error")}
    folded = {fold(name): name for name in wanted}
    for name in names:
        other = meant(RUN, name)
        ours = folded.get(fold(name)) or (other.means if other else key_of(name))
        ours = GPU_COUNT if ours == "gpus" else ours
        if ours is not None and ours in wanted and name not in found:
            found.setdefault(ours, name)
    return found


def check_columns(names: list[str], where: str, sites: Sites) -> None:
    """Raise InputError where a column is missing or an output's name is taken."""
    _require(names, where, (*REQUIRED, *sites.columns.values()))
    taken = [name for name in OUTPUTS if name in names]
    if taken:
        raise InputError(f"{where} already has {', '.join(taken)}; rename or drop it first")


def _require(names: list[str], where: str, required: Sequence[str]) -> None:
    known = {*names, *columns_read(names)}
    missing = [name for name in required if name not in known]
    if not missing:
        return
    what = f"{where} has no column {', '.join(missing)}"
    other = neighbour(names)
    if other:
        raise InputError(f"{what}: {other}")
    if "energy_j" in missing and (told := _other_unit(names)):
        raise InputError(f"{what}; {told}")
    unit = missing[0].rpartition("_")[2] if missing[0] in UNITS else ""
    near = [name for name in near_matches(missing[0], names) if name.casefold().endswith(unit)]
    better = f"is it {shown(near[0])}?" if near else f"found: {', '.join(map(shown, names[:8]))}"
    units = "".join(f"; {name} is {words}" for name, words in UNITS.items() if name in missing)
    raise InputError(f"{what}; {better}{units}")


def _other_unit(names: Collection[str]) -> str:
    """How to make `energy_j` of a column that has energies in another unit; empty without one."""
    for name in names:
        what, _, unit = name.casefold().rpartition("_")
        if "energy" in what and unit in _JOULES_BY_ENDING and not {"cpu", "ram"} & set(what.split("_")):
            return (
                f"energy_j [J of one image or clip] is {shown(name)} x {_JOULES_BY_ENDING[unit]:,.0f}, "
                "divided by the images or clips where it is of several; duration_s is s of one batch"
            )
    return ""
