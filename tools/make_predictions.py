"""Write predictions of what people ask for into a file with its date, before anybody measures them.

    python tools/make_predictions.py 2026-11-29

Writes ``docs/predictions/DATE.csv``: MODELS at their authors' settings, on GPUS, under RUNTIMES; a question
that has no answer (a GPU without the precision) has no row. Anyone can compare later: the rows
are those of `joulecast predict`.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from joulecast import predict
from joulecast.architecture.catalogue import model_names
from joulecast.compute.profile_file import packaged_profile
from joulecast.question.gpus import gpu

FOLDER = Path(__file__).parents[1] / "docs/predictions"
MODELS = (
    "sd1.5", "sd2.1", "sdxl", "sdxl-turbo", "sdxl-lightning", "playground-v2.5", "ssd-1b", "sd3-medium",
    "sd3.5-medium", "sd3.5-large", "sd3.5-large-turbo", "pixart-sigma", "sana-1.6b", "sana-sprint-1.6b",
    "hunyuandit-v1.2", "auraflow-v0.3", "lumina-image-2.0", "cogview4-6b", "chroma1-hd",
    "flux.1-schnell", "flux.1-dev", "flux.1-kontext-dev", "flux.2-dev", "flux.2-klein-4b", "qwen-image",
    "qwen-image-2512", "z-image", "z-image-turbo", "wan2.1-t2v-1.3b", "wan2.1-t2v-14b", "hunyuanvideo",
    "cogvideox-5b", "ltx-video-2b",
)  # fmt: skip
GPUS = (
    "T4", "V100-SXM2", "A10G", "A100-SXM4-80GB", "L4", "L40S", "RTX A6000", "RTX 6000 Ada", "RTX 3090",
    "RTX 4070", "RTX 4090", "RTX 5090", "RTX PRO 6000", "H100-SXM5-80GB", "H100-PCIe-80GB",
    "H200-SXM-141GB", "B200-SXM", "GB200", "MI300X", "MI355X",
)  # fmt: skip
RUNTIMES = (
    {"engine": "diffusers"},
    {"engine": "diffusers", "compile": "yes"},
    {"engine": "sglang"},
    {"engine": "sglang", "quantization": "fp8"},
)
KEYS = ("engine", "compile", "quantization")
NUMBERS = ("energy_j", "energy_low_j", "energy_high_j", "duration_s", "duration_low_s", "duration_high_s")


def rows() -> list[dict[str, str]]:
    """A row a question, with what the default law answers; numbers to five digits."""
    asked = [
        {"model": model, "gpu": gpu(device).name, **dict.fromkeys(KEYS, ""), **runtime}
        for model in MODELS
        if model in model_names()
        for device in GPUS
        for runtime in RUNTIMES
    ]
    sizes = [packaged_profile(one["model"]).defaults for one in asked]
    columns = {key: [one[key] for one in asked] for key in ("model", "gpu", *KEYS)}
    columns |= {
        key: [str(getattr(size, key)) for size in sizes] for key in ("width", "height", "steps", "frames")
    }
    found = predict(columns)
    out = []
    for place, error in enumerate(found["error"]):
        if not error:
            given = {key: values[place] for key, values in columns.items()}
            numbers = {name: f"{float(found[name][place]):.5g}" for name in NUMBERS}
            out.append({**given, **numbers, "law": str(found["law"][place])})
    assert all(np.isfinite(float(row["energy_j"])) for row in out)
    return out


def main(date: str) -> None:
    """Write the file of a date."""
    found, path = rows(), FOLDER / f"{date}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    print(f"{path}: {len(found)} predictions")


if __name__ == "__main__":
    main(sys.argv[1])
