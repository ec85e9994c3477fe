"""The ledger of a service: its log in, what it used out, in a folder that can be taken up again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

import polars as pl

from joulecast.errors import InputError, UnknownNameError
from joulecast.extras import own_version
from joulecast.files.paths import guarding_inputs
from joulecast.footprint.tables.columns import Sites
from joulecast.forecast.estimate import LawChoice, resolve_law
from joulecast.law.law import Law
from joulecast.ledger.accounting import SUMS
from joulecast.ledger.answers import Oracle
from joulecast.ledger.folder import Folder
from joulecast.ledger.footprints import with_footprints
from joulecast.ledger.idle import Idle, idle_of
from joulecast.ledger.log import Partition, first_of, names_of, partitions_of
from joulecast.ledger.meanings import MEANINGS, Meanings, by_names
from joulecast.ledger.nodes import Job, read_on_nodes
from joulecast.ledger.partition import (
    BEGIN,
    BUILT_IN,
    END,
    FIRST,
    MICRO,
    REASON,
    REQUESTS,
    Cells,
)
from joulecast.question.question import ask
from joulecast.question.setting import KEYS, Setting
from joulecast.records import Record

MOST_REASONS = 1_000  # that are written down one by one
DIGITS = 24  # of a digest in a part's name
ANY_PAIR = {"model": "sdxl", "gpu": "H100"}  # stand for what rows say, while what is given is looked at
Tell = Callable[[str], None]


class Ledger(Record):
    """What a log came to.

    Attributes
    ----------
    cells : those of `joulecast.ledger.partition.Cells`, of all partitions, in joules and seconds; with
        footprints where there is a site.
    set_aside : reason, requests, the file and the row of the first.
    assumed, warned : rows that took a model's own, and rows that are doubted, by the words.
    filled : rows that took a value given for all, by key.
    rows, others : rows of the log, and those that are no requests.
    partitions : the files.
    law : the law that predicted.
    by : what the totals are grouped by.
    idle : what each kind of GPU of the fleet did not do; none where no fleet was given.
    """

    cells: pl.DataFrame
    set_aside: pl.DataFrame
    assumed: Mapping[str, int]
    warned: Mapping[str, int]
    filled: Mapping[str, int]
    rows: int
    others: int
    partitions: tuple[Partition, ...]
    law: Law
    by: tuple[str, ...]
    idle: tuple[Idle, ...] = ()

    @property
    def requests(self) -> int:
        """Rows that are requests."""
        return self.rows - self.others

    @property
    def aside(self) -> int:
        """Requests that are in no cell."""
        return int(self.set_aside[REQUESTS].sum())


def make_ledger(
    paths: Sequence[str],
    out: str | Path,
    *,
    meanings: Meanings | None = None,
    values: Mapping[str, object] | None = None,
    by: Sequence[str] = (),
    law: LawChoice = None,
    zone: tzinfo | None = None,
    sites: Sites | None = None,
    fleet: Mapping[str, int] | None = None,
    tell: Tell | None = None,
    cluster: str | None = None,
) -> Ledger:
    """Read a log, add it up, and keep finished partitions in the folder `out`.

    Parameters
    ----------
    paths : files (CSV, Parquet, JSON lines), and folders of them.
    meanings : what the log's columns mean; by default their names say.
    values : keys of a setting for rows that do not say them.
    by : columns of the log, and of BUILT_IN, that totals are told apart by.
    zone : of times without an offset, in place of the map's.
    sites : where the requests ran, for carbon, water and money.
    fleet : GPUs, by name, that were there all the time, and how many: what they drew while they waited.
    tell : called with a line on each partition.
    cluster : of Ray nodes that read the partitions, ``"auto"`` or ``"HOST:PORT"``; by default this machine
        does.

    Raises
    ------
    InputError, UnknownNameError, FileFormatError
        A file that is no log, a column that is not there, a folder that cannot be written to.
    """
    _check_by(by)
    _check_values(values if meanings is None else meanings.given(values or {}).values)
    chosen = resolve_law(law)
    hourly = sites is not None and sites.time_column is not None
    with guarding_inputs():
        partitions = partitions_of(paths)
        folder = Folder(Path(out))
        jobs = []
        for partition in partitions:
            asked = _asked_of(partition, meanings).given(values or {}, zone)
            name = _name(partition, asked, by, chosen, hourly)
            jobs.append(Job(name, partition, asked, tuple(by), hourly))
        found: dict[str, Cells] = {}
        for job, cells in _read(jobs, folder, chosen, cluster):
            found[job.name] = cells
            if tell is not None:
                tell(f"{len(found)} of {len(jobs)}: {job.partition.where}, {cells.rows:,} rows")
    in_order = [found[job.name] for job in jobs]
    return _merged(in_order, partitions, chosen, tuple(by), sites, fleet or {})


def _read(jobs: Sequence[Job], folder: Folder, law: Law, cluster: str | None) -> Iterator[tuple[Job, Cells]]:
    """Jobs with what became of them: finished ones first, then the others, each kept when it is."""
    left = []
    for job in jobs:
        known = folder.find(job.name)
        if known is None:
            left.append(job)
        else:
            yield job, known
    oracle = Oracle(law)
    here = ((job, job.read(oracle)) for job in left)
    for job, cells in here if cluster is None else read_on_nodes(left, law, cluster):
        folder.keep(job.name, job.partition, cells)
        yield job, cells


def meanings_of_first(paths: Sequence[str]) -> Meanings:
    """What the columns of a log's first file mean by their names. Raises as `make_ledger`."""
    return _asked_of(first_of(paths), None)


