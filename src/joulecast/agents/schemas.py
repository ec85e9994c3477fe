"""What a request of a tool may hold, as JSON Schema: the keys of settings and places, in their own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from joulecast.plan.measures import MEASURES
from joulecast.report.keys import types_of_keys, words_of_keys

Schema = dict[str, object]

_LISTED: Final = {"model": ": see the tool models", "gpu": ": see the tool gpus"}


def case_schema(*, described: bool = True, several: bool = False) -> Schema:
    """A workload, its GPU, its place and its law, `described` or not; `several` takes lists of values too."""
    keys = {name: _key((*types, "array") if several else types) for name, types in types_of_keys().items()}
    if described:
        for name, words in words_of_keys().items():
            if name in keys:
                keys[name]["description"] = words + _LISTED.get(name, "")
    return an_object(keys, ("model", "gpu"))


def _key(types: tuple[str, ...]) -> Schema:
    return {"type": types[0] if len(types) == 1 else list(types)}


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


def properties(schema: Schema) -> Mapping[str, Schema]:
    """The properties of an object's schema."""
    return cast(Mapping[str, Schema], schema["properties"])
