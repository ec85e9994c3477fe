"""What tools take and answer, without the protocol: their schemas, short answers, requests of any shape."""

from __future__ import annotations

import dataclasses
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from joulecast.agents.schemas import properties
from joulecast.agents.tools import LEFT_OUT, OF_GPUS, OF_MODELS, SHORT_DIGITS, TOOLS, answered
from joulecast.errors import InputError, JoulecastError
from joulecast.footprint.place import PLACE_KEYS
from joulecast.hardware import gpus
from joulecast.question.models import models
from joulecast.question.setting import SIDES, Setting

SDXL = {"model": "sdxl", "gpu": "L4"}


@pytest.mark.parametrize("name", TOOLS)
def test_schemas_are_schemas_of_closed_objects(name: str) -> None:
    schema = TOOLS[name].schema
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert len(json.dumps(schema)) < 6000


def test_a_request_has_every_key_of_a_setting_and_a_place() -> None:
    of_settings = {field.name for field in dataclasses.fields(Setting)} | set(SIDES)
    of_places = set(PLACE_KEYS) - {"hourly_column", "allow_gaps"}  # of files
    for schema in (TOOLS["estimate"].schema, properties(TOOLS["pareto"].schema)["setting"]):
        known = properties(schema)
        assert of_settings | of_places | {"law"} == set(known) - {"images", "full"}
    described = properties(TOOLS["estimate"].schema)
    assert all(one["description"] for one in described.values())
    assert not any("`" in str(one["description"]) for one in described.values())


def test_a_request_that_a_schema_takes_is_answered() -> None:
    whole = {
        **SDXL, "size": "512x512", "steps": 20, "guidance": 5.0, "negative_prompt": True, "batch_size": 2,
        "precision": "fp16", "engine": "diffusers", "compile": False, "power_limit_w": 60,
        "boundary": "gross", "intensity": "40:60", "pue": 1.2, "images": 3, "law": "roofline", "full": False,
    }  # fmt: skip
    Draft202012Validator(TOOLS["estimate"].schema).validate(whole)
    found: Any = answered("estimate", whole)
    assert found["workload"]["batch_size"] == 2
    assert found["footprint"]["images"] == 3
    lists = {"setting": {**SDXL, "steps": [10, 20], "precision": ["fp16", "bf16"]}, "by": ["energy", "time"]}
    Draft202012Validator(TOOLS["pareto"].schema).validate(lists)
    compared: Any = answered("pareto", lists)
    assert compared["compared"] == 4
    changed = {"setting": {**SDXL, "region": "FR"}, "changes": [{"region": "PL"}]}
    Draft202012Validator(TOOLS["what_if"].schema).validate(changed)
    told: Any = answered("what_if", changed)
    assert told["changes"][0]["measures"]["carbon_g"]["ratio"]["value"] > 2


def test_short_answers_leave_out_parts_and_digits_that_no_range_has() -> None:
    short: Any = answered("estimate", {**SDXL, "region": "FR"})
    full: Any = answered("estimate", {**SDXL, "region": "FR", "full": True})
    assert set(full) - set(short) == {"components"}
    assert set(full["footprint"]) - set(short["footprint"]) == {"factors", "sources"}
    assert not LEFT_OUT & set(json.dumps(short).replace('"', " ").split())
    assert short["energy_j"] != full["energy_j"]
    assert short["energy_j"] == pytest.approx(full["energy_j"], rel=10.0 ** (1 - SHORT_DIGITS))
    assert short["footprint"]["grid"]["source"]


@pytest.mark.slow
def test_lists_are_short_and_one_is_whole() -> None:
    every: Any = answered("models", {})
    assert [one["name"] for one in every] == [model.name for model in models()]
    assert all(set(one) == set(OF_MODELS) for one in every)
    cards: Any = answered("gpus", {})
    assert [one["name"] for one in cards] == [gpu.name for gpu in gpus()]
    assert all(set(one) == set(OF_GPUS) for one in cards)
    one: Any = answered("models", {"name": "SDXL"})
    assert one["default_width"] == 1024
    whole: Any = answered("gpus", {"name": "A100"})
    assert whole["name"].startswith("A100")


