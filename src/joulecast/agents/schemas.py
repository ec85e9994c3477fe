"""What a request of a tool may hold, as JSON Schema: the keys of settings and places, in their own words."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from joulecast.footprint.place import Place
from joulecast.footprint.site import site
from joulecast.plan.measures import MEASURES
from joulecast.question.setting import SIDES, Setting

Schema = dict[str, object]

_NUMBER: Final[Schema] = {"type": ["number", "string"]}  # text as people write it, as in a table
_OF_ANNOTATION: Final[Mapping[str, Schema]] = {
    "int": {"type": ["integer", "string"]},
    "float": _NUMBER,
    "bool": {"type": ["boolean", "string"]},
    "str": {"type": "string"},
    "ModelChoice": {"type": "string"},
    "GpuChoice": {"type": "string"},
    "Split": {"type": "string"},
    "Given": _NUMBER,
}
# Said otherwise than in Python, where files and objects may be given.
_SAID: Final = {
    "model": "name, alias or hub id of a model: see the tool models",
    "gpu": "name or alias of a GPU: see the tool gpus; 8xH100 is 8 GPUs",
    "parallel": "how GPUs share the work, e.g. ulysses=4,cfg=2",
    "size": "WIDTHxHEIGHT in pixels, in place of width and height",
    "input_image": "WIDTHxHEIGHT of an image that the pipeline is given",
    "law": "name of a packaged law; roofline by default",
    "hourly": "a packaged series of hourly intensities, e.g. US-CAL-CISO, in place of a region",
    "at": "a moment or an hour of the day of the hourly series, e.g. 12:00",
    "timezone": "of times without an offset, e.g. Europe/Paris",
    "region": "country, state or cloud region, by name or code; with it the answer has a footprint",
    "year": "of the region's intensity",
    "accounting": "location-based, market-based or marginal",
    "price_per_kwh": "of electricity",
    "price_per_gpu_hour": "rent of a GPU, electricity included",
    "wue": "water for each kWh of IT energy [L/kWh]",
    "currency": "of a price, three capital letters",
}
_OF_FILES: Final = ("hourly_column", "allow_gaps")  # of a place, and no file is read
# Where what is said of a name begins, or of several: ``width, height : pixels``.
_NAMED: Final = re.compile(r"(?<=[\s])(?=(?:[a-z_]+(?:, | or ))*[a-z_]+ : )(?<!, )(?<!or )")


def case_schema(*, described: bool = True, several: bool = False) -> Schema:
    """A workload, its GPU, its place and its law, `described` or not; `several` takes lists of values too."""
    words = {**_words(site), **_words(Setting), **_SAID} if described else {}
    fields = [*dataclasses.fields(Setting), *dataclasses.fields(Place)]
    found = {field.name: _of_annotation(str(field.type)) for field in fields if field.name not in _OF_FILES}
    found |= {name: {"type": "string"} for name in (*SIDES, "law")}
    if several:
        found = {name: {"type": [*_types(one), "array"]} for name, one in found.items()}
    told = {name: {"description": words[name]} if name in words else {} for name in found}
    return an_object({name: {**one, **told[name]} for name, one in found.items()}, ("model", "gpu"))


def changes_schema(most: int) -> Schema:
    """Changes of a case."""
    change = {"type": "object", "description": "new values of keys that a setting has"}
    return {"type": "array", "minItems": 1, "maxItems": most, "items": change}


def measures_schema() -> Schema:
    """What a trade-off is by."""
    names = [one.option for one in MEASURES.values() if not one.more_is_better]
    told = "energy and latency by default"
    return {"type": "array", "minItems": 2, "items": {"enum": names}, "description": told}


def an_object(properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """An object of these properties and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _types(schema: Schema) -> list[object]:
    kinds = schema["type"]
    return kinds if isinstance(kinds, list) else [kinds]


def properties(schema: Schema) -> Mapping[str, Schema]:
    """The properties of an object's schema."""
    return cast(Mapping[str, Schema], schema["properties"])


def _of_annotation(annotation: str) -> Schema:
    return dict(_OF_ANNOTATION[annotation.partition(" |")[0]])


def _words(documented: Any) -> dict[str, str]:
    """What a docstring says of each name, its first sentence."""
    found: dict[str, str] = {}
    for block in _NAMED.split(inspect.getdoc(documented) or "")[1:]:
        names, _, words = block.partition(" : ")
        told = re.split(r"(?<!e\.g)\.(?:\s|$)|\n\n", words)[0]
        found |= dict.fromkeys(re.split(", | or ", names), " ".join(told.replace("`", "").split()))
    return found
