"""Footprints in columns are, bit for bit, those of each row alone: numbers, words and errors."""

from __future__ import annotations

import csv
import math
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import InputError, JoulecastError
from joulecast.footprint import formulas
from joulecast.footprint.grid.reading import hourly_series
from joulecast.footprint.grid.source import HourlySource
from joulecast.footprint.grid.yearly import given_intensity, grid_of
from joulecast.footprint.quantity import Quantity, quantity
from joulecast.footprint.site import site
from joulecast.footprint.tables.columns import (
    NUMBERS,
    OUTPUTS,
    Sites,
    footprint_columns,
    numbers_of,
    words_of,
)
from joulecast.footprint.tables.file import footprint_file, read_rows
from joulecast.footprint.tables.interval_column import IntervalColumn
from joulecast.footprint.tables.row import RANGES, row_footprint
from joulecast.uncertainty import Interval

# --- arithmetic ----------------------------------------------------------------------------------

ENDS = ("low", "value", "high")
SIZES = st.one_of(st.just(0.0), st.floats(1e-9, 1e9), st.floats(-1e9, -1e-9))


@st.composite
def intervals(draw: st.DrawFn, numbers: st.SearchStrategy[float] = SIZES) -> Interval:
    low, value, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    return Interval(low, value, draw(st.sampled_from([high, math.inf])) if high >= 0 else high)


def column_of(rows: list[Interval]) -> IntervalColumn:
    return IntervalColumn(*(np.array([getattr(row, end) for row in rows]) for end in ENDS))


def same(column: Interval, rows: list[Interval]) -> None:
    for end in ENDS:
        assert np.broadcast_to(getattr(column, end), len(rows)).tolist() == [getattr(r, end) for r in rows]


@given(st.lists(st.tuples(intervals(), intervals()), min_size=1, max_size=8), intervals())
def test_columns_add_and_multiply_as_intervals_do(
    pairs: list[tuple[Interval, Interval]], one: Interval
) -> None:
    left, right = ([pair[i] for pair in pairs] for i in (0, 1))
    with np.errstate(all="ignore"):
        same(column_of(left) + column_of(right), [a + b for a, b in pairs])
        same(column_of(left) * column_of(right), [a * b for a, b in pairs])
        same(one * column_of(left), [one * a for a in left])
        same(column_of(left) * one, [a * one for a in left])
        same(3 + column_of(left), [3 + a for a in left])


@given(st.lists(st.tuples(intervals(), intervals(st.floats(1e-9, 1e9))), min_size=1, max_size=8))
def test_columns_divide_as_intervals_do(pairs: list[tuple[Interval, Interval]]) -> None:
    left, right = ([pair[i] for pair in pairs] for i in (0, 1))
    with np.errstate(all="ignore"):
        same(column_of(left) / column_of(right), [a / b for a, b in pairs])
        same(2 / column_of(right), [2 / b for b in right])
        same(left[0] / column_of(right), [left[0] / b for b in right])


def test_units_are_checked_in_columns_too() -> None:
    energy = Quantity(column_of([Interval.exact(1)]), "J")
    with pytest.raises(InputError, match="GPU energy must be in kWh, not in J"):
        formulas.node_energy(energy, quantity(0.3))
    with pytest.raises(InputError, match="cannot add g to J"):
        _ = energy + quantity(1, "g")


# --- rows ----------------------------------------------------------------------------------------

