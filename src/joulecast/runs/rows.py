"""One row of a file of runs, of files from before some of the columns too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from joulecast.errors import FileFormatError, InputError, shown
from joulecast.question.vocabulary import yes_or_no
from joulecast.runs.columns import cell_of, columns, read_cell
from joulecast.runs.run import NOTHING_KNOWN, REFERENCE_ENGINE, MeasuredRun

# The column that files had before `engine`, `compile` and `tf32`, and how its eager and compiled read now.
OLD_RUNTIME: Final = "runtime"
_OLD_RUNTIMES: Final = {"eager": (REFERENCE_ENGINE, "no"), "compiled": (REFERENCE_ENGINE, "yes")}
_OLD_TF32: Final = re.compile(r"(.+), tf32 (on|off)")
_DRY_RUN: Final = "dry run"  # how the source of an invented run begins


def is_invented(row: Mapping[str, object]) -> bool:
    """Whether a row of a file, by column, is of an invented run: as it says, or, in files from before
    there was that column, as its source begins."""
    if "is_invented" in row:
        return yes_or_no(row["is_invented"]) is True
    return str(row.get("source", "")).startswith(_DRY_RUN)


def run_of(header: Sequence[str], cells: Sequence[str], where: str, ignored: Sequence[str]) -> MeasuredRun:
    """The run of a row's cells. Raises FileFormatError, which names the columns of no use in `ignored`."""
    if len(cells) != len(header):
        raise FileFormatError(
            f"{where} has {len(cells)} cells, the header {len(header)}; is the row cut off?"
        )
    written = dict(zip(header, cells, strict=True))
    written.setdefault("is_invented", cell_of(is_invented(written)))
    try:
        written |= _of_old_runtime(written)
        return MeasuredRun(**{name: read_cell(columns()[name], written.get(name, "")) for name in columns()})
    except (InputError, FileFormatError) as error:
        nothing_known = ignored and str(error).startswith(NOTHING_KNOWN)
        hint = f"; ignored columns: {shown(', '.join(ignored))}" if nothing_known else ""
        raise FileFormatError(f"{where}: {error}{hint}") from error


def _of_old_runtime(written: Mapping[str, str]) -> dict[str, str]:
    """`engine`, `compile` and `tf32` as the cell of the older column `runtime` says them.

    Raises InputError where a cell of the newer columns says otherwise.
    """
    runtime = written.get(OLD_RUNTIME, "").strip()
    if not runtime:
        return {}
    of_tf32 = _OLD_TF32.fullmatch(runtime)
    name, tf32 = of_tf32.groups() if of_tf32 else (runtime, columns()["tf32"].default)
    engine, compiled = _OLD_RUNTIMES.get(name, (name, "no"))
    told = {"engine": engine, "compile": compiled, "tf32": tf32}
    for column, cell in told.items():
        newer = written.get(column, "").strip()
        if newer and newer != cell:
            raise InputError(
                f"runtime is {shown(runtime)}, which is {column} {cell}, and {column} is {shown(newer)}; "
                f"expected them to agree: leave the column runtime out"
            )
    return told
