"""Units in the names of columns: read right, or asked for, never guessed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from joulecast.errors import InputError
from joulecast.footprint.grid.headers import is_intensity, unit_of
from joulecast.footprint.grid.yearly import given_intensity, grid_intensity


@pytest.mark.parametrize(
    ("name", "unit_g_per_kwh"),
    [
        ("intensity", 1.0),
        ("carbon intensity of Albstadt", 1.0),
        ("WattTime moer", 1.0),
        ("tw_intensity", 1.0),
        ("ci_w", 1.0),
        ("gCO2eq/kWh", 1.0),
        ("gCO2perkWh", 1.0),
        ("g CO2-eq. per kilowatt-hour", 1.0),
        ("lbsCO2/MW-h", 0.45359237),
        ("CO2 lbs per MWhr", 0.45359237),
        ("kgCO2/kW·h", 1000.0),
        ("kgs of CO2 per kW hour", 1000.0),
        ("kgCO2_per_kilowatthour", 1000.0),
        ("[tCO2/MW h]", 1000.0),
        ("tonnes CO2 / gigawatt hours", 1.0),
        ("kg/GJ", 3.6),
    ],
)
def test_units_that_are_understood(name: str, unit_g_per_kwh: float) -> None:
    assert unit_of(name) == pytest.approx(unit_g_per_kwh, rel=1e-12)
    assert is_intensity(name)


@pytest.mark.parametrize(
    "name",
    [
        "intensityLbsCO2", "intensity unit GW", "GW", "kgco2", "MtCO2e", "kgs", "gCO2/W", "g/h", "CO2/GWh",
        "intensity per W", "ci/TW", "ci per watt", "ci_w_h", "intensity watt-hour", "ci_gw",
        "intensity_gwh", "intensitykgmwh", "lbsco2", "kilos",
    ],
)  # fmt: skip
def test_units_that_are_not_understood_are_asked_for(name: str) -> None:
    with pytest.raises(InputError, match=r"the unit of .* is not known; name it with one of g, kg"):
        unit_of(name)


def test_a_given_intensity_is_a_number_and_its_unit_and_nothing_else() -> None:
    assert given_intensity("0.3:0.4 kg CO2e/kWh").intensity.amount.high == pytest.approx(400)
    assert given_intensity("35 g/MJ").intensity.amount.value == pytest.approx(126)
    for text in ("0.35 kg/kWh or so", "350 about g/kWh", "350 g/kWh 2022"):
        with pytest.raises(InputError, match=r"the unit of .* is not known"):
            given_intensity(text)


def test_a_yearly_figure_that_no_grid_has_is_told() -> None:
    assert (
        "the intensity of Central African Republic is 0 g/kWh, outside what grids have (5 to 2,000)"
    ) in grid_intensity("CF").warnings
    assert not any("outside what" in words for words in grid_intensity("LS").warnings)


def test_yearly_figures_need_no_names_of_columns() -> None:
    words = (
        "import sys; from joulecast.cli.parser import main; "
        "main(['estimate', 'sdxl', '--gpu', 'H100', '--region', 'FR']); "
        "main(['estimate', 'sdxl', '--gpu', 'H100', '--intensity', '300']); "
        "assert 'joulecast.footprint.grid.headers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", words], check=True)
