"""The paths that the page asks: its own questions, beside the API's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from joulecast.errors import check_extras
from joulecast.web import page, page_choices, page_compare, page_plan
from joulecast.web.asking import Body, Defaults, checked
from joulecast.web.plans import Planned, Plans
from joulecast.web.safety import body_of, decoded

JSON: Final = "application/json"
ZIP: Final = "application/zip"


class _Setting(msgspec.Struct):
    """A setting and its place, by their keys; `profile` is the text of a profile file in place of a model."""

    setting: Body
    profile: str | None = None


class _Change(msgspec.Struct):
    """A setting, and what of it changes."""

    setting: Body
    change: Body


class _Demand(msgspec.Struct):
    """The text of a demand file."""

    demand: str


_SETTING: Final = msgspec.json.Decoder(_Setting)
_CHANGE: Final = msgspec.json.Decoder(_Change)
_DEMAND: Final = msgspec.json.Decoder(_Demand)
Found = Callable[[], object]
Beside = Callable[[Found], Awaitable[Any]]


def routes(defaults: Defaults, beside: Beside, plans: Plans) -> Mount:
    """The paths, whose settings take these defaults where they name no GPU or engine.

    `beside` runs what takes long, and `plans` has what is solved.
    """

    def one(find: Callable[[Mapping[str, object]], object]) -> Callable[[bytes], Found]:
        def asked(body: bytes) -> Found:
            asked = decoded(body, _SETTING)
            given, text = defaults.fill(checked(asked.setting)), asked.profile
            return lambda: find(given if text is None else {**given, "model": page.dropped(text)})

        return asked

    def change(body: bytes) -> Found:
        asked = decoded(body, _CHANGE)
        given, changes = defaults.fill(checked(asked.setting)), checked(asked.change)
        return lambda: page_compare.compared(given, changes)

    async def demand(request: Request) -> tuple[str, Planned]:
        text = decoded(await body_of(request), _DEMAND).demand
        return text, await plans.of(text, lambda: page_plan.of_text(text))

    async def plan(request: Request) -> Response:
        _, found = await demand(request)
        return _json(await beside(lambda: page_plan.told(found)))

    async def zipped(request: Request) -> Response:
        check_extras("the report of a plan", "plan", "plot")
        text, found = await demand(request)
        named = {"content-disposition": 'attachment; filename="plan.zip"'}
        return Response(await beside(lambda: page_plan.report(text, found)), media_type=ZIP, headers=named)

    async def choices(request: Request) -> Response:
        return _json(page_choices.choices(defaults))

    return Mount(
        "/page",
        routes=[
            Route("/choices", choices, methods=["GET"]),
            Route("/explore", _posted(one(page.explored), run_in_threadpool), methods=["POST"]),
            Route("/elsewhere", _posted(one(page.elsewhere), run_in_threadpool), methods=["POST"]),
            Route("/compare", _posted(change, run_in_threadpool), methods=["POST"]),
            Route("/plan", plan, methods=["POST"]),
            Route("/plan.zip", zipped, methods=["POST"]),
        ],
    )


def _posted(asked: Callable[[bytes], Found], run: Beside) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _json(await run(asked(await body_of(request))))

    return endpoint


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type=JSON)
