"""Tables of workloads: in columns, from files, with rows that cannot be predicted."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_law import FakeLaw
from joulecast import FileFormatError, InputError, JoulecastError, estimate, models, predict
from joulecast.files.columns import distinct
from joulecast.forecast.predict import predict_file
from joulecast.forecast.predictor import CHUNK, OUTPUTS
from joulecast.question.numbers import whole_numbers

LAW = FakeLaw()
NAMES = [model.name for model in models()]
HEADER = "model,gpu,width,height,steps"
SAME = 1e-12  # a scalar and a column go through the same operations

Table = dict[str, Any]


def table(**columns: Any) -> Table:
    """A table of as many good rows as the columns given have."""
    rows = max((len(column) for column in columns.values()), default=1)
    good = {"model": "sd1.5", "gpu": "A100-SXM4-80GB", "width": 512, "height": 512, "steps": 20}
    return {name: [value] * rows for name, value in good.items()} | columns


def error_of(**columns: Any) -> str:
    """The error of a table's only row."""
    answers = predict(table(**{name: [value] for name, value in columns.items()}), law=LAW)
    assert all(math.isnan(answers[name][0]) for name in ("energy_j", "duration_s", "flop"))
    error = str(answers["error"][0])
    assert "\n" not in error
    return error


# --- numbers -------------------------------------------------------------------------------------

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(NAMES),
            "gpu": st.sampled_from(["A100-SXM4-80GB", "h100", "RTX 4090", "T4"]),
            "width": st.integers(4, 16).map(lambda n: 64 * n),
            "height": st.integers(4, 16).map(lambda n: 64 * n),
            "steps": st.integers(1, 200),
            "batch_size": st.integers(1, 64),
            "precision": st.sampled_from(["fp16", "fp32"]),
            "boundary": st.sampled_from(["gross", "dynamic"]),
        }
    ),
    min_size=1,
    max_size=30,
)


@given(ROWS)
@settings(max_examples=40, deadline=None)
def test_a_row_is_the_estimate_of_its_workload(rows: list[dict[str, Any]]) -> None:
    answers = predict({name: [row[name] for row in rows] for name in rows[0]}, law=LAW)
    assert not answers["error"].any()
    for place, row in enumerate(rows):
        one = estimate(**row, law=LAW)
        for name in ("energy_j", "energy_low_j", "energy_high_j", "duration_s", "flop"):
            assert answers[name][place] == pytest.approx(getattr(one, name), rel=SAME)
        assert len(list(filter(None, answers["warning"][place].split("; ")))) == len(one.warnings)


def test_the_packaged_law_predicts_as_it_estimates() -> None:
    answers = predict(table(model=NAMES, width=[1024] * len(NAMES), height=[1024] * len(NAMES)))
    for place, name in enumerate(NAMES):
        one = estimate(name, "A100-SXM4-80GB", size="1024x1024", steps=20)
        assert answers["energy_j"][place] == pytest.approx(one.energy_j, rel=1e-9)
        assert answers["energy_high_j"][place] == pytest.approx(one.energy_high_j, rel=1e-9)
        assert answers["law"][place] == one.law.name


def test_chunks_and_threads_change_nothing() -> None:
    rows = 3 * CHUNK + 7
    rng = np.random.default_rng(7)
    columns = {
        "model": np.array(NAMES)[rng.integers(0, len(NAMES), rows)],
        "gpu": np.array(["a100", "H100-SXM5-80GB"])[rng.integers(0, 2, rows)],
        "width": 64 * rng.integers(4, 17, rows),
        "height": 64 * rng.integers(4, 17, rows),
        "steps": rng.integers(1, 60, rows),
    }
    whole = predict(columns, law=LAW)
    few = rng.integers(0, rows, 500)
    some = predict({name: column[few] for name, column in columns.items()}, law=LAW)
    for name in OUTPUTS:
        np.testing.assert_array_equal(whole[name][few], some[name], err_msg=name)  # none is none
    one_model = predict({**columns, "model": ["sd2"] * rows}, law=LAW)
    assert np.isfinite(one_model["energy_j"]).all()


