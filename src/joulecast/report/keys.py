"""The keys of a setting and its place, as programs are told of them: in words, and as JSON takes them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from joulecast.footprint.place import Place
from joulecast.footprint.site import site
from joulecast.question.setting import SIDES, Setting

_NUMBER: Final = ("number", "string")  # text as people write it, as in a table
# The types of JSON of each kind of annotation that a setting or a place has.
_OF_ANNOTATION: Final[Mapping[str, tuple[str, ...]]] = {
    "int": ("integer", "string"),
    "float": _NUMBER,
    "bool": ("boolean", "string"),
    "str": ("string",),
    "ModelChoice": ("string",),
    "GpuChoice": ("string",),
    "Split": ("string",),
    "Given": _NUMBER,
}
# Said otherwise than in Python, where files and objects may be given.
_SAID: Final[Mapping[str, str]] = {
    "model": "name, alias or hub id of a model",
    "gpu": "name or alias of a GPU; 8xH100 is 8 GPUs",
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
_OF_FILES: Final = ("hourly_column", "allow_gaps")  # of a place, and no request names a file
# Where what is said of a name begins, or of several: ``width, height : pixels``.
_NAMED: Final = re.compile(r"(?<=[\s])(?=(?:[a-z_]+(?:, | or ))*[a-z_]+ : )(?<!, )(?<!or )")


@cache
def words_of_keys() -> Mapping[str, str]:
    """What is said of each key of a request, by key."""
    return {**_told(site), **_told(Setting), **_SAID}


@cache
def types_of_keys() -> Mapping[str, tuple[str, ...]]:
    """The types of JSON that each key of a request takes, by key; none of them is null."""
    fields = [*dataclasses.fields(Setting), *dataclasses.fields(Place)]
    own = {
        field.name: _OF_ANNOTATION[str(field.type).partition(" |")[0]]
        for field in fields
        if field.name not in _OF_FILES
    }
    return {**own, **dict.fromkeys((*SIDES, "law"), ("string",))}


def _told(documented: object) -> dict[str, str]:
    """What a docstring says of each name, its first sentence."""
    found: dict[str, str] = {}
    for block in _NAMED.split(inspect.getdoc(documented) or "")[1:]:
        names, _, words = block.partition(" : ")
        first = re.split(r"(?<!e\.g)\.(?:\s|$)|\n\n", words)[0]
        found |= dict.fromkeys(re.split(", | or ", names), " ".join(first.replace("`", "").split()))
    return found
