"""Damaged and hostile files for `tools/fuzz.py`: of every format that joulecast reads a right one, changed.

A case is a format, files by name, and what is done with them. Files with a checksum get a right one, so that
what refuses them is their meaning. Everything follows from the seed of a case.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from joulecast import data
from joulecast.files import signed_json

Json = Any


class Case(NamedTuple):
    """A damaged input: its files by name, and the command that reads them."""

    format: str
    files: Mapping[str, bytes]
    command: tuple[str, ...]


# --- what takes the place of a value -----------------------------------------------------------------

NUMBERS: Final = (
    0, 1, -1, 2, 0.5, 1.9, -0.0, 1e-300, 1e300, -1e300, 10**15, 10**30, 10**400, 2**31, 2**63, 8192, -(10**9),
    4097,
)  # fmt: skip
TEXTS: Final = (
    "", " ", "x", "\x1b]0;owned\x07", "\x1b[2J", "sd2\non H100: 1 J", "=cmd|' /C calc'!A0", "\u202eabc",
    "\ud800", "[a](javascript:alert(1))", "![a](http://x.invalid/a)", "<script>", "../../etc/passwd", "nan",
    "inf", "-1",
    "0001-01-01T00:00+14:00", "9999-12-31T23:00-12:00", "9" * 400, "9" * 5000, "a" * 200_000, "fp16", "batch",
    "sd2", "H100", "\0", "1e400", "0x10", "１２", "a,b", '"',
)  # fmt: skip


def _value(draw: random.Random) -> Json:
    """Something that is seldom right."""
    kind = draw.randrange(8)
    if kind < 3:
        return draw.choice(NUMBERS)
    if kind < 5:
        return draw.choice(TEXTS)
    if kind == 5:
        return draw.choice((None, True, False, float("nan"), float("inf")))
    if kind == 6:
        return draw.choice(([], {}, [[]], [None], {"x": 1}, [1, 2], [1] * 3000, "batch*height^4*width^4"))
    deep: Json = 0
    for _ in range(draw.choice((3, 70, 300))):
        deep = [deep]
    return deep


# --- changes of a structure --------------------------------------------------------------------------


def _places(value: Json) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in a structure."""
    level = [value]
    while level:
        one = level.pop()
        items = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for key, item in items:
            yield one, key
            if isinstance(item, dict | list):
                level.append(item)


def change(value: Json, draw: random.Random) -> None:
    """Change one thing of a structure: what is there, its sign or size, its place, its key, its number."""
    places = list(_places(value))
    # The few keys near the top matter as much as the thousands of coefficients beneath.
    one, key = draw.choice(places[: draw.choice((len(places), 60))])
    old, how = one[key], draw.randrange(10)
    if isinstance(old, int | float) and not isinstance(old, bool) and how < 5:
        one[key] = (
            old * draw.choice((-1, 0, 2, 0.5, 1e3, 1e-3, 1e9, 1e-9)) if how else old + draw.choice((-1, 1))
        )
    elif how < 7:
        one[key] = _value(draw)
    elif how == 7:
        del one[key]
    elif isinstance(one, list):
        one.insert(draw.randrange(len(one) + 1), old)
    else:
        other, place = draw.choice(places)
        one[key], other[place] = other[place], one[key]  # may lie in itself: then it cannot be written


def _negated(content: Json, draw: random.Random) -> None:
    """All coefficients of a profile turned about, or without any."""
    factor = draw.choice((-1, 0))
    for component in content["components"]:
        for tables in component["tables"]:
            for table in tables:
                for row in table["operators"]:
                    row[5:] = [[[i, c * factor] for i, c in cost] if factor else [] for cost in row[5:]]


# --- changes of bytes and lines ----------------------------------------------------------------------


