"""The forms by name, and one filled in as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from joulecast.files.plain import json_text
from joulecast.footprint.site import Site
from joulecast.footprint.tables.row import Row
from joulecast.report.forms import boamps, cyclonedx, documentation, spdx
from joulecast.report.forms.subject import subject_of

BOAMPS: Final = "boamps"


class Around(NamedTuple):
    """What a form says besides its row: the place, what makes it (name and version), the infrastructure."""

    at: Site | None
    tool: tuple[str, str]
    infrastructure: str | None = None


class Form(NamedTuple):
    """A form: how errors call it, how its files end, and what fills it in."""

    noun: str
    ending: str
    fill: Callable[[Row, Around], str]


def _boamps(row: Row, around: Around) -> str:
    return json_text(boamps.boamps_report(row, around.infrastructure, around.at))


def _documentation(row: Row, around: Around) -> str:
    return documentation.documentation_form(subject_of(row, documentation.NOUN), around.at, around.tool)


def _cyclonedx(row: Row, around: Around) -> str:
    return json_text(cyclonedx.cyclonedx_bom(subject_of(row, cyclonedx.NOUN), around.at, around.tool))


def _spdx(row: Row, around: Around) -> str:
    return json_text(spdx.spdx_document(subject_of(row, spdx.NOUN), around.at, around.tool))


FORMS: Final[Mapping[str, Form]] = {
    "eu-form": Form(documentation.NOUN, ".md", _documentation),
    "spdx": Form(spdx.NOUN, ".spdx.json", _spdx),
    "cyclonedx": Form(cyclonedx.NOUN, ".cdx.json", _cyclonedx),
    BOAMPS: Form(boamps.NOUN, ".json", _boamps),
}
