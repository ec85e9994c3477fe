"""One partition of a log, added up: a cell for each combination of what is told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from joulecast.ledger import answers as of
from joulecast.ledger.accounting import COUNTS, SUMS, accounted
from joulecast.ledger.answers import Oracle
from joulecast.ledger.log import GIVEN, IS_OTHER, PROBLEM, ROW, Partition, rows_of, unreadable
from joulecast.ledger.meanings import REGION, TIME, Meanings
from joulecast.question.questions import SEPARATOR
from joulecast.records import Record

# The names of a cell's columns that are not of the log.
MODEL, GPU, RUNTIME, OUTPUT, KNOWN = "model", "gpu", "runtime", "output", "known"
DAY, MONTH, YEAR, OF_HOUR = "day", "month", "year", "hour"
REQUESTS, REASON, FIRST = "requests", "reason", "first_row"
BEGIN, END = "first_time", "last_time"
TOLD_APART: Final = (MODEL, GPU, RUNTIME, OUTPUT, KNOWN)
PERIODS: Final = {DAY: "%Y-%m-%d", MONTH: "%Y-%m", YEAR: "%Y", OF_HOUR: "%Y-%m-%dT%H:00Z"}
EVERY: Final = {DAY: "1d", MONTH: "1mo", YEAR: "1y", OF_HOUR: "1h"}  # as polars writes them
BUILT_IN: Final = (MODEL, GPU, RUNTIME, OUTPUT, REGION, *PERIODS)
OTHER: Final = "no request"
_TOLD: Final = (of.MODEL, of.GPU, of.RUNTIME, of.OUTPUT, of.KNOWN)
_WHOSE, _IS_GOOD, _CELL = "#whose", "#good", "#cell "
MICRO: Final = 1e6  # sums are of whole millionths, which add up to the same in any order


class Cells(Record):
    """What became of a partition.

    Attributes
    ----------
    cells : TOLD_APART, REGION, the hour where it is asked for, and what is grouped by; REQUESTS, BEGIN, END,
        SUMS in whole millionths, COUNTS.
    set_aside : REASON, REQUESTS, FIRST: rows that are in no cell, and the first of them.
    assumed, warned : how many rows took what the model's own was, and how many are doubted, by the words.
    filled : how many rows took a value that was given for all, by key.
    rows, others : all, and those that are no requests.
    """

    cells: pl.DataFrame
    set_aside: pl.DataFrame
    assumed: Mapping[str, int]
    warned: Mapping[str, int]
    filled: Mapping[str, int]
    rows: int
    others: int


def cells_of(
    partition: Partition, meanings: Meanings, by: Sequence[str], oracle: Oracle, hourly: bool
) -> Cells:
    """Read a partition twice: for its distinct questions, and, with their answers, for its sums.

    Raises FileFormatError for a file that is cut, InputError for columns that are not there.
    """
    free = [name for name in by if name not in BUILT_IN]
    rows, known = rows_of(partition, meanings, free)
    try:
        asked = _asked(rows, known.keys)
        answers = oracle.answers(asked, known.keys)
        found = _summed(rows, answers, known, by, hourly)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise unreadable(partition, error) from None
    return _split(found, asked, answers, known)


def _asked(rows: pl.LazyFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The distinct questions of requests that can be read, in an order of their own, and rows of each."""
    usable = rows.filter(~pl.col(IS_OTHER) & pl.col(PROBLEM).is_null())
    found = usable.group_by(keys).agg(pl.len().alias(REQUESTS)).collect(engine="streaming")
    return found.sort(keys)


