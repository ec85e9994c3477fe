"""Models by name: their compute profiles, and what the catalogue says of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from joulecast.architecture.catalogue import bare, find_model, listed_names, model_entry, model_names
from joulecast.architecture.workload import Workload
from joulecast.compute.profile import ComputeProfile
from joulecast.compute.profile_file import has_profile, packaged_profile, read_profile
from joulecast.errors import InputError, UnknownNameError, fold, near_matches, shown
from joulecast.files.paths import is_path, not_a_file, shown_path
from joulecast.question.vocabulary import MODEL, PART, meant

HINT = "see `joulecast models`, or make a profile with `joulecast profile FOLDER`"


@dataclass(frozen=True)
class Model:
    """A model of the catalogue, as a table shows it.

    Attributes
    ----------
    name, hub_id, aliases : what it answers to.
    pipeline : its diffusers class.
    parameters : of all components together.
    default_width, default_height : size when none is asked for [pixels].
    default_steps, default_guidance, default_true_cfg_scale, default_precision : what its authors recommend.
    default_passes : denoiser passes a step with those.
    sides : which sizes the pipeline takes, in words.
    text_tokens : text tokens its denoiser attends to when none are asked for.
    """

    name: str
    hub_id: str | None
    aliases: tuple[str, ...]
    pipeline: str
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


def models() -> tuple[Model, ...]:
    """Every model of the catalogue that has a profile, sorted by name."""
    return tuple(
        _model(packaged_profile(name), tuple(model_entry(name)["aliases"]))
        for name in model_names()
        if has_profile(name)
    )


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
    if is_path(text) and not_a_file(Path(text)) != "does not exist":
        return _read(Path(text))
    refusal = _refusal(text)
    if refusal:
        raise InputError(f"model {shown(text)}: {refusal}")
    raise UnknownNameError("model", text, _choices(text), HINT)


@lru_cache(maxsize=1024)
def catalogue_name(text: str) -> str | None:
    """The catalogue's name for a name, alias or hub id; None when it has none or `text` is a path."""
    text = bare(text)
    if not is_path(text):
        by_name = {fold(name): name for name in model_names()}  # reads no file, unlike aliases
        if fold(text) in by_name:
            return by_name[fold(text)]
    elif not any(text.casefold() == known.casefold() for known in listed_names() if "/" in known):
        return None
    try:
        return find_model(text)
    except UnknownNameError:
        return None


def denoiser_pass_flop(profile: ComputeProfile) -> float:
    """FLOP of one pass of the main stage's denoiser for one image at the model's default size."""
    defaults = profile.defaults
    workload = Workload(defaults.width, defaults.height, defaults.steps, precision=defaults.precision)
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


def _refusal(text: str) -> str:
    """Why a model that others know by this name cannot be predicted; an empty string without a reason."""
    known = meant(MODEL, text.rpartition("/")[2])
    parts = (meant(PART, word) for word in re.split(r"[\W_]+", text) if word)
    found = known or next(filter(None, parts), None)
    return found.words if found else ""


def _choices(text: str) -> list[str]:
    """Names that may have been meant: none of another version number."""
    if is_path(text):
        return _same_version(text, _hub_ids())
    names = _same_version(text, model_names())
    if near_matches(text, names):
        return names
    return _same_version(text, listed_names())


def _same_version(text: str, names: Iterable[str]) -> list[str]:
    """The names whose first number is that of `text`, if it has one: FLUX.1 is not what FLUX.2 means."""
    version = re.search(r"\d+", text)
    return [name for name in names if not version or re.findall(r"\d+", name)[:1] == [version[0]]]
