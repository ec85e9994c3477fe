"""One row of a table: how many GPUs it says there are."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast.errors import InputError
from joulecast.footprint.grid.yearly import given_intensity
from joulecast.footprint.site import site
from joulecast.footprint.tables.columns import Sites, footprint_columns
from joulecast.footprint.tables.row import checked, size_of

ROW = {"energy_j": 900.0, "duration_s": 4.0, "batch_size": 2}


@pytest.mark.parametrize(
    ("cells", "gpus"),
    [
        ({}, 1),
        ({"parallel": "none"}, 1),
        ({"parallel": " Off "}, 1),
        ({"parallel": "ulysses=2, ring=2"}, 4),
        ({"parallel": "data=8"}, 8),
        ({"parallel": "data=2;cfg=2"}, 4),
        ({"gpu": "2xH100", "parallel": "data=2"}, 2),
        ({"gpu_count": 8, "parallel": "data=8"}, 8),
    ],
)
def test_gpus_of_a_row(cells: dict[str, object], gpus: int) -> None:
    """Of tables of runs too, in which GPUs may each make images of their own; in columns as in a row."""
    row = {**ROW, **cells}
    assert checked(row).gpu_s_per_image.value == 4 * gpus / 2
    table = {name: [cell] for name, cell in row.items()}
    columns = footprint_columns(table, Sites(site(intensity=given_intensity(0), price_per_gpu_hour=1)))
    assert columns["footprint_error"].tolist() == [""]
    assert np.allclose(columns["money"], 4 * gpus / 2 / 3600, rtol=1e-2)


@pytest.mark.parametrize("parallel", ["data=0", "data", "replicas=8"])
def test_a_parallel_that_says_no_degrees_is_refused(parallel: str) -> None:
    with pytest.raises(InputError):
        checked({**ROW, "parallel": parallel})


@pytest.mark.parametrize(
    ("cells", "size"),
    [
        ({"width": "512", "height": 768.0}, (512, 768)),
        ({"model": "sdxl"}, None),  # measured: nobody says the size
        ({"model": "sdxl", "law": "roofline"}, (1024, 1024)),
        ({"model": "sdxl", "law": "roofline", "resolution": "768x512"}, (768, 512)),
        ({"model": "sd1.5", "law": "roofline", "width": None, "strength": 0.5}, (512, 512)),
        ({"model": "no such model", "law": "roofline"}, None),
    ],
)
def test_the_size_of_what_a_row_makes(cells: dict[str, object], size: tuple[int, int] | None) -> None:
    assert size_of({**ROW, **cells}) == size


def test_a_side_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="width must be a whole number"):
        size_of({"width": "wide", "height": 512})
