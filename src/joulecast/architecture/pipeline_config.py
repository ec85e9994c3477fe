"""The configuration of a diffusion pipeline: which classes, built how. Data only, no torch.

It comes from a diffusers-format folder (``model_index.json`` and one ``config.json`` for each
component; weights are not read) or from the packaged catalogue. Configs are data: nothing in them
is executed, and only classes of diffusers and transformers themselves may be named.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joulecast.errors import FileFormatError, InputError, as_name, one_line, shown
from joulecast.files.documents import parse_json
from joulecast.files.paths import shown_path, user_bytes

LIBRARIES = ("diffusers", "transformers")
# Modules of diffusers.pipelines that hold components of their own.
PIPELINE_MODULES = (
    "deepfloyd_if",
    "flux",
    "ideogram4",
    "kandinsky",
    "kolors",
    "latent_diffusion",
    "ltx",
    "ltx2",
    "stable_cascade",
    "stable_diffusion",
    "wuerstchen",
)
MAX_CONFIG_BYTES = 4_000_000
MAX_INTEGER = 2**24  # larger than any width, vocabulary or sample size in use
NO_SIZE, MOST_OF_NO_SIZE = ("token_id", "rope_theta"), 1e15  # keys of numbers that nothing is sized by
MAX_LAYERS = 512
# The most of what a key names: a model with more is none, and would be built all the same.
MOST_OF: Mapping[str, int] = {"layers": MAX_LAYERS, "timesteps": 100_000}
_COMPONENT_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")
# Entries of model_index.json that never take part in generating, and those that do where a pipeline is
# given an image: they are left out where the folder has no configs of them.
IGNORED_COMPONENTS = ("safety_checker", "watermarker")
VISION_CONFIGS = ("tokenizer", "preprocessor")  # of a processor of texts and images
OF_IMAGES = ("feature_extractor", "image_encoder", "image_processor")


@dataclass(frozen=True)
class ComponentConfig:
    """One component of a pipeline: a class of a package and the keyword arguments that build it."""

    package: str
    class_name: str
    config: Mapping[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """A copy of what builds it, as classes write into the mappings they are given."""
        return copy.deepcopy({key: value for key, value in self.config.items() if not key.startswith("_")})


@dataclass(frozen=True)
class PipelineConfig:
    """A pipeline class and its components, by the names the pipeline gives them.

    `settings` are the other entries of ``model_index.json`` that the pipeline's constructor may take,
    with None for a component that the pipeline goes without. `revision` is the commit of the hub's repository
    that the configs are of, None where they came from elsewhere.
    """

    name: str
    pipeline: str
    components: Mapping[str, ComponentConfig]
    settings: Mapping[str, Any] = field(default_factory=dict)
    hub_id: str | None = None
    revision: str | None = None


def read_pipeline_folder(folder: Path) -> PipelineConfig:
    """Read a diffusers-format folder: ``model_index.json`` and each component's ``config.json``.

    Raises
    ------
    InputError
        The folder does not exist or holds no ``model_index.json``.
    FileFormatError
        A file is missing, unreadable, names code of its own, or holds absurd values.
    """
    if not folder.is_dir():
        raise InputError(
            f"{shown(str(folder))} is not a folder; a diffusers-format model folder was expected"
        )
    index_path = folder / "model_index.json"
    if not index_path.is_file():
        raise InputError(
            f"{shown_path(folder)} holds no model_index.json; a diffusers-format folder has one, "
            "with a folder and a config.json for each component"
        )
    index = read_config_file(index_path)
    entries = {key: value for key, value in index.items() if not key.startswith("_")}
    components = {
        key: _folder_component(folder, key, value)
        for key, value in entries.items()
        if _is_component(value) and not _is_left_out(folder, key)
    }
    settings = {
        key: None if value == [None, None] else value
        for key, value in entries.items()
        if not _is_component(value) and not isinstance(value, Mapping)
    }
    return PipelineConfig(
        name=one_line(folder.resolve().name, "the folder's name"),
        pipeline=_class_name(index, index_path),
        components=components,
        settings=settings,
    )


def pipeline_config_from_catalogue(entry: Mapping[str, Any]) -> PipelineConfig:
    """The pipeline of a packaged architecture file (see ``data/README.md``)."""
    return PipelineConfig(
        name=entry["name"],
        pipeline=entry["pipeline"],
        components={
            key: ComponentConfig(part["library"], part["class"], part["config"])
            for key, part in entry["components"].items()
        },
        settings=entry.get("pipeline_config", {}),
        hub_id=entry["hub_id"],
    )


def read_config_file(path: Path) -> dict[str, Any]:
    """A JSON object from a file, with its numbers checked for sense.

    Raises
    ------
    FileFormatError
        The file is missing, no plain file, too large, not UTF-8 JSON, not an object, or holds absurd values.
    """
    value = _json_object(path)
    check_sane(value, shown_path(path))
    return value


def _json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a small file, its numbers unchecked; errors as of `read_config_file`."""
    try:
        content = user_bytes(path, "config", MAX_CONFIG_BYTES, "each component needs its config.json")
    except InputError as error:
        raise FileFormatError(str(error)) from None
    value = parse_json(content, shown_path(path))
    if not isinstance(value, dict):
        raise FileFormatError(f"{shown_path(path)} holds {type(value).__name__}, not a JSON object")
    return value


