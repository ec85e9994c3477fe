"""Measured runs, run tables and their files."""

from __future__ import annotations

import dataclasses
import doctest
import io
import operator
import string
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joulecast.errors import FileFormatError, InputError, JoulecastError, UnknownNameError
from joulecast.runs import MeasuredRun, RunTable, columns, packaged_runs, shares, table

HEADER = "run_id,model,gpu,batch_size,width,height,steps,passes,precision,energy_j,boundary,duration_s"
ROW = "r1,sdxl,L4,1,512,768,20,2,fp16,100.5,gross,2"


def run(**changes: Any) -> MeasuredRun:
    given_values: dict[str, Any] = {
        **{"run_id": "r1", "model": "sdxl", "gpu": "L4", "batch_size": 1, "width": 512, "height": 768},
        **{"steps": 20, "passes": 2, "precision": "fp16"},
        **{"energy_j": 100.5, "boundary": "gross", "duration_s": 2.0},
    }
    return MeasuredRun(**{**given_values, **changes})


def read(text: str) -> RunTable:
    return RunTable.read(io.StringIO(text))


def test_a_file_is_read_with_defaults() -> None:
    table = read(f"{HEADER}\n{ROW}\n")
    assert list(table) == [run()]
    assert (table[0].gpu_count, table[0].frames, table[0].scope) == (1, 1, "pipeline")
    assert (table[0].engine, table[0].compile, table[0].text_tokens) == ("diffusers", False, None)


