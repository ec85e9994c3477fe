"""What Prometheus reads of a ledger's folder: sums by model, GPU, runtime and output, in base units.

The folder is read at each request, so that a ledger that was made again is told anew. What is not known of
the carbon of all requests of a series is left out of it, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from joulecast.errors import JoulecastError
from joulecast.ledger.folder import read_ledger
from joulecast.ledger.partition import GPU, MODEL, OUTPUT, RUNTIME
from joulecast.ledger.totals import total
from joulecast.report.ledger_text import CARBON, carbon_of
from joulecast.uncertainty import Interval
from joulecast.web.metrics import MEDIA_TYPE
from joulecast.web.safety import OF_DATA

if TYPE_CHECKING:
    import polars as pl

BY: Final = (MODEL, GPU, RUNTIME, OUTPUT)
LABELS: Final = ("model", "gpu", "runtime", "output")
NOT_KNOWN: Final = "unknown"
_HEADERS: Final = {name.decode(): value.decode() for name, value in OF_DATA}
_ENDS: Final = "ends of several series do not add up to those of their sum"


class LedgerCollector(Collector):
    """The metrics of a ledger's cells and manifest, as `read_ledger` gives them.

    Gauges, as a ledger that is made again may have less.
    """

    def __init__(self, cells: pl.DataFrame, manifest: Mapping[str, Any]) -> None:
        self.cells, self.manifest = cells, manifest

    def collect(self) -> Iterator[Metric]:
        """The series, in the order of their labels."""
        law, made_by = str(self.manifest["law"]["name"]), str(self.manifest["made_by"])
        parts = self.cells.sort(BY, nulls_last=True).partition_by(list(BY), as_dict=True, maintain_order=True)
        labels = [[NOT_KNOWN if name is None else str(name) for name in key] for key in parts]
        found = [total(part, law) for part in parts.values()]
        energy, time = [of.energy_j for of in found], [of.gpu_s for of in found]
        yield _gauge("requests", "Requests of the ledger.", labels, [of.requests for of in found])
        yield _gauge("outputs", "Images or clips made.", labels, [of.outputs for of in found])
        measured = "Requests whose energy a meter of the log told."
        yield _gauge("measured_requests", measured, labels, [of.by_meter for of in found])
        told = "Gross GPU energy: predicted, bounded by logged times, measured where the log has it"
        yield from _ranged("energy", "joules", told, labels, energy)
        yield from _ranged("gpu", "seconds", "GPU time, of all GPUs that shared the work", labels, time)
        carbon = [
            None if CARBON in part.columns and part[CARBON].null_count() else carbon_of(part)
            for part in parts.values()
        ]
        told = "Operational and embodied carbon [g CO2e] of series whose every request has it"
        yield from _ranged("carbon", "grams", told, labels, carbon)
        about = {"law": law, "made_by": made_by}
        yield InfoMetricFamily("joulecast_ledger", "Which law predicted it, and what made it.", value=about)


def _gauge(
    name: str, words: str, labels: Sequence[Sequence[str]], values: Sequence[float | None]
) -> GaugeMetricFamily:
    """A metric of the series in which it is known."""
    family = GaugeMetricFamily(f"joulecast_ledger_{name}", words, labels=LABELS)
    for of, value in zip(labels, values, strict=True):
        if value is not None:
            family.add_metric(of, value)
    return family


def _ranged(
    name: str, unit: str, words: str, labels: Sequence[Sequence[str]], values: Sequence[Interval | None]
) -> Iterator[GaugeMetricFamily]:
    """A metric and the ends of its range."""
    central = [None if one is None else one.value for one in values]
    yield _gauge(f"{name}_{unit}", f"{words}.", labels, central)
    for end, which in (("low", "lower"), ("high", "upper")):
        ends = [None if one is None else float(getattr(one, end)) for one in values]
        yield _gauge(f"{name}_{end}_{unit}", f"{words}: the {which} end of its range; {_ENDS}.", labels, ends)


def metrics_of(folder: Path) -> bytes:
    """The metrics of a ledger's folder as Prometheus reads them. Errors as of `read_ledger`."""
    cells, manifest = read_ledger(folder)
    registry = CollectorRegistry()
    registry.register(LedgerCollector(cells, manifest))
    return generate_latest(registry)


def create_ledger_app(folder: Path) -> Starlette:
    """``/metrics`` of a ledger; 503 and why while its folder cannot be read."""

    async def metrics(request: Request) -> Response:
        try:
            found = await run_in_threadpool(metrics_of, folder)
        except JoulecastError as error:
            return PlainTextResponse(f"{error}\n", HTTPStatus.SERVICE_UNAVAILABLE, _HEADERS)
        return Response(found, HTTPStatus.OK, _HEADERS, MEDIA_TYPE)

    return Starlette(routes=[Route("/metrics", metrics, methods=["GET"])])
