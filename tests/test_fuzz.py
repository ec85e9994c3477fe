"""A short run of `scripts/fuzz`, and that it finds what it looks for."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from joulecast.files import signed_json
from joulecast.files.documents import parse_json

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import fuzz  # noqa: E402
import fuzz_changes  # noqa: E402
import fuzz_files  # noqa: E402

NAMES = (*fuzz_files.FORMATS, fuzz_files.STORE)


@pytest.mark.slow
def test_a_short_run(tmp_path: Path) -> None:
    command = [sys.executable, "tools/fuzz.py", "--seconds", "120", "--cases", "450", "--kept", str(tmp_path)]
    command += ["--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "450 cases, 0 failed"


def test_a_case_follows_from_its_seed(tmp_path: Path) -> None:
    for number in range(len(NAMES) - 1):
        assert fuzz_files.case_of(3, number, NAMES, str(tmp_path)) == fuzz_files.case_of(
            3, number, NAMES, str(tmp_path)
        )


def test_files_with_a_checksum_mostly_have_a_right_one() -> None:
    draw, right = random.Random(1), 0
    for _ in range(50):
        case = fuzz_files.FORMATS["law"](draw)
        try:
            content = json.loads(case.files["l.json"])
        except (ValueError, RecursionError):
            continue
        stated = content.pop("sha256")
        right += stated == signed_json.checksum(content)
    assert right > 30


@pytest.mark.parametrize(
    ("status", "out", "err", "words"),
    [
        (3, "", "", "exit status 3"),
        (0, "\x1b[2J", "", "act on a terminal"),
        (2, "", "Traceback (most recent call last):", "traceback"),
        (2, "", "oh", "without its line"),
        (0, "{", "", "no JSON"),
        (0, '{"energy_j": -3}', "", "energy_j = -3"),
        (0, '{"deep": [{"power_w": 1e40}]}', "", "power_w = 1e+40"),
    ],
)
def test_what_is_wrong_is_seen(status: int, out: str, err: str, words: str) -> None:
    case = fuzz_files.Case("law", {}, ("grid", "x", "--json"))
    assert words in fuzz._problem(case, status, out, err)


def answer(**changes: object) -> str:
    right = {
        "energy_j": 100.0, "energy_low_j": 90.0, "energy_high_j": 110.0, "duration_s": 1.0, "power_w": 100.0,
        "flop": 1e12, "gpu": {"tdp_w": 700}, "components": [{"energy_j": 100.0}], "warnings": [],
    }  # fmt: skip
    return json.dumps(right | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"energy_j": None}, "an energy of None J"),
        ({"energy_j": 0.0}, "an energy of 0.0 J"),
        ({"energy_low_j": 101.0}, "outside its interval"),
        ({"power_w": 750.0}, "750 W of 700 W"),
        ({"power_w": 750.0, "warnings": ["exceeds the board's power limit"]}, ""),
        ({"components": [{"energy_j": 100.0}] * 2}, "components of 200 J"),
        ({"flop": 0}, "no arithmetic"),
    ],
)
def test_an_estimate_that_cannot_be_is_seen(changes: dict[str, object], words: str) -> None:
    case = fuzz_files.Case("law", {}, ("estimate", "sd2", "--json"))
    problem = fuzz._problem(case, 0, answer(**changes), "")
    assert problem == "" if not words else words in problem


def test_changes_change() -> None:
    """Most changes of a structure give another one that JSON can hold."""
    draw, different = random.Random(5), 0
    for _ in range(100):
        value = {"a": [1, {"b": 2.5}], "c": "x", "d": None, "e": [[0, 1], [1, 2]]}
        fuzz_changes.change(value, draw)
        try:
            different += parse_json(json.dumps(value, allow_nan=False), "x") != {
                "a": [1, {"b": 2.5}], "c": "x", "d": None, "e": [[0, 1], [1, 2]],
            }  # fmt: skip
        except ValueError:
            different += 1
    assert different > 80


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("energy_j,error\n3,\n", ""),
        ("energy_j,error\n,no such GPU\n", ""),
        ("energy_j,error\n3,no such GPU\n", "an answer and an error"),
        ("energy_j,duration_s,error\n3,-1,\n", "duration_s = -1"),
        ("energy_j,error\nnan,\n", "energy_j = nan"),
        ("energy_j,carbon_g,footprint_error\n3,1,\n", ""),
        ("energy_j,carbon_g,footprint_error\n-3,,no energy\n", ""),  # the user's own
        ("energy_j,carbon_g,footprint_error\n3,1,no energy\n", "an answer and an error"),
        ("energy_j,carbon_low_g,footprint_error\n3,inf,\n", "carbon_low_g = inf"),
    ],
)
def test_a_table_that_cannot_be_is_seen(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "o.csv").write_text(table)
    problem = fuzz._problem_of_table(tmp_path / "o.csv")
    assert problem == "" if not words else words in problem


QUICK = [name for name in fuzz_files.FORMATS if name not in ("runs", "plan", "neighbour")]


@pytest.mark.parametrize("name", QUICK)
def test_what_is_not_changed_is_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or no more of a reader would be tried than its first line."""
    monkeypatch.setattr(fuzz_files, "change", lambda value, draw: None)
    for same in ("damage", "change_csv"):
        monkeypatch.setattr(fuzz_files, same, lambda content, draw: content)
    monkeypatch.setattr(fuzz_files, "mangled", lambda text, draw, changed: text.encode())
    monkeypatch.setattr(fuzz_files, "changed_json", lambda content, draw: json.dumps(content).encode())
    ends = []
    for number in range(4):
        case = fuzz_files.case_of(2, number, (name,), str(tmp_path))
        fuzz.lay(case, tmp_path / "case")
        monkeypatch.chdir(tmp_path / "case")
        outcome = fuzz.run_case(case)
        assert "MB" in outcome.problem or not outcome.problem  # this process has run other tests
        ends.append(outcome.status)
    assert sum(status < 2 for status in ends) >= 2


@pytest.mark.parametrize("text", ["", "\n", "a\n", "a,b\n1\n", "a;b\n1;2\n"])
def test_tables_of_any_form_are_changed(text: str) -> None:
    """One without a column stays as it is; of others nearly every change is one."""
    draws = [random.Random(seed) for seed in range(200)]
    made = [text] * len(draws)
    for _ in range(4):
        made = [fuzz_changes.change_csv(changed, draw) for changed, draw in zip(made, draws, strict=True)]
        assert sum(changed != text for changed in made) >= (150 if text.strip() else 0)
        assert text.strip() or set(made) == {text}
        assert all(changed == "" or changed.endswith("\n") for changed in made)
