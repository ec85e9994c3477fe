"""Whole ledgers: against a reckoning row by row, in any order, after any interruption, and how sure."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import joulecast
from joulecast.errors import FileFormatError, InputError, UnknownNameError
from joulecast.ledger import nodes
from joulecast.ledger.folder import PARTS, Folder
from joulecast.ledger.log import FUTURE, Partition
from joulecast.ledger.make import Ledger, make_ledger
from joulecast.ledger.meanings import MEANINGS, adapter, adapter_text, adapters, read_meanings
from joulecast.ledger.partition import FIRST, REASON, REQUESTS, Cells, cells_of
from joulecast.ledger.synthetic import synthetic_log
from joulecast.ledger.totals import drifts, total

ROWS = 3_000


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return synthetic_log(ROWS, seed=7)


def written(frame: pl.DataFrame, path: Path) -> str:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path)
    return str(path)


def reckoned(log: pl.DataFrame) -> tuple[int, float, float]:
    """Requests, outputs and joules row by row, by the rule for a latency, with floats alone."""
    columns = {name: log[name].to_list() for name in ("model", "gpu", "size", "steps", "batch_size")}
    found = joulecast.predict(columns)
    requests, outputs, joules = 0, 0.0, 0.0
    for i, row in enumerate(log.iter_rows(named=True)):
        if found["error"][i] or row["time"] == "yesterday":
            continue
        energy = float(found["energy_j"][i])
        if row["latency_s"] is not None:
            energy = min(energy, joulecast.gpu(row["gpu"]).tdp_w * row["latency_s"] / row["batch_size"])
        requests, outputs, joules = (
            requests + 1,
            outputs + row["batch_size"],
            joules + energy * row["batch_size"],
        )
    return requests, outputs, joules


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_a_ledger_is_what_rows_come_to_one_by_one(log: pl.DataFrame, tmp_path: Path, ending: str) -> None:
    done = make_ledger([written(log, tmp_path / f"log{ending}")], tmp_path / "out")
    whole = total(done.cells, done.law.name)
    requests, outputs, joules = reckoned(log)
    assert (whole.requests, whole.outputs) == (requests, outputs)
    assert whole.energy_j.value == pytest.approx(joules, rel=1e-9)
    assert done.aside == ROWS - requests > 0
    assert whole.by_latency > 100


def same(a: Ledger, b: Ledger) -> bool:
    return total(a.cells, "roofline") == total(b.cells, "roofline") and a.aside == b.aside


def test_parts_and_their_order_do_not_matter_to_the_last_digit(log: pl.DataFrame, tmp_path: Path) -> None:
    whole = make_ledger([written(log, tmp_path / "log.parquet")], tmp_path / "whole")
    parts = [written(log[i::7], tmp_path / f"{i}{'.csv' if i % 2 else '.parquet'}") for i in range(7)]
    assert same(whole, make_ledger(parts, tmp_path / "parts"))
    assert same(whole, make_ledger(parts[::-1], tmp_path / "turned"))


def test_what_is_finished_is_not_read_again(
    log: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [written(log[i::3], tmp_path / f"{i}.csv") for i in range(3)]
    first = make_ledger(paths[:2], tmp_path / "out")
    read: list[str] = []

    def noted(one: Partition, *rest: Any) -> Cells:
        read.append(one.path)
        return cells_of(one, *rest)

    monkeypatch.setattr(nodes, "cells_of", noted)
    again = make_ledger(paths, tmp_path / "out")
    assert read == paths[2:]
    assert total(again.cells, "roofline").requests > total(first.cells, "roofline").requests
    read.clear()
    make_ledger(paths, tmp_path / "out", by=["customer"])  # another question
    assert read == paths


def test_a_part_that_was_damaged_is_read_again(log: pl.DataFrame, tmp_path: Path) -> None:
    path = written(log, tmp_path / "log.csv")
    whole = make_ledger([path], tmp_path / "out")
    for file in (tmp_path / "out" / PARTS).iterdir():
        file.write_bytes(file.read_bytes()[:-20])
        assert same(whole, make_ledger([path], tmp_path / "out"))


@pytest.mark.slow
def test_killed_at_any_instant_it_goes_on_and_loses_nothing(log: pl.DataFrame, tmp_path: Path) -> None:
    paths = [written(log[i::12], tmp_path / f"{i}.csv") for i in range(12)]
    whole = make_ledger(paths, tmp_path / "whole")
    code = "import sys; from joulecast.ledger.make import make_ledger; make_ledger(sys.argv[2:], sys.argv[1])"
    for wait in (0.9, 1.1, 1.3, 1.6):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out"), *paths])
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for told in (tmp_path / "out" / PARTS).glob("*.json"):
            assert Folder(tmp_path / "out").find(told.stem) is not None, "what says it is finished is whole"
    assert same(whole, make_ledger(paths, tmp_path / "out"))


# --- how sure it is -------------------------------------------------------------------------------


def many(rows: int, **cells: object) -> pl.DataFrame:
    """Requests that are alike but for a customer, so that two logs are not the same file."""
    usual = {"model": "sdxl", "gpu": "H100", "steps": 30}
    return pl.DataFrame(
        {**{k: [v] * rows for k, v in {**usual, **cells}.items()}, "customer": list(range(rows))}
    )


def relative(frame: pl.DataFrame, folder: Path) -> float:
    folder.mkdir()
    done = make_ledger([written(frame, folder / "log.csv")], folder / "out")
    energy = total(done.cells, done.law.name).energy_j
    return energy.high / energy.value


def test_many_requests_do_not_make_a_law_more_certain(tmp_path: Path) -> None:
    one = joulecast.estimate("sdxl", "H100", steps=30)
    few, more = relative(many(1), tmp_path / "few"), relative(many(5_000), tmp_path / "more")
    assert few == pytest.approx(more, rel=1e-6) == pytest.approx(one.energy_high_j / one.energy_j, rel=1e-6)


def test_models_share_part_of_their_error_and_no_more_than_all(tmp_path: Path) -> None:
    models = ("sdxl", "flux.1-dev", "sd3.5-large", "qwen-image")
    alone = [relative(many(1, model=name), tmp_path / name) for name in models]
    mixed = relative(pl.concat([many(20, model=name) for name in models]), tmp_path / "mixed")
    assert math.log(mixed) < 0.98 * max(map(math.log, alone))
    assert math.log(mixed) > min(map(math.log, alone)) / math.sqrt(len(models))


def test_a_measured_energy_is_taken_and_compared(tmp_path: Path) -> None:
    predicted = joulecast.estimate("sdxl", "H100", steps=30).energy_j
    path = written(many(10, energy_j=2 * predicted), tmp_path / "log.csv")
    done = make_ledger([path], tmp_path / "out")
    energy = total(done.cells, done.law.name).energy_j
    assert energy.is_exact
    assert total(done.cells, done.law.name).is_measured
    assert energy.value == pytest.approx(20 * predicted)
    (drift,) = drifts(done.cells)
    assert drift.ratio == pytest.approx(2.0)
    assert drift.is_outside


# --- what is read, and what is not ----------------------------------------------------------------


def reasons(done: Ledger) -> dict[str, tuple[int, int]]:
    return {row[REASON]: (row[REQUESTS], row[FIRST]) for row in done.set_aside.iter_rows(named=True)}


def test_rows_that_cannot_be_used_are_set_aside_with_their_reason_and_place(tmp_path: Path) -> None:
    ahead = (joulecast_now() + 3 * FUTURE).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [
        ("sdxl", "H100", "30", "5", "2026-10-01T10:00:00Z"),
        ("sdxl", "H100", "-1", "5", "2026-10-01T10:00:00Z"),
        ("sdxl", "H100", "30", "soon", "2026-10-01T10:00:00Z"),
        ("sdxl", "H100", "30", "-5", "2026-10-01T10:00:00Z"),
        ("sdxl", "H100", "30", "nan", "2026-10-01T10:00:00Z"),
        ("sdxl", "H100", "30", "5", "yesterday"),
        ("sdxl", "H100", "30", "5", "2026-10-01T10:00:00"),
        ("sdxl", "H100", "30", "5", ahead),
        ("sdxl", "H100", "30", "5", "1999-10-01T10:00:00Z"),
        ("", "H100", "30", "5", "2026-10-01T10:00:00Z"),
        ("sdxl", "H100", "30", "", ""),
    ]
    frame = pl.DataFrame(rows, schema=("model", "gpu", "steps", "latency_s", "time"), orient="row")
    done = make_ledger([written(frame, tmp_path / "log.csv")], tmp_path / "out", by=["day"])
    found = reasons(done)
    assert found.pop("latency_s is not a number of seconds from 0.001 to 10,000,000") == (3, 4)
    no_time = next(words for words in found if "ISO 8601" in words)
    assert "--timezone" in no_time
    assert found.pop(no_time) == (2, 7)
    assert found.pop("time is in the future") == (1, 9)
    assert found.pop("time is before 2015") == (1, 10)
    assert found.pop("model is missing") == (1, 11)
    assert [place for _, place in found.values()] == [3]
    assert "steps" in next(iter(found))
    assert done.requests == 11
    assert total(done.cells, "roofline").requests == 2
    assert done.cells["day"].to_list() == ["2026-10-01", None]


def joulecast_now() -> datetime:
    return datetime.now(UTC)


def test_lines_that_are_no_json_are_set_aside(tmp_path: Path) -> None:
    lines = [
        '{"model": "sdxl", "gpu": "H100"}',
        '{"model": "sdxl", "gp',
        "[1]",
        "",
        '{"model": "sdxl", "gpu": "L4"}',
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    done = make_ledger([str(tmp_path / "log.jsonl")], tmp_path / "out")
    assert reasons(done) == {"not a JSON object": (2, 2)}
    assert done.rows == 4  # a blank line is none
    assert total(done.cells, "roofline").requests == 2


MAP = """
timezone = "Europe/Paris"
[columns]
model = "request.model"
steps = "request.params.steps"
latency_s = {column = "ms", times = 0.001}
time = "at"
tenant = "who.id"
[values]
gpu = "L40S"
engine = "sglang"
[only]
event = "done"
"""


def test_a_map_says_what_nested_columns_mean(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAP)
    row = {"request": {"model": "sdxl", "params": {"steps": 30}}, "ms": 2500, "at": "2026-10-01 10:30:00",
           "who": {"id": "a"}, "event": "done"}  # fmt: skip
    lines = [row, {**row, "event": "begun"}, {**row, "who": {"id": "b"}, "request": {"model": "sdxl"}}]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    meanings = read_meanings(tmp_path / "map.toml")
    done = make_ledger(
        [str(tmp_path / "log.jsonl")], tmp_path / "out", meanings=meanings, by=["tenant", "hour"]
    )
    assert done.others == 1
    assert done.filled == {"gpu": 2, "engine": 2}
    told = done.cells.select("gpu", "runtime", "tenant", "hour").rows()
    assert told == [
        ("L40S", "sglang", "a", "2026-10-01T08:00Z"),
        ("L40S", "sglang", "b", "2026-10-01T08:00Z"),
    ]


def test_the_log_of_an_engine(tmp_path: Path) -> None:
    line = {
        "obj": {
            "sampling_params": {
                "width": 1024,
                "height": 1024,
                "num_inference_steps": 20,
                "guidance_scale": 4.0,
            }
        },
        "out": {"meta_info": {"e2e_latency": 6.5}},
    }
    (tmp_path / "log.jsonl").write_text(json.dumps(line))
    given = {"model": "qwen-image", "gpu": "H100"}
    done = make_ledger(
        [str(tmp_path / "log.jsonl")], tmp_path / "out", meanings=adapter("sglang"), values=given
    )
    one = joulecast.estimate("qwen-image", "H100", engine="sglang", size="1024x1024", steps=20, guidance=4.0)
    whole = total(done.cells, done.law.name)
    assert whole.energy_j.value == pytest.approx(min(one.energy_j, 700 * 6.5), rel=1e-6)


# As OpenAI's reference, vLLM-Omni and SGLang have them.
BODIES: list[dict[str, object]] = [
    {"model": "Qwen/Qwen-Image", "prompt": "a cat", "n": 2, "size": "1024x1024", "num_inference_steps": 50,
     "true_cfg_scale": 4.0, "negative_prompt": "blurry", "seed": 42, "response_format": "b64_json"},
    {"model": "Qwen/Qwen-Image", "prompt": "a cat", "size": "auto", "negative_prompt": "", "user": "alba"},
    {"model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "prompt": "a cat", "width": 832, "height": 480,
     "num_frames": 81, "fps": 16, "enable_frame_interpolation": False},
    {"model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "prompt": "a cat", "size": "832x480", "width": 1280,
     "height": 720, "seconds": "5"},
]  # fmt: skip
NOT_PREDICTED: list[dict[str, object]] = [
    {"model": "Qwen/Qwen-Image", "enable_upscaling": True},
    {"model": "Qwen/Qwen-Image", "enable_teacache": True},
    {"model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "width": 832},
    {"model": "gpt-image-1", "n": 1},
    {"model": "Qwen/Qwen-Image", "n": 1.5},
]


def of_lines(tmp_path: Path, lines: Sequence[object], name: str, **given: Any) -> Ledger:
    log = tmp_path / f"{name}.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)))
    values = {"gpu": "H100-SXM5-80GB", "engine": "vllm-omni"}
    return make_ledger([str(log)], tmp_path / name, values=values, **given)


def test_bodies_of_openais_shape_are_what_estimates_of_them_say(tmp_path: Path) -> None:
    done = of_lines(tmp_path, [*BODIES, *NOT_PREDICTED], "bodies", meanings=adapter("openai"))
    on: dict[str, Any] = {"gpu": "H100-SXM5-80GB", "engine": "vllm-omni"}
    qwen = joulecast.estimate(
        "qwen-image", size="1024x1024", steps=50, true_cfg_scale=4.0, negative_prompt=True, batch_size=2, **on
    )
    own = joulecast.estimate("qwen-image", **on)
    clip = joulecast.estimate("wan2.1-t2v-1.3b", size="832x480", frames=81, fps=16, **on)
    other = joulecast.estimate("wan2.1-t2v-1.3b", size="832x480", seconds=5, **on)
    told = sum(one.energy_j * images for one, images in ((qwen, 2), (own, 1), (clip, 1), (other, 1)))
    whole = total(done.cells, done.law.name)
    assert whole.energy_j.value == pytest.approx(told, rel=1e-6)
    assert (whole.requests, whole.outputs) == (4, 5)
    reasons = dict(done.set_aside.select(FIRST, REASON).rows())
    for row, words in zip(
        range(5, 10),
        (
            "enable_upscaling is",
            "enable_teacache is",
            "height must be",
            "only its owner",
            "batch size must be a whole number",
        ),
        strict=True,
    ):
        assert words in reasons[row]


def test_lines_of_openais_batch_api_are_their_bodies(tmp_path: Path) -> None:
    """``custom_id``, ``method``, ``url`` and ``body``, as the API's guide has an input file."""
    lines = [
        {"custom_id": f"request-{i}", "method": "POST", "url": "/v1/images/generations", "body": body}
        for i, body in enumerate([*BODIES, *NOT_PREDICTED])
    ]
    batch = of_lines(tmp_path, lines, "batch", meanings=adapter("openai-batch"))
    plain = of_lines(tmp_path, [*BODIES, *NOT_PREDICTED], "plain", meanings=adapter("openai"))
    assert batch.cells.equals(plain.cells)
    assert batch.set_aside.select(REASON, FIRST).equals(plain.set_aside.select(REASON, FIRST))


