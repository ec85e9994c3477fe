"""Standard input and pipes of the shell, wherever a table or another file is read."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from command import Command, refused
from joulecast import data
from joulecast.files import streams

TABLE = "model,gpu,width,height,steps\nsdxl,A100-SXM4-80GB,1024,1024,30\n"
GPU = """name = "mine"
tdp_w = 300
memory_gb = 48
bandwidth_gb_per_s = 800
fp16_tflops = 300
"""
DEMAND = """[[services]]
images_per_day = 24000
[[services.configurations]]
model = "sdxl"
precision = "fp16"
[[gpus]]
name = "mine.toml"
[[regions]]
name = "here"
file = "here.csv"
"""


class Standard(NamedTuple):
    """Standard input as a program finds it."""

    buffer: io.BytesIO


def piped(monkeypatch: pytest.MonkeyPatch, content: str | bytes) -> None:
    """What a command finds on its standard input."""
    raw = content.encode() if isinstance(content, str) else content
    monkeypatch.setattr(sys, "stdin", Standard(io.BytesIO(raw)))


@pytest.fixture
def prediction(run: Command) -> str:
    Path("w.csv").write_text(TABLE)
    return run("predict", "w.csv").out


@pytest.mark.parametrize("name", streams.STANDARD_INPUT)
def test_standard_input_is_a_table(
    run: Command, monkeypatch: pytest.MonkeyPatch, prediction: str, name: str
) -> None:
    piped(monkeypatch, TABLE)
    assert run("predict", name).out == prediction


@pytest.mark.parametrize(
    "arguments",
    [
        ("footprint", "-", "--region", "FR"),
        ("card", "-"),
        ("budget", "check", "-", "--max-wh-per-image", "9"),
    ],
)
def test_every_table_may_be_standard_input(
    run: Command, monkeypatch: pytest.MonkeyPatch, prediction: str, arguments: tuple[str, ...]
) -> None:
    Path("p.csv").write_text(prediction)
    piped(monkeypatch, prediction)
    done = run(*arguments)
    assert done.status == 0, done.err
    assert done.out == run(*("p.csv" if word == "-" else word for word in arguments)).out


def test_parquet_is_told_by_its_beginning(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    Path("w.csv").write_text(TABLE)
    run("predict", "w.csv", "--out", "p.parquet")
    piped(monkeypatch, Path("p.parquet").read_bytes())
    assert "| sdxl |" in run("card", "-").out


def test_other_files(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU, an hourly series, a demand with files beside it where the program runs."""
    piped(monkeypatch, GPU)
    gpu = json.loads(run("estimate", "sdxl", "--gpu", "-", "--json").out)["gpu"]
    assert (gpu["name"], gpu["origin"]) == ("mine", "standard input")
    piped(monkeypatch, GPU)
    assert [one["name"] for one in json.loads(run("gpus", "-", "L4", "--json").out)] == ["mine", "L4"]
    hours = "\n".join(["datetime_utc,g", *(f"2022-06-01T{h:02}:00,{100 + h}" for h in range(24))])
    piped(monkeypatch, hours)
    made = json.loads(run("grid", "-", "--json").out)["hours"]
    assert {row["region"] for row in made} == {"standard input"}
    assert len(made) == 24
    Path("mine.toml").write_text(GPU)
    Path("here.csv").write_text(hours)
    piped(monkeypatch, DEMAND)
    done = run("plan", "-")
    assert done.status == 0, done.err
    assert "mine" in done.out


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ("profiles/sd2.json", ("estimate", "-", "--gpu", "H100")),
        ("profiles/sd2.json", ("pareto", "-", "--gpu", "H100")),
        ("profiles/sd2.json", ("what-if", "-", "--gpu", "H100", "--to", "steps=5")),
        ("laws/roofline.json", ("what-if", "sd2", "--gpu", "H100", "--law", "-", "--to", "steps=5")),
        (GPU, ("pareto", "sd2", "--gpu", "-")),
        (GPU, ("what-if", "sd2", "--gpu", "-", "--to", "steps=5")),
        ("laws/roofline.json", ("estimate", "-", "--gpu", "H100")),
        ("profiles/sd2.json", ("estimate", "sd2", "--gpu", "H100", "--law", "-")),
        ('{"format": "joulecast-profile", "version": 2}', ("estimate", "-", "--gpu", "H100")),
        ('{"format": "joulecast-law", "version": 1}', ("estimate", "sd2", "--gpu", "H100", "--law", "-")),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_stream_goes_by_its_name_and_never_by_that_of_a_file(
    run: Command, monkeypatch: pytest.MonkeyPatch, content: str, arguments: tuple[str, ...], form: tuple[str]
) -> None:
    piped(monkeypatch, data.read_text(content) if content.endswith(".json") else content)
    done = run(*arguments, *form)
    assert "standard-input" not in done.out + done.err
    if form or done.status:
        assert "standard input" in done.out + done.err


def test_a_pipe_of_the_shell(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(TABLE)
    (tmp_path / "mine.toml").write_text(GPU)
    command = f"{sys.executable} -m joulecast"
    for line in (
        f"{command} predict <(cat w.csv)",
        f"cat w.csv | {command} predict -",
        f"{command} predict /dev/stdin < w.csv",
        f"{command} pareto sdxl --gpu <(cat mine.toml),H100 --precision fp16",
    ):
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ("", ("predict", "-"), "standard input is empty"),
        ("a,b\n1,2\n", ("predict", "-"), "standard input has no column model, gpu"),
        (b"\xff\xfe\x00a", ("predict", "-"), "standard input"),
        ("tdp_w = ", ("estimate", "sdxl", "--gpu", "-"), "GPU file standard input is not TOML"),
        ("", ("plan", "-"), "needs [[gpus]]"),
        ("x", ("campaign", "predict", "-", "--gpu", "L4"), "plan 'standard-input' is not TOML"),
        (TABLE, ("predict", "-", "--law", "-"), "given twice"),
        ("", ("predict", "/dev/fd/987654"), "/dev/fd/987654 cannot be read"),
        ("", ("estimate", "sdxl", "--gpu", "H100", "--steps", "-"), "steps must be a whole number"),
    ],
)
def test_what_is_wrong_with_a_stream_is_one_line(
    run: Command,
    monkeypatch: pytest.MonkeyPatch,
    content: str | bytes,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    piped(monkeypatch, content)
    assert "joulecast-" not in refused(run(*arguments), words)


def test_a_stream_without_end_is_bounded(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_STREAM_BYTES", 100)
    piped(monkeypatch, "x" * 101)
    assert "is longer than 100 bytes" in run("predict", "-").err


def test_nothing_is_left_of_a_stream(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    piped(monkeypatch, TABLE)
    assert run("predict", "-", "--out", "p.csv").status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_without_standard_input(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run("predict", "-").err == "error: -: there is no standard input\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/63", "/proc/self/fd/11"])
def test_streams_are_told_by_their_names(name: str) -> None:
    assert streams.is_stream(name)


@pytest.mark.parametrize("name", ["--", "/dev/zero", "/dev/fd/x", "dev/fd/3", "/dev/fd/../zero", "a-", ""])
def test_other_devices_are_none(name: str) -> None:
    assert not streams.is_stream(name)
