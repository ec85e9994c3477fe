"""Demand files: read as stated, every wrong key and value named; the command that plans them."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulecast import data
from joulecast.architecture.workload import Workload
from joulecast.cli import main
from joulecast.errors import FileFormatError, InputError, UnknownNameError
from joulecast.forecast.estimate import estimate
from joulecast.forecast.memory import needed_bytes
from joulecast.plan.demand import demand_of, read_demand
from joulecast.plan.solve import solve
from joulecast.question.models import load_profile

TEXT = """
[plan]
start = "2022-06-01T00:00Z"
pue = 1.2
host_overhead = [0.3, 0.5]

[limits]
gpus = 300

[[services]]
name = "studio"
images_per_day = 240000
deadline_hours = 6
latency_s = 40

[[services.configurations]]
model = "sdxl"
steps = 30
batch_sizes = [1, 8]
quality = 0.8

[[gpus]]
name = "H100-SXM5-80GB"
max_count = 200

[[regions]]
hourly = "US-CAL-CISO"

[[regions]]
name = "FR"
gpus = { "H100-SXM5-80GB" = 3 }
"""
GOOD = tomllib.loads(TEXT)


def test_a_demand_is_read_as_stated() -> None:
    demand = demand_of(GOOD)
    problem = demand.problem
    assert problem.services[0].demand.tolist() == [10_000.0] * 24
    assert (problem.services[0].deadline_hours, problem.services[0].latency_s) == (6, 40)
    assert [place.name for place in problem.places] == ["US-CAL-CISO", "FR"]
    assert problem.places[0].intensity.min() < problem.places[0].intensity.max()
    assert problem.places[1].intensity.tolist() == [44.18] * 24
    overhead = problem.places[1].overhead
    assert (overhead.low, overhead.value, overhead.high) == (1.3 * 1.2, 1.4 * 1.2, 1.5 * 1.2)
    assert problem.places[1].counts == (3,)
    assert [option.batch_size for option in problem.options] == [1, 8]
    assert problem.options[1].seconds == problem.options[1].latency_s / 8
    assert any("combustion alone" in warning for warning in demand.warnings)
    plan = solve(problem)
    assert {fleet.region: fleet.count for fleet in plan.fleet}["FR"] == 3


def changed(path: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place: Any = content
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("plan.minimize", "carbon", "did you mean minimise"),
        ("plan.minimise", "carbn", "carbon"),
        ("plan.minimise", "cost", "no GPU and no region has a price"),
        ("plan.hours", 0, r"plan\.hours is 0; expected a number from 1 to 8784"),
        ("plan.hours", 1.5, "whole number"),
        ("plan.start", "June", r"plan\.start 'June' is no time"),
        ("plan.start", "2022-06-01T00:00", "no time zone"),
        ("plan.start", "2023-06-01T00:00Z", "not in it"),
        ("plan.pue", 0.5, "PUE"),
        ("plan.utilisation", 2, r"plan\.utilisation"),
        ("limits.carbon", 3, "did you mean carbon_kg"),
        ("limits.gpus", -1, r"limits\.gpus"),
        ("service", [], "did you mean services"),
        ("services", [], "at least one"),
        ("services.0.images_per_day", "many", r"services\[0\]\.images_per_day is 'many'; expected a number"),
        ("services.0.images_by_hour", [1], "one of the two"),
        ("services.0.images_per_day", None, "one of the two"),
        ("services.0.name", "a\x1b[31mb", "expected one line"),
        ("services.0.name", "two\nlines", "expected one line"),
        ("services.0.latency", 3, "did you mean latency_s"),
        ("services.0.configurations.0.model", "sdxll", "sdxl"),
        ("services.0.configurations.0.step", 3, "did you mean steps"),
        ("services.0.configurations.0.steps", 0, r"configurations\[0\]: steps must be between 1"),
        ("services.0.configurations.0.size", "big", "size"),
        ("services.0.configurations.0.batch_sizes", [], "batch_sizes"),
        ("services.0.configurations.0.batch_sizes", [0], "batch_sizes"),
        ("services.0.configurations.0.precision", "bf17", "precision"),
        ("services.0.configurations.0.batch_sizes", [1.9], "batch_sizes must be a whole number, not 1.9"),
        ("services.0.configurations.0.batch_sizes", [True], "batch_sizes must be a whole number, not True"),
        ("services.0.configurations.0.batch_sizes", [1, 5000], "batch_sizes must be between 1 and 4096"),
        ("services.0.images_per_day", 1e-300, "demand of studio is 4.17e-302 images in an hour"),
        ("services.0.images_per_day", 1e-3, "expected none, or at least 0.001"),
        ("services.0.images_per_day", 10**400, r"images_per_day is 1000.*; expected a number from 0"),
        pytest.param(
            "services.0.images_per_day", 10**5000, "a number of thousands of digits; expected", id="long"
        ),
        ("plan.start", "0001-01-01T00:00+14:00", "not in the years 1880 to 2200"),
        ("plan.start", "9999-12-31T23:00-12:00", "not in the years 1880 to 2200"),
        ("limits.cost", 10**400, r"limits\.cost is 1000.*; expected a number from 0"),
        ("regions.1.intensity", float("inf"), r"intensity is inf; expected a number from 0 to 3000"),
        ("gpus.0.name", "H100-SXN5", "H100"),
        ("gpus.0.count", 3, "did you mean max_count"),
        ("gpus", [{"name": "H100"}, {"name": "H100-SXM5-80GB"}], "twice"),
        ("regions.1.name", "Frnace", "France"),
        ("regions.1.intensity", -3, r"regions\[1\]\.intensity"),
        ("regions.0.intensity", 3, "hourly and intensity: give one"),
        ("regions.1.gpus", {"A100": 3}, r"not in \[\[gpus\]\]"),
        ("regions.1.gpus", {"H100": 1.5}, r"regions\[1\]\.gpus\.H100 must be a whole number, not 1.5"),
        ("regions.1.gpus", {"H100": 0.999}, "must be a whole number"),
        ("regions.1.gpus", {"H100": "100"}, r"gpus\.H100 is '100'; expected a number from 0"),
        ("regions.1.gpus", {"H100": -1}, r"gpus\.H100 is -1; expected a number from 0"),
        ("regions.1.gpus", 3, "must be like"),
        ("regions.1.gpus", [["A100"]], "must be like"),
        ("regions.1.gpus", {"H100": 3, "H100-SXM5-80GB": 4}, "H100-SXM5-80GB twice"),
        ("services.0.images_per_day", 0, "asks for nothing"),
        ("regions.0.hourly", "CIS", "CISO"),
    ],
)
def test_bad_values_are_named(path: str, value: Any, words: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=words):
        demand_of(changed(path, value))


def test_models_that_do_not_fit_are_not_planned() -> None:
    content = changed("services.0.configurations.0.model", "flux.1-dev")
    content["gpus"].append({"name": "L4"})
    demand = demand_of(content)
    assert {option.gpu for option in demand.problem.options} == {0}
    assert any(re.search("not planned: flux.1-dev in .* on L4", warning) for warning in demand.warnings)
    content["gpus"], content["regions"] = [{"name": "L4"}], [{"name": "FR"}]
    with pytest.raises(
        InputError, match=r"no GPU on offer holds .*flux.1-dev in bf16 .* L4 \(24 GB\): its weights alone"
    ):
        demand_of(content)


def test_what_to_doubt_of_places_and_cards_is_said() -> None:
    content = changed("regions.1.name", "eu-west-3")
    content["regions"].append({"name": "mine", "intensity": 0.4})
    content["gpus"].append({"name": "RTX 5090"})
    told = "; ".join(demand_of(content).warnings)
    assert "AWS eu-west-3 (Paris) has no yearly figure of its own" in told
    assert "the intensity of mine is 0.4 g/kWh, outside what grids have" in told
    assert "nobody has published the embodied carbon of RTX 5090" in told


def test_a_mean_quality_needs_every_quality() -> None:
    content = changed("services.0.min_quality", 0.5)
    del content["services"][0]["configurations"][0]["quality"]
    with pytest.raises(
        InputError, match=r"min_quality needs the quality of services\[0\]\.configurations\[0\]"
    ):
        demand_of(content)


def test_what_a_plan_assumes_is_said() -> None:
    found = {(a.of, a.what): a for a in demand_of(GOOD).assumptions}
    assert found["FR", "grid intensity"].amount == "44.18 g CO2e/kWh"
    assert "Ember" in found["FR", "grid intensity"].source
    assert found["US-CAL-CISO", "PUE"].amount == "1.2"
    assert found["US-CAL-CISO", "PUE"].source == "given by the user"
    assert found["H100-SXM5-80GB", "idle power"].amount == "70 W"
    assert found["all options", "energy and time"].source == "law roofline"


@pytest.mark.parametrize(("name", "idle"), [("H200-SXM-141GB", "91 W"), ("L40S", "45.5 W")])
def test_idle_power_that_nobody_measured_is_the_law_s(name: str, idle: str) -> None:
    """13 % of 700 W and of 350 W: what the dynamic energy of an estimate subtracts too."""
    demand = demand_of(GOOD | {"gpus": [{"name": name}], "regions": [{"name": "FR"}]})
    found = {(a.of, a.what): a for a in demand.assumptions}[name, "idle power"]
    assert (found.amount, found.source) == (idle, "13% of its power limit: nobody measured it")
    assert f"nobody measured the idle power of {name}: {idle} was taken" in demand.warnings
    assert f"{demand.problem.gpus[0].idle_w:g} W" == idle
    assert demand.problem.gpus[0].idle_w == pytest.approx(
        estimate("sdxl", name, boundary="dynamic").idle_power_w
    )


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_an_image_that_just_fits_is_planned(precision: str, tmp_path: Path) -> None:
    image = Workload(1024, 1024, 30, passes=2, precision=precision)
    needed_gb = (
        needed_bytes(load_profile("sdxl"), image.columns(), precision).least[0] / 2**30
    )  # GB are at most GiB
    content = changed("services.0.configurations.0.precision", precision)
    content["regions"] = [{"name": "FR"}]
    path = tmp_path / "mine.toml"
    content["gpus"] = [{"name": str(path)}]
    gpu = "name = 'Mine'\ntdp_w = 300\nidle_power_w = 30\nbandwidth_gb_per_s = 800\nfp32_tflops = 50\n"
    gpu += "fp16_tflops = 200\nbf16_tflops = 200\ngeneration = 'Hopper'\n"
    path.write_text(f"{gpu}memory_gb = {needed_gb * 1.001}\n")
    planned = demand_of(content)
    assert [option.batch_size for option in planned.problem.options] == [1]
    assert any("a batch of 8 of 1024x1024 by sdxl" in words for words in planned.warnings)
    path.write_text(f"{gpu}memory_gb = {needed_gb * 0.999}\n")
    with pytest.raises(InputError, match="no GPU on offer holds"):
        demand_of(content)


def test_two_kinds_of_price() -> None:
    content = changed("gpus.0.price_per_hour", 2)
    content["regions"][0]["price_per_kwh"] = 0.1
    with pytest.raises(InputError, match="one kind of price"):
        demand_of(content)


def test_gpu_files_lie_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'name = "Mine"\ntdp_w = 300\nmemory_gb = 80\nbandwidth_gb_per_s = 2000\nfp16_tflops = 300\n'
    )
    text = TEXT.replace("H100-SXM5-80GB", "mine.toml").replace('"H100"', '"mine.toml"')
    (tmp_path / "plan.toml").write_text(text)
    kinds = [kind.name for kind in read_demand(tmp_path / "plan.toml").problem.gpus]
    assert "Mine" in kinds


def test_hourly_files_lie_beside_the_plan(tmp_path: Path) -> None:
    lines = [f"2022-06-01T{h:02}:00Z,{100 + h}" for h in range(24)]
    (tmp_path / "fr.csv").write_text("\n".join(["datetime,g", *lines]))
    (tmp_path / "plan.toml").write_text(TEXT.replace('name = "FR"', 'name = "FR"\nfile = "fr.csv"'))
    found = read_demand(tmp_path / "plan.toml").problem.places[1].intensity
    assert found.tolist() == np.arange(100.0, 124.0).tolist()
    (tmp_path / "plan.toml").write_text("[plan")
    with pytest.raises(FileFormatError, match="not TOML"):
        read_demand(tmp_path / "plan.toml")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(TEXT)
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(path), "--report", str(tmp_path / "out")])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "240,000 images in 24 h with the least carbon" in out
    assert "FR.H100-SXM5-80GB" in [limit.name for limit in demand_of(GOOD).problem.limits()]
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["totals"]["carbon_g"]["low"] < plan["totals"]["carbon_g"]["value"]
    assert sum(a["images"] for a in plan["assignments"]) == pytest.approx(240_000, rel=1e-4)
    path.write_text(TEXT.replace("gpus = 300", "gpus = 1"))
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(path)])
    assert ended.value.code == 2
    assert "no plan meets these limits together: limits.gpus" in capsys.readouterr().err


def test_each_doubt_is_a_warning_of_its_own_and_names_what_it_is_of() -> None:
    content = changed("services.0.configurations.0.model", "flux.1-schnell")
    content["services"][0]["configurations"][0]["steps"] = 4
    content["gpus"] = [{"name": "L40S"}, {"name": "H100"}]
    told = demand_of(content).warnings
    assert any(words.startswith("the law has seen no run of flux.1-schnell, nor on L40S") for words in told)
    steps = "steps outside the fitted 10 to 50 (of energies), so the range is wider"
    assert f"flux.1-schnell on H100-SXM5-80GB: {steps}" in told
    assert not any("; " in words for words in told)


def test_engine_and_profile_files_lie_beside_the_plan(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text('name = "ours"\ntitle = "Ours"\nhost_left = 0.5\n')
    profile = data.read_text("profiles/sdxl.json")
    (tmp_path / "mine.json").write_text(profile)
    text = TEXT.replace('model = "sdxl"', 'model = "mine.json"\nengine = "ours.toml"', 1)
    assert text != TEXT
    (tmp_path / "plan.toml").write_text(text)
    (option, *_) = read_demand(tmp_path / "plan.toml").problem.options
    assert "ours" in option.label
