"""Measure speed and size of the installed tool against their targets; print, never fail.

    scripts/bench

Uses `.venv-demo` (the core alone, as a user installs it) and this interpreter (with the extra
`trace`). Figures depend on the machine; ratios less so.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from joulecast import data

CORE = Path(__file__).parents[1] / ".venv-demo"
ESTIMATE = ["flux.1-dev", "--gpu", "H100-SXM5-80GB", "--size", "1024x1024", "--steps", "50"]
RUNS = 21
ROWS = 1_000_000
TRACED = "flux.1-dev"

MOST_STARTUP_RATIO = 3.0
LEAST_ROWS_PER_S = 300_000.0
LEAST_FOOTPRINTS_PER_S = 200_000.0
MOST_PROFILE_S = 15.0
MOST_CORE_MB = 150.0

PREDICT = """
import resource, sys, time
import numpy as np
import joulecast

rows, rng = int(sys.argv[1]), np.random.default_rng(1)
models = [m.name for m in joulecast.models()]
gpus = [g.name for g in joulecast.gpus()]
table = {
    "model": rng.choice(models, rows),
    "gpu": rng.choice(gpus, rows),
    "width": 64 * rng.integers(4, 33, rows),
    "height": 64 * rng.integers(4, 33, rows),
    "steps": rng.integers(1, 101, rows),
    "passes": rng.integers(1, 3, rows),
    "batch_size": rng.integers(1, 65, rows),
    "precision": rng.choice(["fp16", "bf16", "fp32"], rows),
}
joulecast.predict({name: column[:100_000] for name, column in table.items()})  # loads every model and GPU
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
answer = joulecast.predict(table)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, before / 1024, peak / 1024, np.isfinite(answer["energy_j"]).sum())
"""

FOOTPRINT = """
import csv, resource, sys, time
import numpy as np
from joulecast.footprint.tables.columns import Sites, footprint_columns
from joulecast.footprint.grid.yearly import given_intensity, grid_of
from joulecast.footprint.site import site
from joulecast.footprint.tables.file import footprint_file
from joulecast.files.tables import BLOCK_ROWS

rows, source, target = int(sys.argv[1]), sys.argv[2], sys.argv[3]
rng = np.random.default_rng(1)
energy = rng.uniform(10, 1e4, rows)
table = {
    "energy_j": energy, "energy_low_j": 0.9 * energy, "energy_high_j": 1.1 * energy,
    "duration_s": energy / 500, "batch_size": rng.integers(1, 65, rows),
    "gpu": rng.choice(["H100-SXM5-80GB", "L4", "H200-SXM-141GB"], rows),
    "where": rng.choice(["FR", "PL", "US", "World"], rows),
}
sites = Sites(site(intensity=given_intensity(0)), lambda region, _: grid_of(region), "where")
with open(source, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(table)
    writer.writerows(zip(*(column[: rows // 5].tolist() for column in table.values())))
start = time.perf_counter()
for first in range(0, rows, BLOCK_ROWS):
    answer = footprint_columns({n: c[first : first + BLOCK_ROWS] for n, c in table.items()}, sites)
in_columns = time.perf_counter() - start
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
done = footprint_file(source, target, sites)
in_files = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(rows / in_columns, done.rows / in_files, before / 1024, peak / 1024)
"""


def main() -> None:
    """Measure everything, one line each."""
    for measure in (startup, prediction, footprints, tracing, install_size):
        measure()


def startup() -> None:
    """A whole `joulecast estimate` over a bare `import numpy`, interleaved."""
    python = str(CORE / "bin" / "python")
    estimate = [str(CORE / "bin" / "joulecast"), "estimate", *ESTIMATE]
    pairs = [(seconds([python, "-c", "import numpy"]), seconds(estimate)) for _ in range(RUNS)]
    numpy_s, estimate_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = estimate_s / numpy_s
    report(
        f"joulecast estimate: {estimate_s:.3f} s, import numpy: {numpy_s:.3f} s, ratio {ratio:.2f}",
        f"<= {MOST_STARTUP_RATIO:g}",
        ratio <= MOST_STARTUP_RATIO,
    )


def prediction() -> None:
    """Rows per second of `joulecast.predict` on a large random table."""
    python = str(CORE / "bin" / "python")
    done = subprocess.run([python, "-c", PREDICT, str(ROWS)], capture_output=True, text=True, check=True)
    took, before, peak, answered = (float(word) for word in done.stdout.split())
    report(
        f"joulecast.predict: {ROWS:,} rows ({answered:,.0f} answered) in {took:.2f} s, "
        f"{ROWS / took:,.0f} rows/s, peak memory {peak:.0f} MiB ({before:.0f} MiB before)",
        f">= {LEAST_ROWS_PER_S:,.0f} rows/s",
        ROWS / took >= LEAST_ROWS_PER_S,
    )


def footprints() -> None:
    """Rows per second of footprints in columns, and of a CSV file of them with a fifth of the rows."""
    with tempfile.TemporaryDirectory() as place:
        files = [f"{place}/in.csv", f"{place}/out.csv"]
        python = str(CORE / "bin" / "python")
        command = [python, "-c", FOOTPRINT, str(ROWS), *files]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    columns, csv_files, before, peak = (float(word) for word in done.stdout.split())
    report(
        f"joulecast footprint: {ROWS:,} rows in columns, {columns:,.0f} rows/s; CSV to CSV {csv_files:,.0f} "
        f"rows/s, peak memory {peak:.0f} MiB ({before:.0f} MiB before)",
        f">= {LEAST_FOOTPRINTS_PER_S:,.0f} rows/s in columns",
        columns >= LEAST_FOOTPRINTS_PER_S,
    )


def tracing() -> None:
    """A whole `joulecast profile` of a diffusers-format folder."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / TRACED
        write_model_folder(data.read_json(f"architectures/{TRACED}.json"), folder)
        command = [
            sys.executable,
            "-m",
            "joulecast",
            "profile",
            str(folder),
            "--out",
            f"{place}/profile.json",
        ]
        took = seconds(command)
    report(f"joulecast profile {TRACED}: {took:.1f} s", f"<= {MOST_PROFILE_S:g} s", took <= MOST_PROFILE_S)


def install_size() -> None:
    """What installing the core adds to a bare environment."""
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=False)
        size_mb = (size_bytes(CORE) - size_bytes(Path(place))) / 1e6
    report(f"core install: {size_mb:.0f} MB", f"< {MOST_CORE_MB:g} MB", size_mb < MOST_CORE_MB)


def report(figure: str, target: str, met: bool) -> None:
    """Print a figure, its target and whether it is met."""
    print(f"{figure}; target {target}: {'met' if met else 'NOT met'}", flush=True)


def seconds(command: list[str]) -> float:
    """Wall-clock time [s] of a process that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return time.perf_counter() - start


def size_bytes(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def write_model_folder(entry: dict[str, Any], folder: Path) -> None:
    """A packaged architecture as a diffusers-format folder, without weights."""
    index = {"_class_name": entry["pipeline"], **entry["pipeline_config"]}
    for name, part in entry["components"].items():
        index[name] = [part["library"], part["class"]]
        kind = name.rstrip("_0123456789")
        file = f"{kind}_config.json" if kind in ("scheduler", "tokenizer") else "config.json"
        (folder / name).mkdir(parents=True)
        (folder / name / file).write_text(json.dumps(part["config"]), encoding="utf-8")
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


if __name__ == "__main__":
    main()
