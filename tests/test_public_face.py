"""What `import joulecast` offers: every name by one dot, records that show themselves as people see them."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import joulecast
from joulecast.presented import Presented
from joulecast.report.estimate_text import estimate_text

SOURCE = Path(joulecast.__file__).parent
ESTIMATE = joulecast.estimate("flux.1-dev", "H100-SXM5-80GB", steps=20)
PLACE = joulecast.site("FR")


def test_the_surface_is_sorted_and_all_of_it_is_there() -> None:
    assert joulecast.__all__ == sorted(joulecast.__all__)
    for name in joulecast.__all__:
        assert getattr(joulecast, name) is not None, name
    assert set(joulecast.__all__) <= set(dir(joulecast))
    assert not {name for name in dir(joulecast) if not name.startswith("__")} - set(joulecast.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        joulecast.nothing_like_it  # noqa: B018


def test_type_checkers_see_what_is_loaded() -> None:
    """The imports for type checkers and the table of homes are one list."""
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: str(node.module).removeprefix("joulecast.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == joulecast._HOMES
    assert sorted([*seen, "__version__"]) == joulecast.__all__


@pytest.mark.parametrize("name", ["footprint", "plan", "measure", "law", "report", "compute", "question"])
def test_no_name_is_hidden_by_a_folder(name: str) -> None:
    """A folder that is imported becomes an attribute of the package, whatever the package offers."""
    assert name not in joulecast.__all__


def test_every_command_has_its_function() -> None:
    by_command = {
        "estimate": "estimate", "predict": "predict", "models": "models", "gpus": "gpus", "fit": "fit",
        "validate": "validate", "footprint": "footprint_of", "what-if": "what_if", "pareto": "front",
        "plan": "make_plan", "grid": "hourly_series", "measure": "measure_once",
    }  # fmt: skip
    assert set(by_command.values()) <= set(joulecast.__all__)


def test_an_estimate_prints_as_people_see_it() -> None:
    assert str(ESTIMATE) == estimate_text(ESTIMATE)
    assert repr(ESTIMATE) == "<Estimate flux.1-dev on H100-SXM5-80GB: 1024x1024, 20 steps, bf16>"
    html = ESTIMATE._repr_html_()
    assert "<table>" in html
    assert "energy per image" in html
    assert len(html) < 1500


def shows(record: object) -> None:
    assert isinstance(record, Presented)
    assert str(record).strip()
    assert "\n" not in repr(record)
    assert len(repr(record)) < 300
    assert record._repr_html_().startswith("<")


def test_other_answers_show_themselves_too() -> None:
    footprint = joulecast.footprint_of(ESTIMATE, PLACE)
    assert isinstance(footprint, joulecast.Footprint)
    shows(footprint)
    change = joulecast.what_if({"model": "sdxl", "gpu": "L4"}, {"steps": 20})
    assert str(change).startswith("steps 50 to 20: GPU energy falls by")
    shows(change)
    plan = joulecast.make_plan(
        {
            "services": [{"images_per_day": 1000, "configurations": [{"model": "sdxl"}]}],
            "gpus": [{"name": "L4"}],
            "regions": [{"name": "FR"}],
        }
    )
    shows(plan)
    assert len(repr(joulecast.load_profile("flux.1-dev"))) < 100


def test_texts_are_where_records_say() -> None:
    """`text_by` is text, which no import checks."""
    for path in SOURCE.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip().startswith('text_by = "'):
                module, _, function = line.split('"')[1].partition(":")
                assert callable(getattr(importlib.import_module(f"joulecast.report.{module}"), function))


def test_objects_are_taken_wherever_names_are() -> None:
    gpu, profile, law = joulecast.gpu("L4"), joulecast.load_profile("sdxl"), joulecast.load_law("paper")
    named = {"model": "sdxl", "gpu": "L4", "law": "paper", "region": "FR"}
    (by_name,) = joulecast.outcomes([named])
    (by_object,) = joulecast.outcomes([{**named, "model": profile, "gpu": gpu, "law": law}])
    assert by_object.measures == by_name.measures
    case = joulecast.Case(joulecast.Setting(profile, gpu), joulecast.Place("FR"), law)
    assert joulecast.outcomes([case])[0].measures == by_name.measures
    changed = joulecast.what_if(case, {"gpu": joulecast.gpu("H100-SXM5-80GB")})
    assert changed.deltas == joulecast.what_if(named, {"gpu": "H100-SXM5-80GB"}).deltas


def test_what_is_measured_once_is_what_a_command_measures() -> None:
    from joulecast.measure.replay import ReplayMeter, VirtualClock, packaged_trace
    from joulecast.measure.virtual import VirtualSubject

    clock = VirtualClock()
    meter = ReplayMeter(packaged_trace(), clock)
    found = joulecast.measure_once(
        {"model": "sd2", "size": "256x256", "steps": 5}, subject=VirtualSubject(clock), meter=meter
    )
    shows(found)
    assert found.result.energy_j > 0
    with pytest.raises(joulecast.InputError, match="multiples"):
        joulecast.measure_once(
            {"model": "sd2", "size": "250x250"}, subject=VirtualSubject(clock), meter=meter
        )


def test_importing_loads_next_to_nothing() -> None:
    code = "import sys, joulecast; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
