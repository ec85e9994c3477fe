"""Footprints in columns: the formulas of one footprint, run over arrays.

Columns added: OUTPUTS, for the row's images together. A row without a footprint says why. Every number
is, bit for bit, that of `row.row_footprint`: a row that is not plain is checked alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulecast.errors import InputError, JoulecastError
from joulecast.files.columns import Columns, distinct, is_missing, text_of
from joulecast.files.tables import values_of
from joulecast.footprint.account import DRAWN_W, power_caveats
from joulecast.footprint.factors import Factor, embodied_of
from joulecast.footprint.grid.yearly import GridIntensity, GridOf
from joulecast.footprint.quantity import Quantity
from joulecast.footprint.site import Site
from joulecast.footprint.summation import Amounts, Sum
from joulecast.footprint.tables.interval_column import Floats, IntervalColumn
from joulecast.footprint.tables.row import (
    GPU_COUNT,
    RANGES,
    SOURCE,
    WHOLE,
    Card,
    Row,
    card_of,
    checked,
    count_of,
    most_of,
    row_footprint,
)
from joulecast.forecast.answer import gpu_seconds
from joulecast.question.questions import SEPARATOR
from joulecast.uncertainty import Interval

COUNTS = (GPU_COUNT, "batch_size", "images")
READ = (*chain.from_iterable(RANGES), *COUNTS, "parallel", "boundary", "scope", "gpu")
# amount -> the unit that ends its columns' names
_AMOUNTS = {
    "facility_energy": "_kwh",
    "operational_carbon": "_g",
    "embodied_carbon": "_g",
    "carbon": "_g",
    "sci": "_g_per_image",
    "water": "_l",
    "money": "",
}
# output -> the amount and the end of it that it holds
NUMBERS = {
    f"{amount}{_end}{_unit}": (amount, end)
    for amount, _unit in _AMOUNTS.items()
    for end, _end in (("value", ""), ("low", "_low"), ("high", "_high"))
}
WORDS = ("currency", "accounting", "grid_region", "grid_boundary", "footprint_warning", "footprint_error")
OUTPUTS = (*NUMBERS, *WORDS[:4], "grid_year", *WORDS[4:])


@dataclass(frozen=True)
class Sites:
    """The sites of a table's rows.

    Attributes
    ----------
    at : every factor, and the grid of all rows where `grid_of` is None.
    grid_of : the grid of a region and a time, each None where the table has no column of them.
    region_column, time_column : the columns that hold them.
    """

    at: Site
    grid_of: GridOf | None = None
    region_column: str | None = None
    time_column: str | None = None

    @property
    def columns(self) -> dict[str, str]:
        """The columns that a table must have for them, by what they hold."""
        named = {"region": self.region_column, "time": self.time_column}
        return {what: name for what, name in named.items() if name}

    def grid(self, cells: Row) -> GridIntensity:
        """The grid of a row, of which `cells` has the region and the time. Raises InputError."""
        region, time = (_name(cells, what) for what in ("region", "time"))
        return self.at.grid if self.grid_of is None else self.grid_of(region, time)

    def of_row(self, row: Row) -> Site:
        """The site of a row by column. Raises InputError."""
        return replace(self.at, grid=self.grid({what: row.get(name) for what, name in self.columns.items()}))


def _name(given: Row, what: str) -> str | None:
    """A row's region or time as text, None where the table has no such column."""
    if what not in given:
        return None
    if is_missing(given[what]):
        raise InputError(f"the {what} is missing")
    return str(text_of(given[what]))


def footprint_columns(columns: Columns, sites: Sites) -> Columns:
    """The output columns of a table: numbers (nan where there is none), text, and whole years, masked."""
    block = _Block(columns, sites)
    block.find_grids()
    block.read_cells()
    block.compute()
    return block.outputs()