def test_defaults_of_optional_columns() -> None:
    answers = predict(table(model=["sd1.5", "flux.1-dev"]), law=LAW)
    guided = estimate(
        "sd1.5", "A100-SXM4-80GB", size="512x512", steps=20, passes=2, precision="fp16", law=LAW
    )
    single = estimate(
        "flux.1-dev", "A100-SXM4-80GB", size="512x512", steps=20, passes=1, precision="fp16", law=LAW
    )
    assert answers["energy_j"].tolist() == pytest.approx([guided.energy_j, single.energy_j], rel=SAME)
    empty = {"batch_size": "", "passes": None, "precision": " ", "text_tokens": float("nan"), "boundary": ""}
    given_empty = table(model=["sd1.5"], **{name: [value] for name, value in empty.items()})
    assert predict(given_empty, law=LAW)["energy_j"][0] == answers["energy_j"][0]


def test_every_other_column_is_kept() -> None:
    notes = ["a", None]
    answers = predict(table(model=["sd1.5", "sd2"], note=notes), law=LAW)
    assert answers["note"] is notes
    assert list(answers)[-len(OUTPUTS) :] == list(OUTPUTS)


@pytest.mark.parametrize(
    "cells",
    [
        np.array([512, 768]),
        np.array([512, 768], dtype=np.int16),
        np.array([512.0, 768.0]),
        np.array(["512", "768.0"]),
        np.array([b"512", b"768"]),
        np.array([512, "768"], dtype=object),
        [512, 768],
        ["512", " 768 "],
        (512, 768),
        [np.int64(512), np.float64(768)],
    ],
)
def test_any_kind_of_column(cells: Any) -> None:
    answers = predict(table(width=cells), law=LAW)
    expected = predict(table(width=[512, 768]), law=LAW)
    assert answers["energy_j"].tolist() == expected["energy_j"].tolist()


# --- rows that cannot be predicted ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("model", "sd1.6", "did you mean sd1.5"),
        ("model", "", "model is missing"),
        ("model", None, "model is missing"),
        ("model", 3, "must be a name"),
        ("model", "nope.json", "does not exist"),
        ("model", "x" * 5000 + ".json", "cannot be read"),
        ("model", "x/" * 5000, "cannot be read"),
        ("model", "a/\0.json", "does not exist"),
        ("gpu", "A1000", "unknown GPU"),
        ("gpu", "nope.toml", "does not exist"),
        ("gpu", "x" * 5000 + ".toml", "cannot be read"),
        ("width", 0, "between 16 and"),
        ("width", -512, "between 16 and"),
        ("width", 10**30, "between 16 and"),
        ("width", "", "width is missing"),
        ("width", None, "width is missing"),
        ("width", float("nan"), "width is missing"),
        ("width", "wide", "whole number"),
        ("width", [512], "whole number"),
        ("width", True, "whole number"),
        ("width", 500, "multiples of 8"),
        ("steps", 2.5, "whole number"),
        ("steps", float("inf"), "whole number"),
        ("passes", 3, "between 1 and 2"),
        ("batch_size", 0, "batch size"),
        ("precision", "fp8", "that is a quantization, not a precision"),
        ("precision", "fp9", "unknown precision"),
        ("text_tokens", 20, "always encodes 77"),
        ("boundary", "net", "unknown boundary"),
    ],
)
def test_a_bad_cell_is_its_row_s_error(column: str, value: Any, words: str) -> None:
    assert words in error_of(**{column: value})


def test_a_precision_the_gpu_lacks() -> None:
    assert error_of(gpu="T4", precision="bf16") == "T4 has no bf16 mode; fp16 or fp32 would work"


def test_the_rest_is_predicted() -> None:
    answers = predict(table(model=["sd1.5", "nope", "sd1.5", "sd1.5"], steps=[20, 20, 0, 20]), law=LAW)
    assert [bool(error) for error in answers["error"]] == [False, True, True, False]
    assert answers["energy_j"][0] == answers["energy_j"][3]
    assert np.isnan(answers["energy_j"][1:3]).all()


