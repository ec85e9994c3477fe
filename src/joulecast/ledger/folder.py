"""The folder of a ledger: finished partitions, each whole or absent, and what they add up to.

A partition is finished when its ``.json`` is there, which is written last; one that was finished under the
same question (law, map, groups, joulecast's version) is not read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from joulecast.errors import FileFormatError, InputError
from joulecast.files.documents import parse_json
from joulecast.files.paths import replacing, shown_path, write_whole
from joulecast.ledger.log import Partition
from joulecast.ledger.partition import Cells

PARTS: Final = "parts"
CELLS, TOTALS, SET_ASIDE, DRIFT = "cells.parquet", "totals.csv", "set_aside.csv", "drift.csv"
MANIFEST, REPORT = "manifest.json", "report.md"
KIND: Final = "joulecast ledger"


class Folder:
    """A ledger's folder, made where it is not there. Raises InputError where it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path, self.parts = path, path / PARTS
        if path.exists() and not path.is_dir():
            raise InputError(f"the output {shown_path(path)} is a file; give the name of a folder")
        if path.is_dir() and any(path.iterdir()) and not self.parts.is_dir():
            raise InputError(
                f"the output {shown_path(path)} is a folder of something else; give a new one, or a ledger's"
            )
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the output {shown_path(path)} cannot be made: {error.strerror}") from None

    def find(self, name: str) -> Cells | None:
        """A finished partition; None where it is not there, or was damaged."""
        try:
            told = json.loads((self.parts / f"{name}.json").read_text(encoding="utf-8"))
            cells, aside = (
                pl.read_parquet(self.parts / f"{name}.{kind}.parquet") for kind in ("cells", "aside")
            )
            return Cells(
                cells, aside, told["assumed"], told["warned"], told["filled"], told["rows"], told["others"]
            )
        except (OSError, ValueError, KeyError, pl.exceptions.PolarsError):
            return None

    def keep(self, name: str, partition: Partition, found: Cells) -> None:
        """Write a finished partition, what says so last."""
        self.table(f"{PARTS}/{name}.cells.parquet", found.cells)
        self.table(f"{PARTS}/{name}.aside.parquet", found.set_aside)
        told = {
            "file": partition.path,
            "sha256": partition.digest,
            "rows": found.rows,
            "others": found.others,
            "assumed": dict(found.assumed),
            "warned": dict(found.warned),
            "filled": dict(found.filled),
        }
        self.text(f"{PARTS}/{name}.json", json.dumps(told))

    def table(self, name: str, frame: pl.DataFrame) -> None:
        """Write a table, CSV or Parquet as its name says."""
        with replacing(self.path / name) as temporary:
            if name.endswith(".parquet"):
                frame.write_parquet(temporary)
            else:
                frame.write_csv(temporary)

    def text(self, name: str, text: str) -> None:
        """Write a text."""
        write_whole(self.path / name, text)


def read_ledger(path: str | Path) -> tuple[pl.DataFrame, Mapping[str, Any]]:
    """The cells and the manifest of a ledger's folder. Raises InputError, FileFormatError."""
    folder = Path(path)
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{shown_path(folder)} is no ledger: it has no {MANIFEST}; make one with `joulecast ledger`"
        )
    try:
        manifest = parse_json((folder / MANIFEST).read_bytes(), shown_path(folder / MANIFEST))
        cells = pl.read_parquet(folder / CELLS)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise FileFormatError(f"{shown_path(folder)} cannot be read: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise FileFormatError(f"{shown_path(folder / MANIFEST)} is no manifest of a ledger")
    return cells, manifest
