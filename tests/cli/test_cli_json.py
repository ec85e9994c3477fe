"""Every command that prints figures prints them as JSON too, numbers as numbers; warnings are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command import Command, refused
from joulecast.cli.commands import COMMANDS
from joulecast.cli.parser import command_parser
from joulecast.files.json_rows import json_cell

TABLE = """model,gpu,width,height,steps,id
sdxl,A100-SXM4-80GB,1024,1024,30,007
flux.1-dev,T4,1024,1024,4,8
"""
DOES_NOT_FIT = "do not fit the 16 GB of T4"


@pytest.fixture
def run(run: Command) -> Command:
    Path("w.csv").write_text(TABLE)
    run("predict", "w.csv", "--out", "p.csv")
    return run


def answered(run: Command, *arguments: str, status: int = 0) -> Any:
    done = run(*arguments, "--json")
    assert done.status == status, done.err
    return json.loads(done.out)


# A card has --format json; a script, a protocol and a server are no figures; of a command that is run,
# standard output is its own, and --out writes JSON.
WITHOUT = ("card", "completion", "mcp", "run", "serve")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT])
def test_every_command_with_figures_has_json(name: str) -> None:
    assert "--json" in command_parser(name).format_help()


@pytest.mark.parametrize("name", WITHOUT)
def test_commands_that_have_none(name: str) -> None:
    assert "--json" not in command_parser(name).format_help()


def test_predictions(run: Command) -> None:
    first, second = answered(run, "predict", "w.csv")["rows"]
    assert (first["width"], first["steps"], first["id"], second["id"]) == (1024, 30, "007", 8)
    assert first["energy_low_j"] < first["energy_j"] < first["energy_high_j"]
    assert first["error"] is None
    assert DOES_NOT_FIT in second["warning"]


def test_a_row_that_cannot_be_predicted(run: Command) -> None:
    Path("w.csv").write_text(TABLE.replace("T4", "T44"))
    _, second = answered(run, "predict", "w.csv", status=1)["rows"]
    assert second["energy_j"] is None
    assert "unknown GPU" in second["error"]


def test_a_table_of_many_blocks(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joulecast.files.tables.BLOCK_ROWS", 1)
    assert len(answered(run, "predict", "w.csv")["rows"]) == 2
    Path("w.csv").write_text(TABLE.splitlines()[0])
    assert answered(run, "predict", "w.csv") == {"rows": []}


def test_footprints(run: Command) -> None:
    first, _ = answered(run, "footprint", "p.csv", "--region", "FR")["rows"]
    assert first["carbon_low_g"] < first["carbon_g"] < first["carbon_high_g"]
    assert (first["grid_year"], first["money"]) == (2024, None)


def test_a_budget(run: Command) -> None:
    answer = answered(run, "budget", "check", "w.csv", "--max-wh-per-image", "0.34", status=1)
    assert answer["budget"] == {"g_per_image": None, "wh_per_image": 0.34, "bound": "value"}
    assert all(row["is_within"] == (row["wh_per_image"] <= 0.34) for row in answer["rows"])
    assert answer["over"] == 2 == sum(not row["is_within"] for row in answer["rows"])
    assert any(DOES_NOT_FIT in told for told in answer["warnings"])


def test_a_campaign(run: Command) -> None:
    answer = answered(run, "campaign", "predict", "calibrate", "--gpu", "L4")
    assert answer["failed"] == sum(row["error"] is not None for row in answer["rows"])
    assert all(isinstance(row["energy_j"], float) for row in answer["rows"] if row["error"] is None)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("12", 12), (" 12 ", 12), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("0", 0), ("007", "007"),
        ("1_000", "1_000"), ("+1", "+1"), (".5", ".5"), ("nan", "nan"), ("1e999", "1e999"), ("", None),
        ("12345678901234567", "12345678901234567"), ("2e1x", "2e1x"), (float("nan"), None), (3, 3),
        ("fp16", "fp16"), (True, True), (None, None),
    ],
)  # fmt: skip
def test_a_cell_is_the_number_it_says(cell: object, value: object) -> None:
    assert json_cell(cell) == value
    assert type(json_cell(cell)) is type(value)


# --- warnings of rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["markdown", "json", "huggingface", "boamps"])
def test_a_card_keeps_the_warnings_of_its_rows(run: Command, form: str) -> None:
    where = ("--infrastructure", "other") if form == "boamps" else ()
    done = run("card", "p.csv", "--row", "2", "--region", "FR", "--format", form, *where)
    assert done.status == 0, done.err
    assert DOES_NOT_FIT in done.out
    assert "flux.1-dev on T4" in done.out


def test_a_card_has_numbers(run: Command) -> None:
    first, second = json.loads(run("card", "p.csv", "--format", "json").out)["entries"]
    assert (first["width"], first["steps"], first["gpu"]) == (1024, 30, "A100-SXM4-80GB")
    assert first["warnings"] == []
    assert any(DOES_NOT_FIT in told for told in second["warnings"])


def test_a_budget_warns_first(run: Command) -> None:
    out = run("budget", "check", "w.csv", "--max-wh-per-image", "9").out
    assert out.index(DOES_NOT_FIT.split()[-1]) < out.index("within the budget")
    assert out.lstrip().startswith("Warning: ")


# --- names of outputs ----------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["o.xlsx", "w.d/", "o.json", "o.tar.gz", "o.feather"])
@pytest.mark.parametrize("command", ["predict w.csv", "footprint p.csv --region FR", "pareto sdxl --gpu L4"])
def test_a_table_is_what_its_name_says(run: Command, command: str, out: str) -> None:
    refused(run(*command.split(), "--out", out), ".csv")
    assert not Path(out).exists()


def test_json_goes_to_standard_output(run: Command) -> None:
    refused(run("predict", "w.csv", "--json", "--out", "o.csv"), "not both")


def test_a_folder_of_boamps_reports_is_made(run: Command) -> None:
    done = run("card", "p.csv", "--format", "boamps", "--infrastructure", "other", "--out", "new/cards")
    assert done.status == 0, done.err
    assert sorted(path.name for path in Path("new/cards").iterdir()) == ["boamps-1.json", "boamps-2.json"]


# --- a card's settings under others' names --------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("model,gpu,size,steps,dtype,batch", "sdxl,L4,512x768,20,fp32,2"),
        (
            "model_id,gpu_name,width,height,num_inference_steps,torch_dtype,batch_size",
            "sdxl,L4,512,768,20,fp32,2",
        ),
        ("Model,GPU,resolution,Steps,Precision,num_images_per_prompt", "sdxl,L4,512x768,20,fp32,2"),
    ],
)
def test_a_card_states_settings_under_others_names(run: Command, header: str, cells: str) -> None:
    Path("named.csv").write_text(f"{header}\n{cells}\n")
    assert run("predict", "named.csv", "--out", "told.csv").status == 0
    text = run("card", "told.csv").out
    assert "| sdxl | L4 | 512x768 | 20 | fp32 | 2 |" in text
    assert "- As it was understood, sdxl: 2 denoiser passes a step." in text
    (entry,) = json.loads(run("card", "told.csv", "--format", "json").out)["entries"]
    assert (entry["width"], entry["height"], entry["precision"]) == (512, 768, "fp32")
    report = run("card", "told.csv", "--format", "boamps", "--infrastructure", "other").out
    assert '"(512, 768)"' in report
    assert "20 denoising steps" in report


def test_a_card_leaves_a_size_that_is_not_stated_empty(run: Command) -> None:
    Path("bare.csv").write_text("model,gpu,energy_j,duration_s,size\nsdxl,L4,700,9,large\n")
    text = run("card", "bare.csv").out
    assert "?" not in text
    assert "| sdxl | L4 |  |  |  |  |" in text


def test_a_budget_takes_a_size(run: Command) -> None:
    Path("sized.csv").write_text("model,gpu,size,steps\nsdxl,L4,512x512,20\n")
    assert run("budget", "check", "sized.csv", "--max-wh-per-image", "9").status == 0


# --- doubts are not silent ------------------------------------------------------------------------


def test_rows_with_doubts_are_counted(run: Command) -> None:
    Path("d.csv").write_text(
        "model,gpu\nsdxl,L4\nsdxl,A100-SXM4-80GB\nsdxl,nothing\nflux.1-dev,A100-SXM4-80GB\n"
    )
    told = run("predict", "d.csv", "--out", "d2.csv").err
    assert told.splitlines()[0] == "predicted 3 of 4 rows, 1 with a doubt: see the column `warning`"
    Path("e.csv").write_text(
        "model,gpu,energy_j,duration_s\na,T4,700,20\na,L4,700,20\na,T4,0.0001,20\na,T4,-1,20\n"
    )
    told = run("footprint", "e.csv", "--region", "FR", "--out", "e2.csv").err
    assert (
        told.splitlines()[0]
        == "footprints of 3 of 4 rows, 2 with a doubt: see the column `footprint_warning`"
    )
    assert run("predict", "w.csv", "--out", "w2.csv").err.startswith("predicted 2 of 2 rows, 1 with a doubt")
