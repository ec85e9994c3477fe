"""The catalogue: models known by name, from the packaged architecture files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from joulecast import data
from joulecast.errors import UnknownNameError, fold

FOLDER = "architectures"


@cache
def model_names() -> tuple[str, ...]:
    """Names of the catalogue's models, sorted."""
    return tuple(
        sorted(path.removeprefix(f"{FOLDER}/").removesuffix(".json") for path in data.names(FOLDER, ".json"))
    )


@cache
def model_entry(name: str) -> Mapping[str, Any]:
    """The architecture file of a model, by its exact name."""
    entry: Mapping[str, Any] = data.read_json(f"{FOLDER}/{name}.json")
    return entry


@cache
def _names_by_folded() -> dict[str, str]:
    table = {}
    for name in model_names():
        entry = model_entry(name)
        for known in (name, entry["hub_id"], *entry["aliases"]):
            table[fold(known)] = name
    return table


def find_model(name: str) -> str:
    """The catalogue's name for a name, hub id or alias; case and punctuation do not matter.

    Raises
    ------
    UnknownNameError
        The catalogue has no such model.
    """
    found = _names_by_folded().get(fold(name))
    if found is None:
        raise UnknownNameError(
            "model",
            name,
            model_names(),
            "see `joulecast models`, or make a profile with `joulecast profile FOLDER`",
        )
    return found
