"""Damaged and hostile files for `tools/fuzz.py`: of every format that joulecast reads a right one, changed.

A case is a format, files by name, and what is done with them. Files with a checksum get a right one, so that
what refuses them is their meaning. Everything follows from the seed of a case.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import sqlite3
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "workflows"))
import comfy_graphs

from fuzz_changes import (
    Json,
    change,
    change_csv,
    change_toml,
    changed_json,
    damage,
    mangled,
    records,
    value_of,
)
from joulecast import data
from joulecast.files import signed_json

LAYOUTS = Path(__file__).parents[1] / "tests" / "footprint" / "grid" / "layouts"  # of files of intensities
STDIN: Final = "-"  # the file of this name is the command's standard input


class Case(NamedTuple):
    """A damaged input: its files by name, and the command that reads them."""

    format: str
    files: Mapping[str, bytes]
    command: tuple[str, ...]


# --- right files -------------------------------------------------------------------------------------


def _negated(content: Json, draw: random.Random) -> None:
    """All coefficients of a profile turned about, or without any."""
    factor = draw.choice((-1, 0))
    for component in content["components"]:
        for tables in component["tables"]:
            for table in tables:
                for row in table["operators"]:
                    row[5:] = [[[i, c * factor] for i, c in cost] if factor else [] for cost in row[5:]]


@cache
def _packaged(name: str) -> str:
    return json.dumps(json.loads(data.read_text(name)))


def _signed(content: Json, draw: random.Random) -> bytes:
    """A JSON file with a right checksum, or in one case of ten a wrong one."""
    content.pop("sha256", None)
    content["sha256"] = signed_json.checksum(content) if draw.randrange(10) else "0" * 64
    return json.dumps(content).encode("utf-8", "surrogatepass")


def _changed(name: str, draw: random.Random, *also: Callable[[Json, random.Random], None]) -> bytes:
    """A packaged profile or law, changed once or a few times."""
    content = json.loads(_packaged(name))
    for how in also:
        how(content, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 4)) if not also else 0):
        change(content, draw)
    try:
        return _signed(content, draw)
    except (RecursionError, ValueError):  # it holds itself, or is too deep to be written
        return b"[" * 2000


GPU = """name = "My GPU"
vendor = "NVIDIA"
architecture = "Ada AD102"
generation = "Ada"
process = "TSMC 4N"
year = 2024
source = "a datasheet"
tdp_w = 350
idle_power_w = 35
fp32_tflops = 91.6
tf32_tflops = 183
fp16_tflops = 362
bf16_tflops = 362
memory_gb = 48
bandwidth_gb_per_s = 864
sm_count = 142
boost_clock_mhz = 2520
"""
PLAN = """[plan]
minimise = "carbon"
hours = 4
start = "2022-06-01T00:00Z"
pue = 1.15
[limits]
gpus = 300
[[services]]
name = "studio"
images_per_day = 50000
deadline_hours = 2
latency_s = 40
min_quality = 0.7
[[services.configurations]]
model = "sdxl"
size = "1024x1024"
steps = 30
precision = "fp16"
batch_sizes = [1, 4]
quality = 0.8
[[gpus]]
name = "H100-SXM5-80GB"
price_per_hour = 2.5
[[regions]]
hourly = "US-CAL-CISO"
[[regions]]
name = "FR"
intensity = 40
max_power_kw = 60
"""
CAMPAIGN = """name = "sweep"
budget = "9m"
order = "spread"
[protocol]
window_s = 2.0
repeats = 5
[[grid]]
model = "sd2"
size = ["256x256", "512x512"]
steps = [10, 30]
passes = 2
batch_size = [1, 16]
"""
WORKLOADS = """model,gpu,width,height,steps,precision,batch_size,note
sd2,H100,512,512,20,fp16,1,a
flux.1-dev,A100-SXM4-80GB,1024,1024,28,bf16,2,b
sdxl,T4,1024,768,30,fp16,1,c
"""
PREDICTED = """model,gpu,width,height,steps,energy_j,energy_low_j,energy_high_j,duration_s,boundary,region
sd2,H100-SXM5-80GB,512,512,20,300,250,360,0.8,gross,FR
sdxl,T4,1024,1024,30,2000,1500,2600,30,gross,PL
"""
RUNS = """run_id,model,gpu,batch_size,width,height,steps,passes,precision,energy_j,boundary,duration_s,scope
r1,sd2,H100-SXM5-80GB,1,512,512,20,2,fp16,300,gross,0.8,pipeline
r2,sdxl,A100-SXM4-80GB,1,1024,1024,30,2,fp16,2000,gross,6,pipeline
r3,sd1.5,A100-SXM4-40GB,4,512,512,50,2,fp16,200,gross,2.4,pipeline
"""
LOG = """time,model,gpu,steps,batch_size,customer,region,latency_s,execution_ms,energy_wh,n,concurrency
2026-10-01T08:02:11Z,sdxl,H100,30,1,a,DE,4.1,,,1,
2026-10-01T09:30:00Z,flux.1-dev,H100,28,2,b,FR,,9000,,4,2
2026-10-02T10:00:00Z,wan2.1-t2v-1.3b,L40S,20,1,b,,,,30,1,
1790000000,sd1.5,T4,20,1,,PL,2,,,,
"""
MAP = """timezone = "Europe/Paris"
[columns]
model = "model"
gpu = "gpu"
steps = "steps"
time = "time"
latency_s = {column = "execution_ms", times = 0.001}
tenant = "customer"
[values]
engine = "sglang"
[only]
region = "DE"
"""
HOURLY = "\n".join(
    ["datetime,zone,carbon_intensity_g_per_kwh"]
    + [f"2022-06-01T{hour:02}:00Z,US-X,{300 + 10 * hour}" for hour in range(24)]
)
TRACE = "time_s,power_w,phase,temperature_c\n" + "\n".join(
    f"{t / 2},{75 if t < 20 else 400},{'idle' if t < 20 else 'work'},50" for t in range(60)
)
EXPECTED = """run_id,boundary,energy_j,energy_low_j,energy_high_j,duration_s
r1,gross,290,250,340,0.7
r2,gross,2100,1500,2600,6
"""
STORE_PLAN = 'name = "s"\n[[grid]]\nmodel = "sd2"\nsize = "256x256"\nsteps = [5, 6, 7]\n'
LIVE_S, LIVE_AT = 1_772_366_400, "2026-03-01T12:00:00Z"
NEIGHBOURS: Final = {
    "emissions.csv": "duration,gpu_energy,ram_energy,energy_consumed,gpu_model\n1,2,3,4,T4\n2,3,4,5,T4",
    "zeus.csv": "start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy\n1,w,2,3,4\n2,w,3,4,5",
    "tokens.csv": "model_id,energy_per_token_joules\na,1\nb,2",
    "images.csv": "model_id,gpu_model,batch_size,energy_per_image_joules,batch_latency\nsdxl,H100,1,500,2",
    "zeus.json": '{"time": 3.5, "energy": 4, "gpu_energy": {"0": 1500.0}, "cpu_energy": null}',
    "benchmark_report.json": (
        '{"config": {}, "report": {"call": {"latency": {"mean": 2}, "energy": {"unit": "kWh", "cpu": 1, '
        '"ram": 1, "gpu": 1, "total": 3}, "efficiency": {"unit": "images/kWh", "value": 3}}}}'
    ),
    "boamps.json": '{"header": {}, "task": {"nbRequest": 1}, "measures": [{"powerConsumption": 0.1}]}',
}
GPUS: Final = ("H100", "A100-SXM4-80GB", "T4", "MI300X", "RTX 3090", "L4")


# --- formats -----------------------------------------------------------------------------------------


def _profile(draw: random.Random) -> Case:
    name = draw.choice(("sd2", "sd2", "sdxl", "flux.1-dev", "pixart-sigma", "qwen-image"))
    also = (_negated,) if draw.randrange(20) == 0 else ()
    options = draw.choice(((), ("--batch", "4"), ("--size", "256x256"), ("--steps", "1"), ("--passes", "2")))
    command = ("estimate", "p.json", "--gpu", draw.choice(GPUS), *options)
    return Case(
        "profile", {"p.json": _changed(f"profiles/{name}.json", draw, *also)}, (*command, *_json(draw))
    )


def _law(draw: random.Random) -> Case:
    form = draw.choice(("roofline", "roofline", "paper", "joules_per_flop", "tdp_time"))
    files = {"l.json": _changed(f"laws/{form}.json", draw), "t.csv": WORKLOADS.encode()}
    if draw.randrange(4) == 0:
        return Case("law", files, ("predict", "t.csv", "--law", "l.json", "--out", "o.csv"))
    model, gpu = draw.choice(("sd2", "sdxl", "flux.1-dev")), draw.choice(GPUS)
    return Case("law", files, ("estimate", model, "--gpu", gpu, "--law", "l.json", *_json(draw)))


def _gpu(draw: random.Random) -> Case:
    files = {"g.toml": mangled(GPU, draw, change_toml)}
    return Case("gpu", files, ("estimate", draw.choice(("sd2", "sdxl")), "--gpu", "g.toml", *_json(draw)))


def _plan(draw: random.Random) -> Case:
    return Case(
        "plan",
        {"p.toml": mangled(PLAN, draw, change_toml)},
        ("plan", "p.toml", "--time-limit", "2", *_json(draw)),
    )


def _campaign(draw: random.Random) -> Case:
    files = {"c.toml": mangled(CAMPAIGN, draw, change_toml)}
    return Case("campaign", files, ("campaign", "predict", "c.toml", "--gpu", "H100", "--out", "o.csv"))


def _workloads(draw: random.Random) -> Case:
    return Case(
        "workloads",
        {"t.csv": mangled(WORKLOADS, draw, change_csv)},
        ("predict", "t.csv", *draw.choice((("--json",), ("--out", "o.csv")))),
    )


def _budget(draw: random.Random) -> Case:
    text = draw.choice((WORKLOADS, PREDICTED))
    return Case(
        "budget",
        {"t.csv": mangled(text, draw, change_csv)},
        ("budget", "check", "t.csv", "--max-wh-per-image", "1", *_json(draw)),
    )


def _footprint(draw: random.Random) -> Case:
    files = {"t.csv": mangled(PREDICTED, draw, change_csv)}
    commands = (
        ("footprint", "t.csv", "--region-column", "region", "--out", "o.csv"),
        ("footprint", "t.csv", "--region", "FR", "--out", "o.csv"),
        ("card", "t.csv", "--region", "FR"),
    )
    return Case("footprint", files, draw.choice(commands))


def _as_parquet(columns: Mapping[str, Any], compression: str = "zstd") -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out, compression=compression)
    return out.getvalue()


def _parquet(draw: random.Random) -> Case:
    text = change_csv(WORKLOADS, draw) if draw.randrange(2) else WORKLOADS
    text = text.encode("utf-8", "replace").decode()  # Parquet has no half characters
    rows = records(io.StringIO(text))
    columns: dict[str, Any] = {
        str(k): [str(row.get(k)) for row in rows] for k in (rows[0] if rows else {"x": 1})
    }
    if draw.randrange(6) == 0:
        columns["nested"] = [draw.choice(([1], [None] * 1000, []))] * len(rows)
    content = _as_parquet(columns, draw.choice(("zstd", "none", "snappy")))
    content = damage(content, draw) if draw.randrange(3) else content
    return Case(
        "parquet",
        {"t.parquet": content},
        ("predict", "t.parquet", "--out", draw.choice(("o.csv", "o.parquet"))),
    )


def _runs(draw: random.Random) -> Case:
    return Case(
        "runs",
        {"r.csv": mangled(RUNS, draw, change_csv)},
        ("validate", "--runs", "r.csv", "--law", "roofline", *_json(draw)),
    )


def _hourly(draw: random.Random) -> Case:
    if draw.randrange(2):
        return Case("hourly", {"h.csv": mangled(HOURLY, draw, change_csv)}, ("grid", "h.csv", *_json(draw)))
    hours = [
        {"zone": "X", "datetime": f"2022-06-01T{h:02}:00:00Z", "carbonIntensity": 300 + h} for h in range(24)
    ]
    content = changed_json({"zone": "X", "history": hours}, draw)
    return Case("hourly", {"h.json": content}, ("grid", "h.json", *_json(draw)))


def _layout(draw: random.Random) -> Case:
    """A file as a publisher of intensities lays it out."""
    path = draw.choice([path for path in sorted(LAYOUTS.iterdir()) if path.name != "layouts.csv"])
    text = path.read_text(encoding="utf-8")
    is_json = path.suffix == ".json"
    content = changed_json(json.loads(text), draw) if is_json else mangled(text, draw, change_csv)
    name = f"h{path.suffix}"
    commands = (
        ("grid", name, *_json(draw)),
        ("footprint", "t.csv", "--hourly", name, "--allow-gaps", "--out", "o.csv"),
        ("estimate", "sd2", "--gpu", "H100", "--hourly", name, *_json(draw)),
    )
    return Case("layout", {name: content, "t.csv": PREDICTED.encode()}, draw.choice(commands))


def _live(draw: random.Random) -> Case:
    """What an API may answer, as the cache keeps it; what is not taken from there is asked of nobody."""
    answers: dict[str, Json] = {
        "FR": {"zone": "FR", "carbonIntensity": 31, "datetime": LIVE_AT, "emissionFactorType": "direct"},
        "GB": {"data": [{"from": LIVE_AT, "intensity": {"forecast": 90, "actual": None, "index": "low"}}]},
    }
    region = draw.choice(list(answers))
    kept = changed_json({"at": LIVE_S, "answer": answers[region]}, draw)
    return Case("live", {"answer.json": kept}, ("READ LIVE", region))


def _neighbour(draw: random.Random) -> Case:
    """A file of another tool, given for a table."""
    name, text = draw.choice(list(NEIGHBOURS.items()))
    is_json = name.endswith(".json")
    content = changed_json(json.loads(text), draw) if is_json else mangled(text, draw, change_csv)
    command = draw.choice((("predict", name), ("footprint", name, "--region", "FR"), ("card", name)))
    return Case("neighbour", {name: content}, command)


def _stream(draw: random.Random) -> Case:
    """A file of any format through a pipe, its name unknown."""
    while True:
        case = FORMATS[draw.choice([name for name in FORMATS if name != "stream"])](draw)
        named = [name for name in case.files if name in case.command]
        if named and case.command[0] != "READ FOLDER":
            chosen = draw.choice(named)
            files = {STDIN if name == chosen else name: content for name, content in case.files.items()}
            return Case("stream", files, tuple(STDIN if word == chosen else word for word in case.command))


def _trace(draw: random.Random) -> Case:
    files = {"t.csv": mangled(TRACE, draw, change_csv)}
    command = ("measure", "sd2", "--dry-run", "--trace", "t.csv", "--steps", "5", *_json(draw))
    return Case("trace", files, command)


def _check(draw: random.Random) -> Case:
    files = {"e.csv": mangled(EXPECTED, draw, change_csv), "r.csv": RUNS.encode()}
    return Case("predictions", files, ("campaign", "check", "e.csv", "--runs", "r.csv", *_json(draw)))


def _folder(draw: random.Random) -> Case:
    entry = json.loads(_packaged("architectures/sd1.5.json"))
    index: Json = {"_class_name": entry["pipeline"]}
    files: dict[str, Json] = {}
    for name, part in entry["components"].items():
        index[name] = [part["library"], part["class"]]
        kind = name.partition("_")[0]
        file = f"{kind}_config.json" if kind in ("scheduler", "tokenizer") else "config.json"
        files[f"m/{name}/{file}"] = part["config"]
    files["m/model_index.json"] = index
    written = {name: json.dumps(content).encode() for name, content in files.items()}
    chosen = draw.choice([name for name, content in files.items() if content])
    written[chosen] = changed_json(files[chosen], draw)
    return Case("folder", written, ("READ FOLDER", "m"))


@cache
def _store_bytes(folder: str) -> bytes:
    """A store with one finished task of a dry run."""
    from joulecast.cli import main

    plan = Path(folder) / "store-plan.toml"
    plan.write_text(STORE_PLAN)
    store = Path(folder) / "seed.db"
    with (
        contextlib.suppress(SystemExit),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        main(["campaign", "run", str(plan), "--dry-run", "--store", str(store)])
    connection = sqlite3.connect(store)
    connection.execute("pragma journal_mode = delete")
    connection.close()
    return store.read_bytes()


def _store(draw: random.Random, folder: str) -> Case:
    content = _store_bytes(folder)
    if draw.randrange(2) == 0:
        for _ in range(draw.choice((1, 3, 100))):
            content = damage(content, draw)
    else:
        content = _changed_store(content, draw, Path(folder) / "changed.db")
    command = draw.choice(
        (
            ("campaign", "status", "s.db"),
            ("campaign", "status", "s.db", "--json"),
            ("campaign", "export", "s.db", "--out", "o.csv", "--gpu", "H100"),
            ("campaign", "run", "c.toml", "--dry-run", "--store", "s.db"),
            ("compare", "s.db", "--a", "steps=5", "--b", "steps=6", *_json(draw)),
        )
    )
    return Case("store", {"s.db": content, "c.toml": STORE_PLAN.encode()}, command)


def _changed_store(content: bytes, draw: random.Random, place: Path) -> bytes:
    """One cell of a store's tables changed: a value, or something inside a JSON text."""
    place.write_bytes(content)
    connection = sqlite3.connect(place)
    cells = {
        "facts": ("name", "value"),
        "tasks": ("spec", "state", "cost_s", "gpu", "took_s", "attempt"),
        "environments": ("facts",),
        "repeats": ("content", "number", "measured_at"),
        "results": ("content", "finished_at"),
    }
    table = draw.choice(list(cells))
    column = draw.choice(cells[table])
    old = connection.execute(f"select {column} from {table} limit 1").fetchone()
    new = value_of(draw)
    if old and isinstance(old[0], str) and old[0].startswith("{") and draw.randrange(4):
        new = changed_json(json.loads(old[0]), draw).decode("utf-8", "replace")
    if isinstance(new, list | dict) or (isinstance(new, int) and abs(new) >= 2**63):
        new = "[" * 3000
    if isinstance(new, str):
        new = new.encode("utf-8", "replace").decode()
    with contextlib.suppress(sqlite3.IntegrityError), connection:  # what the tables themselves refuse
        connection.execute(
            f"update {table} set {column} = ? where rowid = (select min(rowid) from {table})", (new,)
        )
    connection.close()
    return place.read_bytes()


