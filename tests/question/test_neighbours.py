"""Files of other tools are known by their columns or keys, and what to take from them is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import Command, refused
from joulecast.question.neighbours import neighbour

CODECARBON = (
    "timestamp,project_name,run_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
    "cpu_energy,gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,gpu_count,gpu_model"
)
# the content of a file, and words of what is said of it
FILES = {
    "emissions.csv": (
        CODECARBON + "\n" + ",".join("1" * 17),
        "CodeCarbon",
        "gpu_energy x 3,600,000 / images",
    ),
    "short.csv": (
        "duration,gpu_energy,ram_energy,energy_consumed,gpu_model,country_iso_code\n1,2,3,4,T4,FRA",
        "CodeCarbon",
        "duration_s [s of one batch] = duration x batch size",
    ),
    "zeus.csv": (
        "start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy\n1,w,2,3,4",
        "Zeus",
        "sum of gpu0_energy, gpu1_energy",
    ),
    "zeus1.csv": ("start_time,window_name,elapsed_time,gpu3_energy\n1,w,2,3", "Zeus", "elapsed_time / calls"),
    "benchmark_report.json": (
        '{"config": {}, "report": {"call": {"latency": {}, "energy": {"unit": "kWh", "cpu": 1, "ram": 1, '
        '"gpu": 1, "total": 3}, "efficiency": {"unit": "images/kWh"}}}}',
        "optimum-benchmark",
        "report.call.energy.gpu x 3,600,000",
    ),
    "report.csv": (
        "report.call.energy.unit,report.call.energy.gpu,report.call.latency.mean\nkWh,1,2",
        "optimum-benchmark",
        "ends in latency.mean",
    ),
    "boamps.json": (
        '{\n "header": {}, "task": {"nbRequest": 1},\n "measures": [{"powerConsumption": 0.1}]}',
        "BoAmps",
        "powerConsumption x 3,600,000",
    ),
    "tokens.csv": ("model_id,energy_per_token_joules\na,1", "ML.ENERGY", "language model"),
}


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("command", [("footprint", "--region", "FR"), ("predict",), ("card",)])
def test_a_neighbours_file_is_told_what_to_take_from(
    run: Command, name: str, command: tuple[str, ...]
) -> None:
    content, tool, words = FILES[name]
    Path(name).write_text(content + "\n", encoding="utf-8")
    told = refused(run(command[0], name, *command[1:]), f"this is a file of {tool}: ", words)
    assert "is it 'ram_energy'" not in told


def test_what_is_no_tools_file_is_not_said_to_be_one() -> None:
    for names in ([], ["energy", "duration"], ["window_name", "elapsed_time"], ["model", "gpu", "steps"]):
        assert neighbour(names) == ""


def test_json_that_is_nobodys(run: Command) -> None:
    Path("a.json").write_text('[{"model": "sdxl", "gpu": "L4"}]')
    assert "is JSON; expected a CSV or Parquet file of workloads" in run("predict", "a.json").err


def test_a_table_of_ml_energy_is_read(run: Command) -> None:
    Path("runs.csv").write_text(
        "model_id,gpu_model,num_gpus,batch_size,energy_per_generation_joules,batch_latency_s\nm,H100,1,4,720,8\n"
    )
    Path("ours.csv").write_text("gpu,gpu_count,batch_size,energy_j,duration_s\nH100,1,4,720,8\n")
    theirs, ours = (run("footprint", name, "--region", "FR") for name in ("runs.csv", "ours.csv"))
    assert (theirs.status, ours.status) == (0, 0)
    assert (
        theirs.out.splitlines()[1].partition(",720,8,")[2] == ours.out.splitlines()[1].partition(",720,8,")[2]
    )


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("energy_kwh,duration_s", "energy_j [J of one image or clip] is 'energy_kwh' x 3,600,000"),
        ("energy_wh,duration_s", "energy_j [J of one image or clip] is 'energy_wh' x 3,600,"),
        ("energy_j,duration_min", "duration_s is s of one batch"),
        ("enrgy_j,duration_s", "is it 'enrgy_j'?"),
    ],
)
def test_another_unit_is_no_near_name(run: Command, header: str, words: str) -> None:
    Path("a.csv").write_text(header + "\n1,2\n")
    told = run("footprint", "a.csv", "--region", "FR").err
    assert words in told
    assert ("is it" in told) == ("is it" in words)
