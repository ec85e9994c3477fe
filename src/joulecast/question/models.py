"""Models by name: their compute profiles, and what the catalogue says of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from joulecast.architecture.catalogue import (
    bare,
    find_listed,
    is_of_another_size,
    listed_names,
    model_entry,
    model_names,
)
from joulecast.architecture.workload import Workload
from joulecast.compute.outline import packaged_outline
from joulecast.compute.output import TASKS
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import has_profile, packaged_profile, read_profile
from joulecast.errors import InputError, UnknownNameError, fold, near_matches, shown
from joulecast.files.paths import is_path, may_be_there, not_a_file, shown_path
from joulecast.question.vocabulary import MODEL, PART, meant
from joulecast.records import Record

_VERSION = re.compile(r"(?<!\d)(?<!\d\.)(\d+)(?:\.\d+)*(?![\d.]*b(?![a-z]))", re.IGNORECASE)
HINT = "see `joulecast models`, or make a profile with `joulecast profile FOLDER`"


class Model(Record):
    """A model of the catalogue, as a table shows it.

    Attributes
    ----------
    name, hub_id, aliases : what it answers to.
    pipeline : its diffusers class.
    task : what it makes of a text: ``image`` or ``video``.
    parameters : of all components together.
    default_width, default_height : size when none is asked for [pixels].
    default_steps, default_guidance, default_true_cfg_scale, default_precision : what its authors recommend.
    default_passes : denoiser passes a step with those.
    sides : which sizes the pipeline takes, in words.
    text_tokens : text tokens its denoiser attends to when none are asked for.
    default_frames, default_frame_rate : of a clip when none are asked for, the rate in frames a second, None
        where nobody states one; 1 and None of an image.
    frames : which numbers of frames the pipeline takes, in words; None of an image.
    """

    name: str
    hub_id: str | None
    aliases: tuple[str, ...]
    pipeline: str
    task: str
    parameters: int
    default_width: int
    default_height: int
    default_steps: int
    default_guidance: float | None
    default_true_cfg_scale: float | None
    default_precision: str
    default_passes: int
    sides: str
    text_tokens: int
    default_frames: int
    default_frame_rate: float | None
    frames: str | None


def models(task: str | None = None) -> tuple[Model, ...]:
    """Every model of the catalogue that has a profile, sorted by name; or those of a task alone.

    Raises UnknownNameError for a task other than ``image`` and ``video``.
    """
    known = tuple(TASKS.values())
    if task is not None and task not in known:
        raise UnknownNameError("task", task, known, f"known: {', '.join(known)}")
    found = (_model(packaged_outline(name), tuple(model_entry(name)["aliases"])) for name in known_names())
    return tuple(model for model in found if task in (None, model.task))


def known_names() -> tuple[str, ...]:
    """The names of `models`; no profile is read."""
    return tuple(name for name in model_names() if has_profile(name))


def load_profile(model: str | os.PathLike[str] | ComputeProfile) -> ComputeProfile:
    """The compute profile of a model: by name, alias or hub id, or from a profile file; a profile as it is.

    Case and punctuation of names do not matter. Text that ends in ``.json`` is a path; so is text
    with a path separator, unless it is a hub id that a catalogue model answers to.

    Raises
    ------
    UnknownNameError
        The catalogue has no such model; carries near matches.
    InputError
        The path leads nowhere, or to a folder.
    FileFormatError
        The file is no profile file, was cut or edited, or is of another version.
    """
    if isinstance(model, ComputeProfile):
        return model
    text = os.fspath(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(text, str) or not text.strip():
        raise InputError(
            f"a model is given by its name or profile file, not {shown(text)}; e.g. 'flux.1-dev'"
        )
    if not isinstance(model, str) or text.strip().casefold().endswith(".json"):
        return _read(Path(text))
    name = catalogue_name(text)
    if name is not None:
        return packaged_profile(name)
    if is_path(text) and may_be_there(Path(text)):
        return _read(Path(text))
    choices = _choices(text)
    refusal = _refusal(text, near_matches(text, choices))
    if refusal:
        raise InputError(f"model {shown(text)}: {refusal}")
    raise UnknownNameError("model", text, choices, HINT)


def resolved_name(model: str | os.PathLike[str] | ComputeProfile) -> str:
    """What a model is however it is spelt: the catalogue's name for it, else the file it was read from.

    Raises what `load_profile` raises.
    """
    profile = load_profile(model)
    return profile.name if profile.origin == "catalogue" else profile.origin


@lru_cache(maxsize=1024)
def catalogue_name(text: str) -> str | None:
    """The catalogue's name for a name, alias or hub id; None when it has none or `text` is a path."""
    text = bare(text)
    if not is_path(text):
        by_name = {fold(name): name for name in model_names()}  # reads no file, unlike aliases
        found = by_name.get(fold(text))
        if found is not None:
            return None if is_of_another_size(text, found) else found
    elif not any(text.casefold() == known.casefold() for known in listed_names() if "/" in known):
        return None
    return find_listed(text)


