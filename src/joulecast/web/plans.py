"""Plans of requests: solved one at a time, and the last few kept for who asks for one again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException

from joulecast.errors import check_extras
from joulecast.plan.demand import Demand, demand_of
from joulecast.plan.solve import Plan, solve

PLAN_SECONDS: Final = 20.0  # of solving
PATIENCE_S: Final = 1.0  # of a request, while another's plan is solved
KEPT_PLANS: Final = 4


class Planned(NamedTuple):
    """A demand and its plan."""

    demand: Demand
    plan: Plan


class Plans:
    """The plans of one server."""

    def __init__(self) -> None:
        self._solving = asyncio.Lock()
        self._thread = CapacityLimiter(1)
        self._kept: dict[Hashable, Planned] = {}  # by question, the oldest first

    async def of(self, question: Hashable, solved: Callable[[], Planned]) -> Planned:
        """The plan of a question, which `solved` answers.

        Raises HTTPException where another is being solved and does not end soon, and what `solved` raises.
        """
        if (known := self._kept.get(question)) is not None:
            return known
        await self._turn()
        try:
            if question not in self._kept:  # else it was the one that was waited for
                self._keep(question, await to_thread.run_sync(solved, limiter=self._thread))
            return self._kept[question]
        finally:
            self._solving.release()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._solving.acquire()
        except TimeoutError:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"another plan is being solved: ask again in {PLAN_SECONDS:.0f} seconds",
                headers={"retry-after": f"{PLAN_SECONDS:.0f}"},
            ) from None

    def _keep(self, question: Hashable, planned: Planned) -> None:
        while len(self._kept) >= KEPT_PLANS:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = planned


def planned(content: Mapping[str, object], seconds: float = PLAN_SECONDS) -> Planned:
    """The plan of a demand, whose keys are those of a plan file, solved in at most so many seconds [s].

    Raises InputError, UnknownNameError, InfeasiblePlanError and MissingExtraError.
    """
    check_extras("solving a plan", "plan")
    demand = demand_of(content)
    return Planned(demand, solve(demand.problem, time_limit_s=seconds, warnings=demand.warnings))
