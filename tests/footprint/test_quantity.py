"""Units cannot be mixed up: tests that try."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from joulecast.errors import InputError
from joulecast.footprint import formulas
from joulecast.footprint.quantity import Quantity, quantity
from joulecast.uncertainty import Interval


def test_units_multiply_and_cancel() -> None:
    assert (quantity(2, "kWh") * quantity(3, "g/kWh")) == quantity(6, "g")
    assert (quantity(6, "g") / quantity(3, "image")).unit == "g/image"
    assert (quantity(6, "kWh") / quantity(3, "kWh")).unit == "1"
    assert (quantity(1, "EUR/kWh") * quantity(2, "kWh")) == quantity(2, "EUR")
    assert 1 + quantity(2) == quantity(3)
    assert (2 * quantity(2, "g")) == quantity(4, "g")
    assert (1 / quantity(4, "h")) == quantity(0.25, "1/h")


def test_conversions() -> None:
    assert quantity(3.6e6, "J").to("kWh") == quantity(1, "kWh")
    assert quantity(1, "kWh").to("J") == quantity(3.6e6, "J")
    assert quantity(2, "kg").to("g") == quantity(2000, "g")
    assert quantity(1, "year").to("h") == quantity(8760, "h")
    assert quantity(7200, "s").to("h") == quantity(2, "h")


@pytest.mark.parametrize(
    ("left", "right"), [("g", "L"), ("kWh", "J"), ("g", "kg"), ("EUR", "USD"), ("g/kWh", "g"), ("1", "g")]
)
def test_unlike_units_do_not_add(left: str, right: str) -> None:
    with pytest.raises(InputError, match="cannot add"):
        _ = quantity(1, left) + quantity(1, right)


@pytest.mark.parametrize(
    ("left", "right"), [("g", "L"), ("kWh", "kg"), ("EUR", "USD"), ("h", "GPU-h"), ("s", "J")]
)
def test_unlike_kinds_do_not_convert(left: str, right: str) -> None:
    with pytest.raises(InputError, match="another kind"):
        quantity(1, left).to(right)


@pytest.mark.parametrize("unit", ["Wh", "grams", "", "g//kWh", "eur", 3])
def test_unknown_units_are_named(unit: str) -> None:
    with pytest.raises(InputError, match="unknown unit"):
        Quantity(Interval.exact(1), unit)


KWH, J, G, ONE = quantity(1, "kWh"), quantity(1, "J"), quantity(1, "g"), quantity(1)


@pytest.mark.parametrize(
    "mixed_up",
    [
        lambda: formulas.gpu_energy(KWH, quantity(1, "image")),
        lambda: formulas.gpu_energy(quantity(1, "J/image"), ONE),
        lambda: formulas.node_energy(J, ONE),
        lambda: formulas.node_energy(KWH, KWH),
        lambda: formulas.facility_energy(G, ONE),
        lambda: formulas.operational_carbon(KWH, quantity(1, "kg/kWh")),
        lambda: formulas.operational_carbon(KWH, quantity(1, "L/kWh")),
        lambda: formulas.operational_carbon(J, quantity(1, "g/kWh")),
        lambda: formulas.water(KWH, quantity(1, "g/kWh")),
        lambda: formulas.embodied_carbon_per_gpu(G, quantity(1, "kg")),
        lambda: formulas.amortised_embodied_carbon(quantity(1, "h"), G, quantity(1, "year"), ONE),
        lambda: formulas.amortised_embodied_carbon(quantity(1, "GPU-h"), G, quantity(1, "h"), ONE),
        lambda: formulas.software_carbon_intensity(G, KWH, quantity(1, "image")),
        lambda: formulas.electricity_cost(J, quantity(1, "EUR/kWh")),
        lambda: formulas.electricity_cost(KWH, quantity(1, "EUR/GPU-h")),
        lambda: formulas.electricity_cost(KWH, quantity(1, "g/kWh")),
        lambda: formulas.electricity_cost(KWH, quantity(1, "EUR")),
        lambda: formulas.gpu_time_cost(quantity(1, "h"), quantity(1, "EUR/GPU-h")),
        lambda: formulas.gpu_time_cost(quantity(1, "GPU-h"), quantity(1, "EUR/kWh")),
        lambda: formulas.software_carbon_intensity(G, G, ONE),
    ],
)
def test_every_formula_refuses_the_wrong_unit(mixed_up: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        mixed_up()