@pytest.mark.parametrize(
    "text",
    [
        f"\ufeff{HEADER}\n{ROW}\n",
        f"{HEADER}\r\n{ROW}\r\n",
        f"{HEADER}\n\n{ROW}",
        f"{HEADER}\n{ROW.replace('512', ' 512.0 ')}",
    ],
    ids=["byte-order mark", "CRLF", "blank line, no last line end", "spaces and whole floats"],
)
def test_harmless_variants_are_tolerated(text: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(text.encode())
    assert list(RunTable.read(path)) == [run()]
    with path.open("rb") as file:
        assert list(RunTable.read(file)) == [run()]


def test_column_order_is_free_and_unknown_columns_are_listed() -> None:
    names, cells = HEADER.split(","), ROW.split(",")
    table = read(f"mood,{','.join(reversed(names))}\nfine,{','.join(reversed(cells))}\n")
    assert list(table) == [run()]
    assert table.ignored_columns == ("mood",)
    assert table[:1].ignored_columns == table.filter(model="sdxl").ignored_columns == ("mood",)


def changed(column: str, cell: str) -> str:
    cells = ROW.split(",")
    cells[HEADER.split(",").index(column)] = cell
    return f"{HEADER}\nr0{ROW[2:]}\n{','.join(cells)}\n"


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        *[
            ("energy_j", cell, "a finite number .J. above 0")
            for cell in ("nan", "-1", "0", "inf", "1e999", "1_0", "x")
        ],
        *[("duration_s", cell, "a finite number .s. above 0") for cell in ("nan", "-2", "0")],
        *[("width", cell, "a whole number .pixel.") for cell in ("512.5", "0", "-8", "x", "1e9", "٥")],
        ("height", "", "height is empty"),
        ("batch_size", "0", "a whole number from 1"),
        ("passes", "3", "expected 1 or 2"),
        ("precision", "int8", "expected fp32 or fp16 or bf16"),
        ("boundary", "net", "expected gross or dynamic"),
        ("boundary", "", "boundary is unknown"),
        ("energy_j", "", "boundary is gross without an energy_j"),
        ("gpu", "RTX 4090x", "unknown GPU 'RTX 4090x'; see `joulecast gpus`"),
        ("gpu", "RXT 4090", "unknown GPU 'RXT 4090'; did you mean RTX 4090"),
        ("gpu", "missing.toml", "does not exist"),
        ("run_id", "r0", "run_id 'r0' is that of row 2"),
        ("run_id", "", "run_id is empty"),
        ("model", "x" * 10_001, "model is"),
        ("model", "x" * 200_000, "not CSV"),
        ("model", '"open', "not CSV"),
        ("model", '"a\nb"', "one line of text"),
        ("duration_s", "2,3", "13 cells, the header 12"),
    ],
)
def test_bad_cell_is_named_by_row_and_column(column: str, cell: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        read(changed(column, cell))
    assert "row 3" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_neither_energy_nor_duration() -> None:
    text = f"{HEADER},energy\nr1,sdxl,L4,1,512,768,20,2,fp16,,,,5\n"
    with pytest.raises(FileFormatError, match=r"both unknown.*ignored columns: 'energy'"):
        read(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "lacks the column run_id, model"),
        (HEADER.replace("steps,", "") + "\n", "lacks the column steps"),
        (f"{HEADER},energy_j\n", "energy_j twice"),
        (f"{HEADER}\n{ROW[:-2]}", r"row 2 has 11 cells, the header 12"),
        ("\0\1", "binary"),
    ],
)
def test_bad_file_is_explained(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read(text)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        RunTable.read(tmp_path / "missing.csv")
    with pytest.raises(InputError, match="is a folder"):
        RunTable.read(tmp_path)
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        RunTable().write(tmp_path)
    (tmp_path / "runs.csv").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(FileFormatError, match=r"runs\.csv' is not UTF-8"):
        RunTable.read(tmp_path / "runs.csv")


def test_an_alias_becomes_the_name_and_is_kept() -> None:
    assert (run(gpu="a100").gpu, run(gpu="a100").gpu_stated) == ("A100-SXM4-80GB", "a100")
    assert run(gpu="a100", gpu_stated="A100 (cloud)").gpu_stated == "A100 (cloud)"
    assert run(gpu="L4").gpu_stated is None


@pytest.mark.parametrize(
    "changes",
    [
        {"energy_j": True},
        {"energy_j": "5"},
        {"steps": 2.0},
        {"steps": np.float64(2)},
        {"width": None},
        {"engine": None},
        {"trust": "E"},
        {"quantization": "int7"},
        {"cache": "some"},
        {"compile": "yes"},
        {"power_limit_w": 0.0},
        {"parallel": "ulysses=2"},
        {"parallel": "ulysses=2,ring=2", "gpu_count": 2},
        {"note": ""},
        {"note": " x"},
        {"note": "\ud800"},
        {"note": "a\rb"},
        {"gpu": "no such"},
        {"energy_j": None, "boundary": None, "duration_s": None},
        {"energy_j": None},
        {"boundary": None},
    ],
)
def test_a_run_made_in_python_obeys_the_same_rules(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run(**changes)


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    made = run(steps=np.int64(7), energy_j=np.float64(0.1), duration_s=3)
    RunTable([made]).write(tmp_path / "runs.csv")
    assert RunTable.read(tmp_path / "runs.csv")[0] == made


def test_sequence() -> None:
    table = RunTable([run(), run(run_id="r2", steps=30)])
    assert (len(table), table[1].steps, table[-1].steps) == (2, 30, 30)
    assert [each.run_id for each in table] == ["r1", "r2"]
    assert table[1:] == RunTable([run(run_id="r2", steps=30)])
    assert table[:1] + table[1:] == table
    assert hash(table[:] + RunTable()) == hash(table)
    assert run() in table
    with pytest.raises(InputError, match="'r1' occurs twice"):
        table + table
    with pytest.raises(TypeError):
        operator.add(table, [run()])
    with pytest.raises(dataclasses.FrozenInstanceError):
        table[0].steps = 1  # type: ignore[misc]


def test_column() -> None:
    table = RunTable([run(), run(run_id="r2", energy_j=None, boundary=None)])
    assert table.column("energy_j").tolist()[0] == 100.5
    assert np.isnan(table.column("energy_j")[1])
    assert table.column("steps").dtype == float
    assert table.column("boundary").tolist() == ["gross", None]
    assert RunTable().column("energy_j").shape == (0,)
    assert RunTable().column("model").shape == (0,)
    with pytest.raises(UnknownNameError, match="energy_j"):
        table.column("energy")


def test_filter() -> None:
    table = RunTable(
        [run(), run(run_id="r2", steps=30), run(run_id="r3", gpu="T4", energy_j=None, boundary=None)]
    )
    assert [each.run_id for each in table.filter(steps=30)] == ["r2"]
    assert [each.run_id for each in table.filter(gpu=("nvidia l4", "T4"), steps=[20])] == ["r1", "r3"]
    assert [each.run_id for each in table.filter(lambda each: each.steps < 30, boundary=None)] == ["r3"]
    assert len(table.filter()) == 3
    with pytest.raises(UnknownNameError, match="steps"):
        table.filter(step=30)
    with pytest.raises(UnknownNameError, match="GPU"):
        table.filter(gpu="L44")


def test_packaged_runs_are_read_once_and_round_trip(tmp_path: Path) -> None:
    assert packaged_runs() is packaged_runs()
    packaged_runs().write(tmp_path / "runs.csv")
    again = RunTable.read(tmp_path / "runs.csv")
    assert again == packaged_runs()
    again.write(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "runs.csv").read_bytes()


def test_docstring_example() -> None:
    assert doctest.testmod(table).failed == 0
    assert doctest.testmod(table).attempted > 0


def test_an_invented_run_says_so(tmp_path: Path) -> None:
    RunTable([run(is_invented=True), run(run_id="r2")]).write(tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_text().count(",yes\n") == 1
    again = RunTable.read(tmp_path / "runs.csv")
    assert again.column("is_invented").tolist() == [True, False]
    assert [each.run_id for each in again.filter(is_invented=True)] == ["r1"]
    with pytest.raises(InputError, match="is_invented is 1; expected yes or no"):
        run(is_invented=1)


@pytest.mark.parametrize(
    ("column", "cells", "expected"),
    [
        ("source", "dry run on a replayed trace: not a measurement", True),  # from before there was a column
        ("source", "a dry run", False),
        ("source", "", False),
        ("source,is_invented", "dry run,no", False),
        ("source,is_invented", "dry run,", False),
        ("source,is_invented", "lab,yes", True),
    ],
)
def test_an_invented_run_is_known_in_old_files_too(column: str, cells: str, expected: bool) -> None:
    assert read(f"{HEADER},{column}\n{ROW},{cells}\n")[0].is_invented is expected


def test_a_boolean_is_yes_or_no() -> None:
    with pytest.raises(FileFormatError, match="row 2: is_invented is 'maybe'; expected yes or no"):
        read(f"{HEADER},is_invented\n{ROW},maybe\n")


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ("eager", ("diffusers", False, "default")),
        ("compiled", ("diffusers", True, "default")),
        ("", ("diffusers", False, "default")),
        ("tensorrt", ("tensorrt", False, "default")),
        ("oneflow", ("oneflow", False, "default")),
        ('"eager, tf32 on"', ("diffusers", False, "on")),
        ('"compiled, tf32 off"', ("diffusers", True, "off")),
    ],
)
def test_the_older_column_runtime_is_understood(runtime: str, expected: tuple[str, bool, str]) -> None:
    table = read(f"{HEADER},runtime\n{ROW},{runtime}\n")
    assert (table[0].engine, table[0].compile, table[0].tf32) == expected
    assert table.ignored_columns == ()


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("engine", "eager,xdit", "runtime is 'eager', which is engine diffusers, and engine is 'xdit'"),
        ("engine", "tensorrt,diffusers", "engine tensorrt, and engine is 'diffusers'"),
        ("compile", "compiled,no", "compile yes, and compile is 'no'"),
        ("compile", "eager,yes", "compile no, and compile is 'yes'"),
    ],
)
def test_a_runtime_that_contradicts_is_refused(column: str, cells: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=f"row 2: .*{message}.*leave the column runtime out"):
        read(f"{HEADER},runtime,{column}\n{ROW},{cells}\n")


