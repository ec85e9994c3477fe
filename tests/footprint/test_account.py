"""Footprints: hand-worked cases, an explanation that can be redone, ranges that hold, bad input named."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast import estimate
from joulecast.errors import InputError, UnknownNameError
from joulecast.footprint.account import Footprint, Site, footprint_of, footprint_of_energy, site
from joulecast.footprint.factors import packaged
from joulecast.footprint.grid.places import find_region, regions
from joulecast.footprint.grid.reading import hourly_series
from joulecast.footprint.grid.yearly import grid_intensity, newest_year
from joulecast.uncertainty import Interval

# A GPU draws 3.6 MJ = 1 kWh in an hour for one image: every number below is worked by hand.
ONE_KWH_J, ONE_HOUR_S = 3.6e6, 3600.0


def exact_site(**changed: Any) -> Site:
    known = {
        "intensity": 500, "host_overhead": 0.25, "pue": 1.2, "wue": 2, "life_years": 5, "utilisation": 0.5
    }  # fmt: skip
    return site(**{**known, **changed})


def test_a_hand_worked_case() -> None:
    answer = footprint_of_energy(
        ONE_KWH_J, ONE_HOUR_S, exact_site(price_per_kwh=0.2, currency="EUR"), images=4
    )
    assert answer.gpu_energy.amount == Interval.exact(4)
    assert answer.node_energy.amount == Interval.exact(5)
    assert answer.facility_energy.amount == Interval.exact(6)
    assert answer.operational_carbon.amount == Interval.exact(3000)
    assert answer.water.amount == Interval.exact(10)
    assert str(answer.money) == "1.2 EUR"
    # any GPU: 150 + 375 kg over 5 years * 8760 h * 0.5, 4 hours of it
    assert answer.embodied_carbon.amount.value == 4 * 525_000 / (5 * 8760 * 0.5)
    assert answer.embodied_carbon.amount.low == 4 * 208_000 / (5 * 8760 * 0.5)
    assert answer.embodied_carbon.amount.high == 4 * 1_173_500 / (5 * 8760 * 0.5)
    assert answer.sci.amount.value == (3000 + answer.embodied_carbon.amount.value) / 4
    assert (answer.sci.unit, answer.carbon.unit) == ("g/image", "g")


def test_transmission_is_left_out_unless_given() -> None:
    without = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site())
    with_loss = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site(transmission_loss=0.2))
    assert without.operational_carbon.amount.value == 750
    assert with_loss.operational_carbon.amount.value == pytest.approx(750 / 0.8, rel=1e-15)
    assert with_loss.facility_energy == without.facility_energy


def test_rented_gpus_cost_by_the_hour() -> None:
    answer = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site(price_per_gpu_hour=2.5), images=3)
    assert str(answer.money) == "7.5 USD"


def redone(answer: Footprint) -> int:
    """Redo every printed line by hand; the number of lines."""
    count, results = 0, {}
    for line in answer.explain().splitlines():
        head = re.match(r"(\w+) \[", line)
        if head:
            name = head[1]
            expression = line.partition(" = ")[2]
        numbers = re.match(r"    (value|low|high) +(.+) = (\S+)$", line)
        if numbers:
            assert eval(numbers[2]) == float(numbers[3]), line
            results[name, numbers[1]] = float(numbers[3])
            for used in re.findall(r"[a-z_]\w*", expression):  # what came from above is that number
                if (used, numbers[1]) in results:
                    assert repr(results[used, numbers[1]]) in numbers[2]
            count += 1
    assert results["carbon_g", "value"] == answer.carbon.amount.value
    assert results["sci", "value"] == answer.sci.amount.value
    return count


def test_the_explanation_can_be_redone_by_hand() -> None:
    guess = estimate("flux.1-dev", "H100")
    at = site("FR", pue="1.1:1.3", price_per_kwh=0.1, transmission_loss=0.06)
    answer = footprint_of(guess, at, 1_000_000)
    assert redone(answer) > 20
    assert answer.to_dict()["carbon_g"]["value"] == answer.carbon.amount.value


POSITIVE = st.floats(0.01, 1e7)


@given(
    energy=POSITIVE,
    seconds=POSITIVE,
    spread=st.floats(1, 3),
    images=st.integers(1, 10**9),
    share=st.floats(0, 1),
)
def test_ranges_are_carried_and_hold(
    energy: float, seconds: float, spread: float, images: int, share: float
) -> None:
    wide = Interval(energy / spread, energy, energy * spread)
    inside = min(max(wide.low + share * (wide.high - wide.low), wide.low), wide.high)
    all_of, one = (footprint_of_energy(e, seconds, site("PL"), images=images) for e in (wide, inside))
    for name in ("carbon", "operational_carbon", "water", "facility_energy", "sci"):
        whole, part = getattr(all_of, name).amount, getattr(one, name).amount
        assert whole.low <= part.low <= part.high <= whole.high
    redone(all_of)


def test_an_unknown_error_stays_unknown() -> None:
    answer = footprint_of_energy(Interval(1, 2, math.inf), 1.0, site("FR"))
    assert answer.carbon.amount.high == math.inf
    assert answer.to_dict()["carbon_g"]["high"] is None


# --- accounting ----------------------------------------------------------------------------------


def test_ways_of_accounting_never_mix() -> None:
    grid = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site())
    bought = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site(intensity=20, accounting="market-based"))
    assert (grid + grid).carbon.amount.value == 2 * grid.carbon.amount.value
    with pytest.raises(InputError, match="location-based footprint and a market-based one"):
        _ = grid + bought
    with pytest.raises(InputError, match="location-based; give the marginal"):
        site("FR", accounting="marginal")
    with pytest.raises(UnknownNameError, match="marginal"):
        site("FR", intensity=3, accounting="margnal")


def test_combustion_and_life_cycles_together_are_said() -> None:
    year, hours = (footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, site(intensity=grid))
                   for grid in (grid_intensity("US"), hourly_series("CISO").average()))  # fmt: skip
    both = year + hours
    assert both.grid.boundary == "mixed"
    assert "do not compare or add the two" in both.warnings[-1]
    assert "do not compare or add" not in " ".join((year + year).warnings + (hours + hours).warnings)


def test_a_gpu_by_an_alias_has_its_own_embodied_carbon() -> None:
    for name in ("H200-SXM-141GB", "h200", "H200 SXM"):
        answer = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site(), gpu=name)
        assert answer.factors()["embodied_gpu"][0].amount == Interval(164, 364, 364)


@pytest.mark.parametrize(
    ("gpu", "low", "high"),
    [
        ("L4", 33, 113),
        ("RTX A6000", 73, 219),
        ("RTX 3090", 73, 219),
        ("A100", 111, 181),
        ("H100", 164, 273),
        ("B200", 275, 461),
    ],
)
def test_embodied_carbon_is_of_the_chip(gpu: str, low: float, high: float) -> None:
    answer = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site(), gpu=gpu)
    amount = answer.factors()["embodied_gpu"][0].amount
    assert (amount.low, amount.high, answer.warnings) == (low, high, ())


@pytest.mark.parametrize("gpu", ["RTX 5090", "RTX A4000", "T4", "RTX 4090", "MI300X"])
def test_what_nobody_published_is_any_gpu_s_and_says_so(gpu: str) -> None:
    answer = footprint_of_energy(ONE_KWH_J, ONE_HOUR_S, exact_site(), gpu=gpu)
    assert answer.factors()["embodied_gpu"][0].amount == Interval(33, 150, 461)
    assert answer.warnings == (
        f"nobody has published the embodied carbon of {gpu}: any GPU's was taken, 33 to 461 kg",
    )


@pytest.mark.parametrize(
    ("energy_j", "duration_s", "words"),
    [
        (0.00048, 3.5, "0.137 mW, which no GPU draws (3 to 3,000 W); as kWh it would be 493.7 W"),
        (0.48, 3.5, "137 mW, which no GPU draws (3 to 3,000 W); as Wh it would be 493.7 W"),
        (1.728e6, 3.5, "which no GPU draws (3 to 3,000 W); as mJ it would be 493.7 W"),
        (1.7, 3.5, "486 mW, which no GPU draws (3 to 3,000 W); as Wh it would be 1,749 W"),
        (1e12, 1.0, "1e+12 W, which no GPU draws (3 to 3,000 W)"),
        (2.99, 1.0, "no GPU draws"),
        (3000.1, 1.0, "no GPU draws"),
    ],
)
def test_a_power_that_no_gpu_draws_is_told(energy_j: float, duration_s: float, words: str) -> None:
    assert words in footprint_of_energy(energy_j, duration_s, exact_site()).warnings[-1]


@pytest.mark.parametrize(
    ("power_w", "unit"),
    [(3034, ""), (9_990, ""), (10_010, "mJ"), (0.00277, ""), (0.00279, "Wh"), (0.9, "kJ")],
)
def test_a_unit_is_meant_where_a_gpu_at_work_draws_what_it_gives(power_w: float, unit: str) -> None:
    """Ten watts at least: 3,034 W are no slip of millijoules."""
    told = footprint_of_energy(power_w, 1.0, exact_site()).warnings[-1]
    assert (f"; as {unit} it would be" in told) if unit else ("; as" not in told)


@pytest.mark.parametrize("power_w", [3.0, 70.0, 1400.0, 3000.0])
def test_powers_of_gpus_are_not(power_w: float) -> None:
    assert footprint_of_energy(power_w, 1.0, exact_site()).warnings == ()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (0.432, "0.432 g/kWh, outside what grids have (5 to 2,000); in kg/kWh it would be 432 g/kWh"),
        (4.99, "outside what grids have"),
        (2000.1, "outside what grids have"),
        (0, "0 g/kWh, outside what grids have"),
        ("0.3:0.5", "in kg/kWh it would be"),
    ],
)
def test_an_intensity_that_no_grid_has_is_told(given: Any, words: str) -> None:
    assert words in site(intensity=given).grid.warnings[-1]


@pytest.mark.parametrize(
    ("given", "g_per_kwh"),
    [
        ("432", 432),
        ("432 g/kWh", 432),
        ("0.432 kg/kWh", 432),
        ("0.432 tCO2e/MWh", 432),
        ("4.32e2gCO2/kWh", 432),
        ("1000 lb/MWh", 453.59237),
    ],
)
def test_an_intensity_may_say_its_unit(given: str, g_per_kwh: float) -> None:
    assert site(intensity=given).grid.intensity.amount.value == pytest.approx(g_per_kwh, rel=1e-12)


def test_ranges_with_a_unit_and_units_that_are_none() -> None:
    assert site(intensity="0.4:0.5 kg/kWh").grid.intensity.amount.high == 500
    with pytest.raises(InputError, match="the unit of 'stone/kWh' is not known"):
        site(intensity="3 stone/kWh")
    for given_text in ("432 kg", "432 bananas", "432 g", "much", "432 kWh", "1e3x"):
        with pytest.raises(InputError):
            site(intensity=given_text)


def test_intensities_that_may_be_are_not() -> None:
    for intensity in (5, 20.8, 1306.3, 2000):
        assert site(intensity=intensity).grid.warnings == ()
    assert site(intensity=0, accounting="market-based").grid.warnings == ()  # a contract may say so


def test_dynamic_energy_is_refused() -> None:
    with pytest.raises(InputError, match="gross"):
        footprint_of(estimate("sd1.5", "A100", boundary="dynamic"), site("FR"))


# --- regions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["FR", "fra", "France", " france "])
def test_regions_answer_to_codes_and_names(name: str) -> None:
    assert grid_intensity(name).intensity.amount.value == 44.18
    assert grid_intensity(name).year == 2024


@pytest.mark.parametrize(
    ("alias", "name"),
    [("UK", "United Kingdom"), ("World", "World"), ("EU", "EU"), ("Turkey", "Türkiye"),
     ("Vietnam", "Viet Nam"),
     ("US", "United States"), ("usa", "United States"), ("Czech Republic", "Czechia")],
)  # fmt: skip
def test_aliases(alias: str, name: str) -> None:
    assert find_region(alias).name == name


def test_no_two_regions_answer_to_one_name() -> None:
    from joulecast.errors import fold

    owner: dict[str, str] = {}
    for row in regions():
        for name in {fold(n) for n in (row.name, row.alpha2, row.alpha3, *row.aliases) if n}:
            assert owner.setdefault(name, row.name) == row.name
        assert len(row.alpha2) in (0, 2)
        assert (row.kind == "aggregate") == (row.alpha3 == "")
        assert "Ember" in row.source
        assert 2015 < row.year <= newest_year()
    assert len(regions()) == 222


def test_unknown_regions_come_with_near_matches() -> None:
    with pytest.raises(UnknownNameError, match="Germany"):
        grid_intensity("Germny")
    with pytest.raises(UnknownNameError, match="unknown region"):
        grid_intensity("")


def test_missing_years_stale_years_and_averages_are_said() -> None:
    with pytest.raises(InputError, match="the packaged table has 2024"):
        grid_intensity("France", 2019)
    assert "of 2022, 2 years older" in grid_intensity("Reunion").warnings[0]
    assert "average over many grids" in grid_intensity("World").warnings[0]
    assert "rounded" in grid_intensity("CAF").warnings[-1]
    assert grid_intensity("FR", 2024).warnings == ()


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pue": 0.9}, "PUE"),
        ({"pue": -1}, "PUE"),
        ({"pue": 12}, "PUE"),
        ({"pue": "1.4:1.1"}, "rise"),
        ({"pue": "much"}, "PUE"),
        ({"wue": -0.1}, "WUE"),
        ({"utilisation": 0}, "utilisation"),
        ({"utilisation": 1.5}, "utilisation"),
        ({"life_years": 0}, "life"),
        ({"intensity": -5}, "grid intensity"),
        ({"intensity": 50_000}, "grid intensity"),
        ({"host_overhead": math.nan}, "number"),
        ({"transmission_loss": 1}, "transmission loss"),
        ({"price_per_kwh": 1, "price_per_gpu_hour": 1}, "not both"),
        ({"price_per_kwh": 1, "currency": "euro"}, "three capital letters"),
    ],
)
def test_bad_values_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        exact_site(**given)


@pytest.mark.parametrize("images", [0, -1, 1.5, math.nan, math.inf, "3", True, 10**16])
def test_bad_counts_are_named(images: Any) -> None:
    with pytest.raises(InputError, match="images must be a whole number"):
        footprint_of_energy(1.0, 1.0, exact_site(), images=images)


@pytest.mark.parametrize("energy", [0.0, -1.0, math.inf])
def test_energies_must_be_positive(energy: float) -> None:
    with pytest.raises(InputError):
        footprint_of_energy(energy, 1.0, exact_site())


def test_a_site_needs_a_grid() -> None:
    with pytest.raises(InputError, match="needs a region"):
        site()


def test_packaged_factors_state_range_and_source() -> None:
    for row in packaged().values():
        amount = row.quantity.amount
        assert amount.low < amount.value < amount.high
        assert len(row.source) > 10


def test_a_gpu_of_ones_own_has_the_embodied_carbon_of_any(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "Mine"\ntdp_w = 300\nmemory_gb = 80\nbandwidth_gb_per_s = 2000\nfp16_tflops = 300\n'
    )
    guess = estimate("sdxl", str(path), precision="fp16")
    answer = footprint_of(guess, exact_site())
    assert answer.factors()["embodied_gpu"][0].amount == Interval(33, 150, 461)
    assert "nobody has published the embodied carbon of Mine" in answer.warnings[-1]
    assert answer.gpu_energy.amount.value == pytest.approx(guess.energy_j / ONE_KWH_J)
