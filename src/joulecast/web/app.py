"""The application: which path is answered by what."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple, ParamSpec, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from joulecast.errors import InputError, JoulecastError
from joulecast.footprint.account import FootprintData
from joulecast.law.load import default_law
from joulecast.web import batches, decisions, evidence, listings, openai, schema
from joulecast.web.asking import HEADERS, Asked, Body, Defaults, answered, asked_of
from joulecast.web.batches import Batch, BatchAnswer
from joulecast.web.decisions import FootprintRequest, ParetoAnswer, ParetoRequest, WhatIfAnswer, WhatIfRequest
from joulecast.web.metrics import MEDIA_TYPE, Metrics
from joulecast.web.page_routes import routes as page_routes
from joulecast.web.plans import Plans
from joulecast.web.problems import of_library, of_request
from joulecast.web.records import EstimateAnswer
from joulecast.web.safety import Guard, body_of, decoded
from joulecast.web.schema import ESTIMATES, JSON, OPENAI, PLAN, Operation

STATIC: Final = Path(__file__).parent / "static"
FOR_ENGINES: Final = ("model", "gpu", "engine")  # what a header may say beside a body of theirs
MANY: Final = b'"requests"'  # in no setting
_ONE_OR_MANY: Final = msgspec.json.Decoder(Body | list[Body])
_BATCH: Final = msgspec.json.Decoder(Batch)
_OF_ENGINES: Final = msgspec.json.Decoder(openai.RawBody)

T = TypeVar("T")
P = ParamSpec("P")
Endpoint = Callable[[Request], Awaitable[Response]]
Query = Mapping[str, str]

_at_once: Final = CapacityLimiter(2)
_PLAN: Final = msgspec.json.Decoder(dict[str, object])
_NAMES: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_BODY: Final = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


def create_app(defaults: Defaults | None = None) -> Starlette:
    """The application, whose requests take these defaults where they name no GPU or engine."""
    service = Service(defaults or Defaults())
    return Starlette(
        routes=service.routes(),
        middleware=[Middleware(Guard, count=service.metrics.answered)],
        exception_handlers={
            JoulecastError: of_library,
            HTTPException: of_request,
        },
        lifespan=warmed,
    )


@asynccontextmanager
async def warmed(app: Starlette) -> AsyncIterator[None]:
    """Profiles, GPUs and the law are read before the first request comes."""
    await run_in_threadpool(listings.warm)
    gc.freeze()  # what lives as long as the server is not looked through again and again
    yield


async def beside(answer: Callable[P, T], *asked: P.args, **more: P.kwargs) -> T:
    """What takes longer than one estimate, beside those: a few at a time, the others wait."""
    return await to_thread.run_sync(partial(answer, *asked, **more), limiter=_at_once)


class Served(NamedTuple):
    """A path, as it is described and what answers it."""

    operation: Operation
    endpoint: Endpoint


class Service:
    """The endpoints of one server."""

    def __init__(self, defaults: Defaults) -> None:
        self.defaults = defaults
        self.plans = Plans()
        self.served = (*self._estimates(), *self._decisions(), *self._lists())  # the first is found first
        self.metrics = Metrics([one.operation.path for one in self.served], default_law())

    def routes(self) -> list[BaseRoute]:
        """Every path."""
        return [
            *(
                Route(one.operation.path, one.endpoint, methods=[one.operation.method.upper()])
                for one in self.served
            ),
            page_routes(self.defaults, beside, self.plans),
            Route("/", page, methods=["GET"]),
            *([Mount("/static", StaticFiles(directory=STATIC))] if STATIC.is_dir() else []),
        ]

    def _lists(self) -> tuple[Served, ...]:
        """What is asked with GET."""

        def get(
            path: str, summary: str, kind: object, find: Callable[[Query], object], *query: str
        ) -> Served:
            told = Operation("get", path, summary, kind, query=query, problems=_NAMES if query else ())
            return Served(told, _found(find))

        return (
            Served(
                Operation("get", "/v1/health", "Whether the service answers.", listings.Health), self.health
            ),
            get(
                "/v1/models",
                "The models of the catalogue.",
                listings.MODELS,
                lambda query: listings.models_of(query.get("task")),
                "task",
            ),
            get(
                "/v1/gpus",
                "The GPUs of the catalogue.",
                listings.GPUS,
                lambda query: listings.gpus_of(query.get("vendor")),
                "vendor",
            ),
            get("/v1/runtimes", "How models may be run.", listings.Runtimes, lambda _: listings.runtimes()),
            get("/v1/regions", "Grids and their intensity.", listings.Regions, lambda _: listings.regions()),
            get("/v1/laws", "Laws and their published errors.", listings.Laws, lambda _: listings.laws()),
            get(
                "/v1/runs",
                "Predicted against measured, for every packaged run.",
                evidence.Evidence,
                lambda query: evidence.evidence(query.get("law")),
                "law",
            ),
            Served(
                Operation("get", "/metrics", "What Prometheus reads.", media_type="text/plain"), self.measured
            ),
            get("/openapi.json", "This description.", dict[str, object], lambda _: self._described()),
        )

    def _estimates(self) -> tuple[Served, ...]:
        """What is estimated."""
        post = partial(Operation, "post", headers=tuple(HEADERS), problems=_BODY)
        one = post(
            "/v1/estimate",
            "Energy, time and memory of a setting, or of up to 10,000.",
            (EstimateAnswer, BatchAnswer),
            ESTIMATES,
        )
        of_engines = post(
            "/v1/estimate/openai",
            "The same for a body in OpenAI's shape, as gateways and engines hold it.",
            EstimateAnswer,
            OPENAI,
            query=FOR_ENGINES,
        )
        return Served(one, self.estimate), Served(of_engines, self.estimate_openai)

    def _decisions(self) -> tuple[Served, ...]:
        """What is decided with estimates."""
        post = partial(Operation, "post", problems=_BODY)
        footprint = post(
            "/v1/footprint", "Carbon, water and money of an energy.", FootprintData, FootprintRequest
        )
        changes = post(
            "/v1/what-if", "What changes do to a setting, and how surely.", WhatIfAnswer, WhatIfRequest
        )
        pareto = post("/v1/pareto", "The settings worth considering.", ParetoAnswer, ParetoRequest)
        plan = post(
            "/v1/plan",
            "Which configuration, GPU, region and hour makes each output of a demand.",
            dict[str, object],
            PLAN,
            problems=(*_BODY, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.SERVICE_UNAVAILABLE),
        )
        return (
            Served(footprint, _decoded(FootprintRequest, decisions.footprint)),
            Served(changes, _decoded(WhatIfRequest, partial(decisions.changes, defaults=self.defaults))),
            Served(pareto, _decoded(ParetoRequest, partial(decisions.pareto, defaults=self.defaults))),
            Served(plan, self.plan),
        )

    async def health(self, request: Request) -> Response:
        """That the service answers, at once: it waits for no thread."""
        return _json(listings.health(self.defaults))

    async def plan(self, request: Request) -> Response:
        """The plan of a demand."""
        body = await body_of(request)
        asked = decoded(body, _PLAN)
        found = await self.plans.of(body, lambda: decisions.plan(asked))
        return _json(await beside(found.plan.to_dict))

    def _described(self) -> bytes:
        return schema.document([one.operation for one in self.served])

    async def measured(self, request: Request) -> Response:
        """What Prometheus reads."""
        return Response(self.metrics.text(), media_type=MEDIA_TYPE)

    async def estimate(self, request: Request) -> Response:
        """One estimate, or many."""
        content = await body_of(request)
        if MANY in content:
            return await self._many(decoded(content, _BATCH))
        body = decoded(content, _ONE_OR_MANY)
        if isinstance(body, list):
            return await self._many(Batch(body))
        return self._one("/v1/estimate", asked_of(body, self.defaults))

    async def _many(self, batch: Batch) -> Response:
        found = await beside(batches.answered, batch, self.defaults)
        self.metrics.estimated("/v1/estimate", len(batch.requests))
        return Response(found, media_type=JSON)

    def _one(self, route: str, asked: Asked) -> Response:
        found = answered(asked)
        self.metrics.estimated(route)
        if found.work is not None:
            self.metrics.predicted(found.work)
        answer = Response(media_type=JSON)
        answer.body, answer.raw_headers = found.body, list(found.headers)
        return answer

    async def estimate_openai(self, request: Request) -> Response:
        """One estimate of a body in OpenAI's shape."""
        read = openai.read(decoded(await body_of(request), _OF_ENGINES))
        beside = {
            name: value
            for name in FOR_ENGINES
            if (value := request.headers.get(f"x-joulecast-{name}")) is not None and name not in read.asked
        }
        beside |= dict(request.query_params)
        if twice := sorted(beside.keys() & read.asked.keys()):
            raise InputError(f"{twice[0]} is given twice: in the body and beside it")
        asked = asked_of({**beside, **read.asked}, self.defaults, tuple(read.notes))
        return self._one("/v1/estimate/openai", asked)


async def page(request: Request) -> Response:
    """The page."""
    index = STATIC / "index.html"
    if not index.is_file():
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return FileResponse(index)


def _found(find: Callable[[Query], object]) -> Endpoint:
    """What answers with what is found, encoded already where it is bytes."""

    async def endpoint(request: Request) -> Response:
        found = await run_in_threadpool(find, request.query_params)
        return Response(found, media_type=JSON) if isinstance(found, bytes) else _json(found)

    return endpoint


def _decoded(kind: type[T], answer: Callable[[T], object]) -> Endpoint:
    """What answers a body of a kind, beside other requests."""
    decoder = msgspec.json.Decoder(kind)

    async def endpoint(request: Request) -> Response:
        asked = decoded(await body_of(request), decoder)
        return _json(await beside(answer, asked))

    return endpoint


def _json(found: object) -> Response:
    return Response(msgspec.json.encode(found), media_type=JSON)