def denoiser_pass_flop(profile: ComputeProfile) -> float:
    """FLOP of one pass of the main stage's denoiser for one output at the model's default size."""
    defaults = profile.defaults
    workload = Workload(
        defaults.width,
        defaults.height,
        defaults.steps,
        precision=defaults.precision,
        frames=defaults.frames,
    )
    columns = workload.columns()
    flop, calls = profile.flop(columns, workload.precision), profile.calls(columns)
    return sum(float(flop[part.name][0] / calls[part.name][0]) for part in profile.denoisers)


def _model(profile: ComputeProfile, aliases: tuple[str, ...]) -> Model:
    defaults = profile.defaults
    return Model(
        name=profile.name,
        hub_id=profile.hub_id,
        aliases=aliases,
        pipeline=profile.pipeline,
        task=TASKS[profile.output],
        parameters=profile.parameters,
        default_width=defaults.width,
        default_height=defaults.height,
        default_steps=defaults.steps,
        default_guidance=defaults.guidance,
        default_true_cfg_scale=defaults.true_cfg_scale,
        default_precision=defaults.precision,
        default_passes=profile.passes(negative_prompt=defaults.negative_prompt),
        sides=profile.size.expected(),
        text_tokens=profile.text.default,
        default_frames=defaults.frames,
        default_frame_rate=defaults.frame_rate,
        frames=None if profile.frames is None else profile.frames.expected(),
    )


def _read(path: Path) -> ComputeProfile:
    problem = not_a_file(path)
    if problem:
        raise InputError(
            f"profile {shown_path(path)} {problem}; `joulecast profile FOLDER --out FILE.json` makes one"
        )
    return read_profile(path)


def _hub_ids() -> list[str]:
    return [model_entry(name)["hub_id"] for name in model_names()]


def _refusal(text: str, near: Iterable[str]) -> str:
    """Why a model that others know by this name cannot be predicted; an empty string without a reason.

    A word that a name near it has too (t2v of wan2.1-t2v-14) is none: the name was mistyped.
    """
    known = meant(MODEL, text.rpartition("/")[2].casefold().removesuffix("-diffusers"))
    if known:
        return known.words
    usual = {word for name in near for word in _words(name)}
    parts = (meant(PART, word) for word in _words(text) if word not in usual)
    return next((part.words for part in parts if part), "")


def _words(name: str) -> list[str]:
    """The words of a name, and every two that are beside each other as one: ip-adapter."""
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word]
    return [*words, *map("".join, pairwise(words))]


def _choices(text: str) -> list[str]:
    """Names that may have been meant: none of another version number."""
    if is_path(text):
        return _same_version(text, _hub_ids())
    names = _same_version(text, model_names())
    if near_matches(text, names):
        return names
    return _same_version(text, listed_names())


def _same_version(text: str, names: Iterable[str]) -> list[str]:
    """The names whose first number is that of `text`, if it has one: FLUX.1 is not what FLUX.2 means.

    How many billions of parameters there are is no version.
    """
    version = _VERSION.search(text)
    return [name for name in names if not version or _VERSION.findall(name)[:1] == [version[1]]]
