"""Engines of one's own, from runtime files (TOML): what is known of one that no table lists.

    name = "my-engine"                # a word of small letters
    title = "our own server"          # what answers call it; the name without it
    fused = true                      # whether its kernels are fused as a compiler's are; false without it
    attention = "flash_attention_3"   # its own attention kernel; torch's without it
    vendor = "NVIDIA"                 # of the only GPUs that it runs on; any without it
    denoiser = "transformer"          # the only kind that it runs, or "U-Net"; either without it
    models = ["flux.1-dev"]           # the only ones that it runs; any without it
    source = "measured in May"        # where that is from
    time_left = 0.9                   # shares of eager diffusers' costs that it leaves: time of arithmetic,
    bytes_left = 0.3                  # bytes of memory-bound operators,
    kernels_left = 0.4                # GPU time of launches,
    host_left = 0.5                   # host time of launches; without them the law's, of fused kernels

Its keys are columns of ``data/runtimes.csv``, and the shares.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from joulecast.architecture.catalogue import find_model
from joulecast.errors import FileFormatError, InputError, UnknownNameError, did_you_mean, one_line, shown
from joulecast.files.numbers import within
from joulecast.files.paths import shown_path, user_text
from joulecast.files.streams import as_given
from joulecast.hardware import MOST_FILE_BYTES
from joulecast.question.gpus import gpus_of
from joulecast.runtime import ATTENTION, COMPILED, ENGINE, LEFT, Part, Runtime, find, register_engine

TEXTS: Final = ("name", "title", "attention", "vendor", "denoiser", "source")
KEYS: Final = (*TEXTS, "fused", "models", *LEFT)
DENOISERS: Final = ("U-Net", "transformer")
LEAST_LEFT, MOST_LEFT = 0.001, 10.0


def load_engine(path: str | os.PathLike[str]) -> Part:
    """Read a runtime file and make its engine known by its name.

    Raises InputError where there is no such file, a value cannot be an engine's, or the name is another
    one's; FileFormatError where it is no TOML or has unknown or missing keys; UnknownNameError for a model
    or an attention kernel that is not known.
    """
    from joulecast.files.documents import parse_toml  # few estimates are of an engine of a file

    where = f"runtime file {shown_path(path)}"
    table = parse_toml(user_text(path, "runtime file", MOST_FILE_BYTES), where, "fused = true")
    _check_keys(table, where)
    texts = {key: one_line(table[key], f"{where}: {key}") for key in TEXTS if key in table}
    Runtime(engine=texts["name"])  # a word of small letters
    if texts["name"].endswith(COMPILED):
        raise InputError(
            f"{where}: a name ending in {COMPILED} says that it is compiled; leave the ending out"
        )
    if texts.get("denoiser", DENOISERS[0]) not in DENOISERS:
        raise InputError(
            f"{where}: denoiser is {shown(texts['denoiser'])}; expected {' or '.join(DENOISERS)}"
        )
    engine = Part(
        kind=ENGINE,
        name=texts["name"],
        title=texts.get("title", texts["name"]),
        kernels="",
        fused=_yes_or_no(table.get("fused", False), where),
        attention=_attention(texts.get("attention", ""), where),
        format="",
        bits=0,
        vendor=_vendor(texts.get("vendor", ""), where),
        denoiser=texts.get("denoiser", ""),
        models=_models(table.get("models", []), where),
        source=texts.get("source", as_given(path)),
        left=tuple(
            (key, within(table[key], f"{where}: {key}", LEAST_LEFT, MOST_LEFT))
            for key in LEFT
            if key in table
        ),
    )
    register_engine(engine)
    return engine


def engine_toml(engine: Part, left: Mapping[str, float]) -> str:
    """An engine as a runtime file to change, under a name of its own, with the shares it leaves."""
    texts = {
        "name": f"my-{engine.name}",
        "title": engine.title,
        "attention": engine.attention,
        "vendor": engine.vendor,
        "denoiser": engine.denoiser,
        "source": engine.source,
    }
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items() if text]
    lines += [f"fused = {str(engine.fused).lower()}"]
    lines += [f"models = {json.dumps(engine.models)}"] if engine.models else []
    lines += [f"{key} = {share:.4g}  # of eager diffusers', as fitted" for key, share in left.items()]
    return "\n".join(lines) + "\n"


def _check_keys(table: Mapping[str, Any], where: str) -> None:
    for key in table:
        if key not in KEYS:
            better = did_you_mean(key, KEYS, "known keys")
            raise FileFormatError(f"{where} has the unknown key {shown(key)}; {better}")
    if "name" not in table:
        raise FileFormatError(f"{where} lacks a name")


def _yes_or_no(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{where}: fused is {shown(value)}; expected true or false")
    return value


def _models(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InputError(f"{where}: models is {shown(value)}; expected a list, e.g. ['flux.1-dev']")
    names = [one_line(name, f"{where}: models") for name in value]
    with _naming(where, "models"):
        return tuple(map(find_model, names))


def _attention(name: str, where: str) -> str:
    with _naming(where, "attention"):
        return find(ATTENTION, name).name if name else ""


def _vendor(name: str, where: str) -> str:
    """A vendor as the catalogue of GPUs writes it."""
    with _naming(where, "vendor"):
        return gpus_of(name)[0].vendor if name else ""


@contextlib.contextmanager
def _naming(where: str, key: str) -> Iterator[None]:
    """Say in which file, and of which key, a name is unknown."""
    try:
        yield
    except UnknownNameError as error:
        raise InputError(f"{where}: {key}: {error}") from error
