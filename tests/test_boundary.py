"""Gross to dynamic energy: one conversion for predictions, one for measurements, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from joulecast.boundary import (
    BOUNDARIES,
    LEAST_DYNAMIC_SHARE,
    check_boundary,
    dynamic_j,
    dynamic_share,
    measured_dynamic_j,
)
from joulecast.errors import UnknownNameError
from joulecast.law.law import Prediction

ROUNDED = 1e-12  # of sums and products of floats


@pytest.mark.parametrize(
    ("idle_j", "share"),
    [
        (0.0, 1.0),
        (250.0, 0.75),
        (949.0, 0.051),  # just above the floor of a twentieth
        (951.0, 0.05),  # just below it
        (5000.0, 0.05),
    ],
)
def test_a_prediction_keeps_a_twentieth(idle_j: float, share: float) -> None:
    """1000 J gross, less the idle power's part."""
    gross, idle = np.array([1000.0]), np.array([idle_j])
    assert dynamic_share(gross, idle)[0] == pytest.approx(share, rel=ROUNDED)
    assert dynamic_j(gross, idle)[0] == pytest.approx(1000 * share, rel=ROUNDED)


def test_the_floor() -> None:
    assert LEAST_DYNAMIC_SHARE == 0.05


@pytest.mark.parametrize(("idle_j", "left_j"), [(0.0, 1000.0), (400.0, 600.0), (999.0, 1.0)])
def test_a_measurement_has_no_floor(idle_j: float, left_j: float) -> None:
    assert measured_dynamic_j(1000.0, idle_j) == pytest.approx(left_j, rel=ROUNDED)


@pytest.mark.parametrize("idle_j", [1000.0, 1001.0])
def test_a_measurement_at_or_below_idle_is_none(idle_j: float) -> None:
    assert np.isnan(measured_dynamic_j(1000.0, idle_j))


@pytest.mark.parametrize(("idle_w", "energy_j"), [(60.0, 70.0), (189.9, 5.05), (190.1, 5.0), (400.0, 5.0)])
def test_a_prediction_s_dynamic_energy_is_of_one_image(idle_w: float, energy_j: float) -> None:
    """100 J an image, batches of 4 in 2 s: a watt idle is half a joule of it; parts keep their shares."""
    one = np.array([1.0])
    parts = {"a": 80 * one, "b": 20 * one}
    gross = Prediction(100 * one, 2 * one, 0.3 * one, 0.2 * one, idle_w * one, parts, 0 * one)
    found = gross.dynamic(np.array([4]))
    assert found.energy_j[0] == pytest.approx(energy_j, rel=1e-9)
    assert found.component_energy_j["a"][0] == pytest.approx(0.8 * energy_j, rel=1e-9)
    assert (found.duration_s[0], found.log_half_width[0]) == (2.0, 0.3)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_known_boundaries(boundary: str) -> None:
    assert check_boundary(boundary) == boundary


@pytest.mark.parametrize("boundary", ["net", "Gross", None, 3])
def test_unknown_boundaries(boundary: object) -> None:
    with pytest.raises(UnknownNameError, match="unknown boundary"):
        check_boundary(boundary)