HOURLY = HourlySource([hourly_series("CISO"), hourly_series("ERCO")])
SITES = {
    "one": Sites(site("FR", price_per_kwh="0.1:0.2")),
    "regions": Sites(
        site(intensity=0, transmission_loss=0.06), lambda region, time: grid_of(region), "where"
    ),
    "hours": Sites(site(intensity=0, price_per_gpu_hour=2), HOURLY, "authority", "at"),
}
COUNT = st.one_of(st.none(), st.integers(1, 64), st.integers(1, 64).map(str))
GOOD = st.fixed_dictionaries(
    {
        "energy_j": st.one_of(st.floats(1, 1e5), st.floats(1, 1e5).map(repr)),
        "duration_s": st.floats(1e-3, 1e5),
        "energy_low_j": st.one_of(st.none(), st.floats(1e-3, 1)),
        "energy_high_j": st.one_of(st.just(""), st.floats(1e5, 1e6)),
        "duration_low_s": st.one_of(st.none(), st.floats(1e-6, 1e-3).map(repr)),
        "duration_high_s": st.one_of(st.none(), st.floats(1e5, 1e6)),
        "gpu_count": COUNT,
        "parallel": st.sampled_from([None, "", "none", "ulysses=2", "cfg=2,ring=4"]),
        "batch_size": COUNT,
        "images": st.one_of(st.none(), st.integers(1, 10**6)),
        "gpu": st.sampled_from(["H100", "h200 sxm", "L4", "", None]),
        "boundary": st.sampled_from(["gross", "gross ", "", None]),
        "scope": st.sampled_from(["pipeline", ""]),
        "where": st.sampled_from(["FR", "Poland", "world", "Reunion"]),
        "authority": st.sampled_from(["US-CAL-CISO", "erco"]),
        "at": st.sampled_from(["2022-06-01T13:30Z", "2022-02-01T00:00Z/2022-02-02T00:00Z"]),
        "error": st.sampled_from(["", None]),
    }
)
ODD_NUMBERS = ["1.5", " 7 ", "2e3", "1_0", 3, True, "", None, math.nan, 10**400, 1e300, 1e308, 5e-324]
ODD_NUMBERS += ["0", "-1", "inf", "nan", "much", b"x", -2.0, 0, 0.0, math.inf]
ODD: dict[str, list[Any]] = {
    **dict.fromkeys((*chain.from_iterable(RANGES), "gpu_count", "batch_size"), ODD_NUMBERS),
    "images": ["2.5", "1e16", "0", "10", 1e15],
    "parallel": ["ulises=2", "ulysses", 3],
    "gpu": ["H1000", "2 x H100", "8xL4", 5],
    "boundary": ["dynamic", "Gross", 1],
    "scope": ["denoising_loop", 3],
    "where": ["", "Polnd", None],
    "authority": ["FR", None],
    "at": ["2022-01-05T10:00Z", "noon", ""],
    "error": ["no such model", " "],
}


