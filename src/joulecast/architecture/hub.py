"""The configs of a model on the Hugging Face hub, never its weights: from the network, else from its cache.

Needs the extra `trace`, which brings huggingface_hub.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from joulecast.architecture.catalogue import HUB_ADDRESSES
from joulecast.architecture.pipeline_config import MAX_CONFIG_BYTES, PipelineConfig, read_pipeline_folder
from joulecast.errors import InputError, check_extras, in_short, shown
from joulecast.records import Record

INDEX: Final = "model_index.json"
CONFIGS: Final = "*/*config.json"  # of components; weights are never asked for
WEIGHTS: Final = (".safetensors", ".ckpt", ".gguf")  # how single files of them end
MOST_CONFIGS: Final = 200  # files: pipelines in use have some ten
TIMEOUT_S: Final = 20.0
_HUB_ID = re.compile(r"(?P<repository>[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95})(?:@(?P<revision>[\w./-]{1,100}))?")
_CONFIG = re.compile(r"[\w.-]+/[\w.-]*config\.json")


class HubId(Record):
    """A repository of the hub, and the branch, tag or commit that is asked for; else its main branch."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repository if self.revision is None else f"{self.repository}@{self.revision}"

    @property
    def fetching(self) -> str:
        """The commands that fetch the configs where there is a network, and profile them."""
        revision = "" if self.revision is None else f" --revision {self.revision}"
        return (
            f'`hf download {self.repository}{revision} --include {INDEX} "{CONFIGS}" --local-dir model` '
            "where there is one, then `joulecast profile model --out model.json`"
        )


def hub_id_of(text: str) -> HubId | None:
    """The hub id that a text is, ``OWNER/NAME`` or ``OWNER/NAME@REVISION``; None where it is none, or a path
    of something that is there."""
    bare = text.strip()
    for address in HUB_ADDRESSES:
        bare = bare.removeprefix(address)
    found = _HUB_ID.fullmatch(bare)
    if found is None or bare.casefold().endswith((".json", *WEIGHTS)) or _is_there(text):
        return None
    return HubId(found["repository"], found["revision"])


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # a name too long
        return False


def read_hub_pipeline(asked: HubId) -> PipelineConfig:
    """The configs of a hub id's pipeline, and the revision they are of.

    Raises
    ------
    InputError
        There is no such repository or revision, it is gated, holds no pipeline or a file too large for a
        config, or there is neither a network nor a cache of it.
    FileFormatError
        As of `read_pipeline_folder`.
    """
    check_extras("taking configs from the hub", "trace")
    folder = _from_network(asked) or _from_cache(asked)
    return dataclasses.replace(
        read_pipeline_folder(folder),
        name=asked.repository.rpartition("/")[2],
        hub_id=asked.repository,
        revision=folder.name,
    )


def _from_network(asked: HubId) -> Path | None:
    """The folder of a hub id's configs as they are there now; None without a network."""
    import huggingface_hub as hub

    with _quiet(), _told(asked):
        try:
            info = hub.HfApi().model_info(
                asked.repository, revision=asked.revision, files_metadata=True, timeout=TIMEOUT_S
            )
            names = _configs(asked, info.siblings or [])
            paths = [hub.hf_hub_download(asked.repository, n, revision=asked.revision) for n in names]
        except Exception as error:
            if not _is_of_network(error):
                raise
            return None
    return Path(paths[names.index(INDEX)]).parent


def _from_cache(asked: HubId) -> Path:
    """The folder of a hub id in the cache. Raises InputError where it is not there."""
    import huggingface_hub as hub

    found = hub.try_to_load_from_cache(asked.repository, INDEX, revision=asked.revision)
    if not isinstance(found, str):
        raise InputError(f"{asked} is not in the cache of the hub, and there is no network: {asked.fetching}")
    return Path(found).parent


def _configs(asked: HubId, files: list[Any]) -> list[str]:
    """The names of the configs among a repository's files. Raises InputError for what is no pipeline."""
    found = {file.rfilename: file.size for file in files if _is_config(file.rfilename)}
    if INDEX not in found:
        single = [name for file in files if (name := file.rfilename).endswith(WEIGHTS)]
        what = f"; it has single files of weights, e.g. {shown(single[0])}" if single else ""
        raise InputError(
            f"{asked} holds no {INDEX}, so it is no folder of diffusers{what}: give the hub id of the "
            "pipeline it belongs to, or of the model it is a fine-tune of"
        )
    if len(found) > MOST_CONFIGS:
        raise InputError(f"{asked} holds {len(found)} configs; a pipeline has at most {MOST_CONFIGS}")
    for name, size in found.items():
        if size is not None and size > MAX_CONFIG_BYTES:
            raise InputError(
                f"{shown(name)} of {asked} is {size:,} bytes; a config has at most {MAX_CONFIG_BYTES:,}"
            )
    return list(found)


def _is_config(name: str) -> bool:
    return name == INDEX or _CONFIG.fullmatch(name) is not None


@contextmanager
def _told(asked: HubId) -> Iterator[None]:
    """Turn what the hub answers into one line that says what would work."""
    from huggingface_hub import errors

    address = f"https://huggingface.co/{asked.repository}"
    try:
        yield
    except errors.GatedRepoError:
        words = f"{asked} is gated: accept its terms at {address}, then `hf auth login`; or give a folder"
    except errors.RevisionNotFoundError:
        words = f"{asked.repository} has no revision {shown(asked.revision or '')}; see {address}/tree/main"
    except errors.RepositoryNotFoundError:
        words = f"the hub has no model {asked}, or it is private (`hf auth login`); see `joulecast models`"
    except InputError:
        raise
    except Exception as error:
        words = f"the configs of {asked} cannot be fetched: {in_short(error)}"
    else:
        return
    raise InputError(words) from None


def _is_of_network(error: Exception) -> bool:
    """Whether an error says that the hub was not reached, or may not be."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return True
    return any(kind.__name__ in _UNREACHED for kind in type(error).__mro__)


# Of whichever client huggingface_hub uses.
_UNREACHED: Final = frozenset(
    {"ConnectionError", "ConnectError", "NetworkError", "TimeoutException", "Timeout"}
)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and hints of huggingface_hub."""
    utils: Any = import_module("huggingface_hub.utils")
    level, were_off = utils.logging.get_verbosity(), utils.are_progress_bars_disabled()
    utils.logging.set_verbosity_error()
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.logging.set_verbosity(level)
        if not were_off:
            utils.enable_progress_bars()
