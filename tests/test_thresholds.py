"""Every named threshold says nothing just below and speaks just above; and each number has one home.

The amounts are written out, not taken from the constants: a threshold that moves must be moved here too.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import joulecast
from command import Command
from joulecast.architecture.pipeline_config import check_sane, read_config_file
from joulecast.architecture.workload import Workload
from joulecast.compute.polynomial import parse_monomial
from joulecast.compute.profile_file import packaged_profile, read_profile
from joulecast.compute.solving import _values_of_hints
from joulecast.errors import JoulecastError
from joulecast.files.documents import parse_json, parse_toml
from joulecast.files.fields import check_fields
from joulecast.files.tables import blocks_of
from joulecast.footprint.account import power_caveats
from joulecast.forecast.answer import _is_possible
from joulecast.forecast.caveats import Known, host_caveat, pair_caveats, power_caveat, workload_caveats
from joulecast.forecast.memory import weight_bytes
from joulecast.plan.demand import _check_demand, _start
from joulecast.plan.problem import Service
from joulecast.question.gpus import gpu
from joulecast.question.headers import keys_of
from joulecast.report import page
from joulecast.report.amounts import number
from joulecast.report.decisions.front_picture import _Scale
from joulecast.report.decisions.plan_text import _grams
from joulecast.report.decisions.rows import bar_hours, plan_regions
from joulecast.runtime import REFERENCE

SD15, H100 = packaged_profile("sd1.5"), gpu("H100-SXM5-80GB")


class Threshold(NamedTuple):
    """Whether anything is said of an amount, and amounts on either side."""

    speaks: Callable[[Any], bool]
    below: object
    above: object


def refuses(read: Callable[..., object], words: str) -> Callable[..., bool]:
    """Whether reading ends in an error of ours that has these words."""

    def speaks(*arguments: object) -> bool:
        try:
            read(*arguments)
        except JoulecastError as error:
            return words in str(error)
        return False

    return speaks


def power_w(drawn: float) -> bool:
    (mask,) = power_caveat(np.array([drawn]), np.array([700.0])).values()
    return bool(mask[0])


def is_host_bound(share: float) -> bool:
    (mask,) = host_caveat(np.array([share])).values()
    return bool(mask[0])


def fits_no_weights(spare_bytes: int) -> bool:
    """A board has at most as many GiB as it is GB."""
    board = dataclasses.replace(H100, memory_bytes=weight_bytes(SD15, "fp16") * 1e9 / 2**30 + spare_bytes)
    said = pair_caveats(SD15, board, "fp16", "gross", Known("seen", "seen"), REFERENCE)
    return any("do not fit" in words for words in said)


def made_for_other_sides(size: tuple[int, int]) -> bool:
    caveats = workload_caveats(SD15, Workload(*size, 20).columns())
    (mask,) = (mask for words, mask in caveats.items() if "sides outside the 256 to 1024 pixels" in words)
    return bool(mask[0])


def is_logarithmic(highest: float) -> bool:
    return _Scale.of([1.0, highest], []).is_log


def lumps_regions(count: int) -> bool:
    places: Any = SimpleNamespace(places=[SimpleNamespace(name=f"r{i}") for i in range(count)])
    plan: Any = SimpleNamespace(assignments=())
    return len(plan_regions(plan, places)) < count


def is_no_hint(value: int) -> bool:
    """Whole numbers up to 2**53 are exact in float64."""
    return not _values_of_hints([{"batch": value}], [{"batch": 1}])


@dataclasses.dataclass
class Measured:
    energy_j: float


def is_no_record(energy_j: float) -> bool:
    try:
        check_fields(Measured(energy_j))
    except TypeError:
        return True
    return False


def cannot_be(power_share: float = 1.0, per_flop_j: float = 1e-12) -> bool:
    """Of an answer for one operation."""
    return not _is_possible(np.array([power_share]), np.array([per_flop_j]), np.array([1.0]))[0]


def asks_for_less(images: float) -> None:
    _check_demand([Service("studio", demand=np.array([0.0, images]))])


def not_toml(text: str, words: str) -> bool:
    return refuses(parse_toml, words)(text, "a file")


def not_json(text: str, words: str) -> bool:
    return refuses(parse_json, words)(text, "a file")


THRESHOLDS = {
    "power that no GPU draws": Threshold(lambda w: bool(power_caveats(w, 1.0)), 3000.0, 3001.0),
    "power that no GPU idles at": Threshold(lambda w: bool(power_caveats(w, 1.0)), 3.0, 2.99),
    "most of a power limit in an answer": Threshold(cannot_be, 9.99, 10.01),
    "least of a power limit in an answer": Threshold(cannot_be, 0.00101, 0.00099),
    "most energy of an operation": Threshold(lambda joules: cannot_be(1.0, joules), 0.99, 1.01),
    "least energy of an operation": Threshold(lambda joules: cannot_be(1.0, joules), 1.01e-17, 0.99e-17),
    "most that was ever measured": Threshold(is_no_record, 1e12, 1.01e12),
    "least that was ever measured": Threshold(is_no_record, 0.0, -1e-9),
    "images of an hour": Threshold(refuses(asks_for_less, "or at least 0.001"), 0.001, 0.00099),
    "no image of an hour": Threshold(refuses(asks_for_less, "or at least 0.001"), 0.0, 1e-9),
    "first year of a plan": Threshold(refuses(_start, "years"), "1880-01-01T00:00Z", "1879-12-31T23:59Z"),
    "last year of a plan": Threshold(refuses(_start, "years"), "2200-12-31T23:59Z", "2201-01-01T00:00Z"),
    "levels of JSON": Threshold(
        lambda levels: not_json("[" * levels + "]" * levels, "nested deeper"), 64, 65
    ),
    "levels of TOML": Threshold(
        lambda levels: not_toml(f"a = {'[' * (levels - 1)}{']' * (levels - 1)}", "nested deeper"), 64, 65
    ),
    "digits in JSON": Threshold(lambda digits: not_json("9" * digits, "digits"), 300, 301),
    "digits in TOML": Threshold(lambda digits: not_toml(f"a = {'9' * digits}", "digits"), 300, 301),
    "parts of a key": Threshold(lambda parts: not_toml(".".join("a" * parts) + " = 1", "parts"), 32, 33),
    "letters of a short cell": Threshold(lambda letters: page._length("x" * letters) == "long", 30, 31),
    "grams that are milligrams": Threshold(lambda grams: "mg" in _grams(grams), 0.1, 0.0999),
    # alike to 0.77 and 0.80; to 0.86 and 0.90 where `timesteps`, another's name for it, is meant
    "a slip in a key": Threshold(refuses(keys_of, "is the column"), ["xxxsteps"], ["stesp"]),
    "a slip in another's name": Threshold(refuses(keys_of, "the steps"), ["xxxtimesteps"], ["xxtimesteps"]),
    "power over the board's limit": Threshold(power_w, 734.9, 735.1),
    "a host that sets the time": Threshold(is_host_bound, 0.5, 0.501),
    "weights over the memory": Threshold(fits_no_weights, 1, -1),
    "sides below a model's own": Threshold(made_for_other_sides, (256, 1024), (248, 1024)),
    "sides above a model's own": Threshold(made_for_other_sides, (1024, 256), (1032, 256)),
    "digits before an exponent": Threshold(lambda x: "e+" in number(x), 9.98e15, 1e16),
    "zeros before an exponent": Threshold(lambda x: "e-" in number(x), 1e-4, 9.98e-5),
    "hours drawn one by one": Threshold(lambda hours: bar_hours(hours) > 1, 336, 337),
    "regions with a colour": Threshold(lumps_regions, 7, 8),
    "values on a linear axis": Threshold(is_logarithmic, 3.99, 4.01),
    "power of a symbol": Threshold(refuses(parse_monomial, "impossible"), "batch^4", "batch^5"),
    "exact hints": Threshold(is_no_hint, 2**53, 2**53 + 2),
    "layers": Threshold(
        lambda count: refuses(check_sane, "layers make sense")({"num_layers": count}, "here"), 512, 513
    ),
    "numbers of an architecture": Threshold(
        lambda width: refuses(check_sane, "beyond")({"width": width}, "here"), 16_777_216, 16_777_217
    ),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_nothing_below_and_words_above(name: str) -> None:
    speaks, below, above = THRESHOLDS[name]
    assert not speaks(below)
    assert speaks(above)


# Bytes of a file that is read, and how it is read; what is larger is refused unread.
SIZES: dict[str, tuple[Callable[[Path], object], int]] = {
    "config.json": (lambda path: read_config_file(path), 4_000_000),
    "gpu.toml": (lambda path: gpu(str(path)), 1_000_000),
    "profile.json": (read_profile, 64_000_000),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_size_of_a_file(name: str, tmp_path: Path) -> None:
    read, most = SIZES[name]
    too_large = refuses(read, "larger than")
    path = tmp_path / name
    path.touch()
    for size in (most, most + 1):
        with path.open("r+b") as file:
            file.truncate(size)  # zeros that take no room
        assert too_large(path) == (size > most)


@pytest.mark.parametrize(("columns", "is_read"), [(10_000, True), (10_001, False)])
def test_the_columns_of_a_table(columns: int, is_read: bool, tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{i}" for i in range(columns)) + "\n")
    too_many = refuses(lambda: list(blocks_of(path, lambda header, where: None, "rows")), "at most 10000")
    assert too_many() != is_read


def test_unknown_names_are_explained_until_there_are_many(run: Command) -> None:
    """For 301 of them near matches are sought, which takes a while for each."""
    names = [f"flux.1-dev{i:03d}" for i in range(302)]
    Path("many.csv").write_text(
        "model,gpu,width,height,steps\n" + "".join(f"{name},H100,1024,1024,20\n" for name in names)
    )
    assert run("predict", "many.csv", "--out", "out.csv").status == 1
    *explained, last = Path("out.csv").read_text().splitlines()[1:]
    assert all("did you mean" in row for row in explained)
    assert "did you mean" not in last
    assert "unknown model" in last


# --- one home ------------------------------------------------------------------------------------

SOURCE = Path(joulecast.__file__).parent
# Said of their own module: the version of its file, the width of its lines, how large a file of its may be.
OF_THEIR_MODULE = {"MOST_BYTES", "MOST_FILE_BYTES", "SMALL", "VERSION", "WIDTH"}


@cache
def numbers() -> tuple[tuple[str, str, float], ...]:
    """(module, name, value) of every number that a module of ours names."""
    return tuple(
        (path.relative_to(SOURCE).as_posix(), target.id.lstrip("_"), value)
        for path in sorted(SOURCE.rglob("*.py"))
        for line in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(line, ast.Assign | ast.AnnAssign) and (value := number_of(line.value)) is not None
        for target in (line.targets if isinstance(line, ast.Assign) else [line.target])
        if isinstance(target, ast.Name)
    )


def number_of(value: ast.expr | None) -> float | None:
    """The value of a number, or of arithmetic with numbers alone."""
    arithmetic = ast.Constant | ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop
    if value is None or not all(isinstance(part, arithmetic) for part in ast.walk(value)):
        return None
    found = eval(ast.unparse(value))
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def test_each_number_has_one_home() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module, name, _ in numbers():
        homes[name].append(module)
    assert len(homes) > 60
    twice = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert twice.keys() <= OF_THEIR_MODULE, json.dumps(twice, indent=1)


SHARE = re.compile(r"(SHARE|MARGIN|RANGE|YEARS|SPREAD|CHANGE|WIDTH|SHARPNESS)$")


def test_no_share_or_margin_is_another_by_a_longer_name() -> None:
    """As `UNKNOWN_IDLE_SHARE` of a law and `IDLE_SHARE` of a plan once were, with two values."""
    shares = {name for _, name, _ in numbers() if SHARE.search(name)} - OF_THEIR_MODULE
    assert len(shares) > 5
    assert not [(long, short) for long in shares for short in shares if long.endswith(f"_{short}")]