def check_sane(value: object, where: str) -> None:
    """Refuse numbers no architecture has: huge dimensions, thousands of layers, lists without end."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = as_name(str(key))
            for what, most in MOST_OF.items():
                if what in str(key) and isinstance(item, int) and not 0 <= item <= most:
                    raise FileFormatError(
                        f"{where}: {name} is {shown(item)}; at most {most:,} {what} make sense"
                    )
            check_sane(item, f"{where}: {name}")
    elif isinstance(value, list):
        if len(value) > 10_000:
            raise FileFormatError(f"{where} is a list of {len(value)} items; no config has one so long")
        for item in value:
            check_sane(item, where)
    elif isinstance(value, (int, float)) and not abs(value) <= _most(where):
        raise FileFormatError(
            f"{where} is {shown(value)}; no architecture has a number beyond {_most(where):.0f}"
        )


def _most(where: str) -> float:
    """The largest number that makes sense at a place of a config."""
    return MOST_OF_NO_SIZE if any(key in where.rpartition(": ")[2] for key in NO_SIZE) else MAX_INTEGER


def is_tokenizer(component: str, class_name: str) -> bool:
    """Whether a component turns text into tokens: a tokenizer, or a processor that holds one."""
    named = component.startswith("tokenizer") or "Tokenizer" in class_name or "Processor" in class_name
    return named and not is_image_processor(class_name)


def is_image_processor(class_name: str) -> bool:
    """Whether a component brings images to the size that an encoder takes."""
    return "ImageProcessor" in class_name or "FeatureExtractor" in class_name


def is_vision_processor(class_name: str) -> bool:
    """Whether a component turns texts and images into tokens and patches."""
    return class_name.endswith("VLProcessor")


def is_scheduler(class_name: str) -> bool:
    """Whether a component sets the steps of denoising."""
    return "Scheduler" in class_name


def _is_left_out(folder: Path, key: str) -> bool:
    return key in IGNORED_COMPONENTS or (key in OF_IMAGES and not (folder / key).is_dir())


def _is_component(value: object) -> bool:
    """Whether an entry is a pair of library and class; a pair of numbers is a setting, nulls are neither."""
    if not isinstance(value, list) or len(value) != 2 or value == [None, None]:
        return False
    return not all(isinstance(item, (int, float)) for item in value)


def _folder_component(folder: Path, key: str, value: list[Any]) -> ComponentConfig:
    index = shown_path(folder / "model_index.json")
    if not _COMPONENT_NAME.fullmatch(key):
        raise FileFormatError(f"{index}: {shown(key)} cannot name a component")
    library, class_name = value
    if library not in (*LIBRARIES, *PIPELINE_MODULES) or not isinstance(class_name, str):
        raise FileFormatError(
            f"{index}: component {key} is {shown(value)}; only classes of "
            f"{' and '.join(LIBRARIES)} can be built (code inside a model folder is never run)"
        )
    place = folder / key
    if is_vision_processor(class_name):
        text, images = (_optional(place / f"{kind}_config.json", _json_object) for kind in VISION_CONFIGS)
        return ComponentConfig(library, class_name, text | images)
    if is_tokenizer(key, class_name):
        return ComponentConfig(library, class_name, _optional(place / "tokenizer_config.json", _json_object))
    if is_image_processor(class_name):
        own = place / "preprocessor_config.json"
        return ComponentConfig(library, class_name, _optional(own, _json_object))
    if is_scheduler(class_name):
        return ComponentConfig(
            library, class_name, _optional(place / "scheduler_config.json", read_config_file)
        )
    own = place / f"{key}_config.json"  # of a component that is no module, e.g. a guider
    return ComponentConfig(
        library, class_name, read_config_file(own if own.is_file() else place / "config.json")
    )


def _optional(path: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """A tokenizer or scheduler may lack its file: the class defaults then stand."""
    return read(path) if path.exists() else {}


def _class_name(index: Mapping[str, Any], path: Path) -> str:
    name = index.get("_class_name")
    if not isinstance(name, str):
        raise FileFormatError(f"{shown_path(path)} names no pipeline (`_class_name`), e.g. FluxPipeline")
    return name
