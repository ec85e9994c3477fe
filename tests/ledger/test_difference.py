"""Why two periods differ: parts that add up, and of which each is what alone changed."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast.errors import InputError
from joulecast.ledger.difference import GRID, MIX, PLACE, SETTINGS, VOLUME, differences

Row = tuple[str, str, float, float, float]
FIRST: list[Row] = [("sdxl", "H100", 100.0, 80_000.0, 30.0), ("sdxl", "L40S", 50.0, 45_000.0, 20.0),
                    ("flux.1-dev", "H100", 10.0, 40_000.0, 15.0)]  # fmt: skip


def cells(rows: list[Row]) -> pl.DataFrame:
    names = ("model", "gpu", "outputs", "energy_j", "carbon_g")
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(runtime=pl.lit("diffusers"))


def parts(before: list[Row], after: list[Row], place: int = 1) -> dict[str, float]:
    return dict(differences(cells(before), cells(after))[place].parts)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda m, g, n, e, c: (m, g, 2 * n, 2 * e, 2 * c), VOLUME),
        (lambda m, g, n, e, c: (m, g, n, 1.5 * e, 1.5 * c), SETTINGS),
        (lambda m, g, n, e, c: (m, g, n, e, 0.2 * c), GRID),
    ],
)
def test_what_alone_changed_is_the_whole_difference(change: object, name: str) -> None:
    after = [change(*row) for row in FIRST]  # type: ignore[operator]
    found = parts(FIRST, after)
    before, now = sum(row[4] for row in FIRST), sum(row[4] for row in after)
    assert found.pop(name) == pytest.approx(now - before)
    assert list(found.values()) == pytest.approx([0.0] * 4, abs=1e-9)


def test_a_move_to_another_gpu_is_told_from_a_move_to_another_model() -> None:
    moved = [FIRST[0], ("sdxl", "A100", 50.0, 45_000.0, 20.0), FIRST[2]]
    found = parts(FIRST, moved, 0)
    assert abs(found[MIX]) < 1e-6
    other = [*FIRST[:2], ("qwen-image", "H100", 10.0, 90_000.0, 40.0)]
    found = parts(FIRST, other, 0)
    assert found[MIX] == pytest.approx(50_000, rel=0.02)
    assert abs(found[PLACE]) < 1e-6


def test_a_grid_without_carbon_is_the_grid_s_doing() -> None:
    clean = [(*row[:4], 0.0) for row in FIRST]
    found = parts(FIRST, clean)
    assert found[GRID] == pytest.approx(-65)
    assert sum(found.values()) == pytest.approx(-65)
    assert list(parts(clean, clean).values()) == pytest.approx([0.0] * 5)


ROW = st.tuples(
    st.sampled_from(("sdxl", "flux.1-dev", "sd1.5")), st.sampled_from(("H100", "A100", "L40S")),
    st.integers(1, 10_000).map(float), st.floats(1.0, 1e6), st.floats(1e-3, 1e3),
)  # fmt: skip
LOG = st.lists(ROW, min_size=1, max_size=6, unique_by=lambda row: row[:2])


@given(LOG, LOG)
def test_the_parts_add_up_to_the_difference(before: list[Row], after: list[Row]) -> None:
    for one in differences(cells(before), cells(after)):
        assert sum(one.parts.values()) == pytest.approx(
            one.after - one.before, rel=1e-6, abs=1e-6 * one.after
        )


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(InputError, match="the second ledger holds no request"):
        differences(cells(FIRST), cells([]))
