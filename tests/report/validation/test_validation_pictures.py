"""The pictures: drawn without a browser, the same every time, showing what they are given."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulecast import data
from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError, MissingExtraError
from joulecast.law.law import GpuColumns
from joulecast.law.load import load_law
from joulecast.law.own_runs import usable
from joulecast.question.gpus import gpu
from joulecast.report import charts
from joulecast.report.validation import pictures
from joulecast.report.validation.rows import (
    HeldOutPoint,
    coverage,
    held_out_points,
    law_errors,
    regimes,
)
from joulecast.report.waterfall import Step, waterfall, waterfall_steps
from joulecast.runs import packaged_runs
from published_errors import published

ADDS_UP = 1e-12  # the same sums in another order, in float64
PRINTED = 0.02  # published scores have four digits, packaged predictions five
FLUX = Workload(1024, 1024, 50, precision="bf16")


@pytest.fixture(scope="module")
def points() -> list[HeldOutPoint]:
    return held_out_points(
        data.read_table("held_out.csv"), usable(packaged_runs())[0], load_law(), packaged_profile
    )


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    on = GpuColumns.of(gpu("H100"), 1)
    parts = load_law("roofline").breakdown(packaged_profile("flux.1-dev"), FLUX.columns(), "bf16", on)
    assert parts is not None
    return waterfall_steps(parts)


DRAWINGS: dict[str, Callable[[list[HeldOutPoint], list[Step]], Any]] = {
    "predicted": lambda points, steps: pictures.predicted_against_measured(points, "roofline"),
    "predicted time": lambda points, steps: pictures.predicted_against_measured(points, "paper", "duration"),
    "residuals": lambda points, steps: pictures.residuals_by_regime(points, "roofline"),
    "coverage": lambda points, steps: pictures.interval_coverage(coverage(points), "roofline"),
    "laws": lambda points, steps: pictures.errors_by_law(law_errors(points)),
    "waterfall": lambda points, steps: waterfall(steps, "Where the joules go"),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_pictures_are_drawn_and_always_the_same(
    name: str, points: list[HeldOutPoint], steps: list[Step]
) -> None:
    first, again = (charts.to_svg(DRAWINGS[name](points, steps)) for _ in range(2))
    assert first == again
    assert first.startswith("<svg")
    assert len(first) < 150_000  # they lie in the repository
    assert "NaN" not in first
    assert re.search(r"\[(J|s|%|TFLOP)\]", first), "an axis names its unit"


def test_every_held_out_run_is_a_dot(points: list[HeldOutPoint]) -> None:
    spec = pictures.predicted_against_measured(points, "roofline").to_dict()
    dots = [values for values in spec["datasets"].values() if "run" in values[0]]
    assert [len(values) for values in dots] == [107, 107, 107]


def test_points_are_the_packaged_predictions(points: list[HeldOutPoint]) -> None:
    found = law_errors(points)
    for row in found:
        holdouts = {"each model in turn": "unseen_model", "each chip in turn": "unseen_gpu"}
        if row["holdout"] in holdouts:
            errors = published(row["law"], holdouts[row["holdout"]], row["quantity"])
            assert row["median"] == pytest.approx(errors["median"], rel=PRINTED)
            assert row["p90"] == pytest.approx(errors["p90"], rel=PRINTED)
            assert row["runs"] == errors["runs"]
    for held in coverage(points):
        holdouts = {"each model in turn": "unseen_model", "each chip in turn": "unseen_gpu"}
        if held["holdout"] in holdouts:
            errors = published(held["law"], holdouts[held["holdout"]], held["quantity"])
            assert held["coverage"] == pytest.approx(errors["coverage"], rel=PRINTED)


def test_regimes_lie_between_none_and_all() -> None:
    runs = usable(packaged_runs())[0]
    found = regimes(runs, load_law("roofline"), packaged_profile)
    assert all(0 <= one["launch_bound"] <= 1 for one in found.values())
    assert found["mlenergy-v2-sd1.5-h100-b1"]["launch_bound"] > 0.9
    assert found["mlenergy-v3-flux.1-dev-h100-b16"]["launch_bound"] < 0.01
    assert all(
        one["launch_bound"] == 0 for one in regimes(runs, load_law("paper"), packaged_profile).values()
    )


def test_a_waterfall_is_whole(steps: list[Step]) -> None:
    """Each step starts where the one before ends; the last is the law's own total."""
    *parts, total = steps
    assert parts[0]["start"] == 0
    for before, after in itertools.pairwise(parts):
        assert after["start"] == before["end"]
    assert parts[-1]["end"] == pytest.approx(total["end"], rel=ADDS_UP)
    law = load_law("roofline")
    on = GpuColumns.of(gpu("H100"), 1)
    answer = law.predict(packaged_profile("flux.1-dev"), FLUX.columns(), "bf16", on)
    assert total["energy"] == pytest.approx(answer.energy_j[0], rel=ADDS_UP)
    whole = law.breakdown(packaged_profile("flux.1-dev"), FLUX.columns(), "bf16", on)
    assert whole is not None
    assert parts[0]["energy"] == pytest.approx(whole["transformer"]["arithmetic"][0], rel=ADDS_UP)
    assert "(" in parts[0]["words"]
    assert "(" not in total["words"]


def test_colours_are_those_that_everyone_tells_apart() -> None:
    """Okabe and Ito 2008, and grey and black."""
    palette = {"#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#999999"}
    assert {*pictures.CHIP_COLOURS.values(), *charts.GPU_COLOURS} <= palette
    assert len(set(pictures.CHIP_COLOURS.values())) == len(pictures.CHIP_COLOURS)
    assert len(set(pictures.CHIP_SHAPES.values())) == len(pictures.CHIP_SHAPES)


def test_pictures_are_saved_by_their_ending(steps: list[Step], tmp_path: Path) -> None:
    chart = waterfall(steps, "joules")
    charts.save(chart, tmp_path / "a.svg")
    charts.save(chart, tmp_path / "a.png")
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"ends in \.svg or \.png"):
        charts.save(chart, tmp_path / "a.pdf")


@pytest.mark.parametrize("module", ["altair", "vl_convert"])
def test_without_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[plot\]"):
        charts.check_extra()
