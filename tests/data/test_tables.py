"""The packaged tables say what their README says, and nothing impossible."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from joulecast import data
from joulecast.errors import FileFormatError, InputError
from joulecast.files.paths import user_text
from joulecast.question.gpus import gpu
from joulecast.runs import MeasuredRun, columns, packaged_runs

FIGURES = data.read_table("gpu_figures.csv")
GPUS = data.read_table("gpus.csv")
RUN_FILES = [name for name in data.names("runs", ".csv") if name != "runs/columns.csv"]
COUNTED = [
    *("gpus.csv", "gpu_figures.csv", "gpus_left_out.csv", "process_nodes.csv"),
    *("runs/columns.csv", "vocabulary.csv", "neighbours.csv"),
]
UNITS = {
    **dict.fromkeys(("fp32", "tf32", "fp16", "fp16_accumulate", "bf16", "fp8"), "TFLOP/s"),
    **{"tdp": "W", "idle_power": "W", "memory": "GB", "bandwidth": "GB/s"},
    **{"sm_count": "1", "boost_clock": "MHz", "l2_cache": "MiB"},
}
# Board readings may overshoot the power limit for a moment; more means another boundary or GPU.
MOST_POWER_OVER_TDP = 1.05


def test_every_figure_has_unit_source_and_status() -> None:
    for row in FIGURES:
        assert row["unit"] == UNITS[row["quantity"]], row
        assert row["source"].strip(), row
        assert row["status"] in {"datasheet", "secondary", "unverified", "measured", "inferred"}, row
        assert float(row["value"]) > 0, row
        assert row["status"] != "inferred" or row["note"] or "ratio" in row["source"], row


# Tables without figures of their own: names of GPUs, and of those left out, predictions of runs, a format.
WITHOUT_SOURCE = {"gpus.csv", "gpus_left_out.csv", "held_out.csv", "runs/columns.csv"}


@pytest.mark.parametrize("name", sorted({*data.names("", ".csv"), *RUN_FILES} - WITHOUT_SOURCE))
def test_every_row_has_its_source(name: str) -> None:
    """Of a name of others, whose it is."""
    column = "of" if name == "vocabulary.csv" else "source"
    assert all(row[column].strip() for row in data.read_table(name))


def test_figures_and_gpus_name_each_other_once() -> None:
    pairs = [(row["gpu"], row["quantity"]) for row in FIGURES]
    assert len(set(pairs)) == len(pairs)
    assert {gpu for gpu, _ in pairs} == {row["gpu"] for row in GPUS}


@pytest.mark.parametrize("name", [*COUNTED, *RUN_FILES])
def test_readme_states_the_row_count(name: str) -> None:
    readme = data.read_text("README.md")
    stated = re.search(rf"^\*\*`{re.escape(name)}`\*\* \((\d+) rows", readme, re.MULTILINE)
    assert stated is not None
    assert int(stated[1]) == len(data.read_table(name))


def test_packaged_runs_hold_every_row() -> None:
    assert len(packaged_runs()) == sum(len(data.read_table(name)) for name in RUN_FILES) == 179


def test_columns_are_the_fields_of_a_run_with_their_defaults() -> None:
    defaults = {field.name: field.default for field in MeasuredRun.__dataclass_fields__.values()}
    assert list(columns()) == list(defaults)
    for column in columns().values():
        assert column.type in {"text", "integer", "number", "boolean"}
        assert column.description
        assert column.required == (not isinstance(defaults[column.name], int | str | None))
        if not column.required:
            default = defaults[column.name]
            assert column.default == ("" if default is None else "no" if default is False else str(default))


@pytest.mark.parametrize("run", packaged_runs(), ids=lambda run: run.run_id)
def test_run_is_stated_in_full(run: MeasuredRun) -> None:
    assert all((run.source, run.source_url, run.checkpoint, run.gpu_stated))
    assert re.fullmatch(r"[a-z0-9.\-]+", run.run_id)
    assert gpu(run.gpu).name == run.gpu
    # A name that fits several products is an assumption and must be called one.
    ambiguous = run.gpu_stated in {"A100", "H100", "V100"}
    assert ("GPU variant not stated" in (run.assumptions or "")) == ambiguous
    assert run.gpu_stated is not None
    assert run.gpu.startswith(run.gpu_stated) if ambiguous else gpu(run.gpu_stated).name == run.gpu


@pytest.mark.parametrize("run", packaged_runs().filter(boundary="gross"), ids=lambda run: run.run_id)
def test_gross_power_is_possible(run: MeasuredRun) -> None:
    assert run.energy_j is not None
    assert run.duration_s is not None
    board = gpu(run.gpu)
    power_w = run.energy_j * run.batch_size / run.duration_s
    assert board.idle_power_w is not None
    assert board.idle_power_w < power_w < MOST_POWER_OVER_TDP * board.tdp_w


def test_dynamic_energy_has_no_boundary_but_its_own() -> None:
    runs = packaged_runs()
    assert {run.source_url for run in runs.filter(boundary="dynamic")} == {"https://arxiv.org/abs/2511.17031"}
    assert all((run.energy_j is None) == (run.boundary is None) for run in runs)


def test_arithmetic_is_possible_at_the_stated_time() -> None:
    """No run is faster than its GPU's peak would allow for the least its denoiser can cost."""
    # SD 1.5 at 512^2: 0.68 TFLOP a pass (340 G multiply-accumulates; thop count in many papers).
    for run in packaged_runs().filter(model="sd1.5", width=512):
        assert run.duration_s is not None
        flop = 0.68e12 * run.passes * run.steps * run.batch_size
        assert flop / run.duration_s < gpu(run.gpu).peak_flop_per_s(run.precision)


@pytest.mark.parametrize("name", ["nothing.csv", "runs", "../errors.txt"])
def test_missing_packaged_file_is_named(name: str) -> None:
    with pytest.raises(FileFormatError, match=re.escape(name)):
        data.read_table(name)


def test_names_lists_only_files_of_the_suffix() -> None:
    assert "gpus.csv" in data.names(suffix=".csv")
    assert all(name.startswith("runs/") and name.endswith(".csv") for name in data.names("runs", ".csv"))
    assert data.names("no_such_folder") == []


def test_user_text_refuses_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(b"\xef\xbb\xbfhello")
    assert user_text(path, "thing", 100) == "hello"
    with pytest.raises(FileFormatError, match="larger than 3 bytes"):
        user_text(path, "thing", 3)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="not UTF-8"):
        user_text(path, "thing", 100)
    path.write_bytes(b"a\x00b")
    with pytest.raises(FileFormatError, match="binary"):
        user_text(path, "thing", 100)
    for missing in (tmp_path, tmp_path / "missing", tmp_path / ("x" * 300)):
        with pytest.raises(InputError, match="thing"):
            user_text(missing, "thing", 100)
