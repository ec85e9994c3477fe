"""Law files: what is written is read, and what was damaged is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joulecast.architecture.workload import Workload
from joulecast.compute.profile_file import packaged_profile
from joulecast.errors import FileFormatError, InputError, UnknownNameError
from joulecast.files import signed_json
from joulecast.law.law import FAMILIARITY, GpuColumns, LawInput
from joulecast.law.law_file import VERSION, rounded, write_law
from joulecast.law.load import default_law, law_names, load_law
from joulecast.law.roofline import RooflineLaw
from joulecast.question.gpus import gpu

SIX_DIGITS = 1e-4  # parameters are written to 6 digits; energies go with their products


@pytest.mark.parametrize("name", law_names())
def test_round_trip(name: str, tmp_path: Path) -> None:
    law, path = load_law(name), tmp_path / "law.json"
    write_law(law, path)
    again = load_law(path)
    assert again == law
    assert type(again) is type(law)
    assert list(tmp_path.iterdir()) == [path]


def test_six_digits_are_enough(tmp_path: Path) -> None:
    law = load_law("roofline")
    assert isinstance(law, RooflineLaw)
    shared = {name: value * (1 + 1e-9) for name, value in law.parameters.shared.items()}
    exact = dataclasses.replace(law, parameters=dataclasses.replace(law.parameters, shared=shared))
    write_law(exact, tmp_path / "law.json")
    energies = []
    for one in (exact, load_law(tmp_path / "law.json")):
        answer = one.predict(
            LawInput(
                packaged_profile("sdxl"),
                Workload(1024, 1024, 25).columns(),
                "fp16",
                GpuColumns.of(gpu("H100"), 1),
            ),
        )
        energies.append(answer.energy_j[0])
    assert energies[0] == pytest.approx(energies[1], rel=SIX_DIGITS)


def test_a_width_of_which_nothing_is_known(tmp_path: Path) -> None:
    """JSON has no infinity."""
    widths = dict.fromkeys(FAMILIARITY, 0.1) | {"unseen_gpu": math.inf}
    path = tmp_path / "law.json"
    write_law(dataclasses.replace(load_law("paper"), half_widths=widths), path)
    assert json.loads(path.read_text())["half_widths"]["unseen_gpu"] is None
    assert load_law(path).half_widths["unseen_gpu"] == math.inf


def test_rounded() -> None:
    assert rounded({"a": [1 / 3, (2 / 3,)], "b": 7, "c": math.inf, "d": "x"}) == {
        "a": [0.333333, [0.666667]], "b": 7, "c": None, "d": "x",
    }  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_law(load_law("joules_per_flop"), tmp_path / "law.json")
    return tmp_path / "law.json"


def test_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FileFormatError, match=r"is not valid JSON .* is it cut short"):
        load_law(path)


def test_edited(path: Path) -> None:
    content = json.loads(path.read_text())
    content["parameters"]["energy_factor"] /= 10
    path.write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match="changed after it was made"):
        load_law(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": VERSION + 1}, f"version {VERSION + 1}; this joulecast reads version {VERSION}"),
        ({"version": None}, "version None"),
        ({"format": "joulecast-profile"}, "is not a joulecast law file"),
        ({"form": "crystal ball"}, "a law of the form 'crystal ball'; known: baseline, paper, roofline"),
        ({"form": None}, "a law of the form None"),
        ({"half_widths": {"seen": 0.1}}, "is not a whole law"),
        ({"half_widths": dict.fromkeys(FAMILIARITY, "wide")}, "is not a whole law"),
        ({"fitted_on": {}}, "is not a whole law"),
        ({"fitted_on": 3}, "is not a whole law"),
        ({"surplus": 1}, "is not a whole law"),
    ],
)
def test_another_version_form_or_content(path: Path, change: dict[str, Any], words: str) -> None:
    """Each signed anew, so that the checksum is not what refuses it."""
    content = json.loads(path.read_text()) | change
    content.pop("sha256")
    content["sha256"] = signed_json.checksum(content)
    path.write_text(json.dumps(content))
    with pytest.raises(FileFormatError) as error:
        load_law(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'"x"', b"{}"])
def test_what_is_no_law_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        load_law(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_law(tmp_path / "none.json")


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean roofline"):
        load_law("roofline2")


def test_the_default_is_a_packaged_law() -> None:
    assert default_law() in law_names()
    assert load_law() is load_law(default_law())


@pytest.mark.parametrize("name", law_names())
def test_a_packaged_law_says_what_it_knows(name: str) -> None:
    """Every law predicts a workload with an interval, and says on which runs it was fitted."""
    law = load_law(name)
    assert law.name == name
    described = law.describe()
    assert described.fitted_on.runs > 100
    assert set(described.errors) == set(FAMILIARITY)
    answer = law.predict(
        LawInput(
            packaged_profile("sdxl"),
            Workload(1024, 1024, 25).columns(),
            "fp16",
            GpuColumns.of(gpu("H100"), 1),
        )
    )
    assert np.isfinite(answer.energy_j).all()
    assert (answer.log_half_width > 0).all()