class _Block:
    """Rows of a table, and their answers as far as they are known."""

    def __init__(self, columns: Columns, sites: Sites) -> None:
        self.columns = {name: values_of(columns[name]) for name in _used(columns, sites)}
        self.sites = sites
        rows = len(columns["energy_j"])
        self.error = np.full(rows, "", dtype=object)
        self.grid = np.zeros(rows, dtype=np.int64)  # place in `grids`
        self.grids: list[GridIntensity] = []
        self.cells: dict[str, Floats] = {}
        self.embodied = np.zeros(rows, dtype=np.int64)  # place in `cards`
        self.cards: list[Card] = []
        self.numbers = {name: np.full(rows, np.nan) for name in NUMBERS}
        if "error" in self.columns:
            self._refuse_where_there_is_no_energy()

    def _refuse_where_there_is_no_energy(self) -> None:
        known = distinct(self.columns["error"])
        told = ["" if is_missing(w) else f"there is no energy: {text_of(w)}" for w in known.values]
        self.error[:] = np.array(told, dtype=object)[known.index] if told else ""

    def find_grids(self) -> None:
        """The grid of every row: asked for once for each region and time."""
        parts = {what: distinct(self.columns[name]) for what, name in self.sites.columns.items()}
        code = np.zeros(len(self.error), dtype=np.int64)
        for part in parts.values():
            code = code * len(part.values) + part.index
        codes, first, place = np.unique(code, return_index=True, return_inverse=True)
        found: dict[int, int] = {}
        at, told = np.zeros(len(codes), dtype=np.int64), np.full(len(codes), "", dtype=object)
        for i, row in enumerate(first.tolist()):
            given = {what: part.values[part.index[row]] for what, part in parts.items()}
            try:
                grid = self.sites.grid(given)
            except JoulecastError as error:
                told[i] = str(error)
                continue
            if id(grid) not in found:
                found[id(grid)] = len(self.grids)
                self.grids.append(grid)
            at[i] = found[id(grid)]
        self.grid = at[place]
        self.error = np.where(self.error == "", told[place], self.error) if len(codes) else self.error

    def read_cells(self) -> None:
        """Numbers of all rows; a row that is not plain is checked alone, and says what is wrong."""
        plain = np.ones(len(self.error), dtype=bool)
        for low, value, high in RANGES:
            plain &= self._read(value, None)
            plain &= self._read(low, self.cells[value]) & self._read(high, self.cells[value])
            plain &= (self.cells[low] <= self.cells[value]) & (self.cells[value] <= self.cells[high])
        plain &= self._find_gpus()
        said = self._gpus_said()
        for name in COUNTS:
            plain &= self._read(name, said if name == GPU_COUNT else np.ones(len(self.error)))
        c = self.cells
        plain &= (c["images"] >= 1) & (c["images"] <= 1e15) & (c["images"] == np.floor(c["images"]))
        plain &= self._matches("boundary", ("", "gross")) & self._matches("scope", ("", WHOLE))
        for row in np.flatnonzero(~plain & (self.error == "")).tolist():
            self._check_alone(row)

    def _read(self, name: str, default: Floats | None) -> NDArray[np.bool_]:
        """Fill in the numbers of a column; False where they are not plain."""
        self.cells[name], good = _positive_numbers(self.columns.get(name), default, len(self.error))
        return good & (self.cells[name] <= most_of(name))

    def _matches(self, name: str, accepted: tuple[str, ...]) -> NDArray[np.bool_]:
        if name not in self.columns:
            return np.ones(len(self.error), dtype=bool)
        known = distinct(self.columns[name])
        good = [("" if is_missing(v) else str(text_of(v))) in accepted for v in known.values]
        return np.array(good, dtype=bool)[known.index]

    def _find_gpus(self) -> NDArray[np.bool_]:
        """Fill in every row's GPU; False where its cell names none."""
        if "gpu" not in self.columns or not len(self.error):
            self.cards = [Card(1, None)]
            return np.ones(len(self.error), dtype=bool)
        known = distinct(self.columns["gpu"])
        good = np.zeros(len(known.values), dtype=bool)
        for i, value in enumerate(known.values):
            try:
                self.cards.append(card_of(value))
                good[i] = True
            except JoulecastError:
                self.cards.append(Card(1, None))  # a place holder: the row is refused
        self.embodied = known.index.astype(np.int64)
        return good[known.index]

    def _gpus_said(self) -> Floats:
        """How many GPUs each row's GPU or parallel says there are; nan where that says nothing."""
        count = np.array([card.count for card in self.cards], dtype=np.float64)[self.embodied]
        if "parallel" not in self.columns:
            return count
        known = distinct(self.columns["parallel"])
        of_cells = np.array([_degrees(value) for value in known.values], dtype=np.float64)
        return np.where(count > 1, count, of_cells[known.index])

    def _row(self, row: int) -> Row:
        return {name: self.columns[name][row] for name in READ if name in self.columns}

    def _check_alone(self, row: int) -> None:
        try:
            cells = checked(self._row(row))
        except JoulecastError as error:
            self.error[row] = str(error)
            return
        known = zip(RANGES, (cells.energy_j, cells.gpu_s_per_image), strict=True)
        for (low, value, high), amount in known:
            ends = ((low, amount.low), (value, amount.value), (high, amount.high))
            for name, number in (*ends, ("images", cells.images)):
                self.cells[name][row] = number
        self.cells[GPU_COUNT][row] = self.cells["batch_size"][row] = 1.0

    def compute(self) -> None:
        """The numbers of all rows without an error, a currency at a time."""
        rows = np.flatnonzero(self.error == "")
        if not len(rows):
            return
        with np.errstate(all="ignore"):
            amounts = self._amounts(rows)
        for name, (amount, end) in NUMBERS.items():
            found = getattr(amounts, amount)
            if found is not None:
                self.numbers[name][rows] = getattr(found.amount, end)
        self._compute_alone(rows, amounts)

    def _amounts(self, rows: NDArray[np.int64]) -> Amounts:
        gpus, batch, images = (_exact(self.cells[name][rows]) for name in COUNTS)
        energy, duration = (IntervalColumn(*(self.cells[name][rows] for name in names)) for names in RANGES)
        site = self.sites.at
        intensity = _taken([grid.intensity.amount for grid in self.grids], self.grid[rows])
        card = _taken([embodied_of(card.gpu).quantity.amount for card in self.cards], self.embodied[rows])
        return Sum(
            replace(site, grid=replace(site.grid, intensity=Quantity(intensity, "g/kWh"))),
            Factor("energy_j", Quantity(energy, "J/image"), SOURCE),
            Factor("duration_s", Quantity(gpu_seconds(duration, gpus, batch), "s/image"), SOURCE),
            Quantity(images, "image"),
            Factor("embodied_gpu", Quantity(card, "kg"), SOURCE),
        ).amounts()

    def _compute_alone(self, rows: NDArray[np.int64], amounts: Amounts) -> None:
        """Redo rows whose numbers are beyond what floats hold: the scalar sum says what is wrong."""
        known = [amount.amount for amount in vars(amounts).values() if amount is not None]
        good = np.all(
            [np.isfinite(getattr(a, end)) for a in known for end in ("low", "value", "high")], axis=0
        )
        good &= np.all(
            [a.value > 0 for a in (amounts.gpu_energy.amount, amounts.embodied_carbon.amount)], axis=0
        )
        for row in rows[~good].tolist():
            try:
                answer = row_footprint(
                    self._row(row), replace(self.sites.at, grid=self.grids[self.grid[row]])
                )
            except JoulecastError as error:
                self.error[row] = str(error)
                for numbers in self.numbers.values():
                    numbers[row] = np.nan
                continue
            for name, value in numbers_of(answer).items():
                self.numbers[name][row] = value

    def _warn(self, rows: NDArray[np.int64], told: NDArray[np.object_]) -> None:
        """Add what must be said of each row's GPU, and of its power where no GPU draws that."""
        known = np.array([card.gpu is not None for card in self.cards])[self.embodied]
        cards = [SEPARATOR.join(card.warnings) for card in self.cards]
        of_gpu = np.array(cards, dtype=object)[self.embodied]
        energy = self.cells["energy_j"]
        gpus, batch, time = (self.cells[name] for name in (GPU_COUNT, "batch_size", "duration_s"))
        with np.errstate(all="ignore"):
            seconds = time * gpus / batch
            power = energy / seconds
        is_odd = (power < DRAWN_W[0]) | (power > DRAWN_W[1])
        for row in rows[is_odd[rows] | (of_gpu[rows] != "")].tolist():
            caveats = power_caveats(float(energy[row]), float(seconds[row])) if is_odd[row] else ()
            # in the order in which a row that is alone has them
            found = (of_gpu[row], *caveats) if known[row] else (*caveats, of_gpu[row])
            told[row] = SEPARATOR.join(filter(None, (told[row], *found)))

    def outputs(self) -> Columns:
        """The output columns."""
        answered = np.flatnonzero(self.error == "")
        texts = {name: np.full(len(self.error), "", dtype=object) for name in WORDS}
        years = np.ma.masked_equal(np.zeros(len(self.error), dtype=np.int64), 0)
        if len(answered):
            at = self.grid[answered]
            said = [words_of(self.sites.at.price, grid, grid.warnings) for grid in self.grids]
            for name in said[0]:
                texts[name][answered] = np.array([words[name] for words in said], dtype=object)[at]
            year = np.ma.masked_equal([grid.year or 0 for grid in self.grids], 0)
            years[answered] = year[at]
            self._warn(answered, texts["footprint_warning"])
        texts["footprint_error"] = self.error
        found = {**self.numbers, **texts, "grid_year": years}
        return {name: found[name] for name in OUTPUTS}


