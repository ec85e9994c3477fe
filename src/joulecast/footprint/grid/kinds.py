"""The kinds of carbon intensities: what they count, and how they are accounted.

Three ways of accounting exist, and a footprint is of one of them: `location-based` (the mix of the
grid), `market-based` (what was contracted) and `marginal` (the plant that answers to one more kWh).
"""

from __future__ import annotations

from collections.abc import Iterable

from joulecast.errors import UnknownNameError

BOUNDARIES = ("life-cycle", "combustion", "as given")
LIFE_CYCLE, COMBUSTION, AS_GIVEN = BOUNDARIES
ACCOUNTING = ("location-based", "market-based", "marginal")
LOCATION_BASED, MARKET_BASED, MARGINAL = ACCOUNTING
MIXED = "some intensities count combustion alone, others whole life cycles: do not compare or add the two"


def are_mixed(boundaries: Iterable[str]) -> bool:
    """Whether intensities of these boundaries are no comparison."""
    return {COMBUSTION, LIFE_CYCLE} <= set(boundaries)


def check_accounting(name: str) -> str:
    """`name` if it is a way of accounting, else UnknownNameError."""
    if name not in ACCOUNTING:
        raise UnknownNameError("accounting", name, ACCOUNTING, f"known: {', '.join(ACCOUNTING)}")
    return name
