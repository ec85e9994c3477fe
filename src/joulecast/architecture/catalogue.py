"""The catalogue: models known by name, from the packaged architecture files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from joulecast import data
from joulecast.errors import UnknownNameError, fold

FOLDER = "architectures"
HUB_ADDRESSES = ("https://huggingface.co/", "huggingface.co/", "hf.co/")
WEIGHT_ENDINGS = (".safetensors", ".ckpt")
FINE_TUNES = "finetunes.csv"


@dataclass(frozen=True)
class FineTune:
    """A model with the layers of a catalogue model and weights of its own."""

    hub_id: str
    model: str


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


def listed_names() -> Iterator[str]:
    """Every name that some model answers to: its own, its hub id, its aliases and its fine-tunes."""
    for name in model_names():
        entry = model_entry(name)
        yield from (name, entry["hub_id"], *entry["aliases"])
    yield from (row["hub_id"] for row in data.read_table(FINE_TUNES))


def fine_tune(name: str) -> FineTune | None:
    """The listed fine-tune of a hub id, or of its part after the slash; None without one."""
    return _fine_tunes().get(fold(bare(name)))


@cache
def _fine_tunes() -> dict[str, FineTune]:
    table = {}
    for row in data.read_table(FINE_TUNES):
        for known in (row["hub_id"], row["hub_id"].rpartition("/")[2]):
            table[fold(known)] = FineTune(row["hub_id"], row["model"])
    return table


def bare(name: str) -> str:
    """A model's name without the hub's address before it and the ending of a file of weights."""
    for address in HUB_ADDRESSES:
        name = name.strip().removeprefix(address)
    for ending in WEIGHT_ENDINGS:
        name = name.removesuffix(ending)
    return name


def find_model(name: str) -> str:
    """The catalogue's name for a name, hub id, alias or file of weights; case and punctuation do not matter.

    A listed fine-tune is the model whose layers it has.

    Raises
    ------
    UnknownNameError
        The catalogue has no such model.
    """
    found = _names_by_folded().get(fold(bare(name)))
    if found is None and (tuned := fine_tune(name)):
        found = tuned.model
    if found is None:
        raise UnknownNameError(
            "model",
            name,
            model_names(),
            "see `joulecast models`, or make a profile with `joulecast profile FOLDER`",
        )
    return found
