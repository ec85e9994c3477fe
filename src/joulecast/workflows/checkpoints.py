"""Which model a file of weights is, and in which numbers, by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from joulecast import data
from joulecast.errors import fold, shown
from joulecast.question.models import catalogue_name
from joulecast.records import Record
from joulecast.runtime import NONE
from joulecast.workflows.handed import LoadedModel

FILES: Final = "comfy_checkpoints.csv"
WEIGHTS: Final = "comfy_weights.csv"
DEFAULT: Final = "default"  # the dtype that a file has itself
_ENDING = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|sft|gguf)$", re.IGNORECASE)


class Checkpoint(Record):
    """A file of weights: the catalogue's model that it is of, None where that is not known, the quantisation
    of its denoiser, and what to say of that."""

    model: str | None
    quantization: str = NONE
    note: str = ""


def checkpoint_of(loaded: LoadedModel) -> Checkpoint:
    """What a file is, by its name and the dtype that its loader says."""
    stem = _ENDING.sub("", re.split(r"[/\\]", loaded.file.strip())[-1])
    model, rest, met = _known(stem), stem, []
    for name, pattern in _patterns().items():
        if pattern.search(rest):
            met.append(name)
            rest = pattern.sub("", rest)
            model = model or _known(rest)
    if loaded.dtype != DEFAULT and loaded.dtype in _weights():
        met = [loaded.dtype]
    row = next((row for name in met if (row := _weights()[name])["quantization"] != NONE), None)
    if row is None:
        return Checkpoint(model)
    said = loaded.dtype if met == [loaded.dtype] else loaded.file
    words = f"; {row['words']}" if row["words"] else ""
    return Checkpoint(
        model, row["quantization"], f"{shown(said)} is quantization {row['quantization']}{words}"
    )


def _known(stem: str) -> str | None:
    """The catalogue's name for a file without its ending: of ComfyUI's pages, or as models are called."""
    return _files().get(fold(stem)) or (catalogue_name(stem) if fold(stem) else None)


@cache
def _files() -> Mapping[str, str]:
    return {fold(row["file"]): row["model"] for row in data.read_table(FILES)}


@cache
def _weights() -> Mapping[str, Mapping[str, str]]:
    return {row["name"]: row for row in data.read_table(WEIGHTS)}


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    """How names of weights are found in names of files, the longest first; any mark stands for another."""
    names = sorted(_weights(), key=lambda name: (-len(name), name))
    return {
        name: re.compile(rf"(?<![a-z0-9]){name.replace('_', '[-_. ]')}(?![a-z0-9])", re.IGNORECASE)
        for name in names
    }