@pytest.mark.slow
def test_many_unknown_names_stay_quick() -> None:
    names = [f"model number {i}" for i in range(20_000)]
    answers = predict(table(model=[*names, "sd1.5"], gpu=[*names, "a100"]), law=LAW)
    assert answers["error"][:-1].all()
    assert not answers["error"][-1]
    assert "joulecast models" in answers["error"][-2]


@pytest.mark.parametrize("method", ["predict", "familiarity", "outside"])
def test_a_law_that_cannot_answer_is_a_row_s_error(method: str) -> None:
    def knows_nothing(*args: Any) -> Any:
        raise InputError("this law knows nothing")

    narrow = type("Narrow", (FakeLaw,), {method: knows_nothing})
    assert predict(table(), law=narrow())["error"][0] == "this law knows nothing"


def test_no_finite_answer_is_a_row_s_error() -> None:
    class Broken(FakeLaw):
        def predict(self, *args: Any) -> Any:
            answer = super().predict(*args)
            return answer._replace(energy_j=np.array([np.inf, np.nan, 0.0, 1.0]))

    answers = predict(table(model=["sd1.5"] * 4), law=Broken())
    assert [bool(error) for error in answers["error"]] == [True, True, True, False]
    assert np.isnan(answers["flop"][:3]).all()
    with pytest.raises(InputError, match="no finite energy"):
        estimate("sd1.5", "a100", law=Broken())


# --- tables that are none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": ["sd1.5"]}, "no column gpu"),
        (table() | {"energy_j": [1.0]}, "already has energy_j"),
        (table() | {"steps": [1, 2]}, "column 'steps' has 2 rows"),
        (table() | {"width": 512}, "list or a one-dimensional array"),
        (table() | {"width": np.ones((1, 1))}, "one-dimensional"),
        (table() | {"width": "512"}, "list or a one-dimensional array"),
        ([1, 2], "a table is a mapping of columns, e.g. "),
        (7, "a table is a mapping of columns, e.g. "),
    ],
)
def test_what_is_no_table(given: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        predict(given, law=LAW)


def test_a_near_column_name_is_offered() -> None:
    given = table()
    given["Heigth"] = given.pop("height")
    with pytest.raises(InputError, match="is the column 'Heigth' the height"):
        predict(given, law=LAW)


def test_an_empty_table_has_empty_answers() -> None:
    answers = predict(table(model=[], gpu=[], width=[], height=[], steps=[]), law=LAW)
    assert all(len(answers[name]) == 0 for name in OUTPUTS)


# --- columns -------------------------------------------------------------------------------------


@given(
    st.lists(
        st.one_of(st.text(max_size=3), st.none(), st.integers(), st.booleans(), st.floats()), max_size=50
    )
)
@settings(deadline=None)
def test_distinct_gives_the_column_back(cells: list[Any]) -> None:
    found = distinct(cells)
    back = [found.values[i] for i in found.index]
    for cell, again in zip(cells, back, strict=True):
        expected = repr(cell) if isinstance(cell, bool) else cell  # True would equal 1
        assert again == expected or cell != cell


@given(st.lists(st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.none()), min_size=1, max_size=30))
@settings(deadline=None)
def test_numbers_are_checked_alike_as_list_and_array(cells: list[Any]) -> None:
    as_list = whole_numbers("steps", cells, 7)
    as_text = whole_numbers("steps", ["" if c is None or c != c else repr(c) for c in cells], 7)
    assert (as_list.values == as_text.values)[_good(as_list)].all()
    assert (_good(as_list) == _good(as_text)).all()


def _good(column: Any) -> Any:
    return np.ones(len(column.values), dtype=bool) if column.problem is None else column.problem == ""


# --- files ---------------------------------------------------------------------------------------