@st.composite
def table_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that are good but for at most two cells each."""
    rows = draw(st.lists(GOOD, min_size=1, max_size=6))
    for row in rows:
        for name in draw(st.lists(st.sampled_from(sorted(ODD)), max_size=2)):
            row[name] = draw(st.sampled_from(ODD[name]))
    return rows


def alone(row: dict[str, Any], sites: Sites) -> dict[str, Any]:
    """The outputs of one row, without columns."""
    nothing = {**dict.fromkeys(NUMBERS, math.nan), "grid_year": None}
    try:
        if (row.get("error") or "").strip():
            raise InputError(f"there is no energy: {row['error']}")
        answer = row_footprint(row, sites.of_row(row))
    except JoulecastError as error:
        return {**dict.fromkeys(OUTPUTS, ""), **nothing, "footprint_error": str(error)}
    said = words_of(sites.at.price, answer.grid, answer.warnings)
    return {**numbers_of(answer), **said, "grid_year": answer.grid.year, "footprint_error": ""}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(SITES))
@given(rows=table_rows(), drop=st.sets(st.sampled_from(["images", "gpu", "error"])))
def test_each_row_is_as_it_is_alone(kind: str, rows: list[dict[str, Any]], drop: set[str]) -> None:
    rows = [{name: cell for name, cell in row.items() if name not in drop} for row in rows]
    found = footprint_columns({name: [row[name] for row in rows] for name in rows[0]}, SITES[kind])
    assert list(found) == list(OUTPUTS)
    for i, row in enumerate(rows):
        expected = alone(row, SITES[kind])
        for name, column in found.items():
            assert repr(column.tolist()[i]) == repr(expected[name]), (name, row)


@pytest.mark.parametrize(
    "row",
    [
        {"energy_j": 1e308, "duration_s": 1.0, "images": 10**6},  # more than floats hold
        {"energy_j": 5e-324, "duration_s": 1.0},  # nothing, in kWh
        {"energy_j": 1.0, "duration_s": 1e-300, "batch_size": 1e300},
        {"energy_j": 1.0, "duration_s": 1e300, "gpu_count": 1e300},
        {"energy_j": 1.0, "duration_s": 1e300, "gpu_count": 1e300, "gpu": "H1000"},
        {"energy_j": 1.0, "energy_high_j": 1.7e308, "duration_s": 1.0, "images": 10**12},
    ],
)
def test_rows_beyond_what_floats_hold(row: dict[str, Any]) -> None:
    found = footprint_columns({name: [cell, cell] for name, cell in row.items()}, SITES["one"])
    expected = alone(row, SITES["one"])
    for name, column in found.items():
        assert [repr(cell) for cell in column.tolist()] == [repr(expected[name])] * 2


def test_a_row_that_can_be_answered_has_every_number() -> None:
    found = footprint_columns({"energy_j": [3.6e6], "duration_s": [3600.0]}, SITES["one"])
    assert all(np.isfinite(found[name]).all() for name in NUMBERS)
    assert found["footprint_error"].tolist() == [""]
    assert found["currency"].tolist() == ["USD"]


def test_no_rows() -> None:
    found = footprint_columns({"energy_j": [], "duration_s": []}, SITES["one"])
    assert {len(column) for column in found.values()} == {0}


# --- files ---------------------------------------------------------------------------------------


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def table(rows: int) -> list[dict[str, Any]]:
    made = []
    for i in range(rows):
        is_bad = i % 5 == 4
        row = {"id": f"r{i}", "energy_j": None if is_bad else 1000.5 + i, "duration_s": 2.5, "gpu": "H100"}
        row |= {"batch_size": 1 + i % 3, "where": ("FR", "PL", "Nowhere")[i % 3]}
        made.append(row | {"error": "no such GPU" if is_bad else None})
    return made


@pytest.mark.parametrize("source", ["in.csv", "in.parquet"])
@pytest.mark.parametrize("target", ["out.csv", "out.parquet"])
def test_files_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str) -> None:
    monkeypatch.setattr("joulecast.files.tables.BLOCK_ROWS", 7)
    rows = table(30)
    done = footprint_file(write(tmp_path / source, rows), tmp_path / target, SITES["regions"])
    assert (done.rows, done.failed, done.boundaries) == (30, 14, {"life-cycle"})
    assert done.first_failure.startswith("data row 3: unknown region 'Nowhere'")
    found: list[Any] = list(read_rows(tmp_path / target, OUTPUTS))
    for row, answer in zip(rows, found, strict=True):
        assert answer["id"] == row["id"]
        expected = alone(row, SITES["regions"])
        for name in NUMBERS:
            assert float(answer[name] or "nan") == pytest.approx(expected[name], rel=0, abs=0, nan_ok=True)
        assert answer["footprint_error"] == expected["footprint_error"]
        assert (int(answer["grid_year"]) if answer["grid_year"] else None) == expected["grid_year"]
    assert found[4]["footprint_error"] == "there is no energy: no such GPU"
    assert not found[4]["carbon_g"]


def test_a_first_block_without_any_footprint_has_the_types_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulecast.files.tables.BLOCK_ROWS", 3)
    rows = [{"energy_j": -1.0 if i < 3 else 5.0, "duration_s": 1.0} for i in range(6)]
    done = footprint_file(write(tmp_path / "in.parquet", rows), tmp_path / "out.parquet", SITES["one"])
    assert (done.rows, done.failed) == (6, 3)
    schema = pytest.importorskip("pyarrow.parquet").read_schema(tmp_path / "out.parquet")
    assert {str(schema.field(name).type) for name in NUMBERS} == {"double"}
    assert str(schema.field("grid_year").type) == "int64"


def test_what_is_wrong_with_a_file_is_named(tmp_path: Path) -> None:
    rows = table(2)
    good = write(tmp_path / "in.csv", rows)
    with pytest.raises(InputError, match=r"the output .* is the input itself"):
        footprint_file(good, good, SITES["one"])
    with pytest.raises(InputError, match="no column country; is it"):
        footprint_file(
            write(tmp_path / "a.csv", [{"countri": "", **rows[0]}]),
            None,
            Sites(SITES["one"].at, HOURLY, "country"),
        )
    taken = write(tmp_path / "b.csv", [{**rows[0], "carbon_g": 1}])
    with pytest.raises(InputError, match="already has carbon_g"):
        footprint_file(taken, tmp_path / "out.csv", SITES["one"])
    assert not (tmp_path / "out.csv").exists()
    with pytest.raises(InputError, match="there is no folder"):
        footprint_file(good, tmp_path / "none" / "out.csv", SITES["one"])


def test_a_grid_of_nothing_emits_nothing() -> None:
    clean = Sites(site(intensity=given_intensity(0)))
    found = footprint_columns({"energy_j": [1.0], "duration_s": [1.0]}, clean)
    assert found["operational_carbon_g"].tolist() == [0.0]
    assert found["carbon_g"].tolist() == found["embodied_carbon_g"].tolist()


def test_the_documentation_names_every_column() -> None:
    page = (Path(__file__).parents[3] / "docs" / "footprint.md").read_text(encoding="utf-8")
    page = page.replace(
        "`..._low_kwh`, `..._high_kwh`", "`facility_energy_low_kwh`, `facility_energy_high_kwh`"
    )
    for name in OUTPUTS:
        assert f"`{name}`" in page, name


def test_columns_whatever_their_case_and_gpus_by_others_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Energy (J),Duration_S,GPU Model,Batch\n1346,3.5,1 x Tesla T4,2\n")
    footprint_file(path, tmp_path / "out.csv", SITES["one"])
    ours = footprint_columns(
        {"energy_j": [1346.0], "duration_s": [3.5], "gpu": ["T4"], "batch_size": [2]}, SITES["one"]
    )
    (found,) = read_rows(tmp_path / "out.csv", OUTPUTS)
    assert float(str(found["carbon_g"])) == ours["carbon_g"][0]
    assert found["energy_j"] == "1346"


def test_a_gpu_that_is_not_known_is_any_gpu_with_a_warning() -> None:
    """What a name says of their number counts; a count of its own goes before."""
    gpus = ["2 x Tesla V100-PCIE-32GB", "V100-PCIe", "MTT S4000", None, "8xMTT S4000", "2 x H100"]
    columns = {"energy_j": [1346.0] * 6, "duration_s": [3.5] * 6, "gpu": gpus, "gpu_count": [None] * 5 + [1]}
    found = footprint_columns(columns, SITES["one"])
    two, one, unknown, missing, eight, counted = found["embodied_carbon_g"].tolist()
    assert two == pytest.approx(2 * one)
    assert (unknown, eight) == (missing, pytest.approx(8 * missing))
    assert (
        counted == footprint_columns({**columns, "gpu": ["H100"] * 6}, SITES["one"])["embodied_carbon_g"][5]
    )
    assert found["footprint_error"].tolist() == [""] * 6
    doubts = ["the GPU 'MTT S4000' is not known" in words for words in found["footprint_warning"]]
    assert doubts == [False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("column", "cell"),
    [("duration_s", "1e300"), ("energy_j", "1.1e12"), ("energy_high_j", "1e200"), ("batch_size", "1e16")],
)
def test_what_nobody_measures_is_no_answer(column: str, cell: str) -> None:
    row = {"energy_j": "300", "duration_s": "1", column: cell}
    columns = {name: [row[name], "300" if name.endswith("_j") else "1"] for name in row}
    found = footprint_columns(columns, Sites(site("FR")))
    assert f"{column} must be a positive number of at most 1e+1" in found["footprint_error"][0]
    assert np.isnan(found["carbon_g"][0])
    assert found["carbon_g"][1] > 0


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("model,energy_kwh", "energy_j [J of one image or clip] is 'energy_kwh' x 3,600,000"),
        ("model,Energy_Wh", "'Energy_Wh' x 3,600, divided by the images"),
        ("ram_energy_kwh,gpu_energy_kwh", "'gpu_energy_kwh' x 3,600,000"),
        ("model,total_energy_kj", "'total_energy_kj' x 1,000"),
        ("model,cpu_energy_wh", "found: 'model'"),
    ],
)
def test_energies_in_another_unit_say_how_to_make_ours(tmp_path: Path, header: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n1,2\n")
    with pytest.raises(InputError) as refused:
        read_rows(tmp_path / "t.csv")
    assert words in str(refused.value)


@pytest.mark.parametrize("gpu", ["H1000", "RTX 4090", "H100"])
def test_doubts_of_a_row_stand_in_one_order(gpu: str) -> None:
    """Of a power that no GPU draws, and of a GPU that is not known, or of which nobody has published."""
    row = {"energy_j": "1", "duration_s": "1", "gpu": gpu}
    found = footprint_columns({name: [value] for name, value in row.items()}, Sites(site("FR")))
    assert found["footprint_warning"][0] == "; ".join(row_footprint(row, site("FR")).warnings)