def test_an_adapter_of_another_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no column 'model'; .*found: custom_id, body"):
        of_lines(tmp_path, [{"custom_id": "1", "body": BODIES[0]}], "batch", meanings=adapter("openai"))
    with pytest.raises(InputError, match=r"has no column 'body\.model'"):
        of_lines(tmp_path, BODIES, "plain", meanings=adapter("openai-batch"))


@pytest.mark.parametrize("name", adapters())
def test_every_adapter_says_what_it_is_of_and_means_what_we_do(name: str) -> None:
    known = adapter(name)
    assert "about = " in adapter_text(name)
    assert all(column in MEANINGS or column in known.keys for column in known.columns)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_rows_that_ask_for_work_that_is_not_predicted_are_set_aside(tmp_path: Path, ending: str) -> None:
    """By a log's own names, as `predict` refuses them; where they ask for none they are in the sum."""
    asked = pl.DataFrame(
        {
            "model": ["sdxl"] * 4,
            "gpu": ["L4"] * 4,
            "scheduler": ["euler", "heun", "euler", "euler"],
            "enable_sequential_cpu_offload": ["no", "no", "yes", None],
            "num_images": [1, 1, 1, 3],
        }
    )
    done = make_ledger([written(asked, tmp_path / f"log{ending}")], tmp_path / "out", by=["scheduler"])
    whole = total(done.cells, done.law.name)
    assert (whole.requests, whole.outputs) == (2, 4)
    reasons = sorted(done.set_aside[REASON].to_list())
    assert [words.partition(":")[0] for words in reasons] == [
        "enable_sequential_cpu_offload is 'yes'",
        "scheduler is 'heun'",
    ]
    assert done.cells["scheduler"].unique().to_list() == ["euler"]


