"""SPDX 3.0.1: an AI package with the energy of its inference, as JSON-LD.

Classes and properties are those of the published model (https://spdx.github.io/spdx-spec/v3.0.1/, profile
AI). Its ``ai_EnergyConsumptionDescription`` has a quantity and a unit alone, known or estimated as the model
says: how it was had, its range and its boundary are the package's ``comment``. What a row cannot know and
the AI profile wants besides, a version and a date of release, is for whoever publishes the document.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from joulecast.files.plain import Json
from joulecast.footprint.site import Site
from joulecast.report.forms.impact import Impact, impact_of, rounded
from joulecast.report.forms.subject import Subject, task_name

NOUN = "an SPDX document"
CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
SPEC_VERSION = "3.0.1"
LEFT_OPEN = "packageVersion, releaseTime and suppliedBy are for whoever publishes this document to add"


def spdx_document(
    subject: Subject,
    at: Site | None,
    tool: tuple[str, str],
    *,
    now: datetime | None = None,
    namespace: str | None = None,
) -> dict[str, Json]:
    """The SPDX document of one row, at a place; parameters and errors as of `cyclonedx_bom`."""
    space = f"urn:uuid:{namespace or uuid.uuid4()}#"
    impact, made_by = impact_of(subject, at), " ".join(tool)
    agent, package = f"{space}tool", f"{space}model"
    return {
        "@context": CONTEXT,
        "@graph": [
            {
                "type": "CreationInfo",
                "@id": "_:creation",
                "specVersion": SPEC_VERSION,
                "created": f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "createdBy": [agent],
            },
            _element("SoftwareAgent", agent, name=made_by),
            _element(
                "ai_AIPackage",
                package,
                name=subject.model,
                comment=". ".join(_comment(subject, impact, made_by)) + ".",
                software_primaryPurpose="model",
                software_downloadLocation=subject.weights,
                ai_domain=[task_name(subject)],
                ai_energyConsumption=_energy(impact),
            ),
            _element(
                "SpdxDocument",
                f"{space}document",
                profileConformance=["core", "software"],
                element=[agent, package],
                rootElement=[package],
            ),
        ],
    }


def _element(kind: str, spdx_id: str, **properties: Json) -> dict[str, Json]:
    given = {name: value for name, value in properties.items() if value is not None}
    return {"type": kind, "spdxId": spdx_id, "creationInfo": "_:creation", **given}


def _energy(impact: Impact) -> dict[str, Json]:
    return {
        "type": "ai_EnergyConsumption",
        "ai_inferenceEnergyConsumption": [
            {
                "type": "ai_EnergyConsumptionDescription",
                "ai_energyQuantity": decimal(rounded(impact.energy_kwh.value)),
                "ai_energyUnit": "kilowattHour",
            }
        ],
    }


def decimal(value: float) -> str:
    """A number as the model's decimals are written: without an exponent."""
    return f"{Decimal(repr(value)):f}"


def _comment(subject: Subject, impact: Impact, made_by: str) -> Iterator[str]:
    yield f"Task: {subject.task()}"
    yield f"Hardware: {subject.hardware()}"
    yield from impact.sentences(f"Energy of inference, that of one {subject.output}", made_by)
    yield LEFT_OPEN
