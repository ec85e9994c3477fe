"""Commands on files and names from outside: nothing acts, nothing is lost, nothing is a traceback."""

from __future__ import annotations

import csv
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from command import Command, refused
from joulecast import data
from joulecast.errors import visible
from joulecast.files import signed_json
from joulecast.runs import RunTable, packaged_runs
from pipeline_folder import write_folder

WORKLOADS = "model,gpu,width,height,steps,note\nsd2,H100,512,512,20,mine\n"
ESCAPE, TITLE = "\x1b[2J", "\x1b]0;owned\x07"
SEEN = (r"\x1b[2J", r"\x1b]0;owned\x07")  # the same where they are shown


@pytest.fixture
def workloads(run: Command) -> Path:
    Path("w.csv").write_text(WORKLOADS)
    return Path("w.csv")


def law(path: str, **changes: Any) -> str:
    """A law file of the package's, changed, with a right checksum."""
    content = json.loads(data.read_text("laws/joules_per_flop.json")) | changes
    content.pop("sha256")
    content["sha256"] = signed_json.checksum(content)
    Path(path).write_text(json.dumps(content))
    return path


# --- special files -------------------------------------------------------------------------------


def special(kind: str, path: Path) -> str:
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(f"/dev/{kind}")
    return str(path)


@pytest.mark.parametrize("kind", ["zero", "pipe", "full"])
@pytest.mark.parametrize(
    "command",
    [
        ("estimate", "sd2", "--gpu", "H100", "--law", "x.json"),
        ("estimate", "x.json", "--gpu", "H100"),
        ("estimate", "sd2", "--gpu", "x.toml"),
        ("predict", "x.csv"),
        ("predict", "x.parquet"),
        ("predict", "w.csv", "--law", "x.json"),
        ("budget", "check", "x.csv", "--max-wh-per-image", "1"),
        ("footprint", "x.csv", "--region", "FR"),
        ("card", "x.csv"),
        ("grid", "./x.csv"),
        ("plan", "x.toml"),
        ("campaign", "predict", "x.toml", "--gpu", "H100"),
        ("campaign", "check", "x.csv", "--runs", "r.csv"),
        ("campaign", "status", "x.db"),
        ("validate", "--runs", "x.csv"),
        ("fit", "x.csv", "--out", "law.json"),
        ("measure", "sd2", "--dry-run", "--trace", "x.csv"),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("workloads")
def test_a_device_or_a_pipe_is_refused_at_once(command: tuple[str, ...], kind: str, run: Command) -> None:
    name = next(Path(word).name for word in command if Path(word).name.startswith("x."))
    special(kind, Path(name))
    RunTable(itertools.islice(packaged_runs(), 2)).write("r.csv")
    words = "there is no store 'x.db'" if name == "x.db" else f"'{name}' is not a plain file"
    refused(run(*command), words)


@pytest.mark.parametrize("kind", ["zero", "pipe"])
@pytest.mark.parametrize(
    "part",
    [
        "model_index.json",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
    ],
)
def test_a_model_folder_with_a_device_or_a_pipe(part: str, kind: str, run: Command, tmp_path: Path) -> None:
    folder = write_folder("sd2", tmp_path / "m")
    (folder / part).unlink()
    special(kind, folder / part)
    words = "holds no model_index.json" if part == "model_index.json" else "is not a plain file"
    refused(run("profile", "m", "--out", "o.json"), words)


def test_a_scheduler_of_a_thousand_million_steps(run: Command, tmp_path: Path) -> None:
    folder = write_folder("sd2", tmp_path / "m")
    (folder / "scheduler" / "scheduler_config.json").write_text('{"num_train_timesteps": 1000000000}')
    error = refused(run("profile", "m", "--out", "o.json"))
    assert "num_train_timesteps is 1000000000; at most 100,000 timesteps" in error


# --- files are not lost --------------------------------------------------------------------------

PLAN = """[[services]]
name = "s"
images_per_day = 100000
[[services.configurations]]
model = "sd2"
[[gpus]]
name = "H100"
[[regions]]
name = "FR"
"""
GPU = """name = "mine"
tdp_w = 350
fp16_tflops = 362
memory_gb = 48
bandwidth_gb_per_s = 864
"""
HOURLY = "datetime,zone,carbon_intensity_g_per_kwh\n2022-06-01T00:00Z,X,300\n2022-06-01T01:00Z,X,310\n"
PREDICTED = "model,gpu,width,height,steps,energy_j,duration_s,boundary\nsd2,H100,512,512,20,300,0.8,gross\n"


@pytest.mark.parametrize(
    ("command", "target"),
    [
        (("predict", "w.csv", "--law", "l.json", "--out", "l.csv"), "l.csv"),
        (("predict", "w.csv", "--law", "l.json", "--out", "w.csv"), "w.csv"),
        (("predict", "own-gpu.csv", "--out", "g.csv"), "g.csv"),
        (("campaign", "predict", "c.toml", "--gpu", "H100", "--law", "l.json", "--out", "l.csv"), "l.csv"),
        (("footprint", "p.csv", "--hourly", "h.csv", "--out", "h.csv"), "h.csv"),
        (("footprint", "p.csv", "--region", "FR", "--out", "p.csv"), "p.csv"),
        (("card", "p.csv", "--out", "p.csv"), "p.csv"),
        (("pareto", "sd2", "--gpu", "g.toml", "--by", "energy,latency", "--out", "g.csv"), "g.csv"),
        (("measure", "sd2", "--dry-run", "--trace", "t.csv", "--gpu", "H100", "--out", "t.csv"), "t.csv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_output_that_is_an_input_is_refused(command: tuple[str, ...], target: str, run: Command) -> None:
    """Also by another name of the same file: `l.csv` of the law, `g.csv` of the GPU."""
    Path("w.csv").write_text(WORKLOADS)
    Path("own-gpu.csv").write_text(WORKLOADS.replace("H100", "g.toml"))
    Path("g.toml").write_text(GPU)
    Path("h.csv").write_text(HOURLY)
    Path("p.csv").write_text(PREDICTED)
    Path("c.toml").write_text('name = "c"\n[[grid]]\nmodel = "sd2"\nsteps = 5\n')
    Path("t.csv").write_text(data.read_text("plans/dry-run-trace.csv"))
    law("l.json")
    os.link("l.json", "l.csv")
    os.link("g.toml", "g.csv")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    refused(run(*command), f"the output '{target}' is the input itself; give another name")
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("target", ["l.json", "g.toml"])
@pytest.mark.parametrize("command", [("predict", "w.csv"), ("pareto", "sd2", "--gpu", "g.toml")])
@pytest.mark.usefixtures("workloads")
def test_a_table_takes_the_place_of_no_other_kind_of_file(
    command: tuple[str, ...], target: str, run: Command
) -> None:
    Path("g.toml").write_text(GPU)
    before = Path(law("l.json")).read_bytes()
    refused(run(*command, "--law", "l.json", "--out", target), "a table is written as CSV")
    assert (Path("l.json").read_bytes(), Path("g.toml").read_text()) == (before, GPU)


def test_a_report_over_its_plan(run: Command) -> None:
    folder = Path("report")
    folder.mkdir()
    (folder / "index.html").write_text(PLAN)  # a strange name for a plan, and a right one for a report
    refused(run("plan", "report/index.html", "--report", "report"), "is the input itself")
    assert (folder / "index.html").read_text() == PLAN
    assert [path.name for path in Path().iterdir()] == ["report"]


@pytest.mark.parametrize(
    ("out", "words"), [("l.json", "is the input itself"), ("no/l.json", "there is no folder")]
)
def test_an_output_is_looked_at_before_long_work(
    out: str, words: str, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder("sd2", tmp_path / "m")
    os.link(folder / "unet" / "config.json", "l.json")
    monkeypatch.setattr("joulecast.compute.profiler.make_profile", None)  # the long work: it would be called
    refused(run("profile", "m", "--out", out), words)
    assert json.loads((folder / "unet" / "config.json").read_text())


# --- words that act ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ESCAPE, TITLE, "a\u202eb", "a\nb", "=cmd|' /C calc'!A0", "", "x" * 300])
def test_a_laws_name(name: str, run: Command) -> None:
    words = "begins like a formula of a spreadsheet" if name.startswith("=") else "name is"
    refused(run("estimate", "sd2", "--gpu", "H100", "--law", law("l.json", name=name)), words)


@pytest.mark.parametrize(
    "command",
    [
        ("estimate", "sd2", "--gpu", "H100", "--law", f"{ESCAPE}.json"),
        ("estimate", f"./{TITLE}.json", "--gpu", "H100"),
        ("estimate", TITLE, "--gpu", "H100"),
        ("estimate", "sd2", "--gpu", f"{TITLE}.toml"),
        ("predict", f"{ESCAPE}.csv"),
        (ESCAPE,),
        ("estimate", "sd2", "--gpu", "H100", f"--{TITLE}"),
        ("footprint", "e.csv", "--region", "FR"),
        ("grid", f"{ESCAPE}.csv"),
        ("profile", TITLE, "--out", "o.json"),
    ],
    ids=ascii,
)
@pytest.mark.usefixtures("unguarded")
def test_messages_show_names_from_outside(command: tuple[str, ...], run: Command) -> None:
    """By themselves: they are also read in Python, where no stream of ours guards."""
    Path("e.csv").write_text(WORKLOADS.replace("note", TITLE))
    assert any(seen in refused(run(*command)) for seen in SEEN)


@pytest.mark.usefixtures("run")
def test_what_is_printed_shows_columns_and_cells(run: Command) -> None:
    """Words of the user's own go into a file as they are, and to a terminal as they can do no harm."""
    Path("e.csv").write_text(WORKLOADS.replace("note", TITLE).replace("mine", ESCAPE))
    printed = run("predict", "e.csv").out
    assert all(seen in printed for seen in SEEN)
    assert visible(printed) == printed
    assert not {"\x1b", "\x07"} & set(printed)


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that write what they are given."""
    monkeypatch.setattr("joulecast.cli.streams.visible", lambda text: text)


def test_cells_in_a_file_stay_as_they_were(run: Command) -> None:
    cells = ["-", "=1+1", ESCAPE, "é\t\u200d"]
    with Path("w.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["model", "gpu", "width", "height", "steps", "mine"]]
            + [["sd2", "H100", 512, 512, 20, cell] for cell in cells]
        )
    assert run("predict", "w.csv", "--out", "o.csv").status == 0
    with Path("o.csv").open(newline="") as file:
        assert [row["mine"] for row in csv.DictReader(file)] == cells


@pytest.mark.usefixtures("unguarded")
def test_messages_of_torch_are_shown(run: Command, tmp_path: Path) -> None:
    folder = write_folder("sd2", tmp_path / "m")
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"act_fn": f"x{TITLE}{ESCAPE}"}))
    refused(run("profile", "m", "--out", "o.json"), f"activation function x{SEEN[1]}")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("![a](http://x.invalid/a)", r"!\[a\](http:\//x.invalid/a)"),
        ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"),
        ("www.x.invalid", r"www\.x.invalid"),
        ("`x`", r"\`x\`"),
        ("a|b<img src=x>", "a/b&lt;img src=x>"),
        (ESCAPE, "\\\\x1b\\[2J"),
    ],
)
def test_markdown_in_a_models_name(name: str, shown: str, run: Command) -> None:
    with Path("p.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["model", "energy_j"], [name, 300]])
    done = run("card", "p.csv", "--out", "card.md")
    assert done.status == 0
    assert f"| {shown} |" in Path("card.md").read_text()


def test_formulas_in_what_pareto_writes(run: Command) -> None:
    """The name of a GPU file reaches a column of ours, and that of the GPU in it a warning."""
    Path("=1+1.toml").write_text(GPU.replace("mine", "=cmd|' /C calc'!A0"))
    done = run("pareto", "sd2", "--gpu", "=1+1.toml,H100", "--by", "energy,latency", "--out", "o.csv")
    assert done.status == 0, done.err
    with Path("o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["gpu"] for row in rows} == {"'=1+1.toml", "H100-SXM5-80GB"}
    assert not [cell for row in rows for cell in row.values() if cell.startswith("=")]


def test_an_empty_name_is_no_file(run: Command) -> None:
    """`validate` without runs holds out all packaged ones, which takes a minute."""
    refused(run("validate", "--runs", ""))


# --- streams that are closed ---------------------------------------------------------------------


def closed(command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    whole = command.replace("joulecast", f"{sys.executable} -m joulecast")
    return subprocess.run(["sh", "-c", whole], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
@pytest.mark.usefixtures("workloads")
def test_closed_streams(run: Command) -> None:
    done = closed("joulecast estimate sd2 --gpu H100 >&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: standard output is closed; send it to a file, or to /dev/null\n"
    assert closed("joulecast predict w.csv >&-").returncode == 2
    assert closed("joulecast models >&- 2>&-").returncode == 2
    done = closed("joulecast predict w.csv --out o.csv >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert Path("o.csv").read_text().startswith("model,gpu")
    assert closed("joulecast estimate sd2 --gpu H100 2>&-").stdout.startswith("sd2 on H100")