def test_rows_that_were_offloaded_are_added_up_as_such(tmp_path: Path) -> None:
    asked = pl.DataFrame({"model": ["sdxl"] * 2, "gpu": ["L4"] * 2, "cpu_offload": ["yes", "no"]})
    done = make_ledger([written(asked, tmp_path / "log.csv")], tmp_path / "out")
    found = dict(done.cells.select("runtime", "energy_j").rows())
    for runtime, way in (("diffusers, model offloading", "model"), ("diffusers", "none")):
        expected = joulecast.estimate("sdxl", "L4", offload=way)
        assert expected.runtime.label == runtime
        assert found[runtime] == pytest.approx(expected.energy_j)


def test_a_cache_of_steps_in_an_engines_log_is_not_taken_for_none(tmp_path: Path) -> None:
    plain: dict[str, object] = {"width": 1024, "height": 1024, "num_inference_steps": 20}
    lines = [
        {"obj": {"sampling_params": {**plain, "enable_teacache": on}}, "out": {}} for on in (True, False)
    ]
    values = {"model": "qwen-image", "gpu": "H100-SXM5-80GB"}
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = make_ledger(
        [str(tmp_path / "log.jsonl")], tmp_path / "out", meanings=adapter("sglang"), values=values
    )
    assert (done.rows, done.aside) == (2, 1)
    assert "enable_teacache is 'true'" in done.set_aside[REASON][0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("log.txt", "a", "its name says which"),
        (
            "log.csv",
            "model,steps\nsdxl,20\n",
            "does not say the gpu: name its column in a map, or give --gpu",
        ),
        ("log.csv", "gpu,steps,num_inference_steps,model\na,1,2,c\n", "both say"),
        ("log.csv", "model,gpu,latency_s,latency_ms\nsdxl,L4,1,1\n", "both say latency_s"),
        ("log.csv", "model,gpu,energy_j,energy_low_j\nsdxl,L4,1,1\n", "is a prediction"),
        ("log.parquet", "model,gpu\n", "not a Parquet file"),
        ("log.parquet", "PAR1 and then nothing", "cannot be read"),
        ("log.jsonl", "model,gpu\n", "none of its first lines is a JSON object"),
        ("log.csv", "", "cannot be read"),
    ],
)
def test_a_file_that_is_no_log_is_refused_in_a_line(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises((InputError, FileFormatError), match=words) as error:
        make_ledger([str(tmp_path / name)], tmp_path / "out")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[columns]\n", "no \\[columns\\]"),
        ("[columns]\nmodel = 3\n", "model must be the log's column"),
        ("[columns]\nboundary = 'b'\n", "gross energy"),
        ("[columns]\nsize = {column = 's', empty = 3}\n", "size must be the log's column"),
        ("may_lack = 'all'\n[columns]\nmodel = 'm'\n", "may_lack is true or false, not 'all'"),
        ("[colums]\nmodel = 'm'\n", "did you mean"),
        ("[columns]\nmodel = 'm'\n[values]\nstepz = 3\n", "stepz"),
        ("[columns]\nlatency_s = {column = 'ms', times = -1}\n", "times of latency_s"),
        ("timezone = 'Mars'\n[columns]\nmodel = 'm'\n", "Mars"),
        ("[columns", "map.toml"),
    ],
)
def test_a_map_that_is_wrong_is_refused_in_a_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises((InputError, FileFormatError), match=words) as error:
        read_meanings(tmp_path / "map.toml")
    assert "\n" not in str(error.value)


