"""The pictures: drawn without a browser, the same every time, showing what they are given."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulecast import data
from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import InputError, MissingExtraError
from joulecast.law.forms import find_form, known_forms
from joulecast.law.law import GpuColumns, LawInput
from joulecast.law.load import load_law
from joulecast.law.own_runs import fitted_runs
from joulecast.law.scores import Scores
from joulecast.question.gpus import gpu
from joulecast.report import charts
from joulecast.report.validation import pictures
from joulecast.report.validation.rows import (
    HOLDOUT_TITLES,
    HeldOutPoint,
    coverage,
    held_out_points,
    law_errors,
    regimes,
)
from joulecast.report.waterfall import Step, waterfall, waterfall_steps
from joulecast.runtime import REFERENCE_STRATUM
from published_errors import published

ADDS_UP = 1e-12  # the same sums in another order, in float64
PRINTED = 0.02  # published scores have four digits, packaged predictions five
FLUX = Workload(1024, 1024, 50, precision="bf16")


@pytest.fixture(scope="module")
def points() -> list[HeldOutPoint]:
    return held_out_points(data.read_table("held_out.csv"), fitted_runs()[0], load_law(), packaged_profile)


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    on = GpuColumns.of(gpu("H100"), 1)
    parts = load_law("roofline").breakdown(
        LawInput(packaged_profile("flux.1-dev"), FLUX.columns(), "bf16", on)
    )
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


@pytest.mark.parametrize("law", ["roofline", "paper"])
def test_every_held_out_run_is_a_dot(law: str, points: list[HeldOutPoint]) -> None:
    """Of every runtime that the law knows."""
    spec = pictures.predicted_against_measured(points, law).to_dict()
    dots = [values for values in spec["datasets"].values() if "run" in values[0]]
    for values, holdout in zip(dots, ("unseen_model", "unseen_gpu", "unseen_both"), strict=True):
        scores = [by_holdout[holdout].energy for by_holdout in errors_by_stratum(law).values()]
        assert len(values) == sum(score.runs for score in scores if score)
        assert len(values) > 120


def errors_by_stratum(law: str) -> dict[str, Mapping[str, Scores]]:
    """The published errors of a law, by hold-out in each stratum of runtimes that it knows."""
    facts = load_law(law).describe()
    return {REFERENCE_STRATUM: facts.errors, **facts.runtime_errors}


@pytest.mark.parametrize("law", known_forms())
def test_points_are_the_packaged_predictions(law: str, points: list[HeldOutPoint]) -> None:
    """In each stratum of runtimes, under each hold-out, of energies and of times."""
    mine = [point for point in points if point["law"] == law]
    for stratum, by_holdout in errors_by_stratum(law).items():
        for holdout, scores in by_holdout.items():
            for quantity, score in scores.to_dict().items():
                asked = stratum, HOLDOUT_TITLES[holdout], quantity
                here = [p for p in mine if (p["stratum"], p["holdout"], p["quantity"]) == asked]
                assert score is not None
                assert len(here) == score["runs"], asked
                if here:
                    sizes = [abs(point["error"]) for point in here]
                    assert np.median(sizes) == pytest.approx(score["median"], rel=PRINTED), asked
                    assert np.quantile(sizes, 0.9) == pytest.approx(score["p90"], rel=PRINTED), asked
                    (held,) = coverage(here)
                    assert held["coverage"] == pytest.approx(score["coverage"], rel=PRINTED), asked


def test_errors_of_laws_are_compared_on_what_all_know(points: list[HeldOutPoint]) -> None:
    """Images by the reference runtime: of a law of nothing else, its published errors."""
    titles = {title: holdout for holdout, title in HOLDOUT_TITLES.items()}
    found = law_errors(points)
    images = {run.run_id for run in fitted_runs(find_form("paper"))[0]}
    for row in found:
        errors = published(row["law"], titles[row["holdout"]], row["quantity"])
        if row["law"] == "roofline":
            sizes = [
                abs(p["error"])
                for p in points
                if (p["law"], p["holdout"], p["quantity"]) == (row["law"], row["holdout"], row["quantity"])
                and p["run"] in images
            ]
            errors = {"runs": len(sizes), "median": np.median(sizes), "p90": np.quantile(sizes, 0.9)}
        assert row["runs"] == errors["runs"]
        assert row["median"] == pytest.approx(errors["median"], rel=PRINTED)
        assert row["p90"] == pytest.approx(errors["p90"], rel=PRINTED)
    for holdout in ("each model in turn", "each chip in turn", "model and chip together"):
        for quantity in ("energy", "duration"):
            rows = [row for row in found if (row["holdout"], row["quantity"]) == (holdout, quantity)]
            assert len({row["runs"] for row in rows}) == 1


def test_coverage_is_of_all_runs_of_a_law_under_a_hold_out(points: list[HeldOutPoint]) -> None:
    found = coverage(points)
    told = [point for point in points if point["covered"] is not None]
    assert len(found) == len({(p["law"], p["holdout"], p["quantity"]) for p in told})
    for held in found:
        asked = held["law"], held["holdout"], held["quantity"]
        inside = [bool(p["covered"]) for p in told if (p["law"], p["holdout"], p["quantity"]) == asked]
        assert held["coverage"] == pytest.approx(100 * np.mean(inside))


def test_marks_of_a_picture_are_defined_once() -> None:
    dot = '<path transform="translate({},2)" d="M1,0A1,1" fill="#000" />'
    dots = [*map(dot.format, range(3)), dot.format(9).replace("#000", "#111")]
    found = charts.marks_once(f"<svg><g>{''.join(dots)}</g></svg>")
    name = re.search(r'<svg><defs><path id="(m[0-9a-f]+)" d="M1,0A1,1" fill="#000"/></defs>', found)
    assert name is not None
    assert [f'<use href="#{name[1]}" x="{x}" y="2"/>' in found for x in range(3)] == [True] * 3
    assert found.count("<path") == 2
    assert charts.marks_once(found) == found


def test_regimes_lie_between_none_and_all() -> None:
    runs = fitted_runs()[0]
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
    answer = law.predict(LawInput(packaged_profile("flux.1-dev"), FLUX.columns(), "bf16", on))
    assert total["energy"] == pytest.approx(answer.energy_j[0], rel=ADDS_UP)
    whole = law.breakdown(LawInput(packaged_profile("flux.1-dev"), FLUX.columns(), "bf16", on))
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


def test_every_dot_has_a_mark_of_the_legend() -> None:
    """Chips beyond those with a colour of their own share one; a shape without an area would draw nothing."""
    rows = [{"chip": name} for name in (*pictures.CHIP_COLOURS, "L4", "RTX 4080")]
    shape = pictures._chip_shape(charts.altair(), rows).to_dict()["scale"]  # type: ignore[arg-type]
    assert shape["domain"] == [*pictures.CHIP_COLOURS, "another"]
    assert len(set(shape["range"])) == len(shape["domain"])
    assert "stroke" not in shape["range"]


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
