"""Law files with a right checksum and a wrong content: every parameter has a range of what can be."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from command import Command, refused
from joulecast import data
from joulecast.errors import FileFormatError, InputError
from joulecast.files import signed_json
from joulecast.law.law_file import parse_law, write_law
from joulecast.law.load import load_law
from joulecast.law.priors import PRIORS
from joulecast.law.roofline import RooflineLaw

Content = dict[str, Any]
Change = Callable[[Content], Any]


@cache
def _content(name: str) -> str:
    return data.read_text(f"laws/{name}.json")


def signed(name: str, change: Change) -> bytes:
    """A packaged law, changed, with a right checksum."""
    content = copy.deepcopy(json.loads(_content(name)))
    change(content)
    content.pop("sha256")
    content["sha256"] = signed_json.checksum(content)
    return json.dumps(content).encode()


def refusal(name: str, change: Change) -> str:
    with pytest.raises(FileFormatError) as error:
        parse_law(signed(name, change), "my.json")
    message = str(error.value)
    assert message.startswith("my.json ")
    assert message.isprintable()
    return message


def shared(**values: Any) -> Change:
    return lambda content: content["parameters"]["shared"].update(values)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        # found by others
        ("roofline", lambda c: c["half_widths"].update(seen=math.nan), "NaN is no number"),
        ("roofline", lambda c: c["half_widths"].update(seen=-1), "the half-width of seen is -1"),
        ("roofline", shared(energy_per_flop_j=-1e-12), "energy_per_flop_j is -1e-12"),
        ("roofline", shared(static_power_share=-0.1), "static_power_share is -0.1; expected a number from 0"),
        ("roofline", shared(static_power_share=0.99), "static_power_share is 0.99"),
        ("roofline", lambda c: c["parameters"]["shared"].pop("static_power_share"), "static_power_share"),
        ("roofline", lambda c: c.update(form={}), "a law of the form {}"),
        ("roofline", lambda c: c["parameters"].update(shared=None), "parameters.shared must be"),
        ("roofline", lambda c: c["parameters"].update(level="much"), "level is 'much'"),
        ("roofline", shared(kernel_time_s=1e308), "kernel_time_s is 1e+308"),
        ("joules_per_flop", lambda c: c.update(name="=cmd|' /C calc'!A0"), "begins like a formula"),
        ("joules_per_flop", lambda c: c.update(name="\x1b[2J"), "name is '\\x1b[2J'"),
        # their siblings
        ("roofline", shared(static_power_share=0.5, power_limit_share=0.4), "nothing is left for work"),
        ("roofline", shared(lowest_clock=0), "lowest_clock is 0"),
        ("roofline", shared(clock_exponent=True), "clock_exponent is True"),
        ("roofline", shared(of_my_own=1), "not so: ['of_my_own']"),
        ("roofline", lambda c: c["parameters"]["chip_effects"].update({"Ada": 40}), "chip_effects of 'Ada'"),
        ("roofline", lambda c: c["parameters"].update(host_spread=0), "host_spread is 0"),
        ("roofline", lambda c: c["parameters"].update(level=1e9), "level is 1000000000"),
        ("roofline", lambda c: c["duration_half_widths"].update(seen=1e9), "the half-width of seen"),
        ("roofline", lambda c: c["fitted_on"]["ranges"].update(flop=[10, 1]), "the range of flop is 1"),
        ("roofline", lambda c: c["fitted_on"].update(runs=-3), "fitted_on.runs is -3"),
        ("roofline", lambda c: c["fitted_on"].update(models=["sd2\nJ: 1"]), "a name of fitted_on"),
        ("roofline", lambda c: c["errors"]["seen"]["energy"].update(median="low"), "median of the errors"),
        ("roofline", lambda c: c["covariance"]["matrix"][0].pop(), "a covariance has not 35 rows"),
        ("roofline", lambda c: c["covariance"]["matrix"][2].__setitem__(2, -1), "a variance is -1"),
        ("paper", lambda c: c["parameters"]["energy"].update(alpha=-0.9), "energy.alpha is -0.9"),
        ("paper", lambda c: c["parameters"]["duration"].update(intercept=1e5), "duration.intercept"),
        ("paper", lambda c: c["parameters"]["energy"].update(target="duration"), "say that they are of"),
        ("paper", lambda c: c["parameters"]["energy"]["beta_gpu"].update(T4=None), "beta_gpu of 'T4'"),
        ("paper", lambda c: c["parameters"]["reference_gpu"].update(tdp_w=0), "reference_gpu.tdp_w is 0"),
        ("tdp_time", lambda c: c["parameters"].update(energy_factor=0), "energy_factor is 0"),
        ("tdp_time", lambda c: c["parameters"].update(duration_factor=-1), "duration_factor is -1"),
        ("tdp_time", lambda c: c["parameters"].update(quantity=["tdp_time"]), "quantity is ['tdp_time']"),
    ],
)  # fmt: skip
def test_what_no_law_says(name: str, change: Change, words: str) -> None:
    assert words in refusal(name, change)


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("value", [-1, 1e30, None, "x", [], {}, True])
def test_no_shared_parameter_may_be_anything(name: str, value: object) -> None:
    assert name in refusal("roofline", shared(**{name: value}))


def test_a_law_that_cannot_be_is_not_written(tmp_path: Path) -> None:
    law = load_law("roofline")
    assert isinstance(law, RooflineLaw)
    wrong = dataclasses.replace(law, parameters=dataclasses.replace(law.parameters, level=-1.0))
    with pytest.raises(InputError, match="level is -1"):
        write_law(wrong, tmp_path / "law.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["parameters"]["energy"].update(intercept=190),
        lambda c: c["parameters"]["duration"].update(intercept=190),
        lambda c: c["parameters"]["duration"].update(beta_res=-19),
    ],
)
def test_possible_parameters_of_an_impossible_answer(change: Change, run: Command) -> None:
    """Parameters each in its range, of an energy or a power that nothing has."""
    Path("l.json").write_bytes(signed("paper", change))
    done = run("estimate", "sd2", "--gpu", "H100", "--law", "l.json")
    refused(done, "no finite energy and time, of a power")


@pytest.mark.parametrize("name", PRIORS)
def test_what_a_law_file_may_say_a_fit_can_begin_at(name: str) -> None:
    """The ends of a range are finite on the fit's scale, and the prior lies between them."""
    prior = PRIORS[name]
    ends = [prior.internal(value) for value in (prior.least, prior.median, prior.most)]
    assert all(map(math.isfinite, ends))
    assert ends == sorted(ends)
    assert [prior.natural(x) for x in ends] == pytest.approx([prior.least, prior.median, prior.most])