@pytest.mark.parametrize(
    ("name", "request_", "words"),
    [
        ("estimate", {"model": "sdxl"}, "gpu is missing"),
        ("estimate", {**SDXL, "model": None}, "model is missing"),
        ("estimate", {**SDXL, "steps": math.nan}, "steps must be a whole number"),
        ("estimate", {**SDXL, "images": 2}, "images are of a footprint"),
        ("estimate", {**SDXL, "at": "12:00"}, "without a place"),
        ("what_if", {"setting": SDXL}, "changes is a list of 1 to 100 changes"),
        ("what_if", {"setting": SDXL, "changes": [3]}, "a change is an object"),
        ("what_if", {"changes": [{}]}, "setting is missing"),
        ("what_if", {"setting": 5, "changes": [{}]}, "setting is an object"),
        ("what_if", {"setting": SDXL, "changes": [{"gpu": "mine.toml"}]}, "no file is read"),
        ("what_if", {"setting": SDXL, "changes": [{"steps": 50}], "full": True}, "unknown argument 'full'"),
        ("pareto", {"setting": {**SDXL, "steps": []}}, "steps is an empty list"),
        ("pareto", {"setting": {**SDXL, "steps": [[1]]}}, "steps must be a whole number, not [1]"),
        (
            "pareto",
            {"setting": {**SDXL, "steps": [*range(1, 1002)]}},
            "1,001 settings are too many to compare; at most 1,000",
        ),
        ("pareto", {"setting": SDXL, "by": ["energy", "quality"]}, "unknown measure 'quality'"),
        ("pareto", {"setting": SDXL, "by": ["energy"]}, "give two measures"),
        ("pareto", {"setting": SDXL, "by": [{}, []]}, "unknown measure {}"),
        ("plan", {}, "needs"),
        ("plan", {"services": [[]], "gpus": [{}], "regions": [5]}, "gpus[0] needs a name"),
        ("models", {"task": "audio"}, "audio"),
        ("models", {"name": "mine.json"}, "no file is read"),
        ("gpus", {"name": "mine.toml"}, "no file is read"),
        ("gpus", {"vendor": 5}, "vendor is text, not 5"),
        ("gpus", {"nam": "L4"}, "did you mean name"),
    ],
)
def test_what_cannot_be_answered(
    name: str, request_: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the files are there: they are not looked at."""
    monkeypatch.chdir(tmp_path)
    for file in ("mine.toml", "mine.json"):
        (tmp_path / file).write_text("", encoding="utf-8")
    with pytest.raises(JoulecastError) as told:
        answered(name, request_)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("table", ["services", "gpus", "regions"])
def test_a_plan_reads_no_file(table: str, tmp_path: Path) -> None:
    (tmp_path / "fr.csv").write_text("datetime,a\n2024-01-01T00:00Z,5\n", encoding="utf-8")
    place = str(tmp_path / "fr.csv")
    demand: dict[str, list[dict[str, Any]]] = {
        "services": [{"name": "s", "images_per_day": 2400, "configurations": [{"model": "sdxl"}]}],
        "gpus": [{"name": "L4"}],
        "regions": [{"name": "FR"}],
    }
    named: dict[str, dict[str, Any]] = {
        "services": {"configurations": [{"model": f"{place}.json"}]},
        "gpus": {"name": f"{place}.toml"},
        "regions": {"file": place},
    }
    demand[table][0].update(named[table])
    with pytest.raises(InputError, match="no file is read or written for a request"):
        answered("plan", demand)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["sdxl", "L4"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.sampled_from([name for name in TOOLS if name != "plan"]), st.data())
def test_any_request_is_answered_or_refused_in_words(name: str, data: st.DataObject) -> None:
    keys = [*properties(TOOLS[name].schema), "full", "other"]
    request = data.draw(st.dictionaries(st.sampled_from(keys), _VALUES, max_size=4))
    if name == "estimate":
        request = {**SDXL, **request}
    elif name in ("what_if", "pareto"):
        nested = data.draw(
            st.dictionaries(st.sampled_from(["steps", "region", "pue", "gpu"]), _VALUES, max_size=2)
        )
        request = {"setting": {**SDXL, **nested}, "changes": [nested], **request}
    with suppress(JoulecastError):  # in words: anything else is a fault
        json.dumps(answered(name, request), allow_nan=False)
