"""The catalogue: models known by name, from the packaged architecture files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from joulecast import data
from joulecast.errors import UnknownNameError, fold
from joulecast.records import Record

FOLDER = "architectures"
HUB_ADDRESSES = ("https://huggingface.co/", "huggingface.co/", "hf.co/")
WEIGHT_ENDINGS = (".safetensors", ".ckpt")
FINE_TUNES = "finetunes.csv"
IMAGE_TO_IMAGE_OF = "image_to_image_of"  # the key of an entry that names the model whose layers it has
CONTROL_OF = "control_of"  # the same of an entry with a ControlNet beside the denoiser
CONTROLS = "controls"  # of such an entry: hub ids of ControlNets with its layers, by the kind of control
_BILLIONS = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?=b(?![a-z]))")  # of parameters, in a name


class FineTune(Record):
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
def _names_by_folded() -> dict[str, tuple[str, str]]:
    """The model and the name as it is written, by the name in folded form."""
    table = {}
    for name in model_names():
        for known in _own_names(name):
            table[fold(known)] = name, known
    return table


def _own_names(name: str) -> tuple[str, ...]:
    """What a model answers to; the hub id of another pipeline with its layers is that of the model."""
    entry = model_entry(name)
    hub_id = () if IMAGE_TO_IMAGE_OF in entry or CONTROL_OF in entry else (entry["hub_id"],)
    return (name, *hub_id, *entry["aliases"])


@cache
def image_to_image_of(model: str) -> str | None:
    """The entry of the pipeline that makes a model's images of an image; None without one."""
    return next((name for name in model_names() if model_entry(name).get(IMAGE_TO_IMAGE_OF) == model), None)


@cache
def control_of(model: str) -> str | None:
    """The entry of the pipeline that makes a model's images under a control; None without one."""
    return next((name for name in model_names() if model_entry(name).get(CONTROL_OF) == model), None)


def listed_names() -> Iterator[str]:
    """Every name that some model answers to: its own, its hub id, its aliases and its fine-tunes."""
    for name in model_names():
        yield from _own_names(name)
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


def listed_fine_tunes() -> tuple[str, ...]:
    """The model of each listed fine-tune."""
    return tuple(row["model"] for row in data.read_table(FINE_TUNES))


def bare(name: str) -> str:
    """A model's name without the hub's address before it and the ending of a file of weights."""
    for address in HUB_ADDRESSES:
        name = name.strip().removeprefix(address)
    for ending in WEIGHT_ENDINGS:
        name = name.removesuffix(ending)
    return name


def is_of_another_size(name: str, known: str) -> bool:
    """Whether names that differ in punctuation alone say other sizes: 13B is not 1.3B."""
    sizes, others = (_BILLIONS.findall(one.casefold()) for one in (name, known))
    return any(a != b and a.replace(".", "") == b.replace(".", "") for a in sizes for b in others)


def find_model(name: str) -> str:
    """The catalogue's name for a name, hub id, alias or file of weights; case and punctuation do not matter.

    A listed fine-tune is the model whose layers it has.

    Raises
    ------
    UnknownNameError
        The catalogue has no such model.
    """
    found = find_listed(name)
    if found is None:
        raise UnknownNameError(
            "model",
            name,
            model_names(),
            "see `joulecast models`, or make a profile with `joulecast profile FOLDER`",
        )
    return found


def find_listed(name: str) -> str | None:
    """The same, None without one; no near names are sought, which takes a while."""
    found, written = _names_by_folded().get(fold(bare(name)), (None, ""))
    if found is None and (tuned := fine_tune(name)):
        found = tuned.model
    return None if found is None or is_of_another_size(name, written) else found
