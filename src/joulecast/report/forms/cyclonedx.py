"""CycloneDX 1.6: a machine-learning bill of materials with the energy and carbon of inference.

One model, one image or clip of which is the activity. Fields are those of the published schema
(https://cyclonedx.org/docs/1.6/json/, ``modelCard.considerations.environmentalConsiderations``): energies
are in kWh and carbon in tonnes there. It has no field for a range, nor for how a figure was had: these are
properties, whose names begin with ``joulecast:``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from joulecast.files.plain import Json
from joulecast.footprint.site import Site
from joulecast.report.forms.impact import SCI_BOUNDARY, Impact, grams_to_tonnes, impact_of, rounded
from joulecast.report.forms.subject import Subject, task_name
from joulecast.uncertainty import Interval

NOUN = "a CycloneDX BOM"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
OURS = "joulecast:"  # how the names of our properties begin


def cyclonedx_bom(
    subject: Subject,
    at: Site | None,
    tool: tuple[str, str],
    *,
    now: datetime | None = None,
    serial: str | None = None,
) -> dict[str, Json]:
    """The bill of materials of one row, at a place.

    Parameters
    ----------
    at : for carbon and the energy of the whole facility; None states that of the GPU boards alone.
    tool : name and version of what makes it.
    now, serial : of the document; the present, and a random UUID, by default.

    Raises InputError where a footprint cannot be had of the row.
    """
    name, version = tool
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial or uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "tools": {"components": [{"type": "application", "name": name, "version": version}]},
        },
        "components": [_component(subject, impact_of(subject, at), f"{name} {version}")],
    }


def _component(subject: Subject, impact: Impact, made_by: str) -> dict[str, Json]:
    weights = subject.weights
    links: dict[str, Json] = (
        {"externalReferences": [{"type": "distribution", "url": weights}]} if weights else {}
    )
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": subject.model,
        **links,
        "modelCard": {
            "modelParameters": {"task": task_name(subject)},
            "considerations": {
                "environmentalConsiderations": {"energyConsumptions": [_energy(subject, impact, made_by)]}
            },
        },
    }


def _energy(subject: Subject, impact: Impact, made_by: str) -> dict[str, Json]:
    carbon: dict[str, Json] = {}
    if impact.footprint is not None:
        tonnes = grams_to_tonnes(impact.footprint.operational_carbon.amount)
        carbon = {"co2CostEquivalent": {"value": rounded(tonnes.value), "unit": "tCO2eq"}}
    return {
        "activity": "inference",
        "energyProviders": list(_providers(impact)),
        "activityEnergyCost": {"value": rounded(impact.energy_kwh.value), "unit": "kWh"},
        **carbon,
        "properties": [
            {"name": OURS + name, "value": value}
            for name, value in (*_words(subject, impact, made_by), *_ranges(impact))
        ],
    }


def _providers(impact: Impact) -> Iterator[Json]:
    """The grid, whose sources of energy are many."""
    if impact.footprint is None:
        return
    grid = impact.footprint.grid
    yield {
        "organization": {"name": f"grid of {grid.region}"},
        "description": f"{grid.intensity.amount.value:g} g CO2e/kWh, {grid.accounting}, {grid.boundary}: "
        + grid.source,
        "energySource": "other",
        "energyProvided": {"value": rounded(impact.energy_kwh.value), "unit": "kWh"},
    }


def _words(subject: Subject, impact: Impact, made_by: str) -> Iterator[tuple[str, str]]:
    yield "obtained", subject.obtained(made_by)
    yield "functionalUnit", f"one {subject.output}"
    yield "task", subject.task()
    yield "hardware", subject.hardware()
    yield "activityEnergyCost:counts", impact.counts
    if impact.footprint is not None:
        yield "co2CostEquivalent:counts", "the carbon of that electricity; not of making the hardware"
        yield "sci:counts", SCI_BOUNDARY
    for warning in impact.warnings:
        yield "beware", warning


def _ranges(impact: Impact) -> Iterator[tuple[str, str]]:
    found: dict[str, tuple[Interval, str]] = {"activityEnergyCost": (impact.energy_kwh, "kWh")}
    if impact.footprint is not None:
        tonnes = grams_to_tonnes(impact.footprint.operational_carbon.amount)
        found["co2CostEquivalent"] = (tonnes, "tCO2eq")
        found["gpuEnergy"] = (impact.subject.energy_kwh, "kWh")
        found["embodiedCarbon"] = (impact.footprint.embodied_carbon.amount, "g CO2e")
    found |= {f"sci:{unit}": (amount, f"g CO2e per {unit}") for unit, amount in impact.sci_g.items()}
    yield from _ends(found)
    if not impact.energy_kwh.is_exact:
        yield "activityEnergyCost:range", impact.range_is


def _ends(found: Mapping[str, tuple[Interval, str]]) -> Iterator[tuple[str, str]]:
    """Each amount as its value and both ends, with the unit; the value alone where it has no range."""
    for name, (amount, unit) in found.items():
        yield f"{name}:value", f"{rounded(amount.value):g} {unit}"
        if not amount.is_exact:
            yield f"{name}:low", f"{rounded(amount.low):g} {unit}"
            yield f"{name}:high", f"{rounded(amount.high):g} {unit}"
