"""Measure speed and size of the installed tool against their targets; print, never fail.

    scripts/bench

Uses `.venv-demo` (the core alone, as a user installs it) and this interpreter (with the extra
`trace`). Figures depend on the machine; ratios less so. Beside estimates, those of EcoLogits in a
virtual environment that lasts as long as the measurement, where pip can install it.
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
QUESTIONS = 2_000
ECOLOGITS = "ecologits==0.11.*"
TRACED = "flux.1-dev"

MOST_STARTUP_RATIO = 1.45
LEAST_ESTIMATES_PER_S = 10_000.0
LEAST_ROWS_PER_S = 1_000_000.0
LEAST_FOOTPRINTS_PER_S = 200_000.0
MOST_PROFILE_S = 15.0
MOST_CORE_MB = 150.0
MOST_FIT_RATIO = 0.25

# Requests as a gateway meets them: a handful of models, sizes, steps, batches and GPUs that change with
# every call. Models and GPUs are loaded before; the fastest of five rounds.
QUESTION = """
import random, sys, time
import joulecast

count, rng = int(sys.argv[1]), random.Random(1)
models = ["flux.1-dev", "sdxl", "sd3.5-large", "qwen-image"]
gpus = ["H100-SXM5-80GB", "A100-SXM4-80GB", "L4", "L40S", "H200-SXM-141GB"]
questions = [
    (rng.choice(models), rng.choice(gpus), dict(
        width=64 * rng.randint(8, 24), height=64 * rng.randint(8, 24), steps=rng.randint(4, 60),
        batch_size=rng.randint(1, 16)))
    for _ in range(count)
]
for model in models:
    for gpu in gpus:
        for batch in (1, 2):
            joulecast.estimate(model, gpu, batch_size=batch)

def seconds():
    start = time.perf_counter()
    for model, gpu, setting in questions:
        joulecast.estimate(model, gpu, **setting)
    return time.perf_counter() - start

print(count / min(seconds() for _ in range(5)))
"""

ECOLOGITS_QUESTION = """
import random, sys, time
from ecologits.tracers.utils import llm_impacts

count, rng = int(sys.argv[1]), random.Random(1)
models = ["gpt-4o", "gpt-4o-mini", "o3-mini", "gpt-4.1"]
questions = [(rng.choice(models), rng.randint(1, 2000), rng.uniform(0.5, 30)) for _ in range(count)]
answer = llm_impacts("openai", "gpt-4o", 100, 1.0)
assert answer is not None and answer.energy is not None

def seconds():
    start = time.perf_counter()
    for model, tokens, latency in questions:
        llm_impacts("openai", model, tokens, latency)
    return time.perf_counter() - start

print(count / min(seconds() for _ in range(5)))
"""

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
    for measure in (startup, estimates, prediction, footprints, tracing, fitting, install_size):
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


def estimates() -> None:
    """Single estimates per second in one process, beside EcoLogits' estimates of text."""
    rate = answers_per_s(CORE, QUESTION)
    theirs = ecologits_per_s()
    beside = (
        f"{rate / theirs:.1f} times EcoLogits' {theirs:,.0f}/s" if theirs else "EcoLogits is left out: no pip"
    )
    report(
        f"joulecast.estimate: {rate:,.0f}/s in one process, {beside}",
        f">= {LEAST_ESTIMATES_PER_S:,.0f}/s",
        rate >= LEAST_ESTIMATES_PER_S,
    )


def ecologits_per_s() -> float | None:
    """The same of EcoLogits; None where it cannot be installed or does not answer."""
    with tempfile.TemporaryDirectory() as place:
        try:
            venv.create(place, with_pip=True)
            command = [f"{place}/bin/python", "-m", "pip", "install", "--quiet", ECOLOGITS]
            subprocess.run(command, check=True, capture_output=True)
            return answers_per_s(Path(place), ECOLOGITS_QUESTION)
        except (OSError, subprocess.CalledProcessError):
            return None


def answers_per_s(environment: Path, script: str) -> float:
    """What a script that asks QUESTIONS times prints."""
    command = [str(environment / "bin" / "python"), "-c", script, str(QUESTIONS)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


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


def fitting() -> None:
    """A search for the law of the packaged runs from a law that is there, beside those from the priors."""
    from joulecast.law.dataset import Dataset
    from joulecast.law.fit_roofline import Search
    from joulecast.law.load import load_law
    from joulecast.law.own_runs import fitted_runs, load_run_profile
    from joulecast.law.roofline import RooflineLaw

    law = load_law("roofline")
    assert isinstance(law, RooflineLaw)
    search = Search(Dataset.build(fitted_runs()[0], load_run_profile))
    took, costs = [], []
    for find in (search.best, lambda: search.from_a(law)):
        start = time.process_time()
        costs.append(search.cost(find()))
        took.append(time.process_time() - start)
    report(
        f"a fit from a law that is there: {took[1]:.1f} s of CPU, {took[1] / took[0]:.2f} times one from the "
        f"priors; its cost {costs[1]:.3f}, that of the other {costs[0]:.3f}",
        f"<= {MOST_FIT_RATIO:g} times",
        took[1] <= MOST_FIT_RATIO * took[0],
    )


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
