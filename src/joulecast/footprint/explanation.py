"""A sum written down so that it can be redone by hand: each step with its numbers and their sources.

Every step prints its numbers in full, and the printed expression gives exactly the printed result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from joulecast.footprint.factors import Factor
from joulecast.footprint.quantity import Quantity

ENDS = ("value", "low", "high")


@dataclass(frozen=True)
class Step:
    """One line of the sum: ``result = expression`` over `inputs`.

    The expression falls when one of `falling` rises: the low end takes those inputs' high ends.
    """

    result: str
    amount: Quantity
    expression: str
    inputs: Mapping[str, Quantity]
    falling: frozenset[str] = frozenset()
    sources: Mapping[str, str] = field(default_factory=dict)

    def at(self, end: str) -> str:
        """The expression with the numbers of one end: ``value``, ``low`` or ``high``."""
        other = {"low": "high", "high": "low"}.get(end, end)

        def number(match: re.Match[str]) -> str:
            name = match[0]
            return repr(getattr(self.inputs[name].amount, other if name in self.falling else end))

        return re.sub(r"[a-z_]\w*", number, self.expression)

    def lines(self) -> Iterator[str]:
        """The step as text."""
        yield f"{self.result} [{self.amount.unit}] = {self.expression}"
        is_exact = self.amount.amount.is_exact
        for end in ("value",) if is_exact else ENDS:
            yield f"    {end:5} {self.at(end)} = {getattr(self.amount.amount, end)!r}"
        for name, source in self.sources.items():
            yield f"    {name} [{self.inputs[name].unit}]: {source}"


class Ledger:
    """Steps in the order in which they were made."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._told: set[str] = set()

    def note(
        self,
        result: str,
        amount: Quantity,
        expression: str,
        inputs: Mapping[str, Quantity | Factor],
        falling: tuple[str, ...] = (),
    ) -> Quantity:
        """Write a step down and return its amount; a factor's source is told where it is first used."""
        sources = {}
        for name, given in inputs.items():
            if isinstance(given, Factor) and name not in self._told:
                self._told.add(name)
                sources[name] = given.source
        plain = {name: v.quantity if isinstance(v, Factor) else v for name, v in inputs.items()}
        self.steps.append(Step(result, amount, expression, plain, frozenset(falling), sources))
        return amount
