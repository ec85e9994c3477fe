"""What Prometheus reads of a ledger's folder: sums by model, GPU, runtime and output, in base units.

The folder is read at each request, so that a ledger that was made again is told anew. What is not known of
the carbon of all requests of a series is left out of it, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from joulecast.ledger.totals import grouped
from joulecast.report.ledger_text import CARBON
from joulecast.web.metrics import MEDIA_TYPE
from joulecast.web.safety import OF_DATA

if TYPE_CHECKING:
    import polars as pl

    from joulecast.ledger.totals import Total

BY: Final = (MODEL, GPU, RUNTIME, OUTPUT)
LABELS: Final = ("model", "gpu", "runtime", "output")
NOT_KNOWN: Final = "unknown"
# Gauges, as a ledger that is made again may have less. Each has its words.
_SUMS: Final = {
    "requests": "Requests of the ledger.",
    "outputs": "Images or clips made.",
    "energy_joules": "Gross GPU energy: predicted, bounded by logged times, measured where the log has it.",
    "energy_low_joules": "The lower end of its 90 % interval; ends of several series do not add up.",
    "energy_high_joules": "The upper end of its 90 % interval; ends of several series do not add up.",
    "gpu_seconds": "GPU time, of all GPUs that shared the work.",
    "measured_requests": "Requests whose energy a meter of the log told.",
}
_CARBON: Final = "Operational and embodied carbon [g CO2e], of series whose every request has it."


class LedgerCollector(Collector):
    """The metrics of a ledger's cells and manifest, as `read_ledger` gives them."""

    def __init__(self, cells: pl.DataFrame, manifest: dict[str, Any]) -> None:
        self.cells, self.manifest = cells, manifest

    def collect(self) -> Iterator[Metric]:
        """The series, largest names first as the cells are sorted."""
        law = str(self.manifest["law"]["name"])
        totals = grouped(self.cells, BY, law) if self.cells.height else []
        named = [([NOT_KNOWN if part is None else str(part) for part in key], of) for key, of in totals]
        for name, words in _SUMS.items():
            family = GaugeMetricFamily(f"joulecast_ledger_{name}", words, labels=LABELS)
            for labels, of in named:
                family.add_metric(labels, _amount(of, name))
            yield family
        yield from self._carbon()
        yield InfoMetricFamily(
            "joulecast_ledger", "Which law predicted it, and what made it.",
            value={"law": law, "made_by": str(self.manifest["made_by"])},
        )  # fmt: skip

    def _carbon(self) -> Iterator[Metric]:
        if CARBON not in self.cells.columns:
            return
        family = GaugeMetricFamily("joulecast_ledger_carbon_grams", _CARBON, labels=LABELS)
        for key, part in self.cells.partition_by(list(BY), as_dict=True).items():
            if not part[CARBON].null_count():
                labels = [NOT_KNOWN if name is None else str(name) for name in key]
                family.add_metric(labels, float(part[CARBON].sum()))
        yield family


def _amount(of: Total, name: str) -> float:
    return {
        "requests": float(of.requests),
        "outputs": of.outputs,
        "energy_joules": of.energy_j.value,
        "energy_low_joules": of.energy_j.low,
        "energy_high_joules": of.energy_j.high,
        "gpu_seconds": of.gpu_s.value,
        "measured_requests": float(of.by_meter),
    }[name]


def metrics_of(folder: Path) -> bytes:
    """The metrics of a ledger's folder as Prometheus reads them. Errors as of `read_ledger`."""
    cells, manifest = read_ledger(folder)
    registry = CollectorRegistry()
    registry.register(LedgerCollector(cells, dict(manifest)))
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


_HEADERS: Final = {name.decode(): value.decode() for name, value in OF_DATA}