def write(folder: Path, content: str | bytes, name: str = "w.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv_there_and_back(tmp_path: Path) -> None:
    source = write(
        tmp_path, f'id,{HEADER},note\n1,sd1.5,a100,512,512,20,"a, ""b"""\n2,nope,a100,512,512,20,é\n'
    )
    target = tmp_path / "out.csv"
    summary = predict_file(source, target, LAW)
    assert (summary.rows, summary.failed) == (2, 1)
    assert summary.first_failure.startswith("data row 2: unknown model 'nope'")
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    assert [row["note"] for row in rows] == ['a, "b"', "é"]
    assert rows[1]["energy_j"] == rows[1]["flop"] == ""
    one = estimate("sd1.5", "a100", size="512x512", steps=20, precision="fp16", law=LAW)
    assert float(rows[0]["energy_j"]) == pytest.approx(one.energy_j, rel=SAME)
    assert repr(float(rows[0]["energy_j"])) == rows[0]["energy_j"]
    assert set(tmp_path.iterdir()) == {target, source}  # nothing temporary is left


def test_a_path_is_a_table(tmp_path: Path) -> None:
    source = write(tmp_path, f"{HEADER}\nsd1.5,a100,512,512,20\n")
    answers = predict(source, law=LAW)
    assert answers["width"] == ["512"]
    assert answers["energy_j"][0] > 0


@pytest.mark.parametrize("name", ["bom", "crlf", "blank lines", "no end of line", "spaces in the header"])
def test_harmless_differences(name: str, tmp_path: Path) -> None:
    good = f"{HEADER}\nsd1.5,a100,512,512,20\nsd2,a100,512,512,20\n"
    content = {
        "bom": b"\xef\xbb\xbf" + good.encode(),
        "crlf": good.replace("\n", "\r\n").encode(),
        "blank lines": (good.replace("\n", "\n\n") + "\n\n").encode(),
        "no end of line": good.strip().encode(),
        "spaces in the header": good.replace(",", ", ").encode(),
    }[name]
    answers = predict(write(tmp_path, content), law=LAW)
    assert not answers["error"].any()
    assert (answers["energy_j"] == predict(write(tmp_path, good), law=LAW)["energy_j"]).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\x00\x01\x02" * 50, "binary"),
        (f"{HEADER}\n".encode("utf-16"), "binary file or UTF-16"),
        (b"model;gpu;width;height;steps\n", "separated by commas"),
        (b"model,width,height,steps\n", "no column gpu"),
        (f"{HEADER},steps\n", "two columns named 'steps'"),
        (f"{HEADER},error\n", "already has error"),
        (f"{HEADER}\nsd1.5,a100,512\n", "row 2 .* has 3 cells, the header 5"),
        (f"{HEADER}\nsd1.5,a100,512,512,20,extra\n", "row 2 .* has 6 cells"),
        (f'{HEADER}\nsd1.5,a100,512,512,"20\n', "is the file cut"),
        (f'{HEADER}\n"sd1.5"x,a100,512,512,20\n', "not CSV"),
        (HEADER.encode() + b"\nsd1.5,a100,512,512,2\xff\n", "not UTF-8 text .byte 0xff"),
        (f"{HEADER}\nsd1.5,a100,512,512,{'2' * 200_000}\n", "line 2: not CSV"),
        (b"PAR1" + b"x" * 99, "must end in .parquet"),
        (",".join(f"c{i}" for i in range(20_000)), "20000 columns"),
    ],
)
def test_a_file_that_is_no_table(content: Any, words: str, tmp_path: Path) -> None:
    source, target = write(tmp_path, content), tmp_path / "out.csv"
    with pytest.raises((FileFormatError, InputError), match=words) as error:
        predict_file(source, target, LAW)
    assert "\n" not in str(error.value)
    assert "w.csv" in str(error.value)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
def test_an_older_result_stays_when_the_input_breaks_late(tmp_path: Path) -> None:
    target = write(tmp_path, "older", "out.csv")
    source = write(tmp_path, f"{HEADER}\n" + "sd1.5,a100,512,512,20\n" * 70_000 + "sd1.5,a100\n")
    with pytest.raises(FileFormatError, match="row 70002"):
        predict_file(source, target, LAW)
    assert target.read_text() == "older"
    assert set(tmp_path.iterdir()) == {source, target}