def test_the_same_file_twice_is_refused(log: pl.DataFrame, tmp_path: Path) -> None:
    paths = [written(log[:10], tmp_path / name) for name in ("a.csv", "b.csv")]
    with pytest.raises(InputError, match="hold the same rows"):
        make_ledger(paths, tmp_path / "out")


def test_a_folder_of_something_else_is_not_written_into(log: pl.DataFrame, tmp_path: Path) -> None:
    path = written(log[:10], tmp_path / "log.csv")
    with pytest.raises(InputError, match="folder of something else"):
        make_ledger([path], tmp_path)
    with pytest.raises(InputError, match="is a file"):
        make_ledger([path], tmp_path / "log.csv")


@pytest.mark.parametrize(("by", "words"), [(["latency_s"], "cannot be grouped"), (["day", "day"], "twice")])
def test_what_cannot_be_grouped_by(log: pl.DataFrame, tmp_path: Path, by: list[str], words: str) -> None:
    path = written(log[:10], tmp_path / "log.csv")
    with pytest.raises((InputError, UnknownNameError), match=words):
        make_ledger([path], tmp_path / "out", by=by)
    with pytest.raises(InputError, match=r"no column 'custmer'.*customer"):
        make_ledger([path], tmp_path / "out", by=["custmer"])