def _workflow(draw: random.Random) -> Case:
    """A workflow of ComfyUI, in either format."""
    makers = (comfy_graphs.hires_fix, comfy_graphs.flux_dev, comfy_graphs.qwen_in_a_subgraph)
    files = {"w.json": changed_json(draw.choice(makers)(), draw)}
    return Case("workflow", files, ("comfy", "w.json", "--gpu", draw.choice(GPUS), *_json(draw)))


def _log(draw: random.Random) -> Case:
    """A service's log, in any of its formats, and a map of what its columns mean."""
    log = LOG if draw.randrange(3) else change_csv(LOG, draw)
    rows = records(io.StringIO(log.encode("utf-8", "replace").decode()))
    ending = draw.choice((".csv", ".jsonl", ".parquet"))
    if ending == ".csv":
        content = mangled(LOG, draw, change_csv)
    elif ending == ".jsonl":
        content = b"\n".join(
            changed_json(row, draw) if draw.randrange(2) else json.dumps(row).encode() for row in rows
        )
    else:
        content = _as_parquet({str(k): [str(row.get(k)) for row in rows] for k in rows[0]} if rows else {})
        content = damage(content, draw) if draw.randrange(3) else content
    files = {f"log{ending}": content, "m.toml": mangled(MAP, draw, change_toml)}
    also = draw.choice(
        (
            (), ("--map", "m.toml"), ("--adapter", "sglang"), ("--adapter", "openai"), ("--fleet", "H100=2"),
            ("--region", "DE"),
        )
    )  # fmt: skip
    return Case(
        "log", files, ("ledger", f"log{ending}", "--out", "o", "--by", "day,customer", *also, *_json(draw))
    )


def _json(draw: random.Random) -> tuple[str, ...]:
    return ("--json",) if draw.randrange(3) else ()


FORMATS: Final[Mapping[str, Callable[[random.Random], Case]]] = {
    "profile": _profile,
    "law": _law,
    "gpu": _gpu,
    "plan": _plan,
    "campaign": _campaign,
    "workloads": _workloads,
    "budget": _budget,
    "footprint": _footprint,
    "parquet": _parquet,
    "runs": _runs,
    "hourly": _hourly,
    "trace": _trace,
    "predictions": _check,
    "folder": _folder,
    "layout": _layout,
    "live": _live,
    "neighbour": _neighbour,
    "stream": _stream,
    "workflow": _workflow,
    "log": _log,
}
STORE: Final = "store"


def case_of(seed: int, number: int, names: tuple[str, ...], folder: str) -> Case:
    """The case of a number: formats take turns."""
    draw = random.Random(f"{seed} {number}")
    name = names[number % len(names)]
    return _store(draw, folder) if name == STORE else FORMATS[name](draw)