def test_a_runtime_that_agrees_is_no_contradiction() -> None:
    table = read(f"{HEADER},runtime,engine,compile\n{ROW},compiled,diffusers,yes\n")
    assert (table[0].engine, table[0].compile) == ("diffusers", True)


@pytest.mark.parametrize(
    ("parallel", "gpu_count", "expected"),
    [
        (None, 1, {}),
        (None, 4, {}),  # not stated how
        ("data=8", 8, {"data": 8}),
        ("cfg=2,ulysses=2, ring=2", 8, {"cfg": 2, "ulysses": 2, "ring": 2}),
    ],
)
def test_how_gpus_share_the_work(parallel: str | None, gpu_count: int, expected: dict[str, int]) -> None:
    made = run(parallel=parallel, gpu_count=gpu_count)
    assert shares(made.parallel) == expected


@pytest.mark.parametrize(
    ("parallel", "message"),
    [
        ("ulyses=2", "modes are cfg, ulysses, ring, tensor, pipefusion, data"),
        ("ring", "expected modes and their degrees"),
        ("ring=0", "expected modes and their degrees"),
        ("ring=1,ring=2", "each once"),
        (",", "expected modes and their degrees"),
        ("ring=4", "4 GPUs, and gpu_count 2; expected the product"),
    ],
)
def test_shares_that_cannot_be(parallel: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(parallel=parallel, gpu_count=2)


WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).map(str.strip).filter(bool)
POSITIVE = st.floats(min_value=0, exclude_min=True, max_value=1e12)
COUNTS = st.integers(1, 1_000_000)


