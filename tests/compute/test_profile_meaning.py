"""Profile files with a right checksum and a wrong content, and that every packaged profile can be true."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from command import Command, refused
from joulecast import data
from joulecast.compute.profile_file import packaged_profile, read_profile
from joulecast.compute.profile_meaning import check_profile
from joulecast.errors import FileFormatError
from joulecast.files import signed_json
from joulecast.question.models import models

Content = dict[str, Any]
Change = Callable[[Content], Any]


@cache
def _content(name: str) -> str:
    return data.read_text(f"profiles/{name}.json")


def write(change: Change, name: str = "sd2") -> Path:
    """A packaged profile, changed, with a right checksum."""
    content = copy.deepcopy(json.loads(_content(name)))
    change(content)
    content.pop("sha256")
    content["sha256"] = signed_json.checksum(content)
    Path("p.json").write_text(json.dumps(content))
    return Path("p.json")


def operators(content: Content) -> list[list[Any]]:
    """Every row of every table."""
    return [
        row
        for component in content["components"]
        for tables in component["tables"]
        for table in tables
        for row in table["operators"]
    ]


def scale_costs(factor: float) -> Change:
    def change(content: Content) -> None:
        for row in operators(content):
            row[5:] = [[[i, c * factor] for i, c in cost] for cost in row[5:]]

    return change


def without_costs(content: Content) -> None:
    for row in operators(content):
        row[5:] = [[], [], []]


def first(content: Content, cost: int) -> list[Any]:
    """The first coefficient of FLOP (5), bytes read (6) or written (7)."""
    found: list[Any] = next(row[cost][0] for row in operators(content) if row[cost])
    return found


def negate_first(cost: int) -> Change:
    def change(content: Content) -> None:
        one = first(content, cost)
        one[1] = -one[1]

    return change


def unet(content: Content) -> Content:
    found: Content = next(part for part in content["components"] if part["name"] == "unet")
    return found


def calls(**values: Any) -> Change:
    def change(content: Content) -> None:
        for groups in unet(content)["calls"].values():
            groups[0].update(values)

    return change


@pytest.mark.parametrize("model", [model.name for model in models()])
def test_a_packaged_profile_can_be_true(model: str) -> None:
    check_profile(packaged_profile(model))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        # found by others
        (scale_costs(-1), "costs less than nothing"),
        (without_costs, "of no arithmetic"),
        (calls(batch_factor=0), "batch_factor is 0"),
        (lambda c: c["components"].append(unet(c)), "component 'unet' is there twice"),
        (negate_first(5), "costs less than nothing"),
        (lambda c: unet(c).update(parameters=10**299), "parameters is"),
        (lambda c: c["text"].update(default=10**9), "text.default is 1000000000"),
        (calls(batch_factor=10**9), "batch_factor is 1000000000"),
        (calls(text_offset=-(10**9)), "text_offset is -1000000000"),
        (calls(fixed=10**9), "fixed calls is 1000000000"),
        (calls(per_step=-1), "calls per_step is -1"),
        (lambda c: c["guidance"].update(threshold={}), "guidance.threshold is {}"),
        (lambda c: c["size"].update(native=[256]), "not a whole profile"),
        (lambda c: c["size"].update(native=[256, 512, 768]), "not a whole profile"),
        (lambda c: unet(c).update(tables=[[], []]), "the number of tables is 0"),
        (lambda c: c.update(name="sd2\non H100: 1 J"), "name is 'sd2\\non H100: 1 J'"),
        (lambda c: unet(c).update(name="\x1b]0;owned\x07"), "a component's name is"),
        # their siblings
        (negate_first(6), "costs less than nothing"),
        (negate_first(7), "costs less than nothing"),
        (lambda c: first(c, 5).__setitem__(1, 1e200), "a cost is 1e+200"),
        (calls(fixed=-50), "less than never"),
        (calls(images="thrice"), "not a whole profile"),
        (lambda c: c["size"].update(native=[1024, 256]), "size.native is 256"),
        (lambda c: c["size"].update(unit=10**6), "size.unit is 1000000"),
        (lambda c: c["size"].update(bins=[[1.0, 0, 0]]), "a bin's side is 0"),
        (lambda c: c["size"].update(off_grid="only"), "size.bins has 0 sizes; expected the only one"),
        (lambda c: c["size"].update(bins=[[0, 512, 512]]), "a bin's ratio is 0"),
        (lambda c: c["text"].update(multiple=0), "text.multiple is 0"),
        (lambda c: c["defaults"].update(width=0), "defaults.width is 0"),
        (lambda c: c["defaults"].update(width=513), "it refuses its own default: sd2 refuses 513x512"),
        (lambda c: c["defaults"].update(precision="int3"), "unknown precision 'int3'"),
        (lambda c: c.update(call_exceptions={"5": -6}), "a surplus of call_exceptions is -6"),
        (lambda c: c.update(notes=["a\x1b[2J"]), "a note is"),
        (lambda c: c.update(made_with={"torch": 2}), "a version is 2"),
        (lambda c: c.update(hub_id="a\u202eb"), "a name is"),
        (lambda c: c.update(pipeline=""), "pipeline is ''"),
        (lambda c: operators(c)[0].__setitem__(4, math.pi * 1e30), "launches is"),
        (lambda c: operators(c)[0].__setitem__(0, ["mm"]), "an operator is ['mm']"),
        (lambda c: operators(c)[0].__setitem__(3, -64), "the width of a head is -64"),
        (lambda c: unet(c)["calls"].update({"3": unet(c)["calls"]["2"]}), "calls of an unknown mode"),
    ],
)
def test_what_no_profile_says(
    change: Change, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFormatError) as error:
        read_profile(write(change))
    assert words in str(error.value)
    assert str(error.value).startswith("'p.json' ")
    assert str(error.value).isprintable()


def test_more_must_not_cost_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second image for nothing: a table of batch 2 without arithmetic."""
    monkeypatch.chdir(tmp_path)

    def change(content: Content) -> None:
        for tables in unet(content)["tables"]:
            free = copy.deepcopy(tables[-1])
            free["condition"] = {"batch": 4}  # two passes of two images
            free["operators"] = [row for row in free["operators"] if row[1] == "memory"]
            tables.insert(0, free)

    with pytest.raises(FileFormatError, match="more images cost less arithmetic"):
        read_profile(write(change))


def test_a_profile_that_can_be_true_is_taken(run: Command) -> None:
    assert run("estimate", str(write(lambda c: c["notes"].append("mine"))), "--gpu", "H100").status == 0


def test_a_forged_headline_reaches_no_terminal(run: Command) -> None:
    done = run("estimate", str(write(lambda c: c.update(name="x\nsd2 on H100: 1 J"))), "--gpu", "H100")
    refused(done)