def _summed(
    rows: pl.LazyFrame, answers: pl.DataFrame, known: Meanings, by: Sequence[str], hourly: bool
) -> pl.DataFrame:
    """Sums by cell, and by reason of what has none.

    Rows are grouped by numbers where they can be, and names are given to what came out.
    """
    whose = answers.select(*_TOLD, of.ERROR).unique().sort(*_TOLD, of.ERROR).with_row_index(_WHOSE)
    numbered = answers.join(whose, on=[*_TOLD, of.ERROR], how="left", nulls_equal=True)
    answer = numbered.drop(REQUESTS, of.ASSUMED, of.WARNED, of.ERROR, *_TOLD).with_columns(
        (pl.col(of.ENERGY).is_not_nan()).alias(_IS_GOOD)
    )
    joined = rows.join(answer.lazy(), on=list(known.keys), how="left", nulls_equal=True)
    reason = pl.when(pl.col(IS_OTHER)).then(pl.lit(OTHER)).otherwise(pl.col(PROBLEM))
    periods = [name for name in PERIODS if name in by or (hourly and name == OF_HOUR)]
    free = [name for name in by if name not in BUILT_IN]
    told = [pl.col(REGION).alias(f"{_CELL}{REGION}")]
    told += [pl.col(TIME).dt.truncate(EVERY[name]).alias(f"{_CELL}{name}") for name in periods]
    told += [pl.col(name).alias(f"{_CELL}{name}") for name in free]
    is_good = pl.col(_IS_GOOD).fill_null(False) & pl.col(PROBLEM).is_null() & ~pl.col(IS_OTHER)
    counted = accounted(joined).with_columns(reason.alias(REASON), is_good.alias(_IS_GOOD), *told)
    sums = counted.group_by([REASON, _WHOSE, *(one.meta.output_name() for one in told)]).agg(_sums(known))
    return _named(sums.collect(engine="streaming"), whose, periods)


def _sums(known: Meanings) -> list[pl.Expr]:
    filled = [name for name in known.values if name in known.keys or name == REGION]
    return [
        pl.len().cast(pl.Int64).alias(REQUESTS),
        pl.col(ROW).min().alias(FIRST),
        pl.col(TIME).min().alias(BEGIN),
        pl.col(TIME).max().alias(END),
        *[(_of_good(name) * MICRO).round().cast(pl.Int128).sum().alias(name) for name in SUMS],
        *[_of_good(name).sum().cast(pl.Int64).alias(name) for name in COUNTS],
        *[(~pl.col(f"{GIVEN}{name}")).sum().cast(pl.Int64).alias(f"{GIVEN}{name}") for name in filled],
    ]


def _of_good(name: str) -> pl.Expr:
    return pl.when(_IS_GOOD).then(name)


def _named(found: pl.DataFrame, whose: pl.DataFrame, periods: Sequence[str]) -> pl.DataFrame:
    """Sums with the names of what they are of, in an order of their own."""
    cells = [name for name in found.columns if name.startswith(_CELL)]
    names = {of.MODEL: MODEL, of.GPU: GPU, of.RUNTIME: RUNTIME, of.OUTPUT: OUTPUT, of.KNOWN: KNOWN}
    found = (
        found.join(whose, on=_WHOSE, how="left", nulls_equal=True)
        .with_columns(
            pl.coalesce(REASON, pl.when(pl.col(of.ERROR) != "").then(of.ERROR)).alias(REASON),
            *[pl.col(f"{_CELL}{name}").dt.strftime(PERIODS[name]) for name in periods],
        )
        .drop(_WHOSE, of.ERROR)
        .rename({**names, **{name: name.removeprefix(_CELL) for name in cells}})
    )
    return found.sort(REASON, *TOLD_APART, *(name.removeprefix(_CELL) for name in cells))


def _split(found: pl.DataFrame, asked: pl.DataFrame, answers: pl.DataFrame, known: Meanings) -> Cells:
    cells = found.filter(pl.col(REASON).is_null())
    aside = (
        found.filter(pl.col(REASON).is_not_null() & (pl.col(REASON) != OTHER))
        .group_by(REASON)
        .agg(pl.col(REQUESTS).sum(), pl.col(FIRST).min())
    )
    given = [name for name in found.columns if name.startswith(GIVEN)]
    return Cells(
        cells=cells.drop(REASON, FIRST, *given),
        set_aside=aside.sort([REQUESTS, FIRST], descending=[True, False]),
        assumed=_told(answers, of.ASSUMED),
        warned=_told(answers, of.WARNED),
        filled={name.removeprefix(GIVEN): int(cells[name].sum()) for name in given},
        rows=int(found[REQUESTS].sum()),
        others=int(found.filter(pl.col(REASON) == OTHER)[REQUESTS].sum()),
    )


def _told(answers: pl.DataFrame, name: str) -> dict[str, int]:
    """Rows of questions with an answer, by each of the words that are told of them."""
    found: Counter[str] = Counter()
    told = answers.filter(pl.col(of.ERROR) == "").group_by(name).agg(pl.col(REQUESTS).sum()).sort(name)
    for words, count in told.iter_rows():
        found.update(dict.fromkeys(words.split(SEPARATOR), int(count)) if words else {})
    return dict(found)
