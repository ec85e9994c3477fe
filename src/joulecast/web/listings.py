"""What there is: models, GPUs, runtimes, regions and laws, as the command line lists them."""

from __future__ import annotations

import dataclasses
import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from joulecast import __version__
from joulecast.footprint.grid.places import regions as known_regions
from joulecast.footprint.grid.series import packaged_regions
from joulecast.forecast.estimate import estimate_of
from joulecast.forecast.runtimes import known_parts
from joulecast.hardware import Gpu, gpus
from joulecast.law.load import default_law, law_names, load_law
from joulecast.question import gpus as named_gpus
from joulecast.question.models import Model, models
from joulecast.question.question import ask
from joulecast.question.setting import Setting
from joulecast.report.runtimes_text import runtimes_data
from joulecast.runtime import REFERENCE_STRATUM

if TYPE_CHECKING:
    from joulecast.web.asking import Defaults


class Health(msgspec.Struct):
    """That the service answers; the GPU and engine that are taken where a request names none."""

    status: str
    version: str
    law: str
    gpu: str | None
    engine: str | None


class Region(msgspec.Struct):
    """A region of the packaged yearly table: its grid's carbon intensity [g/kWh] in a year."""

    name: str
    code: str
    kind: str
    intensity_g_per_kwh: float
    year: int
    source: str


class Regions(msgspec.Struct):
    """Regions, and the names of packaged hourly series."""

    regions: list[Region]
    series: list[str]


class ListedLaw(msgspec.Struct):
    """A packaged law: what it was fitted on, and its published errors, by what it had seen."""

    name: str
    form: str
    fitted_on: dict[str, object]
    errors: list[PublishedErrors]


class Laws(msgspec.Struct):
    """The packaged laws, and which of them answers where none is named."""

    default: str
    laws: list[ListedLaw]


def _listing(key: str, record: type) -> type[msgspec.Struct]:
    """The record of a list of the library's records under a key, for the description of the API."""
    hints = inspect.get_annotations(record, eval_str=True)
    row = msgspec.defstruct(
        record.__name__,
        [(field.name, hints[field.name]) for field in dataclasses.fields(record)],
        namespace={"__doc__": inspect.getdoc(record)},
    )
    return msgspec.defstruct(f"{record.__name__}s", [(key, list[row])])  # type: ignore[valid-type]


MODELS: Final = _listing("models", Model)
GPUS: Final = _listing("gpus", Gpu)


class Runtimes(msgspec.Struct):
    """What runtimes may be made of, and on what evidence each is predicted."""

    parts: list[dict[str, object]]


class PublishedErrors(msgspec.Struct):
    """Published errors of a law on held-out runs: of a stratum of runtimes, for what it had seen."""

    runtimes: str
    familiarity: str
    energy: dict[str, float | int | None] | None
    duration: dict[str, float | int | None] | None


def health(defaults: Defaults) -> Health:
    """That the service answers."""
    return Health("ok", __version__, default_law(), defaults.gpu, defaults.engine)


@lru_cache(maxsize=8)
def models_of(task: str | None = None) -> bytes:
    """Every model, or those of a task, encoded. Raises UnknownNameError."""
    return msgspec.json.encode({"models": [vars(model) for model in models(task)]})


@lru_cache(maxsize=32)
def gpus_of(vendor: str | None = None) -> bytes:
    """Every GPU, or those of a vendor, encoded. Raises UnknownNameError."""
    found = gpus() if vendor is None else named_gpus.gpus_of(vendor)
    return msgspec.json.encode({"gpus": [vars(gpu) for gpu in found]})


@lru_cache(maxsize=1)
def runtimes() -> bytes:
    """How models may be run, and what is known of each, encoded."""
    return msgspec.json.encode(Runtimes(runtimes_data(known_parts())))


@lru_cache(maxsize=1)
def regions() -> bytes:
    """Every region of the yearly table, and the hourly series, encoded."""
    found = [
        Region(row.name, row.alpha3, row.kind, row.intensity_g_per_kwh, row.year, row.source)
        for row in known_regions()
    ]
    return msgspec.json.encode(Regions(found, list(packaged_regions())))


@lru_cache(maxsize=1)
def laws() -> bytes:
    """Every packaged law, encoded."""
    return msgspec.json.encode(Laws(default_law(), [_law(name) for name in law_names()]))


def _law(name: str) -> ListedLaw:
    facts = load_law(name).describe()
    strata = {REFERENCE_STRATUM: facts.errors, **facts.runtime_errors}
    errors = [
        PublishedErrors(stratum, familiarity, **scores.to_dict())
        for stratum, by_familiarity in strata.items()
        for familiarity, scores in by_familiarity.items()
    ]
    return ListedLaw(facts.name, facts.form, dataclasses.asdict(facts.fitted_on), errors)


def warm() -> None:
    """Read what estimates need: every model, and the default law once on each."""
    for model in models():
        estimate_of(ask(Setting.of({"model": model.name, "gpu": gpus()[0]})))