@st.composite
def measured_runs(draw: st.DrawFn) -> MeasuredRun:
    values: dict[str, Any] = {}
    for column in columns().values():
        strategy: st.SearchStrategy[Any] = {
            "text": WORDS, "integer": COUNTS, "number": POSITIVE, "boolean": st.booleans()
        }[column.type]  # fmt: skip
        if column.values and column.type != "boolean":
            strategy = st.sampled_from(column.values).map(int if column.type == "integer" else str)
        optional = not column.required and not column.default
        values[column.name] = draw(st.none() | strategy if optional else strategy)
    values["parallel"], values["gpu_count"] = draw(
        st.sampled_from([(None, 1), (None, 4), ("cfg=2", 2), ("ulysses=2,ring=4", 8), ("data=16", 16)])
    )
    values["gpu"] = draw(st.sampled_from(["L4", "a100", "NVIDIA H200"]))
    values["energy_j"], values["boundary"] = draw(
        st.tuples(POSITIVE, st.sampled_from(["gross", "dynamic"])) | st.just((None, None))
    )
    if values["energy_j"] is None and values["duration_s"] is None:
        values["duration_s"] = draw(POSITIVE)
    return MeasuredRun(**values)


@pytest.mark.slow
@given(st.lists(measured_runs(), max_size=4, unique_by=lambda each: each.run_id))
@settings(deadline=None)
def test_any_table_round_trips(made: list[MeasuredRun]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        RunTable(made).write(path)
        assert RunTable.read(path) == RunTable(made)


CELLS = st.sampled_from(["", "1", "-1", "nan", "fp16", "gross", "L4", "sdxl", '"', "\r", "1e400", "512"])
LINES = st.lists(
    st.lists(CELLS | st.text(string.printable, max_size=5), max_size=13).map(",".join), max_size=4
)


@given(st.one_of(st.binary(max_size=200), LINES.map(lambda lines: "\n".join([HEADER, *lines]).encode())))
@settings(deadline=None)
def test_no_file_raises_anything_but_a_joulecast_error(content: bytes) -> None:
    message = None
    try:
        RunTable.read(io.BytesIO(content))
    except JoulecastError as error:
        message = str(error)
    assert message is None or ("\n" not in message and "run table" in message)
