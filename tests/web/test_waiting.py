"""What waits for what: plans are solved one at a time, and nothing that is quick waits for what is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from joulecast.plan.milp import Program
from joulecast.plan.whatif import what_if
from joulecast.web import plans
from joulecast.web.app import create_app
from joulecast.web.asking import Defaults

DEMAND: dict[str, Any] = {
    "services": [{"images_per_day": 10_000, "configurations": [{"model": "sdxl", "steps": 20}]}],
    "gpus": [{"name": "L4"}],
    "regions": [{"name": "FR"}],
}
TEXT = """
[[services]]
images_per_day = 10_000
configurations = [{ model = "sdxl", steps = 20 }]
[[gpus]]
name = "L4"
[[regions]]
name = "FR"
"""
LISTS = ("models", "gpus", "runtimes", "regions", "laws", "runs")


class Gate:
    """Work that waits until it is let go on, and is counted."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work, self.begun, self.may_go_on = work, 0, threading.Event()

    def method(self) -> Callable[..., Any]:
        """The work, as a method."""

        def passed(*given: Any, **named: Any) -> Any:
            self.begun += 1
            assert self.may_go_on.wait(30)
            return self.work(*given, **named)

        return passed


@pytest.fixture
def solving(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The solver, which waits."""
    gate = Gate(Program.solve)
    monkeypatch.setattr(Program, "solve", gate.method())
    monkeypatch.setattr(plans, "PATIENCE_S", 0.1)
    return gate


def served(talk: Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    """Have a conversation with a server, whose requests go on beside each other."""

    async def talked() -> None:
        app = httpx.ASGITransport(create_app(Defaults(gpu="L4")))
        async with httpx.AsyncClient(transport=app, base_url="http://here") as client:
            await asyncio.wait_for(talk(client), 30)

    asyncio.run(talked())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_who_asks_for_a_plan_while_one_is_solved_is_told_when_to_come_again(solving: Gate) -> None:
    """By the API's door and the page's, which share what is solved at a time."""

    async def talk(client: httpx.AsyncClient) -> None:
        first = asyncio.create_task(client.post("/page/plan", json={"demand": TEXT}))
        await until(lambda: solving.begun == 1)
        for path, body in (
            ("/v1/plan", DEMAND),
            ("/page/plan", {"demand": TEXT + "# another"}),
            ("/page/plan.zip", {"demand": TEXT + "# another"}),
        ):
            refused = await client.post(path, json=body)
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert int(refused.headers["retry-after"]) == plans.PLAN_SECONDS
            assert refused.json()["detail"] == "another plan is being solved: ask again in 20 seconds"
        solving.may_go_on.set()
        assert (await first).status_code == 200
        assert (await client.post("/v1/plan", json=DEMAND)).status_code == 200

    served(talk)


def test_a_plan_that_ends_soon_is_waited_for(solving: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "PATIENCE_S", 20.0)

    async def talk(client: httpx.AsyncClient) -> None:
        both = [
            asyncio.create_task(client.post("/v1/plan", json={**DEMAND, "time_limit_s": s})) for s in (5, 6)
        ]
        await until(lambda: solving.begun == 1)
        solving.may_go_on.set()
        assert [(await one).status_code for one in both] == [200, 200]

    served(talk)


def test_a_plan_that_cannot_be_keeps_nobody_waiting(solving: Gate) -> None:
    solving.may_go_on.set()

    async def talk(client: httpx.AsyncClient) -> None:
        for _ in range(3):
            wrong = await client.post("/v1/plan", json={**DEMAND, "limits": {"carbon_kg": 1e-9}})
            assert wrong.status_code == 422
        assert (await client.post("/v1/plan", json=DEMAND)).status_code == 200

    served(talk)


def test_health_and_lists_wait_for_no_work(solving: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many plans and comparisons there are."""
    comparing = Gate(what_if)
    monkeypatch.setattr("joulecast.web.decisions.what_if", comparing.method())

    async def talk(client: httpx.AsyncClient) -> None:
        change = {"setting": {"model": "sdxl"}, "changes": [{"steps": 20}]}
        working = [
            *(
                asyncio.create_task(client.post("/page/plan", json={"demand": TEXT + "#" * i}))
                for i in range(8)
            ),
            *(asyncio.create_task(client.post("/v1/what-if", json=change)) for _ in range(8)),
        ]
        await until(lambda: solving.begun == 1 and comparing.begun == 2)
        for path in ("health", *LISTS, "health"):
            assert (await asyncio.wait_for(client.get(f"/v1/{path}"), 10)).status_code == 200
        assert (await client.post("/v1/estimate", json={"model": "sdxl"})).status_code == 200
        solving.may_go_on.set()
        comparing.may_go_on.set()
        for one in working:
            one.cancel()

    served(talk)


def test_a_plan_asked_for_again_is_not_solved_again(solving: Gate) -> None:
    """The last few are kept: the page's report is of the plan that it showed."""
    solving.may_go_on.set()

    async def talk(client: httpx.AsyncClient) -> None:
        assert (await client.post("/page/plan", json={"demand": TEXT})).status_code == 200
        once = solving.begun
        assert once > 0
        assert (await client.post("/page/plan.zip", json={"demand": TEXT})).status_code == 200
        assert (await client.post("/page/plan", json={"demand": TEXT})).status_code == 200
        assert solving.begun == once
        for i in range(plans.KEPT_PLANS):
            await client.post("/page/plan", json={"demand": TEXT + "#" * (i + 1)})
        solved = solving.begun
        await client.post("/page/plan", json={"demand": TEXT})
        assert solving.begun > solved

    served(talk)
