"""The packaged tables say what their README says, and nothing impossible."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from joulecast import data, runtime
from joulecast.architecture.catalogue import model_names
from joulecast.compute import profile_file
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FileFormatError, InputError
from joulecast.files import signed_json
from joulecast.files.paths import user_text
from joulecast.hardware import CATALOGUE, idle_power_w
from joulecast.law import law_file
from joulecast.law.dataset import Dataset
from joulecast.question.gpus import gpu
from joulecast.runs import MODES, MeasuredRun, columns, packaged_runs, packaged_tables, shares

FIGURES = data.read_table("gpu_figures.csv")
GPUS = data.read_table("gpus.csv")
RUN_FILES = [name for name in data.names("runs", ".csv") if name != "runs/columns.csv"]
COUNTED = [
    *("gpus.csv", "gpu_figures.csv", "gpus_left_out.csv", "process_nodes.csv"),
    *(
        "runs/columns.csv",
        "vocabulary.csv",
        "neighbours.csv",
        "memory_overheads.csv",
        "offloading.csv",
        "peak_memory.csv",
        "runtimes.csv",
        "comfy_nodes.csv",
        "comfy_samplers.csv",
        "comfy_checkpoints.csv",
        "comfy_weights.csv",
    ),
]
UNITS = {
    **dict.fromkeys(("fp32", "tf32", "fp16", "fp16_accumulate", "bf16", "fp8"), "TFLOP/s"),
    **{"tdp": "W", "idle_power": "W", "memory": "GB", "bandwidth": "GB/s"},
    **{"int8": "TOP/s", "link": "GB/s", "sm_count": "1", "boost_clock": "MHz", "l2_cache": "MiB"},
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
    assert len(packaged_runs()) == sum(len(data.read_table(name)) for name in RUN_FILES) == 914


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


# How many times a GPU's peak in 16 bits it may reach in arithmetic of fewer.
FASTER = {"fp8": 2, "int8": 2, "int4": 4}
# Engines that may accumulate in fp16, for which GeForce cards have twice the rate.
ACCUMULATING_IN_FP16 = ("stable-fast", "oneflow", "aitemplate", "tensorrt")
# What sources call a GPU by a name that fits several products, and what it was taken for, which is said; and
# names that the catalogue does not list.
AMBIGUOUS = {
    "A100": {"A100-SXM4-40GB", "A100-SXM4-80GB"},
    **{name: {"A100-SXM4-80GB"} for name in ("A100 80GB", "A800/A100")},
    **{name: {"H100-SXM5-80GB"} for name in ("H100", "H100 80GB", "H800/H100")},
    "H800": {"H800-SXM5-80GB"},
    "V100": {"V100-SXM2"},
}
STATED_AS = {
    **dict.fromkeys(("NVIDIA H100-SXM-80GB", "H100-SXM-80GB (MaxQ)"), "H100-SXM5-80GB"),
    **{"Virtualized NVIDIA H100-SXM-80GB": "H100-SXM5-80GB", "Virtualized NVIDIA L40S": "L40S"},
    **{"NVIDIA H100-PCIe-80GB": "H100-PCIe-80GB", "NVIDIA H100-NVL-94GB": "H100-NVL-94GB"},
    **{"NVIDIA Jetson AGX Orin 64G": "Jetson AGX Orin"},
}
UNMEASURED_IDLE = {"B200-SXM"}


@pytest.mark.parametrize("name", RUN_FILES)
def test_runs_are_stated_in_full(name: str) -> None:
    for run in packaged_tables()[name]:
        assert all((run.source, run.source_url, run.checkpoint, run.gpu_stated)), run
        assert re.fullmatch(r"[a-z0-9.\-]+", run.run_id), run
        assert gpu(run.gpu).origin == CATALOGUE, run
        assert gpu(run.gpu).name == run.gpu, run
        assert run.trust != "D", run


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_gpu_that_the_source_leaves_open_is_called_an_assumption(name: str) -> None:
    for run in packaged_tables()[name]:
        stated = run.gpu_stated or ""
        assert ("GPU variant not stated" in (run.assumptions or "")) == (stated in AMBIGUOUS), run
        if stated in AMBIGUOUS:
            assert run.gpu in AMBIGUOUS[stated], run
        else:
            assert (STATED_AS.get(stated) or gpu(stated).name) == run.gpu, run


def test_names_of_gpus_that_are_taken_for_others_occur() -> None:
    """And all that each was taken for: no exception is left over."""
    seen = {name: {run.gpu for run in packaged_runs() if run.gpu_stated == name} for name in AMBIGUOUS}
    assert seen == AMBIGUOUS
    assert set(STATED_AS) <= {run.gpu_stated for run in packaged_runs()}


@pytest.mark.parametrize("name", RUN_FILES)
def test_gpus_share_the_work_as_stated(name: str) -> None:
    for run in packaged_tables()[name]:
        assert math.prod(shares(run.parallel).values()) == run.gpu_count, run
        assert ("cfg" in shares(run.parallel)) <= (run.passes == 2), run


@pytest.mark.parametrize("name", RUN_FILES)
def test_power_of_gpus_is_possible(name: str) -> None:
    for run in packaged_tables()[name].filter(boundary="gross"):
        assert run.energy_j is not None
        assert run.duration_s is not None
        board = gpu(run.gpu)
        power_w = run.energy_j * run.batch_size / run.duration_s / run.gpu_count
        assert idle_power_w(board) < power_w < MOST_POWER_OVER_TDP * board.tdp_w, run


def test_what_boards_with_energies_draw_idle_was_measured() -> None:
    """But of these, whose idle power nobody has published: theirs is a share of their power limit."""
    boards = [gpu(run.gpu) for run in packaged_runs() if run.energy_j]
    assert {board.name for board in boards if board.idle_power_w is None} == UNMEASURED_IDLE


def test_energies_are_of_known_time() -> None:
    assert all(run.duration_s for run in packaged_runs().filter(boundary="gross"))
    assert {run.boundary for run in packaged_runs() if run.energy_j} == {"gross", "dynamic"}
    assert not any(
        run.energy_j for run in packaged_runs() if run.power_limit_w
    )  # the node's is not the GPUs'


def test_how_many_runs_each_engine_has() -> None:
    assert Counter(run.engine for run in packaged_runs()) == {
        "diffusers": 350, "xdit": 336, "webui": 102, "tensorrt": 57, "sglang": 34, "wan": 14,
        "hunyuan": 8, "stable-fast": 6, "oneflow": 3, "vllm-omni": 3, "aitemplate": 1,
    }  # fmt: skip
    assert len({run.run_id for run in packaged_runs() if run.compile}) == 136
    assert Counter(run.quantization != "none" for run in packaged_runs())[True] == 188
    assert Counter(run.frames > 1 for run in packaged_runs())[True] == 248


def test_what_tables_of_runs_say_is_what_a_runtime_may_be() -> None:
    """One list of names each: engines, formats and caches of ``runtimes.csv``."""
    assert set(columns()["quantization"].values) == {"none", *runtime.parts(runtime.QUANTIZATION)}
    assert set(columns()["offload"].values) == {"none", *runtime.parts(runtime.OFFLOAD)}
    assert set(columns()["cache"].values) == {"none", *runtime.parts(runtime.CACHE)}
    assert {run.engine for run in packaged_runs()} <= set(runtime.parts(runtime.ENGINE))
    # Copies of a model on images of their own share no work: they are runs of one GPU, counted together.
    assert set(MODES) == {"data", *runtime.parts(runtime.SPLIT)}


def test_figures_of_other_tables_are_as_published() -> None:
    """One row of each table by hand, against its source."""
    runs = {run.run_id: run for run in packaged_runs()}
    for run_id, energy_j, duration_s in (
        ("mlenergy-v3-sana1.5-1.6b-b200-b1", 341.98237500339746, 0.644588828086853),
        ("mlenergy-v3-flux.1-dev-h100-2x-ring2-b8", 8633.155906230211, 53.58532267808914),
        ("mlenergy-v3-hunyuanvideo-h100-8x-ring8-b1", 1418280.4804998636, 290.63271379470825),
        ("torchao-flux.1-dev-h100-b1-bf16-eager", None, 6.573),
        ("torchao-cogvideox-5b-a100-b1-int4wo-eager", None, 1130.86),
        ("xdit-flux.1-dev-h100-compiled-ulysses2-ring2", None, 1.80),
        ("sglang-qwen-image-qwen-image-t2i", None, 12.77015),
        ("sglang-z-image-turbo-zimage-image-t2i", None, 0.88119),  # 9 x 82.83 + 129.49 + 6.23 ms
        ("mlperf-v4.0-power-fujitsu-l40sx8-280w-offline", None, 1.888231),  # 8 images / 4.23677 a second
        ("webui-rtx-a4000-torch1-xformers-b16", None, 19.161677),  # 20 x 16 / 16.70 a second
    ):
        assert (runs[run_id].energy_j, runs[run_id].duration_s) == (energy_j, duration_s), run_id
    assert runs["mlperf-v4.0-power-fujitsu-l40sx8-280w-offline"].power_limit_w == 280


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


@pytest.mark.parametrize("name", RUN_FILES)
def test_denoising_is_within_the_peaks_of_the_gpus(name: str) -> None:
    """Of runs that skip no steps; quantized arithmetic may be twice as fast as its precision's, or more."""
    runs = packaged_tables()[name].filter(lambda run: run.model in model_names(), cache="none")
    found = Dataset.build(runs, packaged_profile)
    for group in found.groups:
        denoisers = {component.name for component in group.profile.denoisers}
        flop = group.profile.flop(group.workloads, group.precision)
        total = sum(values for component, values in flop.items() if component in denoisers)
        for row, needed in zip(group.rows, np.atleast_1d(total), strict=True):
            run = runs[int(row)]
            faster = max(FASTER.get(run.quantization, 1), 2 if run.engine in ACCUMULATING_IN_FP16 else 1)
            if run.duration_s is not None:
                rate = needed / run.duration_s / run.gpu_count
                assert rate < faster * gpu(run.gpu).peak_flop_per_s(run.precision), run


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


@pytest.mark.parametrize(
    ("name", "kind", "version"),
    [
        *((name, "profile", profile_file.VERSION) for name in data.names("profiles", ".json")),
        *((name, "law", law_file.VERSION) for name in data.names("laws", ".json")),
    ],
)
def test_what_is_signed_is_as_it_was_made(name: str, kind: str, version: int) -> None:
    """Which no estimate looks at again: these files are read as the code beside them is."""
    assert signed_json.parse(data.read_bytes(name), name, kind, version) == {
        key: value for key, value in data.read_json(name).items() if key != "sha256"
    }