def test_a_cut_parquet_file_is_refused(log: pl.DataFrame, tmp_path: Path) -> None:
    path = Path(written(log, tmp_path / "log.parquet"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FileFormatError, match="is the file cut"):
        make_ledger([str(path)], tmp_path / "out")


def test_a_full_disk_leaves_nothing_half_written(
    log: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    path = tmp_path / "log.csv"
    log[:10].write_csv(path)
    with pytest.raises(InputError, match="No space left"):
        make_ledger([str(path)], tmp_path / "out")
    assert list((tmp_path / "out" / PARTS).iterdir()) == []


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("latency_s", "1e-300"),
        ("execution_s", "1e9"),
        ("concurrency", "0.5"),
        ("images", "2.5"),
        ("energy_j", "0"),
    ],
)
def test_amounts_that_cannot_be_are_set_aside(tmp_path: Path, name: str, cell: str) -> None:
    frame = pl.DataFrame({"model": ["sdxl"] * 2, "gpu": ["H100"] * 2, name: ["", cell]})
    done = make_ledger([written(frame, tmp_path / "log.csv")], tmp_path / "out")
    (reason,) = reasons(done)
    assert reason.startswith(f"{name} is not a ")
    assert done.aside == 1


def test_a_parquet_file_that_was_damaged_inside_is_refused(tmp_path: Path) -> None:
    path = Path(written(many(5_000), tmp_path / "log.parquet"))
    content = bytearray(path.read_bytes())
    for place in range(8, len(content) - 2_000):
        content[place] ^= 0x5A
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="is the file cut"):
        make_ledger([str(path)], tmp_path / "out")