def _check_by(by: Sequence[str]) -> None:
    for name in by:
        if name in MEANINGS and name not in BUILT_IN:
            raise InputError(f"--by {name}: what is added up cannot be grouped by; group by a name, e.g. day")
        if name.startswith("#") or not name:
            raise UnknownNameError("column to group by", name, BUILT_IN)
    twice = [name for name, times in Counter(by).items() if times > 1]
    if twice:
        raise InputError(f"--by says {twice[0]} twice")


def _check_values(values: Mapping[str, object] | None) -> None:
    """Raise UnknownNameError or InputError where what is given for all rows is understood of none."""
    given = {key: value for key, value in (values or {}).items() if key in KEYS}
    setting = Setting.of({**ANY_PAIR, **given})
    try:
        ask(setting)
    except UnknownNameError:
        raise
    except InputError:
        return  # of some models and GPUs alone: rows are told of it one by one


def _asked_of(partition: Partition, meanings: Meanings | None) -> Meanings:
    return meanings or by_names(names_of(partition), partition.where)


def _name(partition: Partition, meanings: Meanings, by: Sequence[str], law: Law, hourly: bool) -> str:
    """What tells a finished partition from one of another log, or that was asked otherwise."""
    asked = (
        law.name,
        hashlib.sha256(repr(law).encode()).hexdigest(),
        repr(meanings),
        tuple(by),
        hourly,
        own_version(),
    )
    return hashlib.sha256(f"{partition.digest}\n{asked!r}".encode()).hexdigest()[:DIGITS]


def _merged(
    found: Sequence[Cells],
    partitions: Sequence[Partition],
    law: Law,
    by: tuple[str, ...],
    sites: Sites | None,
    fleet: Mapping[str, int],
) -> Ledger:
    cells = _joined(pl.concat([one.cells for one in found], how="vertical_relaxed"))
    aside = pl.concat(
        [
            one.set_aside.with_columns(pl.lit(partition.path).alias("file"))
            for one, partition in zip(found, partitions, strict=True)
        ],
        how="vertical_relaxed",
    )
    reasons = (
        aside.group_by(REASON, maintain_order=True)
        .agg(pl.col(REQUESTS).sum(), pl.col("file").first(), pl.col(FIRST).first())
        .sort(REQUESTS, descending=True, maintain_order=True)
    )
    return Ledger(
        cells=cells if sites is None else with_footprints(cells, sites),
        set_aside=_shortened(reasons),
        assumed=_added(one.assumed for one in found),
        warned=_added(one.warned for one in found),
        filled=_added(one.filled for one in found),
        rows=sum(one.rows for one in found),
        others=sum(one.others for one in found),
        partitions=tuple(partitions),
        law=law,
        by=by,
        idle=tuple(idle_of(cells, fleet)) if fleet else (),
    )


def _joined(cells: pl.DataFrame) -> pl.DataFrame:
    """Cells of several partitions, one for each combination of what is told apart."""
    keys = [name for name, kind in cells.schema.items() if kind == pl.String]
    sums = [name for name in cells.columns if name not in (*keys, BEGIN, END)]
    return (
        cells.group_by(keys)
        .agg(*[pl.col(name).sum() for name in sums], pl.col(BEGIN).min(), pl.col(END).max())
        .with_columns(*[pl.col(name).cast(pl.Float64) / MICRO for name in SUMS])
        .sort(keys, nulls_last=True)
    )


def _shortened(reasons: pl.DataFrame) -> pl.DataFrame:
    """The commonest reasons one by one, the rest as one."""
    rest = reasons[MOST_REASONS:]
    if not rest.height:
        return reasons
    told = rest.select(
        pl.lit(f"{rest.height:,} other reasons").alias(REASON),
        pl.col(REQUESTS).sum(),
        pl.col("file").first(),
        pl.col(FIRST).first(),
    )
    return pl.concat([reasons[:MOST_REASONS], told], how="vertical_relaxed")


def _added(counts: Any) -> dict[str, int]:
    found: Counter[str] = Counter()
    for one in counts:
        found.update(one)
    return dict(sorted(found.items(), key=lambda item: -item[1]))
