"""Why two periods of a service differ: its volume, its mix of models, where and how they ran, their settings.

The difference of a sum of products is split among the factors by their logarithmic means (the additive LMDI
of Ang, Energy Policy 32, 2004): the parts add up to the difference exactly, whatever the order. Of energy,

    E = outputs x share of a model x share of a GPU and runtime within it x energy of one output,

so that the last is what settings (sizes, steps, batches) did; of carbon, times carbon per energy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import polars as pl

from joulecast.errors import InputError
from joulecast.ledger.accounting import ENERGY_J, OUTPUTS
from joulecast.ledger.partition import GPU, MODEL, RUNTIME
from joulecast.records import Record

VOLUME, MIX, PLACE, SETTINGS, GRID = "volume", "models", "GPUs and runtimes", "settings", "grid and overheads"
CARBON_G: Final = "carbon_g"
ABSENT: Final = 1e-30  # in place of zero: what is absent or emits nothing; the limit is the same


class Difference(Record):
    """A quantity of two periods, and what each factor did to it; `parts` add up to the difference.

    `unit` is that of all numbers.
    """

    quantity: str
    unit: str
    before: float
    after: float
    parts: Mapping[str, float]


def differences(before: pl.DataFrame, after: pl.DataFrame) -> list[Difference]:
    """The differences of energy and, where both have it, of carbon. Raises InputError for an empty ledger."""
    for name, cells in (("first", before), ("second", after)):
        if not cells.height or not float(cells[OUTPUTS].sum()):
            raise InputError(f"the {name} ledger holds no request that could be reckoned with")
    found = [_difference(before, after, "GPU energy", "J", None)]
    if all(CARBON_G in cells.columns and not cells[CARBON_G].null_count() for cells in (before, after)):
        found.append(_difference(before, after, "carbon", "g CO2e", CARBON_G))
    return found


def _difference(
    before: pl.DataFrame, after: pl.DataFrame, quantity: str, unit: str, carbon: str | None
) -> Difference:
    one, other = _factors(before, carbon), _factors(after, carbon)
    parts = dict.fromkeys((VOLUME, MIX, PLACE, SETTINGS, *([GRID] if carbon else [])), 0.0)
    for key in sorted(one.keys() | other.keys()):
        a, b = _filled(one, other, key), _filled(other, one, key)
        weight = _logarithmic_mean(math.prod(a), math.prod(b))
        for name, x, y in zip(parts, a, b, strict=True):
            parts[name] += weight * math.log(y / x)
    column = carbon or ENERGY_J
    return Difference(quantity, unit, float(before[column].sum()), float(after[column].sum()), parts)


Key = tuple[str, str, str]


def _factors(cells: pl.DataFrame, carbon: str | None) -> dict[Key, list[float]]:
    """Of each model, GPU and runtime, the factors whose product is its energy or carbon."""
    sums = cells.group_by(MODEL, GPU, RUNTIME).agg(
        pl.col(OUTPUTS).sum(), pl.col(ENERGY_J).sum(), *([pl.col(carbon).sum()] if carbon else [])
    )
    whole = float(sums[OUTPUTS].sum())
    of_model = dict(sums.group_by(MODEL).agg(pl.col(OUTPUTS).sum()).iter_rows())
    found = {}
    for row in sums.iter_rows(named=True):
        made, mine = row[OUTPUTS], of_model[row[MODEL]]
        factors = [whole, mine / whole, made / mine, row[ENERGY_J] / made]
        found[row[MODEL], row[GPU], row[RUNTIME]] = [
            *factors,
            *([max(row[carbon] / row[ENERGY_J], ABSENT)] if carbon else []),
        ]
    return found


def _filled(own: Mapping[Key, list[float]], other: Mapping[Key, list[float]], key: Key) -> list[float]:
    """The factors of a key; of one that is absent, those of the other period with a share of nothing.

    A model that is absent has no share; one that ran elsewhere has its own share and none of that place.
    """
    if key in own:
        return own[key]
    whole = next(iter(own.values()))[0]
    share = next((factors[1] for (model, *_), factors in own.items() if model == key[0]), None)
    absent = [ABSENT, other[key][2]] if share is None else [share, ABSENT]
    return [whole, *absent, *other[key][3:]]


def _logarithmic_mean(a: float, b: float) -> float:
    if math.isclose(a, b, rel_tol=1e-12):
        return a
    return (b - a) / math.log(b / a)