def numbers_of(answer: Amounts) -> dict[str, float]:
    """The numbers of one footprint as a row has them; nan where there is none."""
    found = {}
    for name, (amount, end) in NUMBERS.items():
        held = getattr(answer, amount)
        value = np.nan if held is None else getattr(held.amount, end)
        found[name] = value if np.isfinite(value) else np.nan
    return found


def words_of(price: Factor | None, grid: GridIntensity, warnings: Sequence[str]) -> dict[str, str]:
    """The words of a footprint on a grid, as a row has them."""
    return {
        "currency": "" if price is None else price.quantity.unit.partition("/")[0],
        "accounting": grid.accounting,
        "grid_region": grid.region,
        "grid_boundary": grid.boundary,
        "footprint_warning": SEPARATOR.join(warnings),
    }


def _used(columns: Columns, sites: Sites) -> list[str]:
    return [name for name in dict.fromkeys((*READ, "error", *sites.columns.values())) if name in columns]


def _positive_numbers(column: Any, default: Floats | None, rows: int) -> tuple[Floats, NDArray[np.bool_]]:
    """A column as numbers, and where they are plainly positive ones; `default` is for empty cells."""
    if column is None:
        found = np.full(rows, np.nan) if default is None else default.copy()
        return found, np.full(rows, default is not None)
    try:
        numbers = np.fromiter(map(float, column), np.float64, rows)
        kinds = set(map(type, column))
    except (TypeError, ValueError, OverflowError):
        numbers, kinds = np.array([_number(cell) for cell in column], dtype=np.float64), set()
    empty = np.isnan(numbers)
    if empty.any():
        empty[empty] = [is_missing(column[row]) for row in np.flatnonzero(empty).tolist()]
    if default is not None:
        numbers = np.where(empty, default, numbers)
    good = (numbers > 0) & (numbers < np.inf)
    if bool in kinds or not kinds:
        good &= ~np.fromiter((isinstance(cell, bool) for cell in column), bool, rows)
    return numbers, good


def _degrees(parallel: object) -> float:
    """GPUs between which a cell says that work is shared, 1 where it is empty; nan where it is no split."""
    try:
        return count_of(1, parallel)
    except JoulecastError:
        return np.nan


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _exact(numbers: Floats) -> IntervalColumn:
    return IntervalColumn(numbers, numbers, numbers)


def _taken(amounts: Sequence[Interval], index: NDArray[np.int64]) -> IntervalColumn:
    """The interval of each row out of a few."""
    low, value, high = (np.array([getattr(a, end) for a in amounts]) for end in ("low", "value", "high"))
    return IntervalColumn(low[index], value[index], high[index])
