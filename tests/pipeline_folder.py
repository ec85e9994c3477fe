"""Diffusers-format folders, written from the packaged architecture files: configs alone, no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from joulecast import data

CONFIG_FILES = {
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
    "processor": "preprocessor_config.json",
}


def write_folder(model: str, folder: Path) -> Path:
    """The folder of a catalogue model, as its hub repository has it."""
    entry = data.read_json(f"architectures/{model}.json")
    index: dict[str, Any] = {"_class_name": entry["pipeline"], **entry.get("pipeline_config", {})}
    folder.mkdir()
    for name, part in entry["components"].items():
        index[name] = [part["library"], part["class"]]
        (folder / name).mkdir()
        images = ("processor", "feature_extractor")
        kind = "processor" if name.endswith(images) else name.partition("_")[0]
        file = CONFIG_FILES.get(kind, "config.json")
        (folder / name / file).write_text(json.dumps(part["config"]))
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def edit(path: Path, **changes: Any) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