def test_only_a_header_gives_only_a_header(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    assert predict_file(write(tmp_path, f"{HEADER}\n"), target, LAW).rows == 0
    assert target.read_text().strip().split(",") == [*HEADER.split(","), *OUTPUTS]


@pytest.mark.parametrize(
    ("target", "words"),
    [("w.csv", "is the input itself"), (".", "is a folder"), ("nowhere/out.csv", "there is no folder")],
)
def test_a_target_that_cannot_be(target: str, words: str, tmp_path: Path) -> None:
    source = write(tmp_path, f"{HEADER}\nsd1.5,a100,512,512,20\n")
    with pytest.raises(InputError, match=words):
        predict_file(source, tmp_path / target, LAW)
    assert source.read_text().startswith("model")


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"{HEADER}\n{text}".encode()))
@settings(max_examples=100, deadline=None)
def test_garbage_is_predicted_or_refused_in_one_line(tmp_path_factory: Any, content: bytes) -> None:
    source = write(tmp_path_factory.getbasetemp(), content)
    message = ""
    try:
        predict(source, law=LAW)
    except JoulecastError as error:
        message = str(error)
    assert "\n" not in message


# --- Parquet -------------------------------------------------------------------------------------


def test_parquet_there_and_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    rows = 70_000
    given = arrow.table(
        {
            "id": arrow.array(range(rows), arrow.int16() if rows < 2**15 else arrow.int32()),
            "model": arrow.array(["sd1.5", "sd2"] * (rows // 2)).dictionary_encode(),
            "gpu": ["a100", None] * (rows // 2),
            "width": arrow.array([512, 768] * (rows // 2), arrow.int32()),
            "height": [512.0, 768.0] * (rows // 2),
            "steps": arrow.array([20, None] * (rows // 2)),
            "day": arrow.array([0, 1] * (rows // 2), arrow.date32()),
        }
    )
    source, target = tmp_path / "w.parquet", tmp_path / "out.parquet"
    parquet.write_table(given, source)
    summary = predict_file(source, target, LAW)
    assert (summary.rows, summary.failed) == (rows, rows // 2)
    answers = parquet.read_table(target)
    assert answers.column_names == [*given.column_names, *OUTPUTS]
    assert answers.schema.field("day").type == arrow.date32()
    assert answers["energy_j"].null_count == rows // 2
    assert answers["error"][1].as_py() == "GPU is missing"
    from_csv = predict(write(tmp_path, f"{HEADER}\nsd1.5,a100,512,512,20\n"), law=LAW)
    assert answers["energy_j"][0].as_py() == from_csv["energy_j"][0]
    assert predict(source, law=LAW)["energy_j"][0] == from_csv["energy_j"][0]


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for content in (b"PAR1" + b"x" * 99, b"PAR1", b"model,gpu\n"):
        with pytest.raises(FileFormatError, match="Parquet"):
            predict(write(tmp_path, content, "w.parquet"), law=LAW)


@pytest.mark.parametrize(
    ("model", "size", "is_outside"),
    [
        ("sana1.5-1.6b", "4096x4096", False),
        ("pixart-sigma", "4096x4096", False),
        ("sana1.5-4.8b", "3000x5000", False),
        ("sdxl", "4096x4096", True),
    ],
)
def test_a_size_is_outside_where_it_is_generated(model: str, size: str, is_outside: bool) -> None:
    """A pipeline that renders at a trained size and resizes is within the fitted range there."""
    told = " ".join(estimate(model, "H100-SXM5-80GB", size=size).warnings)
    assert ("image size outside" in told) == is_outside


def test_a_clip_on_a_gpu_that_nobody_knows_is_told_of_alone() -> None:
    found = predict({"model": ["wan2.1-t2v-1.3b"], "gpu": ["8192"]})
    assert "unknown GPU '8192'" in found["error"][0]
    assert math.isnan(found["energy_j"][0])