def damage(content: bytes, draw: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, put in."""
    if not content:
        return b"\0"
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice((1, 2, 10, 1000)))
    put_in = draw.choice(
        (
            b"\0",
            b"\xff",
            b"[" * 5000,
            b"a." * 50_000,
            b"9" * 5000,
            b"\r",
            b"\n",
            b'"',
            b"\xef\xbb\xbf",
            b"\x1b[2J",
            b",",
        )
    )
    how = draw.randrange(5)
    if how == 0:
        return content[:start] + bytes([draw.randrange(256)]) + content[start + 1 :]
    if how == 1:
        return content[:start] + content[end:]
    if how == 2:
        return content[:end] + content[start:end] * draw.choice((1, 20)) + content[end:]
    return content[:start] + put_in + content[start if how == 3 else end :]


def _toml_value(value: Json) -> str:
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode()).replace("\\u007f", "\\u007F")
    if isinstance(value, float):
        return repr(value).replace("e+", "e")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, int) and abs(value) > 10**30:
        return "9" * _digits(value)
    return "{}" if value is None or isinstance(value, dict) else str(value)


def _digits(value: int) -> int:
    """Digits of a number, which Python may refuse to print."""
    return 1 + int(value.bit_length() * 0.30103)


def change_toml(text: str, draw: random.Random) -> str:
    """Change one line of a TOML text: its value, its key, its place, or whether it is there."""
    lines = text.splitlines()
    place = draw.randrange(len(lines))
    key, equals, old = lines[place].partition("=")
    how = draw.randrange(8)
    if equals and how < 5:
        value = old.strip()
        scaled = draw.choice(
            ("-" + value, value + "0" * draw.choice((1, 9, 400)), f"[{value}]", f"[{value}, {value}]")
        )
        lines[place] = f"{key}= {scaled if how == 0 else _toml_value(_value(draw))}"
    elif how == 5:
        del lines[place]
    elif how == 6:
        lines.insert(draw.randrange(len(lines)), lines[place])
    else:
        lines.insert(
            place,
            draw.choice(
                ("a" + ".a" * 50_000 + " = 1", "x = " + "[" * 5000, "x = " + "9" * 5000, "[[x]]", "y = 1")
            ),
        )
    return "\n".join(lines) + "\n"


def change_csv(text: str, draw: random.Random) -> str:
    """Change one cell, a column or a row of a CSV text."""
    rows = list(csv.reader(io.StringIO(text)))
    row = draw.randrange(len(rows))
    column = draw.randrange(len(rows[0]))
    how = draw.randrange(10)
    if how < 6:
        value = _value(draw)
        short = not isinstance(value, int) or abs(value) < 10**300
        rows[row][column] = str(value) if short else "9" * _digits(value)
    elif how == 6:
        rows = [cells[:column] + cells[column + 1 :] for cells in rows]
    elif how == 7:
        rows = [[*cells, cells[column]] for cells in rows]
    elif how == 8:
        rows.insert(draw.randrange(len(rows)), rows[row])
    else:
        rows[0][column] = draw.choice(
            ("", "dtype", "batch", "frames", "energy_j", "\x1b[2J", "=1+1", "error")
        )
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


# --- right files -------------------------------------------------------------------------------------


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


def _mangled(text: str, draw: random.Random, changed: Callable[[str, random.Random], str]) -> bytes:
    """A text changed in its own way, or in one case of four as bytes."""
    if draw.randrange(4) == 0:
        return damage(text.encode(), draw)
    for _ in range(draw.choice((1, 1, 2))):
        text = changed(text, draw)
    return text.encode("utf-8", "surrogatepass")


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
    files = {"g.toml": _mangled(GPU, draw, change_toml)}
    return Case("gpu", files, ("estimate", draw.choice(("sd2", "sdxl")), "--gpu", "g.toml", *_json(draw)))


def _plan(draw: random.Random) -> Case:
    return Case(
        "plan",
        {"p.toml": _mangled(PLAN, draw, change_toml)},
        ("plan", "p.toml", "--time-limit", "2", *_json(draw)),
    )


def _campaign(draw: random.Random) -> Case:
    files = {"c.toml": _mangled(CAMPAIGN, draw, change_toml)}
    return Case("campaign", files, ("campaign", "predict", "c.toml", "--gpu", "H100", "--out", "o.csv"))


def _workloads(draw: random.Random) -> Case:
    return Case(
        "workloads", {"t.csv": _mangled(WORKLOADS, draw, change_csv)}, ("predict", "t.csv", "--out", "o.csv")
    )


def _budget(draw: random.Random) -> Case:
    text = draw.choice((WORKLOADS, PREDICTED))
    return Case(
        "budget",
        {"t.csv": _mangled(text, draw, change_csv)},
        ("budget", "check", "t.csv", "--max-wh-per-image", "1"),
    )


def _footprint(draw: random.Random) -> Case:
    files = {"t.csv": _mangled(PREDICTED, draw, change_csv)}
    commands = (
        ("footprint", "t.csv", "--region-column", "region", "--out", "o.csv"),
        ("footprint", "t.csv", "--region", "FR", "--out", "o.csv"),
        ("card", "t.csv", "--region", "FR"),
    )
    return Case("footprint", files, draw.choice(commands))


def _parquet(draw: random.Random) -> Case:
    import pyarrow
    import pyarrow.parquet

    text = change_csv(WORKLOADS, draw) if draw.randrange(2) else WORKLOADS
    text = text.encode("utf-8", "replace").decode()  # Parquet has no half characters
    rows = list(csv.DictReader(io.StringIO(text)))
    columns: dict[str, Any] = {
        str(k): [str(row.get(k)) for row in rows] for k in (rows[0] if rows else {"x": 1})
    }
    if draw.randrange(6) == 0:
        columns["nested"] = [draw.choice(([1], [None] * 1000, []))] * len(rows)
    out = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table(columns), out, compression=draw.choice(("zstd", "none", "snappy"))
    )
    content = out.getvalue()
    content = damage(content, draw) if draw.randrange(3) else content
    return Case(
        "parquet",
        {"t.parquet": content},
        ("predict", "t.parquet", "--out", draw.choice(("o.csv", "o.parquet"))),
    )


def _runs(draw: random.Random) -> Case:
    return Case(
        "runs",
        {"r.csv": _mangled(RUNS, draw, change_csv)},
        ("validate", "--runs", "r.csv", "--law", "roofline", *_json(draw)),
    )


def _hourly(draw: random.Random) -> Case:
    if draw.randrange(2):
        return Case("hourly", {"h.csv": _mangled(HOURLY, draw, change_csv)}, ("grid", "h.csv", *_json(draw)))
    hours = [
        {"zone": "X", "datetime": f"2022-06-01T{h:02}:00:00Z", "carbonIntensity": 300 + h} for h in range(24)
    ]
    content: Json = {"zone": "X", "history": hours}
    change(content, draw)
    try:
        text = json.dumps(content).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):
        text = b"[" * 100_000
    return Case(
        "hourly",
        {"h.json": damage(text, draw) if draw.randrange(4) == 0 else text},
        ("grid", "h.json", *_json(draw)),
    )


def _trace(draw: random.Random) -> Case:
    files = {"t.csv": _mangled(TRACE, draw, change_csv)}
    command = ("measure", "sd2", "--dry-run", "--trace", "t.csv", "--steps", "5", *_json(draw))
    return Case("trace", files, command)


def _check(draw: random.Random) -> Case:
    files = {"e.csv": _mangled(EXPECTED, draw, change_csv), "r.csv": RUNS.encode()}
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
    chosen = draw.choice(list(files))
    if files[chosen]:
        change(files[chosen], draw)
    written: dict[str, bytes] = {}
    for name, content in files.items():
        try:
            written[name] = json.dumps(content).encode("utf-8", "surrogatepass")
        except (RecursionError, ValueError):
            written[name] = b"{" * 5000
    if draw.randrange(4) == 0:
        written[chosen] = damage(written[chosen], draw)
    return Case("folder", written, ("READ FOLDER", "m"))


@cache
def _store_bytes(folder: str) -> bytes:
    """A store with one finished task of a dry run."""
    from joulecast.cli import main

    plan = Path(folder) / "store-plan.toml"
    plan.write_text('name = "s"\n[[grid]]\nmodel = "sd2"\nsize = "256x256"\nsteps = [5, 6]\n')
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
    if draw.randrange(3) == 0:
        content = damage(content, draw)
    else:
        content = _changed_store(content, draw, Path(folder) / "changed.db")
    command = draw.choice(
        (
            ("campaign", "status", "s.db"),
            ("campaign", "status", "s.db", "--json"),
            ("campaign", "export", "s.db", "--out", "o.csv", "--gpu", "H100"),
        )
    )
    return Case("store", {"s.db": content}, command)


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
    new = _value(draw)
    if old and isinstance(old[0], str) and old[0].startswith("{") and draw.randrange(4):
        inner = json.loads(old[0])
        change(inner, draw)
        try:
            new = json.dumps(inner)
        except (RecursionError, ValueError):
            new = "{" * 5000
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
}
STORE: Final = "store"


def case_of(seed: int, number: int, names: tuple[str, ...], folder: str) -> Case:
    """The case of a number: formats take turns."""
    draw = random.Random(f"{seed} {number}")
    name = names[number % len(names)]
    return _store(draw, folder) if name == STORE else FORMATS[name](draw)
